//! No text makes the reader panic, and what it accepts is sane.

use crate::{SHOP, parse};
use plan::{Override, Pipeline};
use proptest::prelude::*;

/// Pieces that mean something to TOML or to the file.
const PIECES: [&str; 40] = [
    "[",
    "]",
    "{",
    "}",
    "=",
    "\"",
    "'",
    "\"\"\"",
    "'''",
    "\\",
    "\\u",
    "\n",
    "\r\n",
    "\t",
    "#",
    ".",
    ",",
    "@",
    "%",
    ":",
    "source",
    "metric",
    "panes",
    "time",
    "fields",
    "by",
    "keys",
    "unique(",
    "top(x, ",
    "forever",
    "0",
    "-1",
    "1e999",
    "99999999999999999999",
    "true",
    "nan",
    "é",
    "\u{feff}",
    "\u{202e}",
    "\0",
];

/// Parses and, when there are problems, renders them: both must return.
fn survive(text: &str, set: &[&str]) {
    let set: Vec<_> = set.iter().filter_map(|s| Override::parse(s).ok()).collect();
    match Pipeline::parse("f.toml", text, &set) {
        Ok(pipeline) => check_invariants(&pipeline),
        Err(problems) => {
            assert!(!problems.is_empty());
            assert!(!problems.render(true).is_empty() && !problems.to_string().is_empty());
            for problem in problems.iter() {
                let position = problems.position(problem);
                assert_eq!(position.is_some(), problem.place.is_some());
            }
        }
    }
}

/// What constructors behind the door rely on.
fn check_invariants(pipeline: &Pipeline) {
    assert_eq!(pipeline.inputs.len(), pipeline.spec.sources.len());
    assert_eq!(pipeline.explain().len(), pipeline.spec.sources.len());
    assert!(pipeline.warnings().render(false).lines().all(|line| !line.starts_with("error")));
    for (index, size) in pipeline.sizes().iter().enumerate() {
        assert!(size.least_bytes() <= size.worst_bytes(), "{size:?}");
        for (_, kept) in pipeline.questions(index) {
            let (fits, need) = (pipeline.must_fit(index, &kept, 3), pipeline.size_of(index, &kept).need(3));
            assert_eq!(fits.is_ok(), need.bytes <= size.memory_bytes);
        }
    }
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
            assert!(
                metric.levels.windows(2).all(|p| p[1].size > p[0].size && p[1].size.0 % p[0].size.0 == 0)
            );
        }
    }
}

/// Cuts at a character: `at` of 1000 of the way.
fn cut(text: &str, at: usize) -> usize {
    let at = text.len() * at.min(1000) / 1000;
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_files_are_survived(
        edits in prop::collection::vec((0usize..1000, 0usize..1000, 0usize..PIECES.len(), 0usize..3), 1..8),
    ) {
        let mut text = SHOP.to_string();
        for (at, len, piece, how) in edits {
            let start = cut(&text, at);
            let end = cut(&text, at + len % 20).max(start);
            match how {
                0 => text.replace_range(start..end, PIECES[piece]),
                1 => text.insert_str(start, PIECES[piece]),
                _ => text.replace_range(start..end, ""),
            }
        }
        survive(&text, &[]);
    }

    #[test]
    fn any_text_is_survived(text in any::<String>(), set in any::<String>()) {
        survive(&text, &[&set]);
        survive(SHOP, &[&set, &format!("metric.x={text}"), &format!("name={text}")]);
    }

    #[test]
    fn any_words_in_values_are_survived(pieces in prop::collection::vec(0usize..PIECES.len(), 0..6), key in 0usize..9) {
        let value: String = pieces.into_iter().map(|i| PIECES[i]).collect();
        let key = [
            "memory", "accuracy", "panes", "metric.m", "metric.m.by", "source.events.time.lateness", "metric.visitors.keys",
            "source.events.fields", "source.events.path",
        ][key];
        survive(SHOP, &[&format!("{key}={value}")]);
    }
}

#[test]
fn deep_and_long_texts_are_survived() {
    let dotted = vec!["a"; 100_000].join(".");
    survive(&format!("{dotted} = 1"), &[]);
    survive(&format!("x = {}{}", "[".repeat(100_000), "]".repeat(100_000)), &[]);
    let step = format!("{{ {} = ", vec!["a"; 79].join("."));
    survive(&format!("x = {}1{}", step.repeat(75), " }".repeat(75)), &[]);
    survive(&format!("{}\"1\"", "\"é\" = ".repeat(10_000)), &[]);
    survive(&format!("x = \"{}\"", "é".repeat(2_000_000)), &[]);
    survive(&format!("[metric]\nm = \"unique({}\"", "(".repeat(100_000)), &[]);
    survive(SHOP, &[&format!("{dotted}=1")]);
}

#[test]
fn thousands_of_problems_are_counted_and_the_first_are_shown() {
    let text: String = (0..3000).map(|i| format!("k{i} = 1\n")).collect();
    let problems = parse(&text, &[]).unwrap_err();
    assert_eq!(problems.len(), 3002);
    let rendered = problems.render(false);
    assert_eq!(rendered.matches("\nerror: ").count() + 1, 20);
    assert!(rendered.ends_with("\n3002 problems in shop.toml, the first 20 are shown\n"), "{rendered}");
}
