//! Any text as a pipeline file: no panic, problems that point somewhere, and what is accepted can be run.

use engine::Engine;
use engine::batch::Block;
use engine::decode::{Decoder, first_record};
use engine::spec::{Format, Question, Source, TimeSpec};
use plan::{Override, Pipeline, Problems};

/// Splits the file from the overrides (`--set`) and these from one another: a control character that TOML forbids.
const SPLIT: char = '\u{1}';

/// The text up to the first [`SPLIT`] is the file; the pieces behind it are overrides.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut pieces = text.split(SPLIT);
    let file = pieces.next().unwrap_or_default();
    let set: Vec<Override> = pieces.filter_map(|piece| Override::parse(piece).ok()).collect();
    match Pipeline::parse("fuzz.toml", file, &set) {
        Ok(pipeline) => accepted(&pipeline),
        Err(problems) => refused(&problems),
    }
}

fn refused(problems: &Problems) {
    assert!(!problems.is_empty());
    assert!(!problems.render(true).is_empty() && !problems.to_string().is_empty());
    for problem in problems.iter() {
        assert_eq!(problems.position(problem).is_some(), problem.place.is_some());
    }
}

/// What constructors behind the door rely on, and that they do not panic.
fn accepted(pipeline: &Pipeline) {
    assert_eq!(pipeline.inputs.len(), pipeline.spec.sources.len());
    let metrics: usize = pipeline.spec.sources.iter().map(|source| source.metrics.len()).sum();
    assert_eq!(pipeline.choices.len(), metrics);
    for source in &pipeline.spec.sources {
        for (i, field) in source.fields.iter().enumerate() {
            assert!(source.fields[..i].iter().all(|other| other.path != field.path));
        }
        for metric in &source.metrics {
            assert!(metric.measure.field().is_none_or(|field| field < source.columns().len()));
            assert!(metric.by.iter().flatten().all(|field| *field < source.columns().len()));
            assert!(metric.total || !metric.levels.is_empty());
            assert!(metric.levels.is_empty() || source.time.is_some());
            assert!(metric.levels.iter().all(|level| level.size.0 > 0 && level.keep >= level.size));
            let divides = |fine: i64, coarse: i64| coarse > fine && coarse % fine == 0;
            assert!(metric.levels.windows(2).all(|pair| divides(pair[0].size.0, pair[1].size.0)));
        }
        measure(source, pipeline.spec.memory_bytes);
    }
}

/// Two records through the engine, and every question that the ladder allows.
fn measure(source: &Source, memory_bytes: u64) {
    let text = records(source);
    let header = first_record(&source.format, text.as_bytes(), true, source.record_bytes_max);
    // A pipeline may name columns that its own list has not: that is found with the file.
    if Decoder::new(source, header).is_err() {
        return;
    }
    let level = source.metrics.iter().flat_map(|metric| &metric.levels).next();
    let windows = level.map(|level| Question::Windows { window: level.size, every: level.size });
    for question in [Some(Question::Total), windows].into_iter().flatten() {
        let Ok(kept) = question.restrict(source) else { continue };
        let Ok(mut engine) = Engine::new(&kept, header, 2, memory_bytes) else { continue };
        let bytes = text.as_bytes();
        engine.push(&Block { partition: 0, number: 0, first_byte: 0, bytes, arrival: None });
        engine.finish(0);
        assert!(!engine.answers(question).is_empty(), "at least the counters");
    }
}

/// Records with `1` in every field, header included where the file has one.
fn records(source: &Source) -> String {
    let mut paths: Vec<&str> = source.fields.iter().map(|field| field.path.as_str()).collect();
    let time = source.time.as_ref().and_then(TimeSpec::field).map(|(path, _)| path);
    paths.extend(time.filter(|time| !paths.contains(time)));
    match &source.format {
        Format::Ndjson => {
            let members: Vec<String> = paths.iter().map(|path| format!("{path:?}:1")).collect();
            format!("{{{}}}\n", members.join(",")).repeat(2)
        }
        Format::Delimited(format) => {
            let delimiter = char::from(format.delimiter).to_string();
            let names = paths.join(&delimiter);
            let columns = format.columns.as_ref().map_or(paths.len(), Vec::len);
            let row = vec!["1"; columns].join(&delimiter);
            let names = if format.columns.is_none() { names + "\n" } else { String::new() };
            format!("{names}{row}\n{row}\n")
        }
        Format::AccessLog { .. } => "1 1 1 [1] \"1 1 HTTP/1\" 1 1 \"1\" \"1\"\n".repeat(2),
        Format::Lines => "1\n1\n".to_string(),
        // Its rows are in no text.
        Format::Parquet => String::new(),
    }
}
