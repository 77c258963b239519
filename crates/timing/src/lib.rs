//! Timing of operations side by side: every pass runs each of them once, so that a busy spell hits all alike.
//!
//! Minima are compared, because on a shared machine noise only adds; median and maximum are printed to show how much.
//!
//! A crate of its own and without dependencies, because the rivals of the sketches (`rivals/`) are timed by it too.
#![forbid(unsafe_code)]

use std::hint::black_box;
use std::time::{Duration, Instant};

/// One operation to time.
pub struct Case<'a> {
    name: &'static str,
    ops: u64,
    floor: Option<&'static str>,
    prepare: Box<dyn Fn() -> Run<'a> + 'a>,
}

/// What is timed, and gives what is asked when the clock has stopped.
type Run<'a> = Box<dyn FnOnce() -> After<'a> + 'a>;
type After<'a> = Box<dyn FnOnce() -> f64 + 'a>;

impl<'a> Case<'a> {
    /// `prepare` makes a fresh state, untimed, and returns what is timed: a run of `ops` operations. The result of a
    /// run is kept from the optimiser and counts for nothing else.
    pub fn new<R: FnOnce() -> u64 + 'a>(
        name: &'static str,
        ops: usize,
        prepare: impl Fn() -> R + 'a,
    ) -> Case<'a> {
        let run = move || -> Run<'a> {
            let run = prepare();
            Box::new(move || {
                black_box(run());
                Box::new(|| f64::NAN)
            })
        };
        Case { name, ops: ops as u64, floor: None, prepare: Box::new(run) }
    }

    /// As [`Case::new`], with a state that outlives the clock: `run` is timed, and `answer` says afterwards what came out,
    /// so that no run wins by doing nothing. The state is dropped untimed.
    pub fn answering<S: 'a, R: Fn(&mut S) + Clone + 'a, A: Fn(&S) -> f64 + Clone + 'a>(
        name: &'static str,
        ops: usize,
        prepare: impl Fn() -> S + 'a,
        run: R,
        answer: A,
    ) -> Case<'a> {
        let run = move || -> Run<'a> {
            let (mut state, run, answer) = (prepare(), run.clone(), answer.clone());
            Box::new(move || {
                run(&mut state);
                black_box(&mut state);
                Box::new(move || answer(&state))
            })
        };
        Case { name, ops: ops as u64, floor: None, prepare: Box::new(run) }
    }

    /// Names the case that this one is compared to.
    pub fn floor(self, name: &'static str) -> Case<'a> {
        Case { floor: Some(name), ..self }
    }
}

/// What was measured of one case, ns per operation.
#[derive(Debug, Clone)]
pub struct Timing {
    /// Name of the case.
    pub name: &'static str,
    /// Name of the case that it is compared to.
    pub floor: Option<&'static str>,
    /// One entry a pass, ascending.
    pub ns: Vec<f64>,
    /// What [`Case::answering`] answered in the last pass, NaN for other cases.
    pub answer: f64,
}

impl Timing {
    /// Fastest pass, ns per operation.
    pub fn min(&self) -> f64 {
        self.ns[0]
    }

    /// Middle pass (the upper of two), ns per operation.
    pub fn median(&self) -> f64 {
        self.ns[self.ns.len() / 2]
    }

    /// Slowest pass, ns per operation.
    pub fn max(&self) -> f64 {
        self.ns[self.ns.len() - 1]
    }
}

/// Runs all cases `passes` times (once at least), interleaved.
pub fn measure(cases: &[Case], passes: usize) -> Vec<Timing> {
    let mut timings: Vec<Timing> = cases
        .iter()
        .map(|c| Timing { name: c.name, floor: c.floor, ns: Vec::new(), answer: f64::NAN })
        .collect();
    for _ in 0..passes.max(1) {
        for (case, timing) in cases.iter().zip(&mut timings) {
            let run = (case.prepare)();
            let start = Instant::now();
            let after = run();
            timing.ns.push(ns_each(start.elapsed(), case.ops));
            timing.answer = after();
        }
    }
    for timing in &mut timings {
        timing.ns.sort_by(f64::total_cmp);
    }
    timings
}

/// The table: ns per operation, millions of operations a second at the best, and the ratio of minima to the floor.
pub fn table(timings: &[Timing]) -> String {
    let mut text = format!(
        "{:<34}{:>10}{:>10}{:>10}{:>9}  {}\n",
        "ns per operation", "min", "median", "max", "M/s", "to its floor"
    );
    for t in timings {
        let floor = t.floor.and_then(|name| timings.iter().find(|f| f.name == name));
        let ratio = floor.map_or(String::new(), |f| format!("{:.2}x {}", t.min() / f.min(), f.name));
        text += &format!(
            "{:<34}{:>10.2}{:>10.2}{:>10.2}{:>9.2}  {ratio}\n",
            t.name,
            t.min(),
            t.median(),
            t.max(),
            1e3 / t.min()
        );
    }
    text
}

fn ns_each(elapsed: Duration, ops: u64) -> f64 {
    elapsed.as_nanos() as f64 / ops.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn passes_interleave_and_each_starts_afresh() {
        let log = RefCell::new(String::new());
        let case = |name: &'static str| {
            let log = &log;
            Case::new(name, 1, move || {
                log.borrow_mut().push('p');
                move || {
                    log.borrow_mut().push_str(name);
                    0
                }
            })
        };
        let timings = measure(&[case("a"), case("b")], 3);
        assert_eq!(*log.borrow(), "papbpapbpapb");
        assert!(timings.iter().all(|t| t.ns.len() == 3 && t.min() <= t.median() && t.median() <= t.max()));
    }

    #[test]
    fn an_answer_is_asked_of_the_state_that_was_run() {
        let case =
            Case::answering("sum", 3, || 0, |sum| (1..=3).for_each(|n| *sum += n), |&sum| f64::from(sum));
        let timings = measure(&[case], 2);
        assert_eq!((timings[0].answer, timings[0].ns.len()), (6.0, 2));
    }

    #[test]
    fn the_table_compares_minima() {
        let timings = [
            Timing { name: "floor", floor: None, ns: vec![2.0, 3.0, 9.0], answer: f64::NAN },
            Timing { name: "thing", floor: Some("floor"), ns: vec![5.0, 5.5, 6.0], answer: f64::NAN },
        ];
        let text = table(&timings);
        let line = text.lines().find(|l| l.starts_with("thing")).unwrap();
        let words: Vec<_> = line.split_whitespace().collect();
        assert_eq!(words, ["thing", "5.00", "5.50", "6.00", "200.00", "2.50x", "floor"]);
    }
}
