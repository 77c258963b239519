//! A directory of one test's own, and the binary run inside it.

use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory that goes away with the test.
pub struct Workdir {
    path: PathBuf,
}

impl Workdir {
    pub fn new() -> Workdir {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("it-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory for the test");
        Workdir { path }
    }

    /// A directory with a pipeline `p.toml` of one source `e`, and one file.
    pub fn with(file: &str, bytes: impl AsRef<[u8]>, source: &str, metrics: &str) -> Workdir {
        let dir = Workdir::new();
        dir.write(file, bytes);
        dir.pipeline(&format!("path = \"{file}\"\n{source}"), metrics);
        dir
    }

    pub fn pipeline(&self, source: &str, metrics: &str) {
        self.write("p.toml", format!("[source.e]\nkind = \"file\"\n{source}\n\n[metric]\n{metrics}\n"));
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path.join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory for the file");
        std::fs::write(path, bytes).expect("a file for the test");
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    pub fn has(&self, name: &str) -> bool {
        self.path.join(name).exists()
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `streamgauge ARGS` here; nothing on standard input.
    pub fn call(&self, args: &[&str]) -> Ran {
        self.call_with(args, b"")
    }

    /// `streamgauge ARGS` here, with these bytes on standard input.
    pub fn call_with(&self, args: &[&str], stdin: &[u8]) -> Ran {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut pipe = child.stdin.take().expect("a pipe");
        let bytes = stdin.to_vec();
        // A command that fails early does not read its input, which is no trouble of the test.
        let feeder = std::thread::spawn(move || drop(pipe.write_all(&bytes)));
        let output = child.wait_with_output().expect("the binary ends");
        feeder.join().expect("the feeder ends");
        let ran = Ran {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).expect("standard output is UTF-8"),
            err: String::from_utf8(output.stderr).expect("standard error is UTF-8"),
        };
        assert!(ran.code.is_some() && ran.code != Some(101) && !ran.err.contains("panicked"), "{ran:?}");
        ran
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_streamgauge"));
        command.args(args).current_dir(&self.path);
        command
    }

    /// `streamgauge run --once p.toml ARGS`.
    pub fn run(&self, args: &[&str]) -> Ran {
        self.call(&[&["run", "--once", "p.toml"], args].concat())
    }

    /// The same with a report in JSON, which must be one.
    pub fn json(&self, args: &[&str]) -> Vec<Value> {
        let ran = self.run(&[args, &["--format", "json"]].concat());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.answers()
    }
}

impl Drop for Workdir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// How a command ended and what it printed.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// The report in JSON.
    pub fn answers(&self) -> Vec<Value> {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// Asserts the exit code, and that standard error holds each of these words.
    pub fn expect(&self, code: i32, fragments: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        for fragment in fragments {
            assert!(self.err.contains(fragment), "`{fragment}` is not in:\n{}", self.err);
        }
    }
}

/// Answers of a metric as `start by=value`, list measures as `start by=[item:value ...]`.
pub fn shown(answers: &[Value], metric: &str) -> Vec<String> {
    answers.iter().filter(|a| a["metric"] == metric).map(line).collect()
}

fn line(answer: &Value) -> String {
    let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_string);
    let start = answer["start"].as_str().map(|s| format!("{s} ")).unwrap_or_default();
    let by: Vec<String> = answer["by"].as_object().expect("a group").values().map(text).collect();
    let by = if answer.get("other").is_some() { "(other)".to_string() } else { by.join(",") };
    let entries = |list: &str, name: &str, value: &str| {
        let entry = |e: &Value| format!("{}:{}", text(&e[name]), text(&e[value]));
        answer[list].as_array().map(|l| l.iter().map(entry).collect::<Vec<_>>().join(" "))
    };
    let list = entries("items", "item", "value")
        .or_else(|| entries("quantiles", "q", "value"))
        .or_else(|| entries("buckets", "le", "count"));
    let value = list.map_or_else(|| text(&answer["value"]), |list| format!("[{list}]"));
    format!("{start}{by}={value}")
}

/// A counter of the source; 0 when it is not reported.
pub fn counter(answers: &[Value], reason: &str) -> u64 {
    let of = |a: &&Value| a["metric"] == "sg.source" && a["by"]["reason"] == reason;
    answers.iter().find(of).map_or(0, |a| a["value"].as_u64().expect("a count"))
}

/// gzip of these bytes.
pub fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("memory takes bytes");
    encoder.finish().expect("memory takes bytes")
}

/// zstd of these bytes.
pub fn zst(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 0).expect("memory takes bytes")
}

/// xz of these bytes.
pub fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 6);
    encoder.write_all(bytes).expect("memory takes bytes");
    encoder.finish().expect("memory takes bytes")
}
