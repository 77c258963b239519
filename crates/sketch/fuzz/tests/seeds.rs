//! Every seed through its target, without a fuzzer: `cargo test` in this folder, on any compiler.

use std::path::Path;

#[test]
fn every_seed_passes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus-seeds/snapshot");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("a folder of seeds")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    assert!(files.len() >= sketch::Kind::ALL.len(), "every kind has a seed");
    for file in &files {
        eprintln!("{}", file.display());
        streamgauge_sketch_fuzz::snapshot(&std::fs::read(file).expect("a readable seed"));
    }
}
