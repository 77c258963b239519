//! Access logs and plain lines: nothing panics, and blocks of any size give the rows and bad records of one block.

use crate::Choices;
use crate::rows::{self, Rows};
use engine::decode::Decoder;
use engine::spec::Format;

/// The first bytes choose the format, kinds, the time and the size of blocks; the rest is the file.
pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    let format = choices.pick(&[
        Format::AccessLog { combined: false },
        Format::AccessLog { combined: true },
        Format::Lines,
    ]);
    let (paths, times) = match format {
        Format::Lines => (&["line"][..], &["line"][..]),
        _ => (&["path", "request", "bytes", "user"][..], &["time", "status"][..]),
    };
    let source = rows::source(&mut choices, format, paths, times);
    let step = usize::from(choices.byte()) + 1;
    let bytes = choices.rest();
    let mut decoder = Decoder::new(&source, None).expect("fields of the format");
    let want = Rows::drive(&source, &mut decoder, bytes, bytes.len().max(1));
    let got = Rows::drive(&source, &mut decoder, bytes, step);
    assert_eq!(got, want, "blocks of {step} bytes");
}
