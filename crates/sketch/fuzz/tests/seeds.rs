//! Every seed through its target, without a fuzzer: `cargo test` in this folder, on any compiler.

use std::path::Path;
use streamgauge_sketch_fuzz::foreign::Format;

#[test]
fn every_seed_passes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus-seeds/image");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("a folder of seeds")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    assert!(files.len() >= sketch::Kind::ALL.len() + Format::ALL.len(), "all have a seed");
    for file in &files {
        eprintln!("{}", file.display());
        streamgauge_sketch_fuzz::image(&std::fs::read(file).expect("a readable seed"));
    }
}
