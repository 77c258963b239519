//! Trials: a sketch is fed random data many times, and each time its answer is held against the truth.
//!
//! An [`Experiment`] is data and one function; what is promised stands at each of its points. Whatever a trial draws is a
//! function of (seed, experiment, number of the trial), and trials are added up in batches of a fixed size, batches in
//! their order: the sums do not depend on who did which batch.

use sketch::{Estimate, Guarantee};

/// Trials of one batch.
pub const BATCH: u64 = 25;

/// What is measured: one sketch at some settings, over a ladder of sizes.
pub struct Experiment {
    /// Name for `--only`, the seed and the file of the plot.
    pub name: &'static str,
    /// Heading on the page.
    pub title: &'static str,
    /// What one trial does, in Markdown.
    pub about: &'static str,
    /// The formula and where it comes from, in Markdown.
    pub formula: &'static str,
    /// Where and why what is measured departs from what is promised, in Markdown.
    pub departs: &'static str,
    /// Name and unit of the horizontal axis.
    pub axis: &'static str,
    /// What errors are percent of.
    pub of: &'static str,
    /// Name of a further column, in percent, when there is one.
    pub also: Option<&'static str>,
    /// The settings.
    pub series: Vec<Series>,
    /// One trial: draws, feeds, and puts a [`Reading`] at every point of every series.
    pub trial: Trial,
}

/// One trial of an experiment.
pub type Trial = Box<dyn Fn(&mut Rng, &mut Record<'_>) + Send + Sync>;

/// One setting of a sketch.
pub struct Series {
    pub name: String,
    pub points: Vec<Point>,
}

/// One size, and what is promised there.
pub struct Point {
    /// Where on the axis.
    pub at: At,
    pub promise: Promise,
}

/// A place on the horizontal axis.
#[derive(Clone)]
pub enum At {
    /// On a logarithmic axis.
    Log(f64),
    /// One of a row of names, evenly spaced.
    Named(String),
}

/// What is promised of the figures of a point.
#[derive(Clone, Copy)]
pub struct Promise {
    /// The mean error is at most this, up or down; `None` when nothing is promised.
    pub bias: Option<f64>,
    pub error: ErrorIs,
    pub coverage: Covers,
}

/// How the formula is meant.
#[derive(Clone, Copy, PartialEq)]
pub enum ErrorIs {
    /// It is the root mean square error.
    Formula,
    /// It is an upper bound of the root mean square error.
    AtMostFormula,
    /// At most this share of single errors is larger than it; 0 when none may be.
    Beyond(f64),
    /// Nothing is promised.
    Unsaid,
}

/// How often the interval must hold the truth.
#[derive(Clone, Copy, PartialEq)]
pub enum Covers {
    /// As often as stated: neither less nor more.
    Exactly(f64),
    AtLeast(f64),
    /// Nothing is promised.
    Unsaid,
    /// There is no interval.
    Nothing,
}

/// SplitMix64 (Steele, Lea & Flood 2014): one seed, one stream. Stands in the place of the hash.
pub struct Rng(u64);

impl Rng {
    /// The stream of one trial.
    pub fn of(seed: u64, experiment: &str, trial: u64) -> Rng {
        let mut rng = Rng(seed);
        for word in experiment.bytes().map(u64::from).chain([trial]) {
            rng.0 = rng.next() ^ word;
        }
        rng.0 = rng.next();
        rng
    }

    #[inline]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// In [0, 1).
    #[inline]
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// The token of a value never seen before.
    #[inline]
    pub fn token(&mut self) -> sketch::Token {
        let (h1, h2) = (self.next(), self.next());
        sketch::Token::of_hash(h1, h2)
    }
}

/// What one trial says about one point; a mean when the trial asks for several keys.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reading {
    /// (value - truth) / scale.
    pub error: f64,
    /// Its square.
    pub square: f64,
    /// Its size, the largest one of several.
    pub largest: f64,
    /// 1 when the interval held the truth.
    pub held: f64,
    /// 1 when the error was larger than the formula.
    pub beyond: f64,
    /// 1 when bounds that are called exact or proven did not hold.
    pub broken: f64,
    /// What the formula says of the error.
    pub formula: f64,
    /// The further column.
    pub also: f64,
}

impl Reading {
    /// The reading of several keys of one trial.
    pub fn mean(readings: impl Iterator<Item = Reading>) -> Reading {
        let (mut sum, mut n) = (Reading::default(), 0.0);
        for r in readings {
            sum.error += r.error;
            sum.square += r.square;
            sum.largest = sum.largest.max(r.largest);
            sum.held += r.held;
            sum.beyond += r.beyond;
            sum.broken += r.broken;
            sum.formula += r.formula;
            sum.also += r.also;
            n += 1.0;
        }
        let r = |v: f64| if n > 0.0 { v / n } else { 0.0 };
        Reading {
            error: r(sum.error),
            square: r(sum.square),
            held: r(sum.held),
            beyond: r(sum.beyond),
            broken: sum.broken,
            formula: r(sum.formula),
            also: r(sum.also),
            ..sum
        }
    }

