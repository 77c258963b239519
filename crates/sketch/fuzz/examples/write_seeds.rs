//! Writes `corpus-seeds/`: `cargo run --example write_seeds`. Run it again when a sketch or its bytes are new.

use std::path::Path;
use streamgauge_sketch_fuzz::seeds;

fn main() -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus-seeds/image");
    std::fs::create_dir_all(&folder)?;
    for (name, image) in seeds::all() {
        std::fs::write(folder.join(name), [&7u64.to_le_bytes(), &image[..]].concat())?;
    }
    Ok(())
}
