//! `streamgauge sketch`: what a file of ours, or a sketch of Apache DataSketches, holds.

use crate::Trouble;
use crate::image::{self, Of};
use crate::save::{self, Loaded};
use crate::show::{Format, Report, float};
use clap::Args;
use engine::Guarantee;
use engine::answer::{Answer, Item, Key, List, Number, Quantile, Reading};
use engine::spec::Source;
use engine::state::{Holding, State, StateFile};
use plan::size::{grouped, human, percent};
use sketch::frequent::Counted;
use sketch::image::{Family, Form, Image, Type};
use sketch::{Any, Estimate, Limits, Question};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Shown below the options.
pub const EXAMPLES: &str = "Examples:
  streamgauge sketch week.sgs
  streamgauge sketch week.sgs --format json
  streamgauge sketch visitors.hll
  streamgauge sketch latency.kll --type float

Of a state (run --save) it tells the metrics with their groups, panes and bytes, and then the report that `run` would
print. Of a sketch, one of this program or an image of Apache DataSketches (HLL, compact Theta, KLL, frequent items, CPC,
t-digest), it tells the kind, the parameters, what it knows with its bounds, and how it is doing.

In --format json the answers are those of `run` (docs/answer.schema.json); what is told of the file itself stands in rows
of `sg.state` and `sg.sketch`.

Exit codes: 0 told; 2 the command line makes no sense; 3 the file cannot be read, or is nothing that is known here.";

/// The words behind `sketch`.
#[derive(Debug, Args)]
pub struct SketchArgs {
    /// A state file, or a sketch; `-` is standard input.
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file: PathBuf,
    /// How it is written.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// What the values of an image are, where its bytes do not say: KLL (double) and frequent items (string) of DataSketches.
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    of: Option<Of>,
    /// Most bytes that the file may hold, and what is in it.
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = save::limit)]
    limit: Limits,
}

/// Confidence of bounds, where a pipeline does not set another one.
const CONFIDENCE: f64 = 0.95;
/// The quantiles told of.
const QUANTILES: [f64; 5] = [0.5, 0.9, 0.95, 0.99, 0.999];
/// Most items told of.
const ITEMS_MAX: usize = 1_000;

/// Runs the command.
pub fn sketch(args: &SketchArgs) -> Result<ExitCode, Trouble> {
    let bytes = save::read(&args.file, &args.limit)?;
    let mut report = Report::start(args.format);
    if StateFile::begins(&bytes) {
        image::note_type(&args.file, None, args.of);
        let loaded = Loaded::new(&args.file, &bytes, &args.limit)?;
        tell_state(&mut report, loaded, bytes.len(), args.format);
    } else {
        let image = image::read(&args.file, &bytes, args.of, &args.limit)?;
        image::note_type(&args.file, Some(image.form()), args.of);
        tell_image(&mut report, &image, &args.file, bytes.len(), args.format);
    }
    report.finish().map_err(|error| Trouble::environment(format!("cannot write the report: {error}")))?;
    Ok(ExitCode::SUCCESS)
}

fn tell_state(report: &mut Report, loaded: Loaded, file_bytes: usize, format: Format) {
    let Loaded { path, file, pipeline, kept, states } = loaded;
    if format == Format::Table {
        report.line(&format!(
            "{}: state of pipeline {} ({}), {}, {}",
            path.display(),
            pipeline.spec.name,
            file.name,
            save::asked(file.question),
            human(file_bytes as u64)
        ));
        if !file.overrides.is_empty() {
            report.line(&format!("  with --set {}", file.overrides.join(" --set ")));
        }
    }
    let mut told = Vec::new();
    for (source, state) in kept.iter().zip(states) {
        told.extend(tell_holdings(report, source, &state, format));
        state.outlet(source).each_answer(file.question, &mut |answer| report.put(answer));
    }
    told.into_iter().for_each(|answer| report.put(answer));
}

