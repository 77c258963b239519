//! How many verdicts and sessions may be wrong: what the bounds of metrics that depend on them are made of.

/// What sessions may be wrong by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Doubts {
    /// Events that were left out, because the session that they may belong to has left: each may be one more session, or
    /// make one of two.
    pub late: u64,
    /// Sessions that left before the watermark passed them by `gap`: what came of their key on either side of them
    /// counts as other sessions.
    pub cut: u64,
}

/// How a verdict may be wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Misjudged {
    /// The column of the verdict.
    pub column: usize,
    /// An upper bound of the probability that it is wrong of an event.
    pub rate: f64,
    /// How many verdicts go wrong together.
    pub spread: Spread,
}

/// How many verdicts go wrong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// One: every key is taken in, and only what comes for the first time can be misjudged.
    Once,
    /// All of a key: one that the metric's filter keeps out is asked for again and again.
    Key,
    /// Any number: what is taken in follows from another verdict, and a wrong one there misleads all that come later.
    Any,
}

impl Misjudged {
    /// The most of `n` events that are judged wrong with this confidence by the verdicts that stand no later than
    /// `column`; `None` when that has no bound. `all` are the verdicts of the source, in the order of their columns.
    ///
    /// Verdicts that go wrong one by one are at most as many as a Poisson law of mean n·rate has; where all events of a key
    /// go wrong together only the mean is known, and Markov's inequality bounds them.
    pub fn most(all: &[Misjudged], column: usize, n: u64, confidence: f64) -> Option<u64> {
        let (mut right, mut clustered) = (1.0, false);
        for verdict in all.iter().filter(|verdict| verdict.column <= column) {
            match verdict.spread {
                // Verdicts before this one were certain so far.
                Spread::Any if right < 1.0 => return None,
                Spread::Once => {}
                Spread::Key | Spread::Any => clustered |= verdict.rate > 0.0,
            }
            right *= 1.0 - verdict.rate;
        }
        let rate = 1.0 - right;
        Some(if clustered { markov(n, rate, confidence) } else { poisson(n, rate, confidence) })
    }
}

/// More than this of `n` events are wrong with probability 1 - confidence at most, whatever they have to do with one
/// another.
fn markov(n: u64, rate: f64, confidence: f64) -> u64 {
    n.min((n as f64 * rate / (1.0 - confidence)).floor() as u64)
}

/// The most verdicts of `n` that are wrong with this confidence, when each is so with probability `rate` at most: the
/// upper quantile of the Poisson distribution of mean n·rate, which lies above the binomial one.
fn poisson(n: u64, rate: f64, confidence: f64) -> u64 {
    let mean = n as f64 * rate;
    if mean > POISSON_MEAN_MAX {
        let z = sketch::estimate::z_of(confidence);
        return n.min((mean + z * mean.sqrt() + z * z).ceil() as u64);
    }
    let (mut wrong, mut term) = (0u64, (-mean).exp());
    let mut sum = term;
    while sum < confidence && wrong < n {
        wrong += 1;
        term *= mean / wrong as f64;
        sum += term;
    }
    wrong
}

/// Above it the normal approximation is good, and e^-mean is still a number below it.
const POISSON_MEAN_MAX: f64 = 500.0;
