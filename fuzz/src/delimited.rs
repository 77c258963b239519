//! CSV, TSV and their kin: nothing panics, and blocks of any size give the rows and bad records of one block.

use crate::Choices;
use crate::rows::{self, Rows};
use engine::decode::{Decoder, first_record};
use engine::spec::{Delimited, Format};

/// The first bytes choose the delimiter, quotes, names of columns, kinds, the time and the size of blocks; the rest is
/// the file.
pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    let own = choices.byte();
    let delimiter = choices.pick(&[b',', b'\t', b';', b'|', b' ', own]);
    let quoted = choices.bit();
    let named = ["a", "b", "c"].map(String::from).to_vec();
    let columns = choices.pick(&[Some(named), None]);
    let format = Format::Delimited(Delimited { delimiter, quoted, columns });
    let paths = [&["a", "b"][..], &["b"], &["c", "a"]];
    let paths = choices.pick(&paths);
    let source = rows::source(&mut choices, format, paths, &["c", "a"]);
    let step = usize::from(choices.byte()) + 1;
    let bytes = choices.rest();

    let header = first_record(&source.format, bytes, true, source.record_bytes_max);
    for end in (0..bytes.len()).step_by(step) {
        // A record that is whole already stays what it is.
        let early = first_record(&source.format, &bytes[..end], false, source.record_bytes_max);
        assert!(early.is_none() || early == header, "header from the first {end} bytes");
    }
    let Ok(mut decoder) = Decoder::new(&source, header) else { return };
    let want = Rows::drive(&source, &mut decoder, bytes, bytes.len().max(1));
    let got = Rows::drive(&source, &mut decoder, bytes, step);
    assert_eq!(got, want, "blocks of {step} bytes");
}
