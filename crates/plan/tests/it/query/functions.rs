//! Functions of sketches, against the numbers of answers and against counting.

use super::*;
use std::collections::BTreeSet;

fn users<'e>(events: impl Iterator<Item = &'e Event>) -> BTreeSet<&'e str> {
    events.map(|event| event.user.as_str()).collect()
}

#[test]
fn merged_panes_are_the_window() {
    let shop = shop();
    for metric in ["visitors", "audience"] {
        let total =
            told(&shop, &format!("select value, low, high from {metric}('3h', '3h') where grouped_by = ''"));
        assert!(total.rows.len() >= 2);
        let merged = told(
            &shop,
            &format!(
                "select estimate(m), low(m), high(m) from (select merge_agg(sketch) as m from {metric} \
                 where grouped_by = '' group by date_bin(interval '3 hours', start) order by min(start))"
            ),
        );
        let numbers = |told: &Told| [0, 1, 2].map(|column| told.numbers(column));
        assert_eq!(numbers(&total), numbers(&merged), "{metric}");
    }
}

#[test]
fn spark_names_mean_the_same() {
    let shop = shop();
    let row = told(
        &shop,
        "select estimate(merge_agg(sketch)), hll_sketch_estimate(hll_union_agg(sketch)), \
         estimate(hll_union(min(sketch), max(sketch))) > 0 from visitors where grouped_by = 'device'",
    )
    .rows
    .remove(0);
    assert_eq!(row[0].parse::<f64>().unwrap(), row[1].parse::<f64>().unwrap());
    let theta = told(&shop, "select theta_sketch_estimate(theta_union_agg(sketch)) from audience").number();
    assert!((theta - users(events().iter()).len() as f64).abs() < theta * 0.1);
}

#[test]
fn sets_are_compared_with_bounds() {
    let (events, shop) = (events(), shop());
    let (all, bought) = (users(events.iter()), users(events.iter().filter(|e| e.bought)));
    let truth = bought.len() as f64 / all.len() as f64;
    let told = told(
        &shop,
        "select ratio(both(a.sketch, b.sketch), a.sketch), ratio_bounds(b.sketch, a.sketch)['low'], \
         ratio_bounds(b.sketch, a.sketch)['high'], estimate(without(a.sketch, b.sketch)), \
         estimate(either(a.sketch, b.sketch)), jaccard(a.sketch, b.sketch) from audience() a cross join buyers() b",
    );
    let row: Vec<f64> = (0..6).map(|column| told.numbers(column)[0]).collect();
    assert!(row[1] <= truth && truth <= row[2] && row[1] <= row[0] && row[0] <= row[2], "{row:?} {truth}");
    let others = (all.len() - bought.len()) as f64;
    assert!((row[3] - others).abs() <= 0.1 * others, "{row:?} {others}");
    assert!((row[4] - all.len() as f64).abs() <= 0.1 * all.len() as f64, "{row:?}");
    assert!((row[5] - truth).abs() < 0.1, "{row:?} {truth}");
}

#[test]
fn small_sets_are_exact() {
    let few: Vec<Event> = events().into_iter().take(200).collect();
    let shop = Database::new(measured(FILE, &few), Options::default());
    let (all, bought) = (users(few.iter()), users(few.iter().filter(|e| e.bought)));
    let row = told(
        &shop,
        "select x['value'], x['low'], x['high'], x['guarantee'] from \
         (select ratio_bounds(b.sketch, a.sketch) x from audience() a cross join buyers() b)",
    )
    .rows
    .remove(0);
    let truth = (bought.len() as f64 / all.len() as f64).to_string();
    assert_eq!(row, [truth.as_str(), &truth, &truth, "exact"]);
    for (user, there) in [(few[0].user.as_str(), "true"), ("nobody", "false")] {
        for metric in ["audience", "visitors"] {
            let sql = format!("select contains(sketch, '{user}') from {metric}() where grouped_by = ''");
            assert_eq!(told(&shop, &sql).only(), there, "{sql}");
        }
    }
}

#[test]
fn items_are_found() {
    let (events, shop) = (events(), shop());
    let home = events.iter().filter(|event| event.page == "/").count() as f64;
    let of = |call: &str| told(&shop, &format!("select {call} from top_pages(by => '') limit 1"));
    assert_eq!(of("frequency(sketch, '/')").number(), home);
    assert_eq!(of("contains(sketch, '/')").only(), "true");
    assert_eq!(of("contains(sketch, '/nowhere')").only(), "false");
    let top = told(
        &shop,
        "select t['item'], t['value'] from (select unnest(top(sketch, 2)) t from (select sketch from top_pages(by => '') limit 1))",
    );
    assert_eq!(top.rows.len(), 2);
    assert_eq!(top.rows[0], ["/".to_string(), home.to_string()]);
    assert_eq!(told(&shop, "select contains('abc', 'b')").only(), "true");
}

#[test]
fn quantiles_and_ranks_are_inverse() {
    let (events, shop) = (events(), shop());
    let mut all: Vec<f64> = events.iter().map(|event| event.latency_ms).collect();
    all.sort_by(f64::total_cmp);
    let truth = all[(0.9 * all.len() as f64).ceil() as usize - 1];
    let of = |call: &str| {
        told(
            &shop,
            &format!("select {call} from (select merge_agg(sketch) m from latency where grouped_by = '')"),
        )
        .number()
    };
    let p90 = of("quantile(m, 0.9)");
    assert!((p90 - truth).abs() <= truth * 0.011, "{p90} {truth}");
    assert!((of("rank(m, 250)") - 0.5).abs() < 0.01);
    // The window function of this name is still there.
    assert_eq!(
        told(&shop, "select max(r) from (select rank() over (order by value) r from views(by => 'device'))")
            .number(),
        3.0
    );
}

#[test]
fn what_is_no_sketch_of_this_kind_is_said() {
    let shop = shop();
    for (sql, why) in [
        ("select estimate(x'00') from views()", "no sketch"),
        ("select estimate('text')", "takes a sketch"),
        ("select quantile(sketch, 0.5) from visitors()", "knows no quantile"),
        ("select quantile(sketch, 50) from latency()", "between 0 and 1"),
        ("select both(a.sketch, b.sketch) from visitors() a cross join visitors() b", "audience"),
        ("select either(a.sketch, b.sketch) from visitors() a cross join latency() b", "cannot be merged"),
        ("select merge_agg(value) from visitors", "takes sketches"),
        ("select top(sketch, 0) from top_pages()", "1 to 10000"),
        ("select frequency(sketch, 'x') from visitors()", "knows no frequencies"),
    ] {
        let error = refused(&shop, sql).to_string();
        assert!(error.contains(why), "{sql}: {error}");
    }
    assert_eq!(told(&shop, "select estimate(null)").only(), "null");
    assert_eq!(told(&shop, "select merge_agg(sketch) from views").only(), "null");
}
