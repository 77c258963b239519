//! Every seed through its target, without a fuzzer: `cargo test` in this folder, on any compiler.

use std::path::Path;

type Target = fn(&[u8]);

/// Runs each file of a target's folder and says how many there were.
fn replay(target: &str, run: Target) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus-seeds").join(target);
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("a folder of seeds")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    for file in &files {
        eprintln!("{}", file.display());
        run(&std::fs::read(file).expect("a readable seed"));
    }
    files.len()
}

#[test]
fn every_seed_passes() {
    use streamgauge_fuzz::{access, clock, delimited, ndjson, pipeline};
    let targets: [(&str, Target); 5] = [
        ("access", access::run),
        ("clock", clock::run),
        ("delimited", delimited::run),
        ("ndjson", ndjson::run),
        ("pipeline", pipeline::run),
    ];
    for (target, run) in targets {
        assert!(replay(target, run) > 0, "{target} has seeds");
        // No byte and any single byte are inputs too.
        run(&[]);
        (0..=255).for_each(|byte| run(&[byte]));
    }
}
