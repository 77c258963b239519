//! A useful first set of metrics: how many events, of which kinds, how many different ones, which most, how large.

use super::profile::Profile;
use super::quote;
use super::role::Role;
use super::show::{plain, thousands};
use super::words;
use std::collections::BTreeSet;

/// Most metrics that are proposed.
const METRICS_MAX: usize = 12;
/// Groups of a dimension by which other measures are split as well, at most.
const SPLIT_MAX: usize = 20;
/// So few are known by heart.
const HANDFUL: usize = 12;
/// Letters of a name that are taken over from a field.
const NAME_CHARS_MAX: usize = 40;

/// A metric to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Metric {
    pub name: String,
    pub measure: String,
    /// Grouping sets.
    pub by: Vec<Vec<String>>,
    /// Paths of the fields it uses.
    pub fields: Vec<String>,
    pub because: String,
}

/// A column and what it is good for.
pub(super) struct Judged<'a> {
    pub profile: &'a Profile,
    pub role: Role,
}

/// Chooses metrics: the best of each kind, then the second best, until there are enough.
pub(super) fn choose(columns: &[Judged<'_>], events: usize) -> Vec<Metric> {
    let kinds = [
        dimensions(columns, events),
        uniques(columns, events),
        tops(columns, events),
        quantiles(columns, events),
        sums(columns),
    ];
    let split = kinds[0].iter().map(|best| best.profile).find(|best| best.distinct.seen <= SPLIT_MAX);
    let mut names = Names::default();
    let mut out = vec![Metric {
        name: names.fit("events"),
        measure: "count()".into(),
        by: Vec::new(),
        fields: Vec::new(),
        because: "how many".into(),
    }];
    for rank in 0..METRICS_MAX {
        for (kind, found) in kinds.iter().enumerate() {
            let Some(judged) = found.get(rank).filter(|_| out.len() < METRICS_MAX) else { continue };
            let split = split.filter(|split| rank == 0 && split.path != judged.profile.path);
            out.push(metric(kind, judged, split, &mut names));
        }
    }
    out[1..].sort_by_key(|metric| KINDS.iter().position(|kind| metric.measure.starts_with(kind)));
    out
}

/// The order in which kinds stand in the file.
const KINDS: [&str; 6] = ["count", "unique", "top", "quantiles", "sum", "avg"];

fn metric(kind: usize, judged: &Judged<'_>, split: Option<&Profile>, names: &mut Names) -> Metric {
    let profile = judged.profile;
    let path = &profile.path;
    let (field, stem) = (quote::path(path), stem(path));
    let additive = matches!(judged.role, Role::Amount { additive: true });
    let (name, measure, because) = match kind {
        0 => (
            format!("events_by_{stem}"),
            "count()".into(),
            format!("{} values", thousands(profile.distinct.seen)),
        ),
        1 => (format!("unique_{stem}"), format!("unique({field})"), different(profile)),
        2 => (
            format!("top_{stem}"),
            format!("top({field}, 10)"),
            format!("{}, some often", different(profile)),
        ),
        3 => (format!("{stem}_quantiles"), format!("quantiles({field}, 0.5, 0.95, 0.99)"), range(profile)),
        _ if additive => (format!("{stem}_sum"), format!("sum({field})"), range(profile)),
        _ => (format!("{stem}_avg"), format!("avg({field})"), range(profile)),
    };
    let by = match (kind, split) {
        (0, _) => vec![vec![path.clone()]],
        // Lists per group make long reports.
        (1 | 3, Some(split)) => vec![Vec::new(), vec![split.path.clone()]],
        _ => Vec::new(),
    };
    let measured = (kind > 0).then(|| path.clone());
    let fields = measured.into_iter().chain(by.iter().flatten().cloned()).collect();
    Metric { name: names.fit(&name), measure, by, fields, because }
}

fn different(profile: &Profile) -> String {
    let distinct = &profile.distinct;
    format!("{} different in {}", thousands(distinct.seen), thousands(distinct.values))
}

fn range(profile: &Profile) -> String {
    profile.numbers.map_or(String::new(), |n| format!("{} to {}", plain(n.least), plain(n.most)))
}

/// The columns with this role, the best first; of equal ones the first in the file.
fn ranked<'a, 'p>(
    columns: &'a [Judged<'p>],
    fits: impl Fn(&Judged<'p>) -> bool,
    score: impl Fn(&Profile) -> f64,
) -> Vec<&'a Judged<'p>> {
    let mut found: Vec<&Judged<'_>> = columns.iter().filter(|judged| fits(judged)).collect();
    found.sort_by(|a, b| score(b.profile).total_cmp(&score(a.profile)));
    found
}

fn bonus(is: bool) -> f64 {
    f64::from(u8::from(is))
}

fn dimensions<'a, 'p>(columns: &'a [Judged<'p>], events: usize) -> Vec<&'a Judged<'p>> {
    let score = |p: &Profile| {
        let nested = 0.25 * p.path.matches('.').count() as f64;
        let known = bonus(words::is_usual_dimension(&p.path)) - bonus(is_somebody(p));
        p.entropy.min(4.0) * p.filled(events) + 2.5 * known - nested
    };
    let mut found = ranked(columns, |judged| judged.role == Role::Dimension, score);
    found.truncate(3);
    found
}

