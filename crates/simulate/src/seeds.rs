//! Seed after seed: a scene played in trouble and without, and what must hold.

use crate::check;
use crate::disk::KINDS;
use crate::life::{End, Way, World};
use crate::oracle::{Counts, Oracle};
use crate::received;
use crate::scene::{Line, Scene};
use crate::verdict::Verdict;
use serde_json::json;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Of so many seeds one is played twice.
const TWICE: u64 = 100;
/// Of so many seeds one is also played with bodies that are received.
const RECEIVED: u64 = 5;
/// Seeds whose events and answers are written for another program to judge.
const TRACED: u64 = 200;

/// What one seed came to.
struct Played {
    way: Way,
    checked: u64,
    scene: Scene,
    end: End,
    counts: Counts,
}

/// Plays so many seeds.
pub fn run(seed: u64, rounds: u64, quick: bool, trace: Option<&str>) -> Verdict {
    let mut verdict = Verdict::new("simulate", seed, rounds, quick);
    let mut out = trace.map(|path| BufWriter::new(File::create(path).expect("the trace can be written")));
    // What panics is told with its seed.
    std::panic::set_hook(Box::new(|panic| eprintln!("  {panic}")));
    for nth in 0..rounds {
        let seed = seed.wrapping_add(nth);
        if seed % RECEIVED == 0 {
            receive(&mut verdict, seed);
        }
        let again = format!("streamgauge-simulate simulate --seed {seed} --rounds 1");
        match guarded(|| play(seed)) {
            Err(why) => verdict.fail(format!("seed {seed}: {why}; again: {again}")),
            Ok(played) => {
                note(&mut verdict, &played);
                if seed.is_multiple_of(TWICE) {
                    let trace = guarded(|| World::new(&played.scene, true).play()).map(|(_, way)| way.trace);
                    verdict.add("played_twice", 1);
                    if trace != Ok(played.way.trace) {
                        verdict.add("nondeterministic", 1);
                        verdict
                            .fail(format!("seed {seed}: played twice, two things happened; again: {again}"));
                    }
                }
                if let Some(out) = out.as_mut().filter(|_| nth < TRACED) {
                    write_trace(out, &played).expect("the trace can be written");
                }
            }
        }
        if nth % 10_000 == 9_999 {
            eprintln!("  {} of {rounds} seeds, {} failed", nth + 1, verdict.failed());
        }
    }
    let _ = std::panic::take_hook();
    let failed = verdict.failed();
    verdict.add("failures", failed);
    verdict.add("nondeterministic", 0);
    verdict
}

/// The same with events that come as bodies.
fn receive(verdict: &mut Verdict, seed: u64) {
    let again = format!("streamgauge-simulate simulate --seed {seed} --rounds 1");
    let figures = match guarded(|| received::play(seed)) {
        Ok(figures) => figures,
        Err(why) => return verdict.fail(format!("seed {seed}, received: {why}; again: {again}")),
    };
    for (kind, count) in KINDS.iter().zip(figures.faults) {
        verdict.faults(kind, count);
    }
    for (figure, count) in [
        ("seeds_received", 1),
        ("lives", figures.lives),
        ("commits", figures.commits),
        ("bodies", figures.bodies),
        ("bodies_sent_again", figures.sent_again),
    ] {
        verdict.add(figure, count);
    }
    if seed.is_multiple_of(TWICE)
        && guarded(|| received::play(seed)).map(|again| again.trace) != Ok(figures.trace)
    {
        verdict.add("nondeterministic", 1);
        verdict.fail(format!("seed {seed}, received: played twice, two things happened; again: {again}"));
    }
}

/// A panic is a failure like any other.
fn guarded<T>(play: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(play)).unwrap_or_else(|_| Err("it panics".into()))
}

fn play(seed: u64) -> Result<Played, String> {
    let scene = Scene::of(seed, false);
    let undisturbed = |why: String| format!("undisturbed: {why}");
    let (quiet, _) = World::new(&scene, false).play().map_err(undisturbed)?;
    let mut oracle = Oracle::new(scene.sources[0].time.clone());
    scene.pieces.iter().for_each(|piece| oracle.read(piece));
    let counts = oracle.end();
    check::counters(&quiet, &counts).map_err(undisturbed)?;
    let checked = check::answers(&scene, &quiet, &counts).map_err(undisturbed)?;
    let (end, way) = World::new(&scene, true).play()?;
    check::same(&scene, &end, &quiet)?;
    Ok(Played { way, checked, scene, end, counts })
}

fn note(verdict: &mut Verdict, played: &Played) {
    let Played { way, checked, scene, counts, .. } = played;
    for (kind, count) in KINDS.iter().zip(way.faults) {
        verdict.faults(kind, count);
    }
    for (figure, count) in [
        ("seeds", 1),
        ("lives", way.lives),
        ("commits", way.commits),
        ("commits_put_off", way.put_off),
        ("fallen_back", way.fell_back),
        ("pipelines_changed", way.migrations),
        ("events", counts.read),
        ("late_events", counts.late),
        ("lines_left", played.end.lines.iter().map(|lines| lines.len() as u64).sum()),
        ("answers_counted_by_hand", *checked),
    ] {
        verdict.add(figure, count);
    }
    verdict.add("simulated_event_seconds", span_s(scene));
}

fn span_s(scene: &Scene) -> u64 {
    let times = scene.pieces.iter().flat_map(|piece| &piece.lines).filter_map(|line| match line {
        Line::Event(event) => Some(event.ms),
        Line::Bad(..) => None,
    });
    let (low, high) = times.fold((i64::MAX, i64::MIN), |(low, high), ms| (low.min(ms), high.max(ms)));
    high.checked_sub(low).map_or(0, |ms| (ms.max(0) / 1_000) as u64)
}

/// The events of a seed as they came, and what was answered.
fn write_trace(out: &mut impl Write, played: &Played) -> std::io::Result<()> {
    let Played { scene, end, .. } = played;
    let time = scene.sources[0].time.as_ref().map(|time| {
        json!({
            "lateness_us": time.lateness.0,
            "ahead_us": time.ahead.map(|ahead| ahead.0),
            "agree": time.agree,
            "later": format!("{:?}", time.later).to_lowercase(),
        })
    });
    let whole = |name: &str| scene.sources.iter().all(|s| s.metrics.iter().any(|m| m.name == name));
    let metrics = scene.sources.last().into_iter().flat_map(|source| &source.metrics);
    let metrics: Vec<_> = metrics
        .filter(|metric| whole(&metric.name))
        .map(|metric| json!({"name": metric.name, "total": metric.total, "measure": format!("{:?}", metric.measure)}))
        .collect();
    let exact = scene.is_exact;
    writeln!(out, "{}", json!({"seed": scene.seed, "time": time, "metrics": metrics, "exact": exact}))?;
    for piece in &scene.pieces {
        let (partition, silent) = (piece.partition, &piece.silent);
        let lines: Vec<String> = piece.lines.iter().map(Line::text).collect();
        writeln!(out, "{}", json!({"partition": partition, "silent": silent, "lines": lines}))?;
    }
    for answer in &end.answers {
        writeln!(out, "{}", json!({"answer": answer}))?;
    }
    writeln!(out, "{}", json!({"end": scene.seed}))
}
