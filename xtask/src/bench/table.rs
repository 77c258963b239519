//! What the bench prints: one line a program, one line a bar.

use super::accuracy::{Answers, Errors};

/// What was measured of one program on one stream.
pub struct Side {
    name: String,
    wall_s: Vec<f64>,
    cpu_s: Vec<f64>,
    rss_bytes: f64,
    answers: Answers,
}

impl Side {
    /// Nothing measured yet.
    pub fn new(name: &str) -> Side {
        Side {
            name: name.to_owned(),
            wall_s: vec![],
            cpu_s: vec![],
            rss_bytes: 0.0,
            answers: Answers::default(),
        }
    }

    /// Adds one pass. The last answers stand for all.
    pub fn add(&mut self, wall_s: f64, cpu_s: f64, rss_bytes: f64, answers: Answers) {
        for (times, time) in [(&mut self.wall_s, wall_s), (&mut self.cpu_s, cpu_s)] {
            let at = times.partition_point(|&t| t < time);
            times.insert(at, time);
        }
        self.rss_bytes = self.rss_bytes.max(rss_bytes);
        self.answers = answers;
    }

    /// Fastest pass, seconds.
    pub fn wall_min(&self) -> f64 {
        self.wall_s.first().copied().unwrap_or(f64::NAN)
    }

