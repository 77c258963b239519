//! A pipeline that changes: what goes on has the bytes that it would have had all along.

use crate::support::{metric, source, time, windows};
use arrow_array::{BooleanArray, Int64Array, StringArray};
use engine::adopt::{Adopted, Adoption};
use engine::answer::{Answer, Key, Number};
use engine::batch::Batch;
use engine::column::Column;
use engine::intake::Intake;
use engine::judge::Judge;
use engine::shard::Shard;
use engine::spec::{Field, Kind, Measure, Metric, Question, Source, Step};
use engine::state::State;
use engine::time::{SECOND, Span, Time};
use proptest::prelude::*;
use sketch::{Limits, Reader};

/// Second, user, number, paid.
type Event = (i64, u16, i64, bool);

const FIELDS: [(&str, Kind); 3] = [("user", Kind::String), ("number", Kind::Int64), ("paid", Kind::Bool)];
/// The verdict of `again`, behind the fields.
const AGAIN: usize = 3;
const LADDER: &str = "10s:200s 60s:1d";
/// What a filter may grow by, and sessions may take.
const SPARE: u64 = 1 << 20;

/// Every metric there is to choose from, over fields in the order of [`FIELDS`].
fn pool() -> Vec<Metric> {
    let (user, number, paid) = (0, 1, 2);
    let by_user = || vec![vec![], vec![user]];
    let with = |filter, metric| Metric { filter: Some(filter), ..metric };
    let seen = |keep| Measure::Seen { field: user, keys: 100, rate: 0.01, keep };
    let minute = Some(Span(60 * SECOND));
    let session =
        // Told of the watermark at every second, whoever stands beside them.
        Measure::Session { field: user, gap: Span(4 * SECOND), open_max: 64, bits: 6, at: vec![0.5] };
    let freq = Measure::Freq { field: user, lg_width: 6, depth: 3, hot: 16, weight: Some(number) };
    vec![
        metric("hits", Measure::Count, vec![vec![], vec![user], vec![user, paid]], LADDER),
        metric("sum", Measure::Sum(number), vec![vec![user], vec![number]], LADDER),
        with(
            paid,
            metric("payers", Measure::Unique { field: user, lg_k: 6 }, vec![vec![], vec![number]], LADDER),
        ),
        with(paid, metric("payments", Measure::Count, by_user(), LADDER)),
        metric("top", Measure::Top { field: user, k: 3, counters: 16, weight: None }, by_user(), LADDER),
        metric("often", freq, by_user(), ""),
        metric("q", Measure::Quantiles { field: number, bits: 5, at: vec![0.5] }, by_user(), LADDER),
        Metric { total: false, ..metric("ring", Measure::Count, by_user(), "10s:50s") },
        metric("again", seen(None), vec![vec![]], ""),
        metric("lately", seen(minute), vec![vec![]], ""),
        metric("visits", session, vec![vec![]], LADDER),
        with(AGAIN, metric("back", Measure::Count, by_user(), LADDER)),
        metric("mix", Measure::Count, vec![vec![AGAIN], vec![]], LADDER),
    ]
}

fn needs_verdict(metric: &Metric) -> bool {
    metric.columns().any(|column| column == AGAIN)
}

/// A source of these metrics in this order, whose fields stand in the order of `fields`.
fn source_of(metrics: &[Metric], fields: &[usize]) -> Source {
    let place = |column: usize| fields.iter().position(|&field| field == column).unwrap_or(column);
    let moved = |metric: &Metric| {
        let mut metric = metric.clone();
        match &mut metric.measure {
            Measure::Sum(field)
            | Measure::Unique { field, .. }
            | Measure::Top { field, .. }
            | Measure::Quantiles { field, .. }
            | Measure::Seen { field, .. }
            | Measure::Session { field, .. } => *field = place(*field),
            Measure::Freq { field, weight, .. } => {
                (*field, *weight) = (place(*field), weight.map(place));
            }
            _ => {}
        }
        metric.filter = metric.filter.map(place);
        metric.by.iter_mut().flatten().for_each(|column| *column = place(*column));
        Metric { groups_max: 20, ..metric }
    };
    let metrics: Vec<Metric> = metrics.iter().map(moved).collect();
    let judges = (0..metrics.len()).filter(|&m| matches!(metrics[m].measure, Measure::Seen { .. }));
    // `again` fills the first column behind the fields.
    let mut judges: Vec<usize> = judges.collect();
    judges.sort_by_key(|&metric| metrics[metric].name != "again");
    let named = |&field: &usize| Field { path: FIELDS[field].0.into(), kind: FIELDS[field].1 };
    Source {
        fields: fields.iter().map(named).collect(),
        steps: judges.into_iter().map(|metric| Step::Judge { metric }).collect(),
        ..source(time("7s", Some("1h")), metrics)
    }
}

