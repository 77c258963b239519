//! The predicted path of the NDJSON decoder against the slow one: equal batches, whatever the lines and the blocks.

use crate::Choices;
use crate::rows::{self, Rows};
use engine::decode::Decoder;
use engine::spec::Format;

/// The first bytes choose kinds of fields, the time, policies and the size of blocks; the rest is the file.
pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    let paths = ["s", "o.s", "o.o.n", "a.b"];
    let source = rows::source(&mut choices, Format::Ndjson, &paths, &["t", "s", "o.t"]);
    let step = usize::from(choices.byte()) + 1;
    let bytes = choices.rest();
    let decoder = || Decoder::new(&source, None).expect("JSON needs no header");
    let mut slow = Decoder::without_shapes(&source, None).expect("JSON needs no header");
    let want = Rows::drive(&source, &mut slow, bytes, bytes.len().max(1));
    let mut fast = decoder();
    for turn in ["learning", "learned"] {
        let got = Rows::drive(&source, &mut fast, bytes, bytes.len().max(1));
        assert_eq!(got, want, "{turn}");
    }
    for mut decoder in [fast, slow, decoder()] {
        let got = Rows::drive(&source, &mut decoder, bytes, step);
        assert_eq!(got, want, "blocks of {step} bytes");
    }
}