    /// Middle pass (the upper of two), seconds.
    pub fn wall_median(&self) -> f64 {
        self.wall_s.get(self.wall_s.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// Least processor time of a pass, seconds.
    pub fn cpu_min(&self) -> f64 {
        self.cpu_s.first().copied().unwrap_or(f64::NAN)
    }

    /// Largest resident set of all passes, MiB.
    pub fn rss_mib(&self) -> f64 {
        self.rss_bytes / f64::from(1 << 20)
    }

    /// What it answered.
    pub fn answers(&self) -> &Answers {
        &self.answers
    }
}

/// The table of all programs, and our ratios to the better peer: of the minima, of the medians, of the memory.
///
/// The ratio by processor time tells a busy machine from a slow program; it counts our start and not theirs.
pub fn sides(events: u64, ours: &Side, peers: &[Side], exact: Option<&Answers>) -> String {
    let mut text = format!(
        "{:<18}{:>23}{:>8}{:>8}{:>9}{:>10}{:>17}{:>8}{:>8}{:>7}{:>7}\n",
        "",
        "wall s min/median/max",
        "CPU s",
        "M ev/s",
        "RSS MiB",
        "distinct",
        "windows rms/max",
        "p50",
        "p99",
        "top 10",
        "counts"
    );
    for side in std::iter::once(ours).chain(peers) {
        let walls = format!(
            "{:.3}/{:.3}/{:.3}",
            side.wall_min(),
            side.wall_median(),
            side.wall_s.last().copied().unwrap_or(f64::NAN)
        );
        let cpu = side.cpu_min();
        let rate = events as f64 / side.wall_min() / 1e6;
        text += &format!("{:<18}{walls:>23}{cpu:>8.2}{rate:>8.2}{:>9.1}", side.name, side.rss_mib());
        match exact {
            Some(exact) => text += &errors(&Errors::of(&side.answers, exact)),
            None => text += "  (no exact answers)",
        }
        text.push('\n');
    }
    let best = |of: fn(&Side) -> f64| peers.iter().map(of).min_by(f64::total_cmp);
    let walls = (best(Side::wall_min), best(Side::wall_median));
    if let ((Some(min), Some(median)), Some(cpu), Some(rss)) =
        (walls, best(Side::cpu_min), best(Side::rss_mib))
    {
        text += &format!(
            "against the better peer: {:.2}x by minima, {:.2}x by medians, {:.2}x by CPU, {:.1}x less memory\n",
            min / ours.wall_min(),
            median / ours.wall_median(),
            cpu / ours.cpu_min(),
            rss / ours.rss_mib()
        );
    }
    text
}

fn errors(e: &Errors) -> String {
    let percent = |x: f64| format!("{:+.2}%", 100.0 * x);
    let windows = format!("{:.2}/{:.2}%", 100.0 * e.windows_rms, 100.0 * e.windows_max);
    let counts = if e.counts_equal { "equal" } else { "WRONG" };
    format!(
        "{:>10}{windows:>17}{:>8}{:>8}{:>7}{counts:>7}",
        percent(e.distinct),
        percent(e.p50),
        percent(e.p99),
        e.top_hits
    )
}

/// One bar: what must hold, what is aimed at, what was measured.
pub struct Bar {
    name: &'static str,
    value: f64,
    must: f64,
    aim: Option<f64>,
    more_is_better: bool,
    unit: &'static str,
}

impl Bar {
    /// A bar that `value` must reach.
    pub fn at_least(name: &'static str, value: f64, must: f64, unit: &'static str) -> Bar {
        Bar { name, value, must, aim: None, more_is_better: true, unit }
    }

    /// A bar that `value` must not pass.
    pub fn at_most(name: &'static str, value: f64, must: f64, unit: &'static str) -> Bar {
        Bar { more_is_better: false, ..Bar::at_least(name, value, must, unit) }
    }

    /// With an aim beyond the must.
    pub fn aim(self, aim: f64) -> Bar {
        Bar { aim: Some(aim), ..self }
    }

    // A value that is not a number reaches nothing.
    fn reaches(&self, limit: f64) -> bool {
        if self.more_is_better { self.value >= limit } else { self.value <= limit }
    }
}

/// One line a bar.
pub fn verdicts(bars: &[Bar]) -> String {
    let mut text = String::new();
    for bar in bars {
        let Bar { name, value, must, aim, more_is_better, unit } = bar;
        let word = match (bar.reaches(*must), aim.is_some_and(|aim| bar.reaches(aim))) {
            (true, true) => "aim ",
            (true, false) => "pass",
            (false, _) => "MISS",
        };
        let sign = if *more_is_better { ">=" } else { "<=" };
        let aim = aim.map_or(String::new(), |aim| format!(", aim {aim}{unit}"));
        let value = format!("{value:.2}");
        let value = value.trim_end_matches('0').trim_end_matches('.');
        text += &format!("  {word}  {name}: {value}{unit} (must {sign} {must}{unit}{aim})\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(name: &str, walls: &[f64], rss_mib: f64) -> Side {
        let mut side = Side::new(name);
        for &wall in walls {
            side.add(wall, wall, rss_mib * f64::from(1 << 20), Answers::default());
        }
        side
    }

    #[test]
    fn ratios_are_against_the_better_peer_of_each_kind() {
        let ours = side("us", &[1.0, 3.0, 2.0], 10.0);
        let peers = [side("quick", &[5.0, 6.0, 40.0], 900.0), side("slim", &[6.0, 5.5, 5.8], 100.0)];
        let text = sides(1_000_000, &ours, &peers, None);
        assert!(
            text.contains("5.00x by minima, 2.90x by medians, 5.00x by CPU, 10.0x less memory"),
            "{text}"
        );
        assert!(text.contains("1.000/2.000/3.000"), "{text}");
    }

    #[test]
    fn a_bar_is_missed_passed_or_aimed() {
        let speed = |value| Bar::at_least("speed", value, 3.5, "x").aim(7.0);
        let error = |value| Bar::at_most("error", value, 1.0, " %");
        let check = |bar: Bar, word: &str| {
            let line = verdicts(&[bar]);
            assert!(line.trim_start().starts_with(word), "{line}");
        };
        check(speed(3.49), "MISS");
        check(speed(3.5), "pass");
        check(speed(7.0), "aim");
        check(speed(f64::NAN), "MISS");
        check(error(1.0), "pass");
        check(error(1.01), "MISS");
        check(error(f64::NAN), "MISS");
    }
}