/// What of `from` goes on in `to`: the metrics of one name, the grouping sets of equal fields.
fn adoption(from: &Source, to: &Source) -> Adoption {
    let named = |source: &Source, by: &[usize]| -> Vec<String> {
        by.iter().map(|&column| source.columns()[column].path.clone()).collect()
    };
    let metrics = to.metrics.iter().map(|new| {
        let metric = from.metrics.iter().position(|old| old.name == new.name)?;
        let same = |by: &Vec<usize>| {
            from.metrics[metric].by.iter().position(|old| named(from, old) == named(to, by))
        };
        Some(Adopted { metric, sets: new.by.iter().map(same).collect() })
    });
    Adoption { metrics: metrics.collect(), clock: true }
}

struct Machines {
    intake: Intake,
    judge: Judge,
    shard: Shard,
}

impl Machines {
    fn new(source: &Source) -> Machines {
        let judge = Judge::new(source, None, judge_bytes(source));
        Machines { intake: Intake::new(source), judge, shard: Shard::new(source, u64::MAX) }
    }

    fn push(&mut self, source: &Source, number: u64, events: &[Event]) {
        let columns = source.fields.iter().map(|field| match field.path.as_str() {
            "user" => Column::String(StringArray::from_iter_values(
                events.iter().map(|(_, user, ..)| format!("user {user}")),
            )),
            "number" => Column::Int64(Int64Array::from_iter_values(events.iter().map(|(_, _, n, _)| *n))),
            _ => Column::Bool(events.iter().map(|(.., paid)| Some(*paid)).collect::<BooleanArray>()),
        });
        let batch = Batch {
            rows: events.len(),
            times: events.iter().map(|(t, ..)| Time(t * SECOND)).collect(),
            columns: columns.collect(),
            ..Batch::empty(0, number)
        };
        for mut judged in self.intake.push(batch) {
            self.judge.apply(&mut judged);
            self.shard.apply(&judged);
        }
    }

    fn adopt(self, from: &Source, to: &Source, adoption: &Adoption) -> Machines {
        Machines {
            intake: self.intake.adopt(to, adoption.clock),
            judge: self.judge.adopt(to, adoption, None, judge_bytes(to)),
            shard: self.shard.adopt(from, to, adoption, u64::MAX),
        }
    }

    /// The same through bytes.
    fn again(self, source: &Source) -> Machines {
        let (mut intake, mut judge, mut shard) = (Vec::new(), Vec::new(), Vec::new());
        self.intake.snapshot(&mut intake);
        self.judge.snapshot(&mut judge);
        self.shard.snapshot(source, &mut shard);
        let limits = Limits::default();
        Machines {
            intake: Intake::restore(source, &mut Reader::new(&intake)).expect("an intake"),
            judge: Judge::restore(source, None, &mut Reader::new(&judge), &limits).expect("a judge"),
            shard: Shard::restore(source, u64::MAX, &mut Reader::new(&shard), &limits).expect("a shard"),
        }
    }

    /// Everything, once all panes are closed; and all answers before.
    fn told(mut self, source: &Source) -> (Vec<u8>, Vec<Answer>) {
        let mut judge = Vec::new();
        self.judge.snapshot(&mut judge);
        let (tally, watermark) = (self.intake.tally(), self.intake.watermark());
        let mut frozen = self.shard.freeze().thaw(source);
        frozen.advance(Time(1_000_000 * SECOND));
        frozen.canonical(&mut judge);
        let outlet = State::new(vec![self.shard], self.judge, tally, watermark).outlet(source);
        let mut answers = outlet.answers(Question::Total);
        if source.metrics.iter().any(|metric| !metric.levels.is_empty()) {
            answers.extend(outlet.answers(windows("60s", "60s")));
        }
        // The counters are those of the source, whatever is measured of it.
        answers.retain(|answer| !answer.metric.starts_with("sg."));
        (judge, answers)
    }
}