/// What a state holds of each metric: a table, or the facts that come after the answers.
pub fn tell_holdings(report: &mut Report, source: &Source, state: &State, format: Format) -> Vec<Answer> {
    let columns = source.columns();
    let name = |holding: &Holding| source.metrics[holding.metric].name.clone();
    let by = |holding: &Holding| {
        holding.by.iter().map(|&field| columns[field].path.as_str()).collect::<Vec<_>>().join(", ")
    };
    let mut holdings = state.holdings();
    holdings.sort_by_key(|holding| holding.metric);
    if format == Format::Table {
        report.line(&format!("\nsource {}: {} in memory", source.name, human(state.memory_bytes() as u64)));
        report.lines(&holdings_table(&holdings, name, by));
        report.line("");
        return Vec::new();
    }
    let facts = |holding: &Holding| {
        let who = [("source", source.name.clone()), ("metric", name(holding)), ("by", by(holding))];
        let numbers = [
            ("groups", holding.groups),
            ("panes", holding.panes),
            ("cells", holding.cells),
            ("memory_bytes", holding.memory_bytes),
        ];
        numbers.map(|(what, n)| fact("sg.state", &who, what, n as f64, None))
    };
    holdings.iter().flat_map(facts).collect()
}

fn holdings_table(
    holdings: &[Holding],
    name: impl Fn(&Holding) -> String,
    by: impl Fn(&Holding) -> String,
) -> Vec<[String; 5]> {
    let head = ["metric", "groups", "panes", "cells", "bytes"].map(String::from);
    let row = |holding: &Holding| {
        let (name, by) = (name(holding), by(holding));
        let label = if by.is_empty() { name } else { format!("{name} by {by}") };
        let count = |n: usize| if n == 0 { "-".into() } else { grouped(n as u64) };
        let groups = if by.is_empty() { "-".into() } else { count(holding.groups) };
        [label, groups, count(holding.panes), count(holding.cells), human(holding.memory_bytes as u64)]
    };
    std::iter::once(head).chain(holdings.iter().map(row)).collect()
}

fn tell_image(report: &mut Report, image: &Image, path: &Path, file_bytes: usize, format: Format) {
    let health = image.health();
    if format == Format::Table {
        report.line(&format!("{}: {}", path.display(), image.kind()));
        let parameters: Vec<String> =
            image.parameters().into_iter().map(|(name, value)| format!("{name} {}", float(value))).collect();
        let parameters = if parameters.is_empty() { "none".into() } else { parameters.join(", ") };
        let error = match health.error {
            _ if health.exact => "exact".into(),
            Some(error) => format!("error now {}", percent(error)),
            None => "no theory says how much it errs".into(),
        };
        let more = if health.saturated { ", saturated: it holds more than it was made for" } else { "" };
        report.line(&format!("  sketch      {}", image.sketch_name()));
        report.line(&format!("  parameters  {parameters}"));
        let (file, memory) = (human(file_bytes as u64), human(image.memory_bytes() as u64));
        report.line(&format!("  bytes       {file} in the file, {memory} in memory"));
        report.line(&format!("  health      {error}, {} full{more}\n", percent(health.fill)));
    }
    readings(image).into_iter().for_each(|(what, reading)| report.put(answer(what, Vec::new(), reading)));
    if format == Format::Table {
        return;
    }
    let who = [("kind", image.kind())];
    let name = Some(image.sketch_name());
    let mut facts = image.parameters();
    facts.extend([
        ("file_bytes", file_bytes as f64),
        ("memory_bytes", image.memory_bytes() as f64),
        ("fill", health.fill),
        ("saturated", f64::from(u8::from(health.saturated))),
    ]);
    facts.extend(health.error.map(|error| ("error", error)));
    facts
        .into_iter()
        .for_each(|(what, value)| report.put(fact("sg.sketch", &who, what, value, name.clone())));
}