    pub fn also(self, also: f64) -> Reading {
        Reading { also, ..self }
    }
}

/// Where a trial puts its readings.
pub struct Record<'a> {
    tallies: &'a mut [Vec<Tally>],
    /// Does nothing here; the tests plant errors with it, to see them found.
    spoil: Spoil,
}

/// Changes an answer before it is judged.
pub type Spoil = fn(Estimate<f64>) -> Estimate<f64>;

impl Record<'_> {
    /// Holds an answer against the truth; the error is in parts of `scale`, as the formula is.
    pub fn read(&self, estimate: Estimate<f64>, truth: f64, scale: f64, formula: f64) -> Reading {
        let e = (self.spoil)(estimate);
        let error = (e.value - truth) / scale;
        let held = e.low <= truth && truth <= e.high;
        let certain = matches!(e.guarantee, Guarantee::Exact | Guarantee::Proven);
        let truth_or_false = |b: bool| if b { 1.0 } else { 0.0 };
        Reading {
            error,
            square: error * error,
            largest: error.abs(),
            held: truth_or_false(held),
            // The division may round an error that is as large as allowed up by one bit.
            beyond: truth_or_false(error.abs() > formula * (1.0 + 1e-12)),
            broken: truth_or_false(certain && !held),
            formula,
            also: 0.0,
        }
    }

    /// Takes in the reading of a point.
    pub fn put(&mut self, series: usize, point: usize, reading: Reading) {
        self.tallies[series][point].add(&reading);
    }

    /// An answer about a number larger than 0, its error in parts of the truth.
    pub fn tell(&mut self, series: usize, point: usize, estimate: Estimate<f64>, truth: f64, formula: f64) {
        let reading = self.read(estimate, truth, truth, formula);
        self.put(series, point, reading);
    }
}

/// Sums over the trials of one point.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    pub trials: f64,
    error: f64,
    square: f64,
    fourth: f64,
    error_squared: f64,
    held: f64,
    held_squared: f64,
    beyond: f64,
    beyond_squared: f64,
    formula_squared: f64,
    also: f64,
    pub largest: f64,
    pub broken: f64,
}

/// A figure and its standard error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    pub value: f64,
    pub deviation: f64,
}

impl Tally {
    fn add(&mut self, r: &Reading) {
        self.trials += 1.0;
        self.error += r.error;
        self.error_squared += r.error * r.error;
        self.square += r.square;
        self.fourth += r.square * r.square;
        self.held += r.held;
        self.held_squared += r.held * r.held;
        self.beyond += r.beyond;
        self.beyond_squared += r.beyond * r.beyond;
        self.formula_squared += r.formula * r.formula;
        self.also += r.also;
        self.largest = self.largest.max(r.largest);
        self.broken += r.broken;
    }

    fn merge(&mut self, other: &Tally) {
        let add = |a: &mut f64, b: f64| *a += b;
        add(&mut self.trials, other.trials);
        add(&mut self.error, other.error);
        add(&mut self.error_squared, other.error_squared);
        add(&mut self.square, other.square);
        add(&mut self.fourth, other.fourth);
        add(&mut self.held, other.held);
        add(&mut self.held_squared, other.held_squared);
        add(&mut self.beyond, other.beyond);
        add(&mut self.beyond_squared, other.beyond_squared);
        add(&mut self.formula_squared, other.formula_squared);
        add(&mut self.also, other.also);
        add(&mut self.broken, other.broken);
        self.largest = self.largest.max(other.largest);
    }

    /// Mean of a sum, with the standard error that its trials show.
    fn mean(&self, sum: f64, sum_of_squares: f64) -> Figure {
        let value = sum / self.trials;
        let variance = (sum_of_squares / self.trials - value * value).max(0.0);
        Figure { value, deviation: (variance / self.trials).sqrt() }
    }

    pub fn bias(&self) -> Figure {
        self.mean(self.error, self.error_squared)
    }

    /// Root mean square error.
    pub fn rmse(&self) -> Figure {
        let mse = self.mean(self.square, self.fourth);
        let value = mse.value.sqrt();
        Figure { value, deviation: if value > 0.0 { mse.deviation / (2.0 * value) } else { 0.0 } }
    }

