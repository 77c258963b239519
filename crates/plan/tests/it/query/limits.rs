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