/// What a sketch knows without being asked for a value: how many, how many different ones, which, where they lie.
fn readings(image: &Image) -> Vec<(&'static str, Reading)> {
    let name = image.sketch_name();
    let of = |estimate: Estimate<f64>, whole: bool| reading(estimate, whole, name.clone());
    let mut out: Vec<(&'static str, Reading)> = Vec::new();
    out.extend(image.count().map(|count| ("count", of(count, true))));
    if let Some(any) = image.any() {
        out.extend(
            any.query(&Question::Distinct, CONFIDENCE).map(|distinct| ("distinct", of(distinct, true))),
        );
        out.extend(any.query(&Question::Sum, CONFIDENCE).map(|sum| ("sum", of(sum, false))));
        out.extend(
            entries(any, image.form())
                .map(|(what, list)| (what, Reading { sketch: Some(name.clone()), ..list })),
        );
    }
    let quantiles: Vec<(f64, Estimate<f64>)> =
        QUANTILES.iter().filter_map(|&q| Some((q, image.quantile(q, CONFIDENCE)?))).collect();
    if let Some((_, first)) = quantiles.first() {
        let weakest = quantiles
            .iter()
            .map(|(_, estimate)| estimate)
            .fold(first, |weakest, estimate| if estimate.is_exact() { weakest } else { estimate });
        let told = weakest.guarantee != Guarantee::None;
        let bound = |bound: f64| told.then_some(bound);
        let list = quantiles.iter().map(|&(q, e)| Quantile {
            q,
            value: Some(e.value),
            low: bound(e.low),
            high: bound(e.high),
        });
        let reading = Reading {
            confidence: weakest.confidence,
            guarantee: weakest.guarantee,
            sketch: Some(name.clone()),
            list: List::Quantiles(list.collect()),
            ..Reading::exact(None)
        };
        out.push(("quantiles", reading));
    }
    out
}

/// The list that some sketches are. Others, also those to come, have none.
fn entries(any: &Any, form: Form) -> Option<(&'static str, Reading)> {
    let longs = form == Form::DataSketches(Family::Frequent(Type::Long));
    match any {
        Any::Counters(counters) => Some(("items", items(counters.top(ITEMS_MAX), longs))),
        Any::Freq(freq) => Some(("items", items(freq.items(ITEMS_MAX, CONFIDENCE), false))),
        Any::Histogram(histogram) => {
            let list = List::Buckets(histogram.cumulative());
            Some(("buckets", Reading { list, ..Reading::exact(None) }))
        }
        _ => None,
    }
}

fn items(counted: Vec<Counted<'_>>, longs: bool) -> Reading {
    let weakest = counted.iter().find(|counted| !counted.estimate.is_exact()).map(|counted| counted.estimate);
    let row = |counted: &Counted<'_>| Item {
        item: item(counted.item, longs),
        value: counted.estimate.value,
        low: counted.estimate.low,
        high: counted.estimate.high,
    };
    let list = List::Items(counted.iter().map(row).collect());
    match weakest {
        Some(e) => Reading { confidence: e.confidence, guarantee: e.guarantee, list, ..Reading::exact(None) },
        None => Reading { list, ..Reading::exact(None) },
    }
}

/// The bytes of a value. Whether eight of them are a number, only a type tells.
fn item(bytes: &[u8], longs: bool) -> Key {
    match <[u8; 8]>::try_from(bytes) {
        Ok(word) if longs => Key::Int(i64::from_le_bytes(word)),
        _ => Key::String(String::from_utf8_lossy(bytes).into_owned()),
    }
}

/// An estimate as a reading; of things that are counted in whole numbers.
fn reading(e: Estimate<f64>, whole: bool, sketch: String) -> Reading {
    let (value, low, high) =
        if whole { (e.value.round(), e.low.floor(), e.high.ceil()) } else { (e.value, e.low, e.high) };
    let number =
        |x: f64| Some(if whole && x.is_finite() { Number::Int(x as i128) } else { Number::Float(x) });
    let bound = |x: f64| number(x).filter(|_| e.guarantee != Guarantee::None);
    Reading {
        value: number(value),
        low: bound(low),
        high: bound(high),
        confidence: e.confidence,
        guarantee: e.guarantee,
        sketch: Some(sketch),
        ..Reading::exact(None)
    }
}

fn answer(metric: &str, by: Vec<(String, Key)>, reading: Reading) -> Answer {
    Answer {
        resolution: None,
        revision: None,
        metric: metric.into(),
        by,
        other: false,
        start: None,
        end: None,
        reading,
        row_fields: Vec::new(),
        complete_to: None,
        late: 0,
    }
}

/// A number about the file itself, in the shape of the counters of a source.
pub fn fact(metric: &str, who: &[(&str, String)], what: &str, value: f64, sketch: Option<String>) -> Answer {
    let text = |(name, value): &(&str, String)| (name.to_string(), Key::String(value.clone()));
    let mut by: Vec<(String, Key)> = who.iter().map(text).collect();
    by.push(("what".into(), Key::String(what.into())));
    let value = if value.fract() == 0.0 { Number::Int(value as i128) } else { Number::Float(value) };
    answer(metric, by, Reading { sketch, ..Reading::exact(Some(value)) })
}
