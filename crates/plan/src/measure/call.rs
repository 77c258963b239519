//! A call as a measure: which arguments each one takes.

use super::args::Arg;
use super::{
    BUCKETS_MAX, Fault, OPEN_DEFAULT, OPEN_MAX, Operand, QUANTILES_DEFAULT, QUANTILES_MAX, SAMPLE_MAX,
    TOP_DEFAULT, TOP_MAX,
};
use super::{What, Written, fault};
use crate::file::values::count;
use engine::time::Span;
use std::ops::Range;

/// A call whose arguments are to be judged.
pub(super) struct Call {
    pub(super) name: &'static str,
    pub(super) args: Vec<Arg>,
    pub(super) span: Range<usize>,
}

impl Call {
    pub(super) fn written(mut self) -> Result<Written, Fault> {
        if self.name == "session" {
            return self.session();
        }
        let weight = self.take_weight()?;
        let of = |what, operand| Written { what, operand, weight, shown: Vec::new(), filter: None };
        match self.name {
            "count" => self.count().map(|()| of(What::Count, None)),
            "sample" => self.sample(),
            _ => self.of_field().map(|(what, operand)| of(what, Some(operand))),
        }
    }

    /// `weight => ...`, which stands last.
    fn take_weight(&mut self) -> Result<Option<Operand>, Fault> {
        let name = self.name;
        let Some(Arg::Named(word, operand, span)) = self.args.pop_if(|arg| matches!(arg, Arg::Named(..)))
        else {
            return Ok(None);
        };
        let (message, hint) = match (word.as_str(), name) {
            ("weight", "top" | "freq") => return Ok(Some(operand)),
            ("weight", "sum" | "avg") => (format!("`{name}` takes no `weight`"), "multiply: `sum(x * n)`"),
            ("weight", _) => (format!("`{name}` takes no `weight`"), "`top` and `freq` take one"),
            (_, "top" | "freq") => (format!("`{name}` has no argument `{word}`"), "there is `weight`"),
            _ => (format!("`{name}` has no argument `{word}`"), "leave it out"),
        };
        Err(fault(span, &message, hint))
    }

    fn count(self) -> Result<(), Fault> {
        match self.args.first() {
            None => Ok(()),
            Some(Arg::Operand(Operand { text, is_sql: true, .. })) if text == "*" && self.args.len() == 1 => {
                Ok(())
            }
            Some(arg) => {
                let hint = "it counts events; `unique(field)` counts distinct values";
                Err(fault(arg.span(), "`count` takes no argument", hint))
            }
        }
    }

    /// `sample(k)` and `sample(k, field, ...)`.
    fn sample(self) -> Result<Written, Fault> {
        const EXAMPLE: &str = "as in `sample(20)` or `sample(20, user, page)`";
        let number = format!("`sample` needs a whole number of events first, 1 to {SAMPLE_MAX}");
        let mut args = self.args.into_iter();
        let k = match args.next() {
            Some(Arg::Number(k, _)) if k.fract() == 0.0 && (1.0..=SAMPLE_MAX as f64).contains(&k) => {
                k as usize
            }
            Some(arg) => return Err(fault(arg.span(), &number, EXAMPLE)),
            None => return Err(fault(self.span, &number, EXAMPLE)),
        };
        let shown = args.map(|arg| match arg {
            Arg::Operand(operand) => Ok(operand),
            other => Err(fault(other.span(), "`sample` takes a number, then fields", EXAMPLE)),
        });
        let shown = shown.collect::<Result<Vec<_>, _>>()?;
        Ok(Written { what: What::Sample { k }, operand: None, weight: None, shown, filter: None })
    }

    /// `session(key, gap => '30m')` and `session(key, gap => '30m', open => '1M')`.
    fn session(self) -> Result<Written, Fault> {
        const EXAMPLE: &str = "as in `session(user_id, gap => '30m')`";
        let (mut operand, mut gap, mut open_max) = (None, None, None);
        for (i, arg) in self.args.into_iter().enumerate() {
            let span = arg.span();
            let twice = match arg {
                Arg::Operand(key) if i == 0 => operand.replace(key).is_some(),
                Arg::Named(word, value, _) if word == "gap" => {
                    let gap_of = |text: &str| text.parse::<Span>().map_err(|why| (why, EXAMPLE.to_string()));
                    let read = quoted(&value, EXAMPLE).and_then(gap_of);
                    let read = read.map_err(|(why, hint)| fault(span.clone(), &why, &hint))?;
                    if read.0 == 0 {
                        return Err(fault(span, "`gap` must be longer than nothing", EXAMPLE));
                    }
                    gap.replace(read).is_some()
                }
                Arg::Named(word, value, _) if word == "open" => {
                    open_max.replace(open(&value, &span)?).is_some()
                }
                Arg::Named(word, ..) => {
                    let message = format!("`session` has no argument `{word}`");
                    return Err(fault(span, &message, "there are `gap` and `open`"));
                }
                _ if i == 0 => return Err(fault(span, "`session` needs a field first", EXAMPLE)),
                _ => return Err(fault(span, "`session` takes one field, `gap` and `open`", EXAMPLE)),
            };
            if twice {
                return Err(fault(span, "this is there twice", "leave one of them out"));
            }
        }
        let Some(operand) = operand else {
            return Err(fault(self.span, "`session` needs a field", EXAMPLE));
        };
        let Some(gap) = gap else {
            let message = "`session` does not say its `gap`: how long a pause ends a session";
            return Err(fault(self.span, message, EXAMPLE));
        };
        let what = What::Session { gap, open_max: open_max.unwrap_or(OPEN_DEFAULT) };
        Ok(Written { what, operand: Some(operand), weight: None, shown: Vec::new(), filter: None })
    }