fn judge_bytes(source: &Source) -> u64 {
    let (asked, parts) = Judge::asked_of(source);
    asked + parts * SPARE
}

fn events(raw: &[(u16, u16, i16, bool)]) -> Vec<Event> {
    let event = |(i, &(back, user, number, paid)): (usize, &(u16, u16, i16, bool))| {
        (i as i64 + 1_000 - i64::from(back % 30), user % 600, i64::from(number % 400), paid)
    };
    raw.iter().enumerate().map(event).collect()
}

/// Those of the pool that are chosen, in the order that the numbers say, without the verdict's unless it is there; their
/// grouping sets turned and cut.
fn chosen(choice: &[(bool, u8, u8)]) -> Vec<Metric> {
    let mut metrics: Vec<(u8, Metric)> = pool()
        .into_iter()
        .zip(choice)
        .filter(|(_, (take, ..))| *take)
        .map(|(mut metric, (_, order, cut))| {
            let sets = metric.by.len();
            metric.by.rotate_left(usize::from(*cut) % sets);
            metric.by.truncate((usize::from(*cut) / 4 % sets) + 1);
            (*order, metric)
        })
        .collect();
    let verdict = metrics.iter().any(|(_, metric)| metric.name == "again");
    metrics.retain(|(_, metric)| verdict || !needs_verdict(metric));
    metrics.sort_by_key(|(order, _)| *order);
    metrics.into_iter().map(|(_, metric)| metric).collect()
}

fn choice() -> impl Strategy<Value = Vec<(bool, u8, u8)>> {
    let one = (prop::bool::weighted(0.7), any::<u8>(), any::<u8>());
    prop::collection::vec(one, pool().len()..=pool().len())
}

fn order() -> impl Strategy<Value = Vec<usize>> {
    Just(vec![0, 1, 2]).prop_shuffle()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Old pipeline over a first part, new one over the rest: what both have is as if each metric had always been alone.
    #[test]
    fn what_goes_on_is_what_it_would_have_been_all_along(
        old in choice(), new in choice(), old_fields in order(), new_fields in order(),
        // 32 agree on a clock: no rows wait in the end, for then there would be nothing to compare.
        raw in prop::collection::vec(any::<(u16, u16, i16, bool)>(), 32..900),
        cut in 0.0f64..1.0, block in 1usize..200,
    ) {
        let events = events(&raw);
        let (first, rest) = events.split_at((cut * events.len() as f64) as usize);
        let (old, new) = (chosen(&old), chosen(&new));
        let (from, to) = (source_of(&old, &old_fields), source_of(&new, &new_fields));
        let before = || {
            let mut machines = Machines::new(&from);
            let mut blocks = first.chunks(block).enumerate();
            blocks.by_ref().for_each(|(n, events)| machines.push(&from, n as u64, events));
            machines
        };
        let after = |through: bool, stop: bool| {
            let machines = before();
            let holds = machines.intake.holds_rows();
            let mut machines = machines.adopt(&from, &to, &adoption(&from, &to));
            assert!(!holds);
            if through {
                machines = machines.again(&to);
            }
            let rest = if stop { &[] } else { rest };
            rest.chunks(block).enumerate().for_each(|(n, events)| machines.push(&to, n as u64, events));
            machines
        };
        // While rows wait for a clock there is nothing to adopt: 32 agree.
        prop_assume!(!before().intake.holds_rows());
        for new in &new {
            let Some(old) = old.iter().find(|old| old.name == new.name) else { continue };
            let kept: Vec<Vec<usize>> = new.by.iter().filter(|by| old.by.contains(by)).cloned().collect();
            if kept.is_empty() {
                continue;
            }
            let mut alone = vec![Metric { by: kept, ..new.clone() }];
            // Grouping sets that go on without a verdict may stand beside one by a verdict that begins.
            if needs_verdict(&alone[0]) {
                alone.push(pool().into_iter().find(|metric| metric.name == "again").expect("it is there"));
            }
            let alone = source_of(&alone, &[0, 1, 2]);
            for (through, stop) in [(false, false), (true, false), (false, true), (true, true)] {
                let fed = if stop { first } else { &events };
                let mut wanted = Machines::new(&alone);
                // The same blocks.
                let blocks = first.chunks(block).chain(if stop { [].chunks(1) } else { rest.chunks(block) });
                blocks.enumerate().for_each(|(n, events)| wanted.push(&alone, n as u64, events));
                prop_assert_eq!(wanted.intake.tally().read, fed.len() as u64);
                let got = after(through, stop).adopt(&to, &alone, &adoption(&to, &alone));
                let (got, wanted) = (got.told(&alone), wanted.told(&alone));
                prop_assert!(got.0 == wanted.0, "bytes of {}: {} and {}", new.name, got.0.len(), wanted.0.len());
                prop_assert_eq!(format!("{:?}", got.1), format!("{:?}", wanted.1), "{}", new.name);
            }
        }
    }
}

