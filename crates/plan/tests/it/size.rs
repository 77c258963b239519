//! Bytes that are reckoned against bytes that are taken: real shards, filled to the brim.

use crate::parse;
use engine::batch::Block;
use engine::decode::Decoder;
use engine::intake::Intake;
use engine::judge::Judge;
use engine::shard::Shard;
use engine::spec::{Question, Source};
use plan::Pipeline;
use plan::size::{SourceSize, human};
use sketch::Token;
use sketch::bloom::{Seen, Size};
use std::sync::Arc;

const SOURCE: &str = "[source.e]\npath = 'e.ndjson'\nfields = { i = 'int64', b = 'bool', x = 'float64' }\n";

/// A pipeline of these metrics; `top` goes before the source.
fn pipeline(top: &str, metrics: &str) -> Pipeline {
    parse(&format!("{top}\n{SOURCE}\n[metric]\n{metrics}"), &[])
        .unwrap_or_else(|problems| panic!("{problems}"))
}

/// The same with event time.
fn timed(time: &str, metrics: &str) -> Pipeline {
    let text = format!("{SOURCE}time = {{ field = 'ts', unit = 's'{time} }}\n[metric]\n{metrics}");
    parse(&text, &[]).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A shard that has seen these lines, looked at after every block.
fn fill(
    pipeline: &Pipeline,
    kept: &Source,
    lines: impl Iterator<Item = String>,
    mut look: impl FnMut(&Shard),
) {
    let program = pipeline.programs[0].clone().map(|p| p as Arc<dyn engine::compute::Compute>);
    let source = &pipeline.spec.sources[0];
    let mut decoder = Decoder::new(source, None).expect("a decoder").with_program(program);
    let (mut intake, mut shard) = (Intake::new(source), Shard::new(kept, u64::MAX));
    let lines: Vec<String> = lines.collect();
    let mut first_byte = 0;
    for (number, block) in lines.chunks(1_000).enumerate() {
        let bytes: String = block.iter().map(|line| format!("{line}\n")).collect();
        let (number, bytes) = (number as u64, bytes.as_bytes());
        let batch = decoder.decode(&Block { partition: 0, number, first_byte, bytes, arrival: None });
        assert_eq!(batch.bad.len(), 0, "the test writes good lines");
        first_byte += bytes.len() as u64;
        for judged in intake.push(batch) {
            shard.apply(&judged);
        }
        look(&shard);
    }
}

/// Numbers of both signs over 41 powers of two.
fn number(n: u64) -> f64 {
    let sign = if n.is_multiple_of(2) { 1.0 } else { -1.0 };
    sign * (1.0 + (n % 977) as f64 / 977.0) * 2f64.powi((n % 41) as i32 - 20)
}

/// Event n: a text of 32 bytes that no other event has, and numbers.
fn event(n: u64) -> String {
    format!(
        "{{\"ts\": {n}, \"s\": \"{n:032}\", \"i\": {n}, \"b\": {}, \"x\": {:e}, \"g\": \"{:032}\"}}",
        n.is_multiple_of(2),
        number(n),
        n % 3_000
    )
}

fn totals(pipeline: &Pipeline) -> (Source, SourceSize) {
    let kept = Question::Total.restrict(&pipeline.spec.sources[0]).expect("totals are always there");
    let size = pipeline.size_of(0, &kept);
    (kept, size)
}

#[test]
fn a_full_cell_takes_what_was_reckoned_and_not_less_than_half_of_it() {
    let measures = [
        ("count()", ""),
        ("sum(i)", ""),
        ("sum(x)", ""),
        ("stddev(i)", ""),
        ("stddev(x)", ""),
        ("min(x)", ""),
        ("unique(s)", ""),
        ("unique(i)", "10% @ 95%"),
        ("unique(s)", "50% @ 50%"),
        ("unique(s)", "1% @ 95%"),
        ("audience(s)", ""),
        ("audience(i)", "20% @ 95%"),
        ("freq(s)", ""),
        ("freq(i)", ""),
        ("top(s)", ""),
        ("top(i)", ""),
        ("top(s, 1000)", ""),
        ("quantiles(x)", ""),
        ("quantiles(x)", "0.1% @ 95%"),
        ("histogram(x)", ""),
        ("histogram(x, 1, 2, 3)", ""),
        ("sample(1000, s, i)", ""),
    ];
    for (measure, accuracy) in measures {
        let accuracy = if accuracy.is_empty() { String::new() } else { format!(", accuracy = '{accuracy}'") };
        // The confidence of a metric is that of the file.
        let confidence = if accuracy.contains("@ 50%") { "accuracy = '2% @ 50%'" } else { "" };
        let pipeline = pipeline(confidence, &format!("m = {{ measure = '{measure}'{accuracy} }}"));
        let (kept, size) = totals(&pipeline);
        let (mut real, mut first) = (0, 0);
        let rows = if measure.contains("audience") { 70_000 } else { 30_000 };
        fill(&pipeline, &kept, [event(0)].into_iter(), |shard| first = shard.memory_bytes() as u64);
        fill(&pipeline, &kept, (0..rows).map(event), |shard| real = real.max(shard.memory_bytes() as u64));
        // Beside the series there is its table of groups, which for a total is an empty one of 16 slots and an entry.
        let (real, first) = (real - 552, first - 552);
        let series = &size.series[0];
        let overhead = 16 * 16 + 8;
        assert_eq!(series.total_bytes, series.cell.full + overhead, "{measure}");
        assert!(
            series.total_bytes >= real,
            "{measure}{accuracy}: {} reckoned, {real} real",
            series.total_bytes
        );
        assert!(
            series.total_bytes <= 2 * real,
            "{measure}{accuracy}: {} reckoned, {real} real",
            series.total_bytes
        );
        assert!(
            series.cell.least + overhead <= 2 * first && series.cell.least + overhead + 256 >= first,
            "{measure}{accuracy}: {} reckoned at least, {first} with one event",
            series.cell.least + overhead
        );
        assert!(series.cell.least <= series.cell.full && series.cell.full <= series.cell.most, "{measure}");
    }
}

#[test]
fn what_no_data_can_exceed_is_not_exceeded_by_hostile_data() {
    // All exponents of doubles, and texts beyond what is kept of them.
    let line = |n: u64| {
        let x = f64::from_bits(n.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let x = if x.is_finite() { x } else { 0.0 };
        format!("{{\"s\": \"{n:01500}\", \"x\": {x:e}}}")
    };
    for measure in ["sum(x)", "stddev(x)", "quantiles(x)", "histogram(x)", "top(s)", "freq(s)"] {
        let pipeline = pipeline("", &format!("m = '{measure}'"));
        let (kept, size) = totals(&pipeline);
        let mut real = 0;
        fill(&pipeline, &kept, (0..7_000).map(line), |shard| real = real.max(shard.memory_bytes() as u64));
        let cell = size.series[0].cell;
        assert!(real <= cell.most + 16 * 16 + 8 + 552, "{measure}: {real} real, {cell:?}");
        assert!(real > cell.full, "{measure}: the data is as hostile as it should be: {real}, {cell:?}");
    }
}

#[test]
fn groups_and_their_table_take_what_was_reckoned() {
    for keys in [1, 100, 200, 1_000] {
        let metrics = format!(
            "n = {{ measure = 'count()', by = ['g'], keys = '{keys} + other' }}\n\
             u = {{ measure = 'unique(i)', by = ['g'], keys = '{keys} + other', accuracy = '50% @ 95%' }}"
        );
        let pipeline = pipeline("", &metrics);
        let (kept, size) = totals(&pipeline);
        assert_eq!(size.tables.len(), 1, "both metrics share the table");
        let (mut real, mut table) = (0, 0);
        fill(&pipeline, &kept, (0..90_000).map(event), |shard| {
            real = real.max(shard.memory_bytes() as u64);
            table = table.max(shard.sets()[0].groups.memory_bytes() as u64);
        });
        let (reckoned, of_table) = (size.total_bytes(), size.tables[0].bytes);
        assert!(reckoned >= real && reckoned <= 2 * real, "{keys}: {reckoned} reckoned, {real} real");
        assert!(of_table >= table && of_table <= 2 * table, "{keys}: {of_table} reckoned, {table} real");
    }
}

#[test]
fn panes_are_as_many_as_was_reckoned() {
    // A month, an event every ten minutes, and every half an hour one that is up to six hours late.
    let late = |n: u64| n.is_multiple_of(3).then_some(600 * (n - n % 36));
    let times = (50..4_000u64).flat_map(|n| [Some(600 * n), late(n)]).flatten();
    let lines: Vec<String> = times.map(|t| format!("{{\"ts\": {t}, \"i\": 1}}")).collect();
    for (lateness, panes) in
        [("0s", "'10m:1d'"), ("6h", "'10m:1d'"), ("6h", "'10m:2h', '1h:3d'"), ("1h", "'1d:7d'")]
    {
        let time = format!(", lateness = '{lateness}'");
        let pipeline = timed(&time, &format!("n = {{ measure = 'count()', panes = [{panes}] }}"));
        let size = &pipeline.sizes()[0];
        let mut real = 0;
        let source = &pipeline.spec.sources[0];
        fill(&pipeline, source, lines.iter().cloned(), |shard| real = real.max(shard.memory_bytes() as u64));
        let (reckoned, real) = (size.worst_bytes(), real - 552);
        assert!(
            reckoned >= real && reckoned <= real * 13 / 10 + 700,
            "{lateness} {panes}: {reckoned} reckoned, {real} real"
        );
    }
}

#[test]
fn the_number_of_panes_is_that_of_a_walk_over_time() {
    // Independent of the formula: every watermark of a week, second by second in steps, and the panes kept at it.
    for (size, keep, lateness) in
        [(60i64, 3_600i64, 0i64), (60, 3_600, 90), (300, 3_600, 7), (3_600, 86_400, 10)]
    {
        let pipeline = timed(
            &format!(", lateness = '{lateness}s'"),
            &format!("n = {{ measure = 'count()', panes = ['{size}s:{keep}s'] }}"),
        );
        let most = (1_000_000..1_000_000 + 2 * size).map(|watermark| {
            let starts = (0..(watermark + lateness) / size + 1).map(|n| n * size);
            starts.filter(|start| start + size + keep > watermark).count() as u64
        });
        let level = pipeline.sizes()[0].series[0].levels[0].clone();
        assert_eq!(level.panes, most.max().expect("watermarks"), "{size} {keep} {lateness}");
    }
}

#[test]
fn a_filter_grows_as_was_reckoned() {
    for (keys, rate, memory) in
        [(20_000, 0.01, "1MiB"), (20_000, 0.001, "256KiB"), (1_000, 0.1, "64KiB"), (50_000, 0.01, "160KiB")]
    {
        let top = format!("memory = '{memory}'");
        let metric = format!("k = {{ measure = 'seen(s)', size = '{keys} @ {}%' }}", rate * 100.0);
        let pipeline = pipeline(&top, &metric);
        let filter = &pipeline.sizes()[0].filters[0];
        let size = Size::new(keys, rate).expect("a size");
        assert_eq!((filter.bytes, filter.keys), (size.filter_bytes(), keys));
        // Bits of the classic formula, by another road: -log2(p) / ln 2 a key.
        let classic = keys as f64 * -rate.log2() * std::f64::consts::LOG2_E / 8.0;
        assert!((filter.classic_bytes as f64 - classic).abs() <= 1.0, "{filter:?}");
        assert!(filter.classic_bytes < filter.bytes && filter.rate_then < rate, "{filter:?}");
        let mut seen = Seen::new(size, filter.bytes_max);
        let mut n = 0;
        while !seen.degraded() {
            seen.insert(Token::of_i64(n));
            n += 1;
        }
        assert_eq!(seen.layers(), filter.layers, "{filter:?}");
        let share = n as f64 / filter.keys_max as f64;
        assert!((0.95..1.05 + rate).contains(&share), "{n} keys until degraded: {filter:?}");
        assert!((seen.memory_bytes() as u64) < filter.bytes_max + 1_024);
    }
}

#[test]
fn a_filter_that_forgets_takes_what_was_reckoned() {
    let pipeline = timed(", lateness = '1m'", "k = { measure = 'seen(s)', size = '20k @ 1%', keep = '5m' }");
    let source = &pipeline.spec.sources[0];
    let filter = &pipeline.sizes()[0].filters[0];
    let forgets = filter.forgets.clone().expect("it forgets");
    let told =
        (forgets.keep.as_str(), forgets.bucket.as_str(), forgets.forgotten_after.as_str(), forgets.buckets);
    assert_eq!(told, ("5m", "30s", "330s", 13));
    let (mut decoder, mut intake) = (Decoder::new(source, None).expect("a decoder"), Intake::new(source));
    let mut judge = Judge::new(source, None, 0);
    // Twenty thousand keys in five minutes.
    let bytes: String = (0..40_000).map(|i| format!("{{\"ts\":{},\"s\":\"k{i}\"}}\n", i * 3 / 200)).collect();
    let block = Block { partition: 0, number: 0, first_byte: 0, bytes: bytes.as_bytes(), arrival: None };
    intake.push(decoder.decode(&block)).iter_mut().for_each(|judged| judge.apply(judged));
    let held = judge.memory_bytes();
    assert!((filter.bytes..filter.bytes + 1_024).contains(&held), "{held} and {filter:?}");
    assert!(judge.verdicts(0.95).degraded.is_empty(), "{filter:?}");
    // It has its bytes and no more, so half of the memory is not set aside for growth.
    assert_eq!((filter.bytes_max, filter.layers), (filter.bytes, 1));
    assert_eq!(pipeline.sizes()[0].need(1).bytes, filter.bytes);
}

#[test]
fn sessions_take_what_was_reckoned_and_their_panes_stay_within_their_part() {
    let visits = "k = \"session(s, gap => '1m', open => '20k')\"";
    let text = format!("memory = '8MiB'\n{SOURCE}time = {{ field = 'ts', unit = 's' }}\n[metric]\n{visits}");
    let pipeline = parse(&text, &[]).unwrap_or_else(|problems| panic!("{problems}"));
    let source = &pipeline.spec.sources[0];
    let size = &pipeline.sizes()[0];
    let sessions = &size.sessions[0];
    let (mut decoder, mut intake) = (Decoder::new(source, None).expect("a decoder"), Intake::new(source));
    let mut judge = Judge::new(source, None, Judge::share_of(source, 8 << 20));
    let most = sessions.bytes + sessions.closed_bytes_max;
    for number in 0..30u64 {
        let line = |i: u64| format!("{{\"ts\":{},\"s\":\"k{i}\"}}\n", i / 10);
        let bytes: String = (number * 4_000..(number + 1) * 4_000).map(line).collect();
        let block = Block { partition: 0, number, first_byte: 0, bytes: bytes.as_bytes(), arrival: None };
        intake.push(decoder.decode(&block)).iter_mut().for_each(|judged| judge.apply(judged));
        if number == 4 {
            let held = judge.memory_bytes();
            assert!((sessions.bytes..sessions.bytes + 4_096).contains(&held), "{held} and {sessions:?}");
        }
        assert!(judge.memory_bytes() <= most, "{} of {most}", judge.memory_bytes());
    }
    assert_eq!(judge.sessions()[0].doubts(), engine::doubt::Doubts::default());
    assert_eq!(most, Judge::share_of(source, 8 << 20));
    // What is too small for them is refused, with the least that will do.
    let least = size.need(2).bytes;
    assert!(least > sessions.bytes && size.need(2).metric == 0);
    let small = text.replace("8MiB", "1MiB");
    let small = parse(&small, &[]).unwrap_or_else(|problems| panic!("{problems}"));
    let problems = small.must_fit(0, &totals(&small).0, 2).expect_err("too small").to_string();
    assert!(
        problems.contains("20,000 sessions of 1.07 MiB") && problems.contains("a smaller `open`"),
        "{problems}"
    );
}

#[test]
fn memory_that_cannot_work_is_refused_with_the_least_that_can() {
    let metrics = "n = 'count()'\ntop_s = 'top(s)'\ngroups = { measure = 'unique(s)', by = ['g'] }\n";
    let known = "known = { measure = 'seen(s)', size = '1M @ 1%' }\nnew = 'count() filter (where not known)'";
    let fits = |pipeline: &Pipeline, shards| pipeline.must_fit(0, &totals(pipeline).0, shards);
    for (metrics, culprit, shards) in [
        (metrics.to_string(), "top_s", 1),
        (metrics.to_string(), "top_s", 4),
        (format!("{metrics}{known}"), "known", 1),
        (format!("{metrics}{known}"), "top_s", 2),
    ] {
        let small = pipeline("memory = '128KiB'", &metrics);
        let problems = fits(&small, shards).expect_err("too small");
        let problem = problems.iter().next().expect("a problem");
        assert!(problem.message.contains("never gives way"), "{problems}");
        assert!(problems.to_string().contains(&format!("| {culprit} = ")), "{problems}");
        let hint = problem.hint.clone().expect("a hint");
        let least = hint.split('"').nth(1).expect("a size").to_string();
        let top = format!("memory = '{least}'");
        assert!(fits(&pipeline(&top, &metrics), shards).is_ok(), "{least} does");
        let size = pipeline(&top, &metrics).spec.memory_bytes;
        let less = format!("memory = '{}B'", size - size / 5);
        assert!(fits(&pipeline(&less, &metrics), shards).is_err(), "a fifth less than {least} does not");
    }
    // As many shards as fit: one more does not.
    let some = pipeline("memory = '1MiB'", metrics);
    let kept = totals(&some).0;
    let shards = some.shards_that_fit(0, &kept, 64);
    assert!((2..64).contains(&shards), "{shards}");
    assert!(fits(&some, shards).is_ok() && fits(&some, shards + 1).is_err(), "{shards}");
    assert_eq!(pipeline("memory = '64KiB'", metrics).shards_that_fit(0, &kept, 64), 1);
    // Groups alone may always give way.
    let grouped = pipeline("memory = '64KiB'", "groups = { measure = 'unique(s)', by = ['g'] }");
    assert!(fits(&grouped, 8).is_ok());
}

#[test]
fn two_sources_share_memory() {
    let text = "memory = '1MiB'\nsource.a.path = 'a.ndjson'\nsource.b.path = 'b.ndjson'\n\
                metric.x = { measure = 'unique(s)', from = 'a' }\nmetric.y = { measure = 'top(s)', from = 'b' }";
    let sizes = parse(text, &[]).expect("a good file").sizes();
    let names: Vec<(&str, &str, u64)> =
        sizes.iter().map(|s| (s.source.as_str(), s.series[0].sketch.as_str(), s.memory_bytes)).collect();
    assert_eq!(names, [("a", "hll/14", 512 << 10), ("b", "frequent/4096", 512 << 10)]);
}

#[test]
fn figures_are_what_the_formulas_say() {
    let pipeline = pipeline("", "u = 'unique(s)'\nf = 'freq(s)'\nq = 'quantiles(x)'\nn = 'count()'");
    let series = &pipeline.sizes()[0].series;
    let why: Vec<&str> = series.iter().map(|s| s.why.as_str()).collect();
    assert_eq!(
        why,
        [
            "1.96 · 1.04 / √2^14 = 1.59 % ≤ 2 % @ 95 %",
            "e / 2^14 = 0.0166 % ≤ 2 % @ 95 %",
            "1 / (2^7 + 1) = 0.775 % ≤ 2 % @ 95 %",
            ""
        ]
    );
    for (bytes, text) in [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.00 KiB"),
        (1 << 20, "1.00 MiB"),
        ((1 << 20) - 1, "1.00 MiB"),
        (268435456, "256 MiB"),
        (u64::MAX, "16.0 EiB"),
    ] {
        assert_eq!(human(bytes), text);
    }
}
