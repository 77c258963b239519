//! Metrics as tables and as table functions, against counting.

use super::*;
use std::collections::{BTreeMap, BTreeSet};

fn distinct<'e>(events: impl Iterator<Item = &'e Event>) -> usize {
    events.map(|event| event.user.as_str()).collect::<BTreeSet<_>>().len()
}

#[test]
fn a_table_has_a_row_for_every_pane_and_group() {
    let (events, shop) = (events(), shop());
    let told = told(
        &shop,
        "select cast(extract(epoch from start) as bigint), device, page, value, low, high, exact, guarantee \
         from views where grouped_by = 'device,page' order by 1, 2, 3",
    );
    let mut counts: BTreeMap<(i64, &str, &str), i64> = BTreeMap::new();
    for event in &events {
        *counts.entry((event.at_s - event.at_s.rem_euclid(60), event.device, &event.page)).or_default() += 1;
    }
    let want: Vec<Vec<String>> = counts
        .iter()
        .map(|((start, device, page), n)| {
            let n = n.to_string();
            vec![
                start.to_string(),
                device.to_string(),
                page.to_string(),
                n.clone(),
                n.clone(),
                n,
                "true".into(),
                "exact".into(),
            ]
        })
        .collect();
    assert_eq!(told.rows.len(), want.len());
    assert_eq!(told.rows, want);
}

#[test]
fn grouping_sets_are_told_apart() {
    let shop = shop();
    let rows = told(&shop, "select grouped_by, sum(value) from views group by 1 order by 1").rows;
    let all = EVENTS.to_string();
    assert_eq!(rows, [["", &all], ["device", &all], ["device,page", &all]]);
    let total = told(&shop, "select device, page, other, value from views() where grouped_by = ''");
    assert_eq!(total.rows, [["null", "null", "false", &all]]);
}

#[test]
fn calls_are_the_total_and_windows() {
    let (events, shop) = (events(), shop());
    let end = (START_S + EVENTS - 1).div_euclid(60) * 60 + 60;
    let within = |from: i64, to: i64| distinct(events.iter().filter(|e| (from..to).contains(&e.at_s))) as f64;
    let near = |sql: &str, truth: f64| {
        let told = told(&shop, sql);
        let [low, value, high] = [0, 1, 2].map(|column| told.numbers(column)[0]);
        assert!(low <= value && value <= high, "{sql}: {low} {value} {high}");
        assert!((value - truth).abs() <= truth * 0.04, "{sql}: {value} for {truth}");
    };
    near("select low, value, high from visitors(by => '')", within(0, i64::MAX));
    near("select low, value, high from visitors('1h', by => '')", within(end - 3_600, end));
    near("select low, value, high from visitors('10m', by => '')", within(end - 600, end));
    near("select low, value, high from visitors(interval '1 hour', by => '')", within(end - 3_600, end));
    near("select low, value, high from forever", within(0, i64::MAX));
    let from = START_S + 1_800;
    near(
        "select low, value, high from visitors(from => '2026-01-01T01:00:00Z', to => '2026-01-01T02:00:00Z', by => '')",
        within(from, from + 3_600),
    );
    near(
        "select low, value, high from visitors(\"from\" => timestamp '2026-01-01 01:00:00' + interval '1 hour', by => '')",
        within(from + 3_600, i64::MAX),
    );
}

#[test]
fn sliding_windows_are_merges_of_panes() {
    let (events, shop) = (events(), shop());
    let told = told(
        &shop,
        "select cast(extract(epoch from start) as bigint), cast(extract(epoch from \"end\") as bigint), value \
         from views('1h', '30m', by => '') order by 1",
    );
    assert!(told.rows.len() >= 6);
    for row in &told.rows {
        let [start, end, value] = [0, 1, 2].map(|i| row[i].parse::<i64>().unwrap());
        assert_eq!(end - start, 3_600);
        assert_eq!(value, events.iter().filter(|e| (start..end).contains(&e.at_s)).count() as i64);
    }
}

#[test]
fn list_measures_give_a_row_for_each_entry() {
    let (events, shop) = (events(), shop());
    let mut pages: BTreeMap<&str, i64> = BTreeMap::new();
    events.iter().for_each(|event| *pages.entry(&event.page).or_default() += 1);
    let top = told(&shop, "select item, value from top_pages(by => '') order by value desc, item limit 1");
    let (page, n) = pages.iter().max_by_key(|(_, n)| **n).unwrap();
    assert_eq!(top.rows, [[page.to_string(), n.to_string()]]);

    let p99 = told(&shop, "select value from latency(by => '') where q = 0.99").number();
    assert!((p99 - 495.0).abs() < 6.0, "{p99}");
    let slow = told(&shop, "select le, value from slow() order by le").rows;
    let upto = |bound: f64| events.iter().filter(|e| e.latency_ms <= bound).count().to_string();
    assert_eq!(slow, [["100.0", &upto(100.0)], ["400.0", &upto(400.0)], ["inf", &EVENTS.to_string()]]);
    let some = told(&shop, "select \"user\", page from some()");
    assert_eq!(some.rows.len(), 20);
    assert!(some.rows.iter().all(|row| events.iter().any(|e| e.user == row[0] && e.page == row[1])));
}