fn uniques<'a, 'p>(columns: &'a [Judged<'p>], events: usize) -> Vec<&'a Judged<'p>> {
    let fits = |judged: &Judged<'_>| match judged.role {
        Role::Item | Role::Identity => true,
        Role::Dimension => judged.profile.distinct.seen > HANDFUL && is_somebody(judged.profile),
        _ => false,
    };
    let score = |p: &Profile| {
        // What is new with every event counts the events once more.
        let repeats = if p.distinct.share() > 0.95 { 0.4 } else { 1.0 };
        let text = 0.1 * bonus(p.numbers.is_none());
        repeats * (p.filled(events) + 0.2 * p.distinct.share())
            + 0.5 * bonus(words::is_usual_actor(&p.path))
            + text
    };
    let mut found = ranked(columns, fits, score);
    found.truncate(3);
    found
}

fn tops<'a, 'p>(columns: &'a [Judged<'p>], events: usize) -> Vec<&'a Judged<'p>> {
    let fits = |judged: &Judged<'_>| {
        let repeats = judged.profile.distinct.share() < 0.7 && judged.profile.distinct.values >= 10;
        repeats && matches!(judged.role, Role::Item | Role::Identity | Role::Number)
    };
    let score = |p: &Profile| {
        let text = 0.1 * bonus(p.numbers.is_none());
        (1.0 - p.distinct.share()) * p.filled(events) + 0.3 * bonus(words::is_usual_actor(&p.path)) + text
    };
    let mut found = ranked(columns, fits, score);
    // What may be an amount is proposed where nothing else is there.
    if found.iter().any(|judged| judged.role != Role::Number) {
        found.retain(|judged| judged.role != Role::Number);
    }
    found.truncate(3);
    found
}

fn quantiles<'a, 'p>(columns: &'a [Judged<'p>], events: usize) -> Vec<&'a Judged<'p>> {
    let fits = |judged: &Judged<'_>| {
        matches!(judged.role, Role::Amount { .. } | Role::Number) && !is_flag(judged.profile)
    };
    let score = |p: &Profile| {
        let known = bonus(matches!(words::meaning(&p.path), words::Meaning::Amount { .. }));
        p.filled(events) * (1.0 + (p.distinct.seen as f64).log2().min(8.0) / 8.0) + known
    };
    let mut found = ranked(columns, fits, score);
    found.sort_by_key(|judged| judged.role == Role::Number);
    found.truncate(3);
    found
}

fn sums<'a, 'p>(columns: &'a [Judged<'p>]) -> Vec<&'a Judged<'p>> {
    let fits = |judged: &Judged<'_>| matches!(judged.role, Role::Amount { .. });
    let mut found = ranked(columns, fits, |p| (p.distinct.values as f64).log2());
    found.sort_by_key(|judged| judged.role != Role::Amount { additive: true });
    found.truncate(3);
    found
}

/// Whether a column names who or what acts: then how many there are is worth counting, even when they are few.
fn is_somebody(profile: &Profile) -> bool {
    let id = |word: &String| matches!(word.as_str(), "id" | "ids" | "uuid" | "uid");
    words::is_usual_actor(&profile.path) || words::of(&profile.path).iter().any(id)
}

/// Zeros and ones: a sum says it all.
fn is_flag(profile: &Profile) -> bool {
    profile.distinct.seen <= 2 && profile.numbers.is_some_and(|n| n.least >= 0.0 && n.most <= 1.0)
}

/// A path as a part of a name: letters, digits and single underscores.
fn stem(path: &str) -> String {
    let words = path.split('.').flat_map(words::of).collect::<Vec<_>>().join("_");
    let mut out = String::new();
    for c in words.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }) {
        if out.len() < NAME_CHARS_MAX && !(c == '_' && (out.is_empty() || out.ends_with('_'))) {
            out.push(c);
        }
    }
    match out.trim_end_matches('_') {
        "" => "field".into(),
        stem => stem.into(),
    }
}

/// Names that are taken.
#[derive(Default)]
struct Names(BTreeSet<String>);

impl Names {
    /// A name that is valid and not taken: with a letter first and, if need be, a number behind.
    fn fit(&mut self, wanted: &str) -> String {
        let digit = wanted.starts_with(|c: char| c.is_ascii_digit());
        let wanted = if digit { format!("f_{wanted}") } else { wanted.to_string() };
        let mut name = wanted.clone();
        let mut n = 1;
        while !self.0.insert(name.clone()) {
            n += 1;
            name = format!("{wanted}_{n}");
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_valid_and_told_apart() {
        let mut names = Names::default();
        for (path, want) in [
            ("a.b", "a_b"),
            ("a b", "a_b_2"),
            ("größe", "gr_e"),
            ("isRobot", "is_robot"),
            ("名", "field"),
            ("9x", "f_9x"),
            ("__a__", "a"),
        ] {
            assert_eq!(names.fit(&stem(path)), want, "{path}");
        }
    }
}