    /// The measures whose first argument is what they measure.
    fn of_field(self) -> Result<(What, Operand), Fault> {
        let name = self.name;
        let example = format!("as in `{name}(user_id)`");
        let mut args = self.args.into_iter();
        let operand = match args.next() {
            Some(Arg::Operand(operand)) => operand,
            Some(arg) => return Err(fault(arg.span(), &format!("`{name}` needs a field first"), &example)),
            None => return Err(fault(self.span, &format!("`{name}` needs a field"), &example)),
        };
        let rest: Vec<Arg> = args.collect();
        let what = match name {
            "top" => What::Top { k: top_k(&rest)? },
            "quantiles" => What::Quantiles { at: quantiles(rest)? },
            "histogram" => What::Histogram { bounds: buckets(rest)? },
            _ => {
                if let Some(extra) = rest.first() {
                    let message = format!("`{name}` takes one field and nothing else");
                    return Err(fault(extra.span(), &message, &example));
                }
                plain(name)
            }
        };
        Ok((what, operand))
    }
}

/// The text between single quotes.
fn quoted<'a>(value: &'a Operand, example: &str) -> Result<&'a str, (String, String)> {
    let text = value.text.strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
    text.ok_or_else(|| (format!("write `{}` in quotes", value.text), example.to_string()))
}

/// How many sessions are held at once: `'1M'`, or a plain number.
fn open(value: &Operand, span: &Range<usize>) -> Result<usize, Fault> {
    let text = quoted(value, "").unwrap_or(&value.text);
    match count(text).filter(|n| (1..=OPEN_MAX).contains(n)) {
        Some(n) => Ok(n as usize),
        None => Err(fault(
            span.clone(),
            &format!("`open` is how many sessions are held at once, 1 to {OPEN_MAX}"),
            "as in `open => '1M'`",
        )),
    }
}

/// The measures that take a field and nothing else.
fn plain(name: &str) -> What {
    match name {
        "sum" => What::Sum,
        "min" => What::Min,
        "max" => What::Max,
        "avg" => What::Avg,
        "stddev" => What::Stddev,
        "freq" => What::Freq,
        "seen" => What::Seen,
        "audience" => What::Audience,
        _ => What::Unique,
    }
}

fn top_k(rest: &[Arg]) -> Result<usize, Fault> {
    match rest {
        [] => Ok(TOP_DEFAULT),
        [Arg::Number(k, _)] if k.fract() == 0.0 && (1.0..=TOP_MAX as f64).contains(k) => Ok(*k as usize),
        [one] => Err(fault(
            one.span(),
            &format!("`top` needs a whole number of items, 1 to {TOP_MAX}"),
            "as in `top(page, 50)`",
        )),
        [_, extra, ..] => {
            Err(fault(extra.span(), "`top` takes a field and a number of items", "as in `top(page, 50)`"))
        }
    }
}

fn quantiles(rest: Vec<Arg>) -> Result<Vec<f64>, Fault> {
    let numbers = numbers(rest, "quantiles", QUANTILES_MAX)?;
    if numbers.is_empty() {
        return Ok(QUANTILES_DEFAULT.to_vec());
    }
    for (i, (q, span)) in numbers.iter().enumerate() {
        if !(0.0..=1.0).contains(q) {
            return Err(fault(
                span.clone(),
                "a quantile lies between 0 and 1",
                "write 0.99 for the 99th percentile",
            ));
        }
        if numbers[..i].iter().any(|(other, _)| other == q) {
            return Err(fault(span.clone(), "this quantile is asked for twice", "leave it out"));
        }
    }
    Ok(numbers.into_iter().map(|(q, _)| q).collect())
}

fn buckets(rest: Vec<Arg>) -> Result<Option<Vec<f64>>, Fault> {
    let numbers = numbers(rest, "histogram", BUCKETS_MAX)?;
    if let Some(pair) = numbers.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
        let hint = "upper bounds of buckets go up, as in `histogram(x, 1, 2.5, 10)`";
        return Err(fault(pair[1].1.clone(), "this bound is not above the one before it", hint));
    }
    Ok((!numbers.is_empty()).then(|| numbers.into_iter().map(|(bound, _)| bound).collect()))
}

/// Numbers, whether they were written one by one or in lists.
fn numbers(rest: Vec<Arg>, name: &str, max: usize) -> Result<Vec<(f64, Range<usize>)>, Fault> {
    let mut out = Vec::new();
    for arg in rest {
        match arg {
            Arg::Number(n, span) => out.push((n, span)),
            Arg::List(list, span) if list.is_empty() => {
                return Err(fault(span, "the list is empty", "leave it out for the default"));
            }
            Arg::List(list, _) => out.extend(list),
            Arg::Operand(Operand { span, .. }) | Arg::Named(_, _, span) => {
                return Err(fault(
                    span,
                    &format!("`{name}` takes one field, then numbers"),
                    "use one metric per field",
                ));
            }
        }
    }
    match out.get(max) {
        None => Ok(out),
        Some((_, span)) => {
            Err(fault(span.clone(), &format!("`{name}` takes at most {max} numbers"), "use fewer"))
        }
    }
}
