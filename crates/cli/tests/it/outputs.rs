//! What `run --save` and `merge -o` may write over, and what becomes of the report when they cannot.

#![cfg(unix)]

use crate::support::{Ran, Workdir};
use sketch::Sketch;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::process::{Command, Stdio};

/// A pipeline of one source of lines, and the states `a.sgs` and `b.sgs` of one event each.
fn states() -> Workdir {
    let dir = Workdir::with("a.ndjson", event("ada"), "", "users = \"unique(user)\"");
    dir.write("b.ndjson", event("bob"));
    dir.run(&["--save", "a.sgs"]).expect(0, &[]);
    dir.run(&["--set", "source.e.path=b.ndjson", "--save", "b.sgs"]).expect(0, &[]);
    dir
}

fn event(user: &str) -> String {
    format!("{{\"user\": \"{user}\"}}\n")
}

fn merge(dir: &Workdir, output: &str) -> Ran {
    dir.call(&["merge", "a.sgs", "b.sgs", "-o", output])
}

fn pipe(dir: &Workdir, name: &str) {
    let made = Command::new("mkfifo").arg(dir.path().join(name)).status().expect("there is mkfifo");
    assert!(made.success());
}

fn mode(dir: &Workdir, name: &str) -> u32 {
    fs::metadata(dir.path().join(name)).expect("it is there").permissions().mode() & 0o777
}

fn set_mode(dir: &Workdir, name: &str, mode: u32) {
    fs::set_permissions(dir.path().join(name), Permissions::from_mode(mode)).expect("it is ours");
}

fn parts(dir: &Workdir) -> usize {
    let names = fs::read_dir(dir.path()).expect("it is there").map(|file| file.expect("a file").file_name());
    names.filter(|name| name.to_string_lossy().contains(".part")).count()
}

#[test]
fn what_is_no_file_is_not_replaced_and_not_opened() {
    let dir = states();
    pipe(&dir, "pipe");
    for ran in [merge(&dir, "pipe"), dir.run(&["--save", "pipe"])] {
        ran.expect(3, &["cannot write `pipe`: it is a pipe, a device or a socket", "name a file"]);
        assert_eq!(ran.out, "");
    }
    let there = fs::symlink_metadata(dir.path().join("pipe")).expect("it is there");
    assert!(there.file_type().is_fifo());
    fs::create_dir(dir.path().join("days")).expect("a directory for the test");
    merge(&dir, "days").expect(3, &["cannot write `days`: it is a directory; name a file in it"]);
    for stream in ["-", "/dev/stdout"] {
        merge(&dir, stream).expect(3, &["what is saved is a file, not a stream"]);
    }
    assert!(!dir.has("-"));
    assert_eq!(parts(&dir), 0);
}

#[test]
fn a_link_stays_and_the_file_behind_it_is_replaced() {
    let dir = states();
    dir.write("there/real.sgs", fs::read(dir.path().join("a.sgs")).expect("it was saved"));
    symlink("there/real.sgs", dir.path().join("link.sgs")).expect("a link");
    merge(&dir, "link.sgs").expect(0, &["`link.sgs` was there and is replaced"]);
    let link = dir.path().join("link.sgs");
    assert_eq!(fs::read_link(&link).expect("still a link").to_string_lossy(), "there/real.sgs");
    assert_eq!(
        dir.call(&["sketch", "there/real.sgs"]).out.lines().skip(1).collect::<Vec<_>>(),
        dir.call(&["sketch", "link.sgs"]).out.lines().skip(1).collect::<Vec<_>>()
    );
    assert!(dir.call(&["sketch", "link.sgs"]).out.contains("2 read"));
    symlink("gone.sgs", dir.path().join("lost.sgs")).expect("a link");
    for ran in [merge(&dir, "lost.sgs"), dir.run(&["--save", "lost.sgs"])] {
        ran.expect(3, &["cannot write `lost.sgs`: it is a link to `gone.sgs`, which is not there"]);
    }
    assert!(!dir.has("gone.sgs"));
}

