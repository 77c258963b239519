//! A file asked without a pipeline file, against counting.

use super::*;
use engine::spec::Question;
use plan::infer::Head;
use plan::query::file::translate;
use std::collections::{BTreeMap, BTreeSet};

fn lines(events: &[Event]) -> String {
    let line = |e: &Event| {
        format!(
            "{{\"user\":\"{}\",\"deviceType\":\"{}\",\"page\":\"{}\",\"ms\":{},\"bought\":{},\"actor\":{{\"login\":\"{}\"}}}}\n",
            e.user, e.device, e.page, e.latency_ms, e.bought, e.device
        )
    };
    events.iter().map(line).collect()
}

fn asked(lines: &str, sql: &str) -> Result<Told, QueryError> {
    let head = Head { bytes: lines.as_bytes(), whole: true, path: "events.ndjson" };
    let query = translate(sql, &head)?;
    let source = &query.pipeline.spec.sources[0];
    let program = query.pipeline.programs[0].clone().map(|program| program as Arc<dyn Compute>);
    let header = lines.split('\n').next().filter(|line| !line.starts_with('{')).map(str::as_bytes);
    let mut engine = Engine::with_program(source, program, header, 2, 256 << 20).expect("an engine");
    engine.push(&Block { partition: 0, number: 0, first_byte: 0, bytes: lines.as_bytes(), arrival: None });
    let answers = engine.answers(Question::Total);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let (batches, _) = runtime.block_on(query.finish(&answers))?;
    let columns = batches[0].schema().fields().iter().map(|field| field.name().clone()).collect();
    Ok(Told { columns, rows: batches.iter().flat_map(shown).collect(), lints: Vec::new() })
}

#[track_caller]
fn good(sql: &str) -> Told {
    asked(&lines(&events()), sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

#[test]
fn groups_are_counted() {
    let told = good("select deviceType, unique(user) from events group by deviceType order by deviceType");
    assert_eq!(told.columns, ["deviceType", "unique(user)", "unique(user)_low", "unique(user)_high"]);
    let mut truth: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    events().into_iter().for_each(|e| truth.entry(e.device).or_default().extend([e.user]));
    assert_eq!(told.rows.len(), truth.len());
    for (row, (device, users)) in told.rows.iter().zip(truth) {
        let [value, low, high] = [1, 2, 3].map(|i| row[i].parse::<f64>().unwrap());
        let n = users.len() as f64;
        assert_eq!(row[0], device);
        assert!(low <= value && value <= high && (value - n).abs() <= 0.04 * n, "{row:?} {n}");
    }
}

#[test]
fn what_stands_around_measures_is_asked_of_them() {
    let events = events();
    let told = good(
        "select e.page as p, count(*) as n, round(100.0 * count(*) filter (where bought) / count(*), 1) as share, \
         max(ms) from events e where deviceType <> 'desk' group by p having count(*) > 100 order by n desc, 1 limit 3",
    );
    assert_eq!(told.columns, ["p", "n", "share", "max(ms)"]);
    let mut pages: BTreeMap<&str, (f64, f64, f64)> = BTreeMap::new();
    for e in events.iter().filter(|e| e.device != "desk") {
        let page = pages.entry(&e.page).or_default();
        *page = (page.0 + 1.0, page.1 + f64::from(e.bought), page.2.max(e.latency_ms));
    }
    let mut truth: Vec<_> = pages.into_iter().filter(|(_, p)| p.0 > 100.0).collect();
    truth.sort_by(|a, b| b.1.0.total_cmp(&a.1.0).then(a.0.cmp(b.0)));
    let want: Vec<Vec<String>> = truth[..3]
        .iter()
        .map(|(page, (n, bought, max))| {
            let share = (1000.0 * bought / n).round() / 10.0;
            vec![page.to_string(), n.to_string(), format!("{share:?}"), max.to_string()]
        })
        .collect();
    assert_eq!(told.rows, want);
}

#[test]
fn expressions_and_nested_fields_are_grouped_by() {
    let told = good(
        "select upper(actor.login) as who, ms > 250 as slow, count() from events group by 1, 2 order by 1, 2",
    );
    assert_eq!(told.columns, ["who", "slow", "count()"]);
    assert_eq!(told.rows.len(), 6);
    assert_eq!((told.rows[0][0].as_str(), told.rows[0][1].as_str()), ("DESK", "false"));
    let all: f64 = told.numbers(2).iter().sum();
    assert_eq!(all, EVENTS as f64);
    assert_eq!(good("select avg(ms) + 1 as x, count(user), sum(ms) from events").rows.len(), 1);
    assert_eq!(good("select deviceType from events group by deviceType").rows.len(), 3);
}

#[test]
fn a_list_gives_a_row_for_each_entry() {
    let told = good(
        "select deviceType, top(page, 2) from events group by deviceType order by deviceType, value desc",
    );
    assert_eq!(told.columns, ["deviceType", "item", "value", "low", "high"]);
    assert_eq!((told.rows.len(), told.rows[0][1].as_str()), (6, "/"));
    let told = good("select quantiles(ms, [0.5, 0.9]) from events");
    assert_eq!((told.columns[0].as_str(), told.rows.len()), ("q", 2));
    assert_eq!(good("select sample(5, user, page) from events").columns, ["user", "page"]);
    assert_eq!(
        good("select histogram(ms, 100) from events").rows[1],
        ["inf".to_string(), EVENTS.to_string()]
    );
}

#[test]
fn delimited_files_are_asked_too() {
    let text: String = std::iter::once("user,device,ms\n".to_string())
        .chain(events().iter().map(|e| format!("{},{},{}\n", e.user, e.device, e.latency_ms)))
        .collect();
    let told = asked(&text, "select device, count(*), max(ms) from events group by device order by 1")
        .expect("an answer");
    assert_eq!(told.rows.len(), 3);
    assert_eq!(told.numbers(1).iter().sum::<f64>(), EVENTS as f64);
}

#[test]
fn what_a_file_cannot_be_asked_is_said() {
    let text = lines(&events()[..100]);
    for (sql, why) in [
        ("select * from events", "sample(10"),
        ("select user from events", "neither grouped by nor inside a measure"),
        ("select 1 from events", "nothing is measured"),
        ("select count(distinct user) from events", "unique(user)"),
        ("select unique(usr) from events", "did you mean `user`?"),
        ("select uniqe(user) from events", "neither grouped by"),
        ("select unique() from events", "needs a field"),
        ("select top(page), count(*) from events", "stands alone"),
        ("select count(*) from a join b on true", "one table"),
        ("with x as (select 1) select count(*) from x", "WITH"),
        ("select count(*) from a union select count(*) from b", "UNION"),
        ("select distinct user from events", "DISTINCT"),
        ("select count(*) from events group by count(*)", "is a measure"),
        ("select count(*) from events group by 7", "no such column"),
        ("select count(*) from events order by 7", "no such column"),
        ("select sum(user) from events", ""),
        ("drop table events", "one SELECT"),
        ("select count(*) from events where", "not a statement"),
        ("", "no statement"),
    ] {
        match asked(&text, sql) {
            Err(error) => assert!(error.to_string().contains(why), "{sql}: {error}"),
            Ok(told) => assert!(why.is_empty(), "{sql}: {told:?}"),
        }
    }
    assert!(translate("select count(*) from e", &Head { bytes: b"", whole: true, path: "e" }).is_err());
}
