//! Whether two pipelines measure the same, so that their states can become one.
//!
//! Where events come from and how they are written may differ; what is measured of them may not.

use crate::pipeline::Pipeline;
use engine::spec::{Field, Measure, Metric, Source};

impl Pipeline {
    /// The first thing in which another pipeline measures something else, as a sentence; `None` when states of both can be
    /// merged.
    pub fn differs_from(&self, other: &Pipeline) -> Option<String> {
        let (ours, theirs) = (&self.spec.sources, &other.spec.sources);
        if let Some(missing) = one_missing(ours, theirs, |source| &source.name) {
            return Some(format!("source `{missing}` is not in both, or stands elsewhere"));
        }
        let programs = self.programs.iter().zip(&other.programs);
        ours.iter().zip(theirs).zip(programs).find_map(|((ours, theirs), (program, other_program))| {
            let metric = metrics_differ(ours, theirs);
            metric.or_else(|| source_differs(ours, theirs)).or_else(|| {
                let name = &ours.name;
                (program != other_program)
                    .then(|| format!("the expressions of source `{name}` (derive, filters) are not the same"))
            })
        })
    }
}

fn metrics_differ(ours: &Source, theirs: &Source) -> Option<String> {
    if let Some(missing) = one_missing(&ours.metrics, &theirs.metrics, |metric| &metric.name) {
        return Some(format!("metric `{missing}` is not in both, or stands elsewhere"));
    }
    let (our_columns, their_columns) = (ours.columns(), theirs.columns());
    ours.metrics.iter().zip(&theirs.metrics).find_map(|(a, b)| {
        let name = &a.name;
        if without_columns(&a.measure) != without_columns(&b.measure) {
            return Some(format!("metric `{name}` has another measure, or one of another accuracy"));
        }
        if reads(a, &our_columns) != reads(b, &their_columns) {
            return Some(format!("metric `{name}` reads other fields, or as another type"));
        }
        if (a.groups_max, &a.levels, a.total) != (b.groups_max, &b.levels, b.total) {
            return Some(format!("metric `{name}` keeps other panes or another number of groups"));
        }
        None
    })
}

fn source_differs(ours: &Source, theirs: &Source) -> Option<String> {
    let name = &ours.name;
    if ours.explode != theirs.explode {
        return Some(format!("source `{name}` explodes another list"));
    }
    if ours.hashing.agree(&theirs.hashing).is_err() {
        return Some(format!("source `{name}` hashes its values in another way, or under another key"));
    }
    if ours.time.is_some() != theirs.time.is_some() {
        return Some(format!("source `{name}` has event time in one of them only"));
    }
    None
}

/// The first name that does not stand at the same place in both.
fn one_missing<'a, T>(
    ours: &'a [T],
    theirs: &'a [T],
    name: impl Fn(&'a T) -> &'a String,
) -> Option<&'a String> {
    let longer = if ours.len() >= theirs.len() { ours } else { theirs };
    let at = (0..longer.len()).find(|&at| ours.get(at).map(&name) != theirs.get(at).map(&name))?;
    Some(name(ours.get(at).unwrap_or(&longer[at])))
}

/// What a metric reads: the field, the weight, the filter, the fields of each grouping set, those a sample shows.
fn reads<'a>(metric: &Metric, columns: &'a [Field]) -> Vec<Vec<&'a Field>> {
    let of = |numbers: &[usize]| numbers.iter().map(|&n| &columns[n]).collect::<Vec<_>>();
    let one = |number: Option<usize>| of(number.as_slice());
    let shown = match &metric.measure {
        Measure::Sample { fields, .. } => of(fields),
        _ => Vec::new(),
    };
    let measure = [one(metric.measure.field()), one(metric.measure.weight()), one(metric.filter), shown];
    measure.into_iter().chain(metric.by.iter().map(|set| of(set))).collect()
}

/// The measure without the numbers of its columns, which depend on the other metrics.
fn without_columns(measure: &Measure) -> Measure {
    let mut measure = measure.clone();
    match &mut measure {
        Measure::Count => {}
        Measure::Sum(field)
        | Measure::Min(field)
        | Measure::Max(field)
        | Measure::Avg(field)
        | Measure::Stddev(field)
        | Measure::Unique { field, .. }
        | Measure::Quantiles { field, .. }
        | Measure::Histogram { field, .. }
        | Measure::Seen { field, .. }
        | Measure::Session { field, .. }
        | Measure::Audience { field, .. } => *field = 0,
        Measure::Freq { field, weight, .. } | Measure::Top { field, weight, .. } => {
            *field = 0;
            *weight = weight.map(|_| 0);
        }
        Measure::Sample { fields, .. } => fields.clear(),
    }
    measure
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = r#"
        source.e = { kind = "file", path = "a.ndjson", time = { field = "ts" }, fields = { n = "int64" } }
        [metric]
        hits = { measure = "count()", by = [[], ["page"]] }
        users = "unique(user)"
        big = "count() filter (where n > 10)"
    "#;

    #[track_caller]
    fn check(from: &str, to: &str, want: Option<&str>) {
        let parse = |text: &str| Pipeline::parse("p.toml", text, &[]).unwrap_or_else(|e| panic!("{e}"));
        assert_ne!(BASE.replace(from, to), BASE, "{from}");
        let difference = parse(BASE).differs_from(&parse(&BASE.replace(from, to)));
        assert_eq!(difference.as_deref(), want, "{to}");
    }

    #[test]
    fn what_is_measured_must_be_the_same_and_where_it_comes_from_need_not_be() {
        check("a.ndjson", "b.ndjson", None);
        check(r#"field = "ts""#, r#"field = "at", lateness = "1h""#, None);
        check(
            "unique(user)",
            "audience(user)",
            Some("metric `users` has another measure, or one of another accuracy"),
        );
        check("unique(user)", "unique(page)", Some("metric `users` reads other fields, or as another type"));
        check("users =", "people =", Some("metric `users` is not in both, or stands elsewhere"));
        check("n > 10", "n > 11", Some("metric `big` reads other fields, or as another type"));
        check(r#"["page"]"#, r#"["user"]"#, Some("metric `hits` reads other fields, or as another type"));
        check(
            r#"by = [[], ["page"]] }"#,
            r#"by = [[], ["page"]], keys = "9 + other" }"#,
            Some("metric `hits` keeps other panes or another number of groups"),
        );
        check(
            "source.e",
            "hash = \"fast\"\nsource.e",
            Some("source `e` hashes its values in another way, or under another key"),
        );
        check("source.e", "source.f", Some("source `e` is not in both, or stands elsewhere"));
        check("        big = ", "        # big = ", Some("metric `big` is not in both, or stands elsewhere"));
    }
}
