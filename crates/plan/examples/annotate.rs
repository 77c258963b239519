//! The answer to each event as it comes: is this user new, how many users so far, how often was this page seen.
//!
//! `cargo run -p streamgauge-plan --example annotate`

use engine::Engine;
use engine::annotate::Annotator;
use engine::batch::Block;
use plan::Pipeline;

const PIPELINE: &str = r#"
source.visits = { path = "visits.ndjson" }
metric.returning = { measure = "seen(user)", size = "1M @ 1%" }
metric.visitors = "unique(user)"
metric.views = { measure = "count() filter (where page <> '/health')", by = ["page"] }
"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pipeline = Pipeline::parse("visits.toml", PIPELINE, &[])?;
    let (source, program) = (&pipeline.spec.sources[0], pipeline.programs[0].clone());
    let annotator = Annotator::new(source, &["returning", "visitors", "views"].map(String::from))?;
    let mut engine = Engine::with_program(source, program.map(|p| p as _), None, 1, 64 << 20)?;
    let bytes = b"{\"user\":\"ada\",\"page\":\"/\"}\n{\"user\":\"bob\",\"page\":\"/\"}\n{\"user\":\"ada\",\"page\":\"/b\"}\n";
    let block = Block { partition: 0, number: 0, first_byte: 0, bytes, arrival: None };
    engine.push_each(&block, &annotator, &mut |_, row, notes| {
        let said = notes.iter().map(|(name, note)| format!("{name} {}", serde_json::json!(note)));
        println!("event {row}: {}", said.collect::<Vec<_>>().join(", "));
    });
    Ok(())
}
