//! Timing of operations side by side: every pass runs each of them once, so that a busy spell hits all alike.
//!
//! Minima are compared, because on a shared machine noise only adds; median and maximum are printed to show how much.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// One operation to time.
pub struct Case<'a> {
    name: &'static str,
    ops: u64,
    floor: Option<&'static str>,
    prepare: Box<dyn Fn() -> Run<'a> + 'a>,
}

type Run<'a> = Box<dyn FnOnce() -> u64 + 'a>;

impl<'a> Case<'a> {
    /// `prepare` makes a fresh state, untimed, and returns what is timed: a run of `ops` operations. The result of a
    /// run is kept from the optimiser and counts for nothing else.
    pub fn new<R: FnOnce() -> u64 + 'a>(
        name: &'static str,
        ops: usize,
        prepare: impl Fn() -> R + 'a,
    ) -> Case<'a> {
        Case { name, ops: ops as u64, floor: None, prepare: Box::new(move || Box::new(prepare())) }
    }

    /// Names the case that this one is compared to.
    pub fn floor(self, name: &'static str) -> Case<'a> {
        Case { floor: Some(name), ..self }
    }
}

/// What was measured of one case, ns per operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Timing {
    /// Name of the case.
    pub name: &'static str,
    /// Name of the case that it is compared to.
    pub floor: Option<&'static str>,
    /// One entry a pass, ascending.
    pub ns: Vec<f64>,
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
    let mut timings: Vec<Timing> =
        cases.iter().map(|c| Timing { name: c.name, floor: c.floor, ns: Vec::new() }).collect();
    for _ in 0..passes.max(1) {
        for (case, timing) in cases.iter().zip(&mut timings) {
            let run = (case.prepare)();
            let start = Instant::now();
            black_box(run());
            timing.ns.push(ns_each(start.elapsed(), case.ops));
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
    fn the_table_compares_minima() {
        let timings = [
            Timing { name: "floor", floor: None, ns: vec![2.0, 3.0, 9.0] },
            Timing { name: "thing", floor: Some("floor"), ns: vec![5.0, 5.5, 6.0] },
        ];
        let text = table(&timings);
        let line = text.lines().find(|l| l.starts_with("thing")).unwrap();
        let words: Vec<_> = line.split_whitespace().collect();
        assert_eq!(words, ["thing", "5.00", "5.50", "6.00", "200.00", "2.50x", "floor"]);
    }
}
