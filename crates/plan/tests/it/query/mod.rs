//! SQL over what an engine has measured, beside the same counted by hand.

mod files;
mod functions;
mod hostile;
mod limits;
mod lints;
mod tables;
mod views;

use datafusion::arrow::record_batch::RecordBatch;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use engine::batch::Block;
use engine::moment::{Moment, Reader};
use engine::spec::Source;
use engine::{Engine, compute::Compute};
use plan::Pipeline;
use plan::query::{Database, Lint, Options, QueryError};
use std::sync::{Arc, OnceLock};

/// Half past the first hour of 2026-01-01.
pub const START_S: i64 = 1_767_225_600 + 1_800;
/// Events, one a second.
pub const EVENTS: i64 = 3 * 3_600;

/// An event of the made-up shop.
#[derive(Debug, Clone)]
pub struct Event {
    pub at_s: i64,
    pub user: String,
    pub device: &'static str,
    pub page: String,
    pub latency_ms: f64,
    pub bought: bool,
}

/// Users come back; phones are every other event; one page is seen far more often than the others.
pub fn events() -> Vec<Event> {
    let event = |i: i64| Event {
        at_s: START_S + i,
        user: format!("u{}", (i * 7_919) % 5_003 % (1_000 + i)),
        device: ["phone", "desk", "phone", "tablet"][(i % 4) as usize],
        page: if i % 3 == 0 { "/".to_string() } else { format!("/p{}", i % 40) },
        latency_ms: f64::from(((i * 37) % 500) as i32) + 1.0,
        bought: i % 11 == 0,
    };
    (0..EVENTS).map(event).collect()
}

/// The pipeline of the tests.
pub const FILE: &str = r#"
name  = "shop"
panes = ["1m:2d", "1h:35d"]

[source.events]
kind   = "stdin"
format = "ndjson"
time   = { field = "ts" }
fields = { latency_ms = "float64", bought = "bool", n = "int64" }

[metric]
visitors  = { measure = "unique(user)", by = [[], ["device"]] }
buyers    = "audience(user) filter (where bought)"
audience  = "audience(user)"
views     = { measure = "count()", by = [[], ["device"], ["device", "page"]] }
top_pages = { measure = "top(page, 5)", by = [[], ["device"]] }
latency   = { measure = "quantiles(latency_ms)", by = [[], ["device"]] }
slow      = { measure = "histogram(latency_ms, 100, 400)" }
total_ms  = "sum(latency_ms)"
items     = "sum(n)"
visits    = "session(user, gap => '5m')"
some      = "sample(20, user, page)"
forever   = { measure = "unique(user)", keep = "forever" }
"#;

/// What was measured, asked again and again.
pub struct Kept {
    sources: Vec<Arc<Source>>,
    moments: Vec<Arc<Moment>>,
}

impl Reader for Kept {
    fn sources(&self) -> Vec<Arc<Source>> {
        self.sources.clone()
    }

    fn moment(&self, source: usize) -> Result<Arc<Moment>, String> {
        Ok(Arc::clone(&self.moments[source]))
    }

    fn quarantine(&self, _: usize) -> Option<String> {
        Some("shop.bad".into())
    }
}

/// Measures events by a pipeline of one source.
pub fn measured(file: &str, events: &[Event]) -> Arc<Kept> {
    let lines: String = events
        .iter()
        .map(|e| {
            format!(
                "{{\"ts\":\"{}\",\"user\":\"{}\",\"device\":\"{}\",\"page\":\"{}\",\"latency_ms\":{},\"bought\":{},\"n\":2,\"deviceType\":\"{}\",\"actor\":{{\"login\":\"{}\"}}}}\n",
                engine::time::Time(e.at_s * 1_000_000), e.user, e.device, e.page, e.latency_ms, e.bought, e.device, e.user
            )
        })
        .collect();
    measured_lines(file, &lines)
}

pub fn measured_lines(file: &str, lines: &str) -> Arc<Kept> {
    let pipeline = Pipeline::parse("shop.toml", file, &[]).unwrap_or_else(|problems| panic!("{problems}"));
    let source = Arc::new(pipeline.spec.sources[0].clone());
    let program = pipeline.programs[0].clone().map(|program| program as Arc<dyn Compute>);
    let mut engine = Engine::with_program(&source, program, None, 2, 256 << 20).expect("an engine");
    let mut first_byte = 0;
    for (number, bytes) in
        lines.as_bytes().split_inclusive(|b| *b == b'\n').collect::<Vec<_>>().chunks(500).enumerate()
    {
        let bytes: Vec<u8> = bytes.concat();
        engine.push(&Block { partition: 0, number: number as u64, first_byte, bytes: &bytes, arrival: None });
        first_byte += bytes.len() as u64;
    }
    let state = engine.into_state();
    let moments = vec![Arc::new(state.into_moment(Arc::clone(&source)))];
    Arc::new(Kept { sources: vec![source], moments })
}

/// The database of the shop.
pub fn shop() -> Database {
    static SHOP: OnceLock<Database> = OnceLock::new();
    SHOP.get_or_init(|| Database::new(measured(FILE, &events()), Options::default())).clone()
}

/// An answer as text, row by row.
#[derive(Debug)]
pub struct Told {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
    pub lints: Vec<Lint>,
}

impl Told {
    /// The only value.
    #[track_caller]
    pub fn only(&self) -> &str {
        let [row] = self.rows.as_slice() else { panic!("not one row: {:?}", self.rows) };
        let [value] = row.as_slice() else { panic!("not one column: {row:?}") };
        value
    }

    /// The same as a number.
    #[track_caller]
    pub fn number(&self) -> f64 {
        self.only().parse().unwrap_or_else(|_| panic!("no number: {}", self.only()))
    }

    /// A column as numbers.
    pub fn numbers(&self, column: usize) -> Vec<f64> {
        self.rows.iter().map(|row| row[column].parse().expect("a number")).collect()
    }

    pub fn codes(&self) -> Vec<&str> {
        self.lints.iter().map(|lint| lint.code).collect()
    }
}

/// Asks in a session of its own.
pub fn ask(database: &Database, sql: &str) -> Result<Told, QueryError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut answered = database.session()?.query(sql).await?;
        let columns = answered.schema.fields().iter().map(|field| field.name().clone()).collect();
        let rows = answered.collect().await?.iter().flat_map(shown).collect();
        Ok(Told { columns, rows, lints: answered.lints() })
    })
}

/// Asks what has an answer.
#[track_caller]
pub fn told(database: &Database, sql: &str) -> Told {
    ask(database, sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// What is said of a statement that has no answer.
#[track_caller]
pub fn refused(database: &Database, sql: &str) -> QueryError {
    match ask(database, sql) {
        Err(error) => error,
        Ok(told) => panic!("{sql} was answered: {told:?}"),
    }
}

/// The values of a batch as text.
pub fn shown(batch: &RecordBatch) -> Vec<Vec<String>> {
    let options = FormatOptions::default().with_null("null");
    let of = |column| ArrayFormatter::try_new(column, &options).expect("a column that can be shown");
    let cells: Vec<ArrayFormatter<'_>> = batch.columns().iter().map(|column| of(column.as_ref())).collect();
    (0..batch.num_rows()).map(|row| cells.iter().map(|cell| cell.value(row).to_string()).collect()).collect()
}
