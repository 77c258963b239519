//! Decoding of real files and of the JSON test suite, where the shared test data is at hand.

use crate::decode::{block, csv, decode, show, source, tsv};
use arrow_array::Array;
use engine::batch::Reason;
use engine::column::Column;
use engine::decode::{Decoder, first_record};
use engine::spec::{Format, Kind, TimeFormat};
use std::path::PathBuf;

/// The directory of shared test data, if it is there.
fn data(file: &str) -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let directory = std::env::var_os("STREAMGAUGE_DATA").map_or(beside.into(), PathBuf::from);
    let path = directory.join(file);
    if !path.exists() {
        eprintln!("SKIPPED: {file} is not in STREAMGAUGE_DATA");
        return None;
    }
    Some(path)
}

/// The decompressed content of a data file, by the program that knows its format.
pub(crate) fn unpack(file: &str) -> Option<Vec<u8>> {
    let path = data(file)?;
    let program = if file.ends_with(".gz") { "gzip" } else { "zstd" };
    match std::process::Command::new(program).arg("-dc").arg(path).output() {
        Ok(output) if output.status.success() => Some(output.stdout),
        failed => {
            eprintln!("SKIPPED: {program} cannot unpack {file}: {failed:?}");
            None
        }
    }
}

/// Names and contents of the regular files in a tar archive (POSIX ustar: blocks of 512 bytes, sizes in octal).
fn untar(archive: &[u8]) -> Vec<(String, &[u8])> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_matches(['\0', ' ']).to_string();
    let (mut at, mut files) = (0, Vec::new());
    while at + 512 <= archive.len() && archive[at] != 0 {
        let size = usize::from_str_radix(&text(&archive[at + 124..at + 136]), 8).unwrap();
        if matches!(archive[at + 156], b'0' | 0) {
            files.push((text(&archive[at..at + 100]), &archive[at + 512..at + 512 + size]));
        }
        at += 512 + size.next_multiple_of(512);
    }
    files
}

#[test]
fn the_json_test_suite_is_judged_right() {
    let Some(archive) = unpack("json_test_suite.tar.zst") else { return };
    let mut seen = [0; 3];
    for (name, content) in untar(&archive) {
        let Some(name) = name.strip_prefix("test_parsing/") else { continue };
        if content.contains(&b'\n') {
            continue;
        }
        // The second line has the shape that the first one teaches.
        let text = [b"{\"v\":1,\"ok\":1}\n{\"v\":", content, b",\"ok\":1}"].concat();
        for wanted in [vec![("ok", Kind::Int64)], vec![("ok", Kind::Int64), ("v", Kind::String)]] {
            let source = source(Format::Ndjson, &wanted, None);
            let batch = decode(&source, &text);
            let reason = batch.bad.first().map(|bad| bad.reason);
            match name.as_bytes()[0] {
                // A container is JSON, though no text.
                b'y' if wanted.len() == 2 && reason == Some(Reason::Type) => {}
                b'y' => assert_eq!(reason, None, "{name}"),
                b'n' => assert!(matches!(reason, Some(Reason::Json | Reason::Utf8)), "{name}: {reason:?}"),
                _ => {}
            }
        }
        seen[b"yni".iter().position(|&kind| kind == name.as_bytes()[0]).unwrap()] += 1;
    }
    assert!(seen[0] > 80 && seen[1] > 150 && seen[2] > 30, "{seen:?}");
}

#[test]
fn real_files_are_read_whole() {
    let rfc = TimeFormat::Rfc3339;
    let seconds = TimeFormat::Unix(1_000_000, 1);
    let wiki =
        [("channel", Kind::String), ("user", Kind::String), ("added", Kind::Int64), ("isRobot", Kind::Bool)];
    let github = [("type", Kind::String), ("actor.login", Kind::String), ("id", Kind::Int64)];
    let nasa = [("host", Kind::String), ("bytes", Kind::Int64), ("response", Kind::Int64)];
    let flights = [("tailnum", Kind::String), ("dep_delay", Kind::Float64)];
    let bandit = [("item_id", Kind::Int64), ("click", Kind::Int64), ("user_feature_0", Kind::String)];
    for (file, format, fields, time, rows) in [
        ("wikipedia_edits_39k.ndjson.gz", Format::Ndjson, &wiki[..], ("time", rfc.clone()), 39_244),
        (
            "github_events_2015-01-01-01h.ndjson.gz",
            Format::Ndjson,
            &github[..],
            ("created_at", rfc.clone()),
            7_427,
        ),
        ("nasa_http_19950801_10k.tsv.gz", tsv(), &nasa[..], ("time", seconds), 9_999),
        ("nycflights13_337k.csv.zst", csv(None), &flights[..], ("time_hour", rfc.clone()), 336_776),
        ("openbandit_random_men_10k.csv.gz", csv(None), &bandit[..], ("timestamp", rfc.clone()), 10_000),
    ] {
        let Some(bytes) = unpack(file) else { continue };
        let source = source(format, fields, Some(time));
        let header = first_record(&source.format, &bytes, true, source.record_bytes_max);
        let batch = Decoder::new(&source, header).unwrap().decode(&block(&bytes));
        assert_eq!((batch.rows, batch.bad.len()), (rows, 0), "{file}: {:?}", batch.bad.first());
        if source.format == Format::Ndjson {
            let slow = Decoder::without_shapes(&source, None).unwrap().decode(&block(&bytes));
            assert!(show(&batch, 0) == show(&slow, 0), "{file}: the two paths differ");
        }
        if file.starts_with("nycflights") {
            let Column::Float64(delay) = &batch.columns[1] else { panic!("a number") };
            assert_eq!(delay.len() - delay.null_count(), 328_521);
        }
    }
}

#[test]
fn the_access_log_holds_what_its_readme_says() {
    let Some(text) = unpack("web_apache_combined_10k.log.gz") else { return };
    let fields =
        [("status", Kind::Int64), ("bytes", Kind::Int64), ("host", Kind::String), ("path", Kind::String)];
    let time = ("time", TimeFormat::Pattern { pattern: "%d/%b/%Y:%H:%M:%S %z".into(), zone: None });
    let source = source(Format::AccessLog { combined: true }, &fields, Some(time));
    let batch = decode(&source, &text);
    assert_eq!((batch.rows, batch.bad.len()), (10_000, 0));
    let (Column::Int64(status), Column::Int64(bytes)) = (&batch.columns[0], &batch.columns[1]) else {
        panic!()
    };
    let with = |wanted: i64| status.iter().filter(|status| *status == Some(wanted)).count();
    assert_eq!([200, 206, 301, 304, 403, 404, 416, 500].map(with), [9126, 45, 164, 445, 2, 213, 2, 3]);
    assert_eq!(
        (bytes.len() - bytes.null_count(), bytes.iter().flatten().sum::<i64>()),
        (9331, 2_747_282_740)
    );
    let distinct = |column: &Column| {
        let Column::String(texts) = column else { panic!() };
        texts.iter().flatten().collect::<std::collections::BTreeSet<_>>().len()
    };
    assert_eq!((distinct(&batch.columns[2]), distinct(&batch.columns[3])), (1753, 1498));
    assert_eq!(batch.times.windows(2).filter(|pair| pair[1] < pair[0]).count(), 4915);
}
