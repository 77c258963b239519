//! Memory, time and rows of a query end it with a sentence, and it ends.

use super::*;
use plan::query::Trouble;
use std::time::{Duration, Instant};

#[test]
fn more_rows_than_allowed_are_said() {
    let shop = Database::new(measured(FILE, &events()), Options { rows_max: 100, ..Options::default() });
    assert_eq!(told(&shop, "select * from views limit 100").rows.len(), 100);
    let error = refused(&shop, "select * from views");
    assert_eq!(error.trouble, Trouble::Limit);
    assert!(error.to_string().contains("more than 100 rows"), "{error}");
}

#[test]
fn more_memory_than_allowed_is_said() {
    let shop =
        Database::new(measured(FILE, &events()), Options { memory_bytes: 1 << 20, ..Options::default() });
    let error = refused(&shop, "select value, count(*) from generate_series(1, 10000000) group by value");
    assert_eq!(error.trouble, Trouble::Limit, "{error}");
    let error = refused(&shop, "select * from generate_series(1, 200000) order by 1 desc");
    assert_eq!(error.trouble, Trouble::Limit, "{error}");
    assert!(error.to_string().contains("more memory than it may have"), "{error}");
    let error = refused(&shop, "select sum(value) over (order by value) from generate_series(1, 200000)");
    assert_eq!(error.trouble, Trouble::Limit, "{error}");
    let sums = "select sum(value) over (order by value) from generate_series(1, 100) order by 1 desc";
    assert_eq!(told(&shop, sums).rows[0][0], "5050");
}

#[test]
fn a_query_without_end_ends() {
    let options = Options { deadline: Duration::from_millis(300), ..Options::default() };
    let shop = Database::new(measured(FILE, &events()), options);
    let began = Instant::now();
    for sql in [
        "select count(*) from generate_series(1, 100000) a cross join generate_series(1, 100000) b",
        "select count(*) from generate_series(1, 100000) a join generate_series(1, 100000) b on a.value < b.value * 2",
        "with recursive t as (select 1 as n union all select n + 1 from t) select count(*) from t",
    ] {
        let error = refused(&shop, sql);
        assert_eq!(error.trouble, Trouble::Limit, "{sql}: {error}");
    }
    // The computation itself ended too: the runtime of each was shut down, which waits for its threads.
    assert!(began.elapsed() < Duration::from_secs(60));
}

#[test]
fn little_text_does_not_become_much() {
    let shop =
        Database::new(measured(FILE, &events()), Options { memory_bytes: 8 << 20, ..Options::default() });
    let nested = |start: &str, times: usize, call: &dyn Fn(&str) -> String| {
        (0..times).fold(start.to_string(), |inner, _| call(&inner))
    };
    let eight = nested("'aaaaaaaa'", 12, &|inner| format!("replace({inner}, 'a', 'aaaaaaaa')"));
    let hex = nested("'aaaaaaaa'", 40, &|inner| format!("encode({inner}, 'hex')"));
    let doubled = nested("select value::text as s from generate_series(1, 1000)", 18, &|inner| {
        format!("select s || s as s from ({inner}) as t")
    });
    let concat = nested("select value::text as s from generate_series(1, 1000)", 18, &|inner| {
        format!("select concat(s, s) as s from ({inner}) as t")
    });
    let lists = nested("select make_array(value) as s from generate_series(1, 1000)", 18, &|inner| {
        format!("select array_concat(s, s) as s from ({inner}) as t")
    });
    let (commas, word) = (",".repeat(20_000), "y".repeat(40_000));
    for sql in [
        format!("select length({eight})"),
        format!("select length({hex})"),
        format!("select max(length(s)) from ({doubled}) as t"),
        format!("select max(length(s)) from ({concat}) as t"),
        format!("select max(cardinality(s)) from ({lists}) as t"),
        format!("select length(array_to_string(string_to_array('{commas}', ','), '{word}'))"),
        format!("select length(regexp_replace('{commas}', ',', '{word}', 'g'))"),
        "select regexp_like('aaaa', '((\\w{100}){100}){100}')".into(),
        "select grouped_by from views where grouped_by ~ '((\\w{100}){100}){100}'".into(),
    ] {
        let error = refused(&shop, &sql);
        assert_eq!(error.trouble, Trouble::Limit, "{error}: {}", &sql[..sql.len().min(200)]);
    }
    // What is asked in earnest is answered.
    let text = |sql: &str| told(&shop, sql).rows[0][0].clone();
    let long = "select sum(length(replace(concat('shop-', value::text, '/basket'), '/', ' in front of '))) \
                from generate_series(100001, 150000)";
    assert_eq!(text(long), (50_000 * (5 + 6 + 13 + 6)).to_string());
    assert_eq!(text("select max('a' || value || 'b') from generate_series(1, 5)"), "a5b");
    assert_eq!(text("select coalesce('a' || null, 'none')"), "none");
    assert_eq!(text("select regexp_replace('a1b22', '([0-9]+)', '<\\1>', 'g')"), "a<1>b<22>");
    assert_eq!(text("select cardinality(make_array(1, 2) || make_array(3))"), "3");
}

#[test]
fn the_same_question_of_its_own_answer_counts_each_time() {
    let shop = Database::new(measured(FILE, &events()), Options::default());
    let one = "select n + 1 as n from (select n + 1 as n from (select n + 1 as n from (select 1 as n)))";
    assert_eq!(told(&shop, one).rows[0][0], "4");
    let of_values = "select column1 + 1 as column1 from (select column1 + 1 as column1 from (values (1)))";
    assert_eq!(told(&shop, of_values).rows[0][0], "3");
}