#[test]
fn a_session_metric_answers_by_all_its_names() {
    let shop = shop();
    let of = |sql: &str| told(&shop, sql);
    let visits = of("select value from visits()").number();
    assert!(visits > 1_000.0);
    assert_eq!(of("select count(*) from visits.duration_s()").number(), 5.0);
    let name = of("select count(*) from \"visits.events\"()").number();
    assert_eq!(name, 5.0);
    assert!(of("select count(*) from visits.events where q = 0.5").number() > 100.0);
    assert_eq!(of("select count(*) from events.visits.events()").number(), 5.0);
    assert_eq!(of("select value from events.visits()").number(), visits);
}

#[test]
fn names_are_written_as_fields_are() {
    let file = r#"
source.events = { kind = "stdin", format = "ndjson", time = { field = "ts" } }
metric.perType = { measure = "count()", by = [["deviceType"], ["actor.login"]] }
"#;
    let shop = Database::new(measured(file, &events()), Options::default());
    let phones = told(&shop, "select value from perType() where deviceType = 'phone'").number();
    assert_eq!(phones, (EVENTS / 2) as f64);
    let user = told(&shop, "select p.actor.login, value from perType() p where actor.login = 'u0'");
    assert_eq!((user.columns[0].as_str(), user.rows[0][0].as_str()), ("actor.login", "u0"));
    assert_eq!(
        told(&shop, "select count(*) from \"perType\" where \"deviceType\" is not null").rows.len(),
        1
    );
}

#[test]
fn numbers_are_typed() {
    let shop = shop();
    let types = |sql: &str| told(&shop, sql).rows[0].join(" ");
    assert_eq!(types("select arrow_typeof(value), arrow_typeof(low) from visitors() limit 1"), "Int64 Int64");
    assert_eq!(types("select arrow_typeof(value), arrow_typeof(sketch) from total_ms()"), "Float64 Binary");
    assert_eq!(types("select arrow_typeof(value), value from items()"), format!("Int64 {}", EVENTS * 2));
    assert_eq!(types("select arrow_typeof(start) from views limit 1"), "Timestamp(µs, \"UTC\")");
}

#[test]
fn system_tables_tell_what_there_is() {
    let shop = shop();
    let row = |sql: &str| told(&shop, sql).rows[0].join("|");
    assert_eq!(
        row("select source, metric, measure, by, panes from sg.metrics where metric = 'visitors'"),
        "events|visitors|unique(user)|[] [device]|1m:2d 1h:35d"
    );
    assert_eq!(row("select read, accepted, bad from sg.sources"), format!("{EVENTS}|{EVENTS}|0"));
    assert!(told(&shop, "select bytes from sg.memory where metric = 'visitors'").number() > 1_000.0);
    assert_eq!(row("select later, late from sg.late"), "correct|0");
    assert_eq!(told(&shop, "select * from sg.quarantine").rows.len(), 0);
    let bad =
        Database::new(measured_lines(FILE, "{\"ts\":\"2026-01-01T00:00:00Z\"}\nno\n"), Options::default());
    assert_eq!(
        told(&bad, "select reason, records, kept_in from sg.quarantine").rows,
        [["json", "1", "shop.bad"]]
    );
    let tables =
        told(&shop, "select table_name from information_schema.tables where table_schema = 'public'");
    assert!(tables.rows.iter().any(|row| row[0] == "visitors"));
    assert!(told(&shop, "show tables").rows.len() > 12);
    let columns = told(&shop, "describe visitors").rows;
    assert_eq!(columns[0][0], "start");
    assert!(!told(&shop, "show columns from visitors").rows.is_empty());
    assert!(!told(&shop, "explain select * from visitors('1h')").rows.is_empty());
}

#[test]
fn metrics_join() {
    let (events, shop) = (events(), shop());
    let told =
        told(&shop, "select b.value, v.value from buyers('1h') b join audience('1h') v on b.start = v.start");
    let end = (START_S + EVENTS - 1).div_euclid(60) * 60 + 60;
    let last = || events.iter().filter(|e| e.at_s >= end - 3_600);
    let truth = [distinct(last().filter(|e| e.bought)) as f64, distinct(last()) as f64];
    for (column, truth) in truth.iter().enumerate() {
        assert!((told.numbers(column)[0] - truth).abs() <= truth * 0.1, "{told:?} {truth}");
    }
}
