//! What is doubtful is told with the answer; what is not is left alone.

use super::*;

#[track_caller]
fn check(shop: &Database, sql: &str, codes: &[&str]) {
    let told = told(shop, sql);
    assert_eq!(told.codes(), codes, "{sql}: {:?}", told.lints);
    assert!(told.lints.iter().all(|lint| !lint.instead.is_empty()));
}

#[test]
fn what_does_not_add_up_is_told() {
    let shop = shop();
    check(&shop, "select sum(value) from visitors where grouped_by = 'device'", &["sums_distinct"]);
    check(
        &shop,
        "select device, sum(v) as s from (select device, value as v from visitors) t group by device",
        &["sums_distinct"],
    );
    check(
        &shop,
        "select date_bin(interval '1 hour', start), sum(value) from audience group by 1",
        &["sums_distinct"],
    );
    check(
        &shop,
        "select avg(value) from latency where q = 0.99 and grouped_by = ''",
        &["averages_quantiles"],
    );
    check(&shop, "select sum(value) from views", &["sums_totals"]);
    check(
        &shop,
        "select b.value * 100.0 / v.value from buyers() b cross join visitors(by => '') v",
        &["divides_distinct"],
    );
    check(
        &shop,
        "select cast(b.value as double) / nullif(a.value, 0) from buyers() b cross join audience() a",
        &["divides_distinct"],
    );
}

#[test]
fn what_is_right_is_left_alone() {
    let shop = shop();
    for sql in [
        "select sum(value) from views where grouped_by = ''",
        "select sum(value) from views where device = 'phone' and page is null",
        "select device, sum(value) from views group by device",
        "select sum(value) from views('1h', by => '')",
        "select sum(value) from total_ms",
        "select max(value), min(value), count(value) from visitors",
        "select estimate(merge_agg(sketch)) from visitors where grouped_by = ''",
        "select v.value * 1.0 / c.value from visitors(by => '') v cross join views(by => '') c",
        "select a.value * 1.0 / b.value from visitors('1h', by => 'device') a cross join visitors('1h', by => '') b",
        "select ratio(b.sketch, a.sketch) from buyers() b cross join audience() a",
        "select sum(bytes) from sg.memory",
    ] {
        check(&shop, sql, &[]);
    }
}

#[test]
fn what_only_the_sketches_show_is_told_afterwards() {
    let file = FILE.replace("accuracy", "x").replace(
        "buyers    = \"audience(user) filter (where bought)\"",
        "buyers    = { measure = \"audience(user) filter (where page = '/p7' and bought)\", accuracy = \"1% @ 95%\" }",
    );
    let shop = Database::new(measured(&file, &many()), Options::default());
    check(
        &shop,
        "select estimate(both(b.sketch, a.sketch)) from buyers() b cross join audience() a",
        &["thin_intersection"],
    );
    check(
        &shop,
        "select estimate(either(b.sketch, a.sketch)) from buyers() b cross join audience() a",
        &["mixes_precisions"],
    );
}

/// Far more users than a set keeps.
fn many() -> Vec<Event> {
    let few = events();
    (0..60_000)
        .map(|i: i64| Event {
            at_s: START_S + i / 10,
            user: format!("v{i}"),
            page: format!("/p{}", i % 40),
            bought: i % 11 == 0,
            ..few[(i % 100) as usize].clone()
        })
        .collect()
}