/// Users by whether they paid, a row each second.
fn hundred() -> Vec<Event> {
    (0..100).map(|i: i64| (1_000 + i, (i * i % 7) as u16, i, i % 3 > 0)).collect()
}

fn fed(source: &Source, events: &[Event]) -> Machines {
    let mut machines = Machines::new(source);
    machines.push(source, 0, events);
    machines
}

#[test]
fn two_conditions_that_become_one_share_their_groups() {
    let (user, paid, again) = (0, 2, 3);
    let with = |name: &str, filter| Metric {
        filter: Some(filter),
        ..metric(name, Measure::Count, vec![vec![user]], LADDER)
    };
    // The same condition twice, and once: a column of its own that holds what `paid` does.
    let mut from = source_of(&[with("a", paid), with("b", again)], &[0, 1, 2]);
    from.fields.push(Field { path: "paid".into(), kind: Kind::Bool });
    let to = source_of(&[with("b", paid), with("a", paid)], &[0, 1, 2]);
    let mut machines = Machines::new(&from);
    machines.push(&from, 0, &hundred());
    assert_eq!(machines.shard.sets().len(), 2);
    let by_name = Adoption {
        metrics: vec![
            Some(Adopted { metric: 1, sets: vec![Some(0)] }),
            Some(Adopted { metric: 0, sets: vec![Some(0)] }),
        ],
        clock: true,
    };
    let machines = machines.adopt(&from, &to, &by_name);
    assert_eq!(machines.shard.sets().len(), 1);
    assert!(machines.told(&to) == fed(&to, &hundred()).told(&to));
}

#[test]
fn a_grouping_set_goes_on_beside_one_by_a_verdict_that_begins() {
    let pool = pool();
    let named = |name: &str| pool.iter().find(|metric| metric.name == name).expect("it is there").clone();
    let plain = Metric { by: vec![vec![]], ..named("mix") };
    let from = source_of(std::slice::from_ref(&plain), &[0, 1, 2]);
    let to = source_of(&[named("again"), named("mix")], &[0, 1, 2]);
    let events = hundred();
    let mut machines = fed(&from, &events[..50]).adopt(&from, &to, &adoption(&from, &to));
    machines.push(&to, 1, &events[50..]);
    // What goes on, to the byte, as it would be alone.
    let alone = source_of(&[plain], &[0, 1, 2]);
    let mut wanted = fed(&alone, &events[..50]);
    wanted.push(&alone, 1, &events[50..]);
    let mut got = machines.shard.freeze().thaw(&to).adopt(&to, &alone, &adoption(&to, &alone), u64::MAX);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    got.freeze().thaw(&alone).canonical(&mut ours);
    wanted.shard.canonical(&mut theirs);
    assert!(ours == theirs, "{} and {} bytes", ours.len(), theirs.len());
    // By the verdict there is what came since, of which four users came for the first time.
    let told = machines.told(&to).1;
    let totals = told.iter().filter(|answer| answer.metric == "mix" && answer.start.is_none());
    let counts: Vec<_> = totals.map(|answer| (answer.by.clone(), answer.reading.value)).collect();
    let by = |first| vec![("again".to_string(), Key::Bool(first))];
    let count = |n| Some(Number::Int(n));
    assert_eq!(counts, [(by(false), count(4)), (by(true), count(46)), (Vec::new(), count(100))]);
}