    /// Share of intervals that held the truth.
    pub fn coverage(&self) -> Figure {
        self.mean(self.held, self.held_squared)
    }

    /// Share of errors larger than the formula.
    pub fn beyond(&self) -> Figure {
        self.mean(self.beyond, self.beyond_squared)
    }

    /// What the formula says, its root mean square where it differs from trial to trial.
    pub fn formula(&self) -> f64 {
        (self.formula_squared / self.trials).sqrt()
    }

    pub fn also(&self) -> f64 {
        self.also / self.trials
    }

    /// True when no trial was off at all.
    pub fn is_exact(&self) -> bool {
        self.largest == 0.0 && self.held == self.trials
    }

    /// How many standard deviations a share of the trials is above (positive) or below what was promised.
    ///
    /// When every trial says yes or no this is the root of the deviance, 2n times the divergence from the promised law:
    /// by Chernoff's bound z or more of them have a chance of at most exp(-z²/2), in either direction, however rare the
    /// misses are. Shares among several keys of a trial go by their own spread.
    fn off(&self, sum: f64, sum_of_squares: f64, promised: f64) -> f64 {
        let share = self.mean(sum, sum_of_squares);
        let sign = (share.value - promised).signum();
        if share.value == promised {
            0.0
        } else if promised == 0.0 || promised == 1.0 {
            // What must never happen did.
            sign * f64::INFINITY
        } else if sum == sum_of_squares {
            let part = |p: f64, q: f64| if p > 0.0 { p * (p / q).ln() } else { 0.0 };
            let (p, q) = (share.value, promised);
            sign * (2.0 * self.trials * (part(p, q) + part(1.0 - p, 1.0 - q))).sqrt()
        } else {
            (share.value - promised) / share.deviation
        }
    }
}

/// A figure that is not as promised.
#[derive(Debug, Clone, PartialEq)]
pub struct Departure {
    pub figure: &'static str,
    /// By how many standard deviations, with a sign.
    pub by: f64,
}

/// The figures of a point that are off by more than `limit` standard deviations.
pub fn departures(promise: &Promise, tally: &Tally, limit: f64) -> Vec<Departure> {
    let mut found = Vec::new();
    let mut judge = |figure: &'static str, by: f64, low: bool, high: bool| {
        if low && by < -limit || high && by > limit {
            found.push(Departure { figure, by });
        }
    };
    let bias = tally.bias();
    if let Some(most) = promise.bias
        && bias.value.abs() > most
    {
        judge("bias", (bias.value.abs() - most).copysign(bias.value) / bias.deviation, true, true);
    }
    let (rmse, formula) = (tally.rmse(), tally.formula());
    // On the scale of logarithms, where the spread does not depend on the value.
    let off =
        if rmse.value == formula { 0.0 } else { (rmse.value / formula).ln() * rmse.value / rmse.deviation };
    match promise.error {
        ErrorIs::Formula => judge("rmse", off, true, true),
        ErrorIs::AtMostFormula => judge("rmse", off, false, true),
        ErrorIs::Beyond(share) => {
            judge("beyond", tally.off(tally.beyond, tally.beyond_squared, share), false, true);
        }
        ErrorIs::Unsaid => {}
    }
    match promise.coverage {
        Covers::Exactly(share) => {
            judge("coverage", tally.off(tally.held, tally.held_squared, share), true, true)
        }
        Covers::AtLeast(share) => {
            judge("coverage", tally.off(tally.held, tally.held_squared, share), true, false)
        }
        Covers::Unsaid | Covers::Nothing => {}
    }
    if tally.broken > 0.0 {
        judge("proven bounds", f64::INFINITY, true, true);
    }
    found
}

/// The sums of all points.
pub type Tallies = Vec<Vec<Tally>>;

/// Runs one batch of an experiment: trials `BATCH * number` and on, below `trials`.
pub fn run_batch(experiment: &Experiment, seed: u64, number: u64, trials: u64, spoil: Spoil) -> Tallies {
    let mut tallies: Tallies =
        experiment.series.iter().map(|series| vec![Tally::default(); series.points.len()]).collect();
    for trial in BATCH * number..trials.min(BATCH * (number + 1)) {
        let mut record = Record { tallies: &mut tallies, spoil };
        (experiment.trial)(&mut Rng::of(seed, experiment.name, trial), &mut record);
    }
    tallies
}

/// Adds up batches, in the order given.
pub fn sum(batches: impl IntoIterator<Item = Tallies>) -> Tallies {
    let mut batches = batches.into_iter();
    let mut all = batches.next().unwrap_or_default();
    for batch in batches {
        for (a, b) in all.iter_mut().flatten().zip(batch.iter().flatten()) {
            a.merge(b);
        }
    }
    all
}
