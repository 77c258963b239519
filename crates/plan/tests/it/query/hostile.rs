//! Statements that must not do what they say, and bytes that are none.

use super::*;
use plan::query::Trouble;

#[test]
fn nothing_but_reading_is_answered() {
    let shop = shop();
    for sql in [
        "copy (select * from visitors) to '/tmp/stolen.csv'",
        "create table t as select 1",
        "create external table t stored as csv location '/etc/passwd'",
        "create view v as select 1",
        "create function f() returns int return 1",
        "insert into visitors values (1)",
        "update visitors set value = 1",
        "delete from visitors",
        "drop table visitors",
        "truncate table visitors",
        "set datafusion.execution.batch_size = 1",
        "reset datafusion.execution.batch_size",
        "begin",
        "commit",
        "prepare p as select 1",
        "execute p",
        "use other",
        "vacuum",
        "grant select on visitors to public",
        "explain copy (select 1) to 'x.csv'",
        "explain insert into visitors values (1)",
        "with x as (insert into visitors values (1) returning *) select * from x",
        "select 1 into t",
        "select * from 'x.csv'",
        "select * from '/etc/passwd'",
        "select 1; select 2",
        "select 1; drop table visitors",
        "",
        ";",
        "-- nothing",
    ] {
        let error = refused(&shop, sql);
        assert!(matches!(error.trouble, Trouble::Refused | Trouble::Wrong), "{sql}: {error:?}");
    }
}

#[test]
fn wrong_names_are_told_the_right_ones() {
    let shop = shop();
    for (sql, why) in [
        ("select * from visitor", "did you mean `visitors`?"),
        ("select * from visitor('24h')", "did you mean `visitors`?"),
        ("select * from nothing_of_it", "there are `visitors`"),
        ("select valu from visitors", "did you mean `value`?"),
        ("select v.valu from visitors v", "did you mean `value`?"),
        ("select * from sg.metric", "did you mean `sg.metrics`?"),
        ("select * from visitors('24')", "not a length of time"),
        ("select * from visitors('90s', '90s')", "not made of its panes"),
        ("select * from visitors('1h', '0s')", "longer than nothing"),
        ("select * from visitors('1h', '1h', '1h')", "arguments by name"),
        ("select * from visitors('1h', evry => '1h')", "did you mean `every`?"),
        ("select * from visitors('1h', window => '1h')", "twice"),
        ("select * from visitors(by => 'devise')", "did you mean `device`?"),
        ("select * from visitors(from => 'yesterday')", "is no time"),
        ("select * from visitors(to => '2026-01-01')", "needs a `from`"),
        ("select * from visitors(from => '2026-01-02', to => '2026-01-01')", "is empty"),
        ("select * from visitors('1h', from => '2026-01-02')", "one window"),
        ("select * from visitors(x)", "must be a constant"),
        ("select * from visitors(interval '1 month')", "months"),
        ("select * from forever('1h')", "`forever()` is its total"),
        ("select estimat(sketch) from visitors", "estimate"),
        ("select repeat('x', 1000000000)", "repeat"),
    ] {
        let error = refused(&shop, sql).to_string();
        assert!(error.contains(why), "{sql}: {error}");
    }
}

#[test]
fn deep_and_long_statements_are_survived() {
    let shop = shop();
    for sql in [
        format!("select 1{}", " + 1".repeat(480)),
        format!("select {}", "(".repeat(5_000)),
        format!("select {}1{}", "(".repeat(900), ")".repeat(900)),
        format!("select {}1", "not ".repeat(950)),
        format!("select {}1", "- ".repeat(950)),
        format!("select 1{}", " + 1".repeat(50_000)),
        "select ".repeat(2_000),
        "select * from (".repeat(400),
        format!("{}1{}", "select (".repeat(300), ")".repeat(300)),
        format!("select case {} end", "when 1 = 1 then case ".repeat(300)),
        format!("select 1 from visitors where {}", "exists (select 1 where ".repeat(200)),
    ] {
        let _ = ask(&shop, &sql);
    }
    // As deep as is allowed.
    let sum = told(&shop, &format!("select 1{}", " + 1".repeat(450)));
    assert_eq!(sum.number(), 451.0);
    let list: Vec<String> = (0..5_000).map(|n| n.to_string()).collect();
    assert_eq!(
        told(
            &shop,
            &format!("select count(*) from generate_series(1, 10) where value in ({})", list.join(","))
        )
        .number(),
        10.0
    );
}

/// Calls with `X` for a sketch.
const CALLS: [&str; 14] = [
    "estimate(X)",
    "bounds(X)",
    "describe(X)",
    "quantile(X, 0.5)",
    "rank(X, 1)",
    "top(X, 5)",
    "contains(X, 'a')",
    "frequency(X, 'a')",
    "both(X, X)",
    "without(X, X)",
    "either(X, X)",
    "jaccard(X, X)",
    "ratio(X, X)",
    "merge_agg(X)",
];

#[test]
fn no_bytes_make_a_function_panic() {
    const TAILS: [&str; 7] = [
        "",
        "01",
        "0100",
        "01040000",
        "010cffffffffffffff7f",
        "ffffffffffffffffffffffffffffffff",
        "010c0000000000000040ffffffff",
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let session = shop().session().expect("a session");
    let bytes = (0u8..32).flat_map(|tag| TAILS.iter().map(move |tail| format!("x'{tag:02x}{tail}'")));
    runtime.block_on(async {
        for (at, bytes) in bytes.enumerate() {
            // Every other function in turn: those that share a reader need not all see all bytes.
            for call in CALLS.iter().skip(at % 3).step_by(3) {
                let sql = format!("select {}", call.replace('X', &bytes));
                if let Ok(mut answered) = session.query(&sql).await
                    && let Err(error) = answered.collect().await
                {
                    assert!(!error.to_string().contains("a bug"), "{sql}: {error}");
                }
            }
        }
    });
}