#[test]
fn another_event_time_begins_with_empty_panes_and_no_clock() {
    let old = source_of(&pool()[..3], &[0, 1, 2]);
    let new = source_of(&pool()[..5], &[1, 0, 2]);
    let nothing = Adoption::of_nothing(&new, false);
    let mut machines = fed(&old, &hundred()).adopt(&old, &new, &nothing);
    assert_eq!((machines.intake.watermark(), machines.intake.tally().read), (None, 100));
    // An hour earlier: nothing of it is late.
    let earlier: Vec<Event> =
        hundred().into_iter().map(|(t, user, n, paid)| (t - 900, user, n, paid)).collect();
    machines.push(&new, 1, &earlier);
    assert_eq!(machines.intake.tally().late, 0);
    assert_eq!(machines.told(&new), fed(&new, &earlier).told(&new));
}

#[test]
fn panes_that_are_kept_longer_from_now_on_do_not_come_back() {
    let of = |levels: &str| source_of(&[metric("n", Measure::Count, vec![vec![]], levels)], &[0, 1, 2]);
    let (short, long) = (of("10s:30s"), of("10s:1d"));
    let machines = fed(&short, &hundred()).adopt(&short, &long, &Adoption::of_all(&long));
    let first = machines.shard.sets()[0].series[0].first_kept(Span(10 * SECOND));
    // The watermark is 1092, so panes that ended by 1060 are gone.
    assert_eq!(first, Some(Time(1_060 * SECOND)));
    let answers = machines.told(&long).1;
    let starts: Vec<i64> = answers.iter().filter_map(|a| a.start).map(|start| start.0 / SECOND).collect();
    assert!(starts.iter().all(|start| *start >= 1_020), "{starts:?}");
}

#[test]
fn what_has_left_leaves_no_second_time_under_another_number() {
    use engine::rollup::{Around, Rollups};
    let n = || metric("n", Measure::Count, vec![vec![]], LADDER);
    let from = source_of(&[n()], &[0, 1, 2]);
    let to = source_of(&[Metric { name: "new".into(), ..n() }, n()], &[0, 1, 2]);
    let level = Some(Span(10 * SECOND));
    let leave = |rollups: &mut Rollups, machines: &mut Machines, source: &Source| {
        let boundary = machines.intake.boundary().expect("a watermark");
        let watermark = machines.intake.watermark();
        let around =
            Around { source, tally: machines.intake.tally(), verdicts: Default::default(), watermark };
        let mut out = Vec::new();
        machines.shard.advance(boundary);
        let frozen = machines.shard.freeze().thaw(source);
        rollups.take(vec![frozen], boundary, around, &mut |answer: Answer| {
            out.push((answer.metric.clone(), answer.start.map_or(0, |start| start.0 / SECOND)));
        });
        out
    };
    let mut rollups = Rollups::new(vec![level]);
    let mut machines = fed(&from, &hundred());
    // From 1000 on, to the watermark of 1092.
    assert_eq!(leave(&mut rollups, &mut machines, &from).len(), 9);
    let adoption = adoption(&from, &to);
    let mut bytes = Vec::new();
    rollups.adopt(&adoption).snapshot(&mut bytes);
    let mut rollups = Rollups::restore(vec![level; 2], &mut Reader::new(&bytes)).expect("what was written");
    let mut machines = machines.adopt(&from, &to, &adoption);
    assert_eq!(leave(&mut rollups, &mut machines, &to), []);
    let later: Vec<Event> =
        hundred().into_iter().map(|(t, user, n, paid)| (t + 100, user, n, paid)).collect();
    machines.push(&to, 1, &later);
    let left = leave(&mut rollups, &mut machines, &to);
    let of = |name: &str| {
        left.iter().filter(|(metric, _)| metric == name).map(|(_, start)| *start).collect::<Vec<_>>()
    };
    assert_eq!(of("n"), (109..119).map(|tens| tens * 10).collect::<Vec<_>>());
    assert_eq!(of("new"), (110..119).map(|tens| tens * 10).collect::<Vec<_>>());
}
