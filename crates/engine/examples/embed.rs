//! The engine without files, threads or a pipeline file: two lines of NDJSON in, bounded answers out.
//!
//! `cargo run -p streamgauge-engine --example embed`

use engine::Engine;
use engine::batch::Block;
use engine::spec::*;

fn main() {
    let metric = |name: &str, measure: Measure| Metric {
        name: name.into(),
        measure,
        filter: None,
        by: vec![vec![]],
        groups_max: 1000,
        levels: Vec::new(),
        total: true,
    };
    let source = Source {
        fields: vec![Field { path: "user".into(), kind: Kind::String }],
        metrics: vec![
            metric("visits", Measure::Count),
            metric("visitors", Measure::Unique { field: 0, lg_k: 14 }),
        ],
        ..Source::new("visits", Format::Ndjson)
    };
    let mut engine = Engine::new(&source, None, 1, 64 << 20).expect("NDJSON needs no header");
    let bytes = b"{\"user\":\"ada\"}\n{\"user\":\"bob\"}\n{\"user\":\"ada\"}\n";
    engine.push(&Block { partition: 0, number: 0, first_byte: 0, bytes, arrival: None });
    engine.finish(0);
    for answer in engine.answers(Question::Total) {
        println!("{}", serde_json::to_string(&answer).expect("answers are plain data"));
    }
}