#[test]
fn a_file_keeps_its_permissions_and_a_read_only_one_its_bytes() {
    let dir = states();
    dir.write("secret.sgs", "");
    set_mode(&dir, "secret.sgs", 0o600);
    merge(&dir, "secret.sgs").expect(0, &[]);
    dir.run(&["--save", "secret.sgs"]).expect(0, &[]);
    assert_eq!(mode(&dir, "secret.sgs"), 0o600);
    let before = fs::read(dir.path().join("a.sgs")).expect("it was saved");
    set_mode(&dir, "a.sgs", 0o444);
    for ran in [merge(&dir, "a.sgs"), dir.run(&["--save", "a.sgs"])] {
        ran.expect(3, &["cannot write `a.sgs`: it is read-only"]);
    }
    assert_eq!(fs::read(dir.path().join("a.sgs")).expect("it is there"), before);
}

#[test]
fn a_file_that_begins_as_a_sketch_does_is_not_replaced() {
    let dir = Workdir::new();
    let sketch = sketch::hll::Distinct::new(sketch::hll::LgK::new(10).expect("a precision"));
    let own = sketch.to_bytes();
    dir.write("own.bin", &own);
    let image = sketch.to_datasketches();
    dir.write("image.hll", &image);
    let mut notes = own[..2].to_vec();
    notes.extend_from_slice(b" notes that nobody has twice");
    dir.write("notes", &notes);
    let mut table = image[..8].to_vec();
    table.extend_from_slice(b" a table that nobody has twice");
    dir.write("table", &table);
    for (input, output, bytes) in [("own.bin", "notes", notes), ("image.hll", "table", table)] {
        let ran = dir.call(&["merge", input, input, "-o", output]);
        ran.expect(3, &["is there and is no ", "it is not replaced"]);
        assert_eq!(fs::read(dir.path().join(output)).expect("it is there"), bytes);
        dir.call(&["merge", input, input, "-o", input]).expect(0, &["was there and is replaced"]);
    }
}

#[test]
fn a_place_that_cannot_be_written_is_found_before_anything_is_read() {
    let dir = states();
    let ran = dir.run(&["--save", "no/such/place.sgs"]);
    ran.expect(3, &["cannot write `no/such/place.sgs`", "mkdir -p no/such"]);
    // What had been measured would have been told.
    assert_eq!(ran.out, "");
    merge(&dir, "no/such/place.sgs").expect(3, &["mkdir -p no/such"]);
}

#[test]
fn the_report_is_told_when_the_state_cannot_be_written_after_all() {
    let dir = states();
    fs::create_dir(dir.path().join("days")).expect("a directory for the test");
    let mut child = dir
        .command(&["run", "--once", "p.toml", "--set", "source.e.path=-", "--set", "source.e.format=ndjson"])
        .args(["--save", "days/state.sgs"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    // More than a pipe holds: when it is written, the program reads, and has looked at the place before.
    let events = event("ada").repeat(100_000);
    stdin.write_all(events.as_bytes()).expect("it is read");
    fs::remove_dir(dir.path().join("days")).expect("nothing is left in it");
    drop(stdin);
    let ended = child.wait_with_output().expect("it ends");
    let (out, err) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert_eq!(ended.status.code(), Some(3), "{err}");
    assert!(out.contains("users") && out.contains("100,000 read"), "{out}");
    assert!(err.contains("cannot write `days/state.sgs`"), "{err}");
}

#[test]
fn inputs_may_be_pipes() {
    let dir = states();
    let feed = |state: &str, name: &str| {
        pipe(&dir, name);
        let (from, to) = (dir.path().join(state), dir.path().join(name));
        std::thread::spawn(move || fs::write(to, fs::read(from).expect("it was saved")))
    };
    let feeders = [feed("a.sgs", "first"), feed("b.sgs", "second")];
    dir.call(&["merge", "first", "second", "-o", "c.sgs"]).expect(0, &["2 states of 2 events are one"]);
    for feeder in feeders {
        feeder.join().expect("it ends").expect("it was read");
    }
    let feeder = feed("c.sgs", "third");
    let told = dir.call(&["sketch", "third"]);
    feeder.join().expect("it ends").expect("it was read");
    assert!(told.out.contains("2 read"), "{told:?}");
}
