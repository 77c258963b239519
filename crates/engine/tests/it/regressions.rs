//! What the fuzz targets found, in its smallest form.

use crate::support::*;
use engine::batch::{Block, Reason};
use engine::decode::{Decoder, first_record};
use engine::spec::{Delimited, Format, Measure, TimeFormat, TimeFrom};
use engine::time::{SECOND, Span, TIME_MAX, Time};

#[test]
fn a_time_that_no_pane_can_hold_is_bad() {
    let mut source = source(time("0s", None), vec![metric("n", Measure::Count, vec![vec![]], "10s:1d")]);
    source.time.as_mut().expect("has time").from =
        TimeFrom::Field { path: "ts".into(), format: TimeFormat::Unix(1, 1) };
    let text = "{\"ts\":-9223372036854775808}\n{\"ts\":9223372036854775807}\n{\"ts\":1152921504606846977}\n\
                {\"ts\":-1152921504606846976}\n{\"ts\":1152921504606846976}\n";
    let mut decoder = Decoder::new(&source, None).expect("JSON needs no header");
    let batch = decoder.decode(&Block {
        partition: 0,
        number: 0,
        first_byte: 0,
        bytes: text.as_bytes(),
        arrival: None,
    });
    assert_eq!(batch.times, [Time(-TIME_MAX), Time(TIME_MAX)]);
    let bad: Vec<_> = batch.bad.iter().map(|bad| (bad.reason, bad.raw.line)).collect();
    assert_eq!(bad, [(Reason::Time, 0), (Reason::Time, 1), (Reason::Time, 2)]);
}

#[test]
fn the_earliest_time_with_the_longest_lateness_has_a_pane() {
    let longest = Span(TIME_MAX).to_string();
    assert!(format!("{}us", TIME_MAX + 1).parse::<Span>().is_err(), "no longer span can be written");
    for (lateness, size) in [("0s", "10s"), (&longest, "10s"), (&longest, &longest)] {
        let levels = format!("{size}:{longest}");
        let source = source(time(lateness, None), vec![metric("n", Measure::Count, vec![vec![]], &levels)]);
        let earliest = -TIME_MAX / SECOND;
        for second in [earliest, -earliest] {
            let run = run(&source, &[(second, "ada".into())], 1, 1, windows(size, size));
            let start = Time(second * SECOND).floor_to(span(size)).0 / SECOND;
            assert_eq!(
                shown(&run.answers, "n"),
                [format!("{start}=1")],
                "lateness {lateness}, panes of {size}"
            );
            assert_eq!((run.tally.on_time, run.tally.late), (1, 0));
        }
    }
    // Handed in past the decoders, times even further out saturate.
    assert_eq!(Time(i64::MIN).floor_to(Span(7)), Time(i64::MIN));
}

#[test]
fn a_blank_first_line_is_the_header_however_much_of_the_file_is_there() {
    let format = Format::Delimited(Delimited { delimiter: b',', quoted: true, columns: None });
    for at_end in [false, true] {
        assert_eq!(first_record(&format, b"\n \n", at_end, 64), Some(&b""[..]), "at the end: {at_end}");
    }
    assert_eq!(first_record(&format, b"", true, 64), None);
}
