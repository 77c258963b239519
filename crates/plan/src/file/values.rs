//! Small languages inside strings: sizes (`256MiB`), ladders (`1m:2d`), bounds of groups (`200 + other`), names.

use super::section::string_in;
use super::tree::{Node, Value};
use crate::problem::{Placed, Problem, Problems, did_you_mean};
use engine::spec::Level;
use engine::time::Span;

/// Most levels of one ladder.
const LEVELS_MAX: usize = 16;
/// Most groups that one metric may keep apart.
const GROUPS_MAX: usize = 1_000_000;

/// Reads a number of bytes: `512KiB`, `256MiB`, `2GiB`, `500MB`, `4096B`.
///
/// # Errors
/// A sentence that says what is accepted.
pub fn bytes(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 7] = [
        ("B", 1),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
    ];
    let trimmed = text.trim();
    let split = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
    let (digits, unit) = (&trimmed[..split], trimmed[split..].trim_start());
    let Some((_, factor)) = UNITS.into_iter().find(|(name, _)| *name == unit) else {
        let same = UNITS.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
        let meant = same.map_or(String::new(), |(name, _)| format!("; did you mean `{digits}{name}`?"));
        return Err(format!(
            "`{text}` is not a size: write a whole number and B, KB, MB, GB, KiB, MiB or GiB{meant}"
        ));
    };
    let number: u64 =
        digits.parse().map_err(|_| format!("`{text}` is not a size: the number is missing or too large"))?;
    number
        .checked_mul(factor)
        .filter(|n| *n > 0)
        .ok_or_else(|| format!("`{text}` is not a size that anything could have"))
}

/// Reads bytes within limits; `why` belongs to the smaller one.
pub(crate) fn bytes_within(text: &str, min: (u64, &str), max: (u64, &str)) -> Result<u64, String> {
    match bytes(text)? {
        n if n < min.0 => Err(format!("`{text}` is too small: at least {}", min.1)),
        n if n > max.0 => Err(format!("`{text}` is too large: at most {}", max.1)),
        n => Ok(n),
    }
}

/// Reads a length of time that is longer than nothing.
pub(crate) fn span_above_zero(text: &str) -> Result<Span, String> {
    match text.trim().parse::<Span>()? {
        Span(0) => Err(format!("`{text}` is no time at all")),
        span => Ok(span),
    }
}

/// Reads `200 + other`.
pub(crate) fn groups(text: &str) -> Result<usize, String> {
    let shape =
        || format!("`{text}` is not a bound of groups: write a number and the rest, as in \"200 + other\"");
    let (number, other) = text.split_once('+').ok_or_else(shape)?;
    if other.trim() != "other" || !number.trim().bytes().all(|b| b.is_ascii_digit()) {
        return Err(shape());
    }
    match number.trim().parse::<usize>() {
        Ok(n) if (1..=GROUPS_MAX).contains(&n) => Ok(n),
        _ => Err(format!("the number of groups must be between 1 and {GROUPS_MAX}")),
    }
}

/// Reads a ladder `["1m:2d", "1h:35d"]`. Every level that is wrong is a problem; what remains is returned, so that
/// other keys can still be judged.
pub(crate) fn ladder(array: &Node, problems: &mut Problems) -> Option<Vec<Level>> {
    let nodes = match &array.value {
        Value::Array(nodes) if nodes.is_empty() => {
            let problem = Problem::at(&array.place, "`panes` is empty");
            problems.push(problem.hint("write at least one level, as in [\"1m:2d\"], or leave `panes` out"));
            return None;
        }
        Value::Array(nodes) if nodes.len() <= LEVELS_MAX => nodes,
        Value::Array(_) => {
            problems.push(Problem::at(&array.place, format!("`panes` has more than {LEVELS_MAX} levels")));
            return None;
        }
        other => {
            let problem = Problem::at(&array.place, "`panes` must be an array of strings");
            problems.push(
                problem.label(format!("this is {}", other.kind())).hint("as in [\"1m:2d\", \"1h:35d\"]"),
            );
            return None;
        }
    };
    let mut levels: Vec<Level> = Vec::new();
    for node in nodes {
        let Some(text) = string_in("panes", node, problems) else { continue };
        let said = |(message, hint)| Problem::at(&text.place, message).hint(hint);
        match level(text.value).map_err(said) {
            Err(problem) => problems.push(problem),
            Ok(next) => match levels.last().map_or(Ok(next), |last| above(*last, next)).map_err(said) {
                Ok(next) => levels.push(next),
                Err(problem) => {
                    // Either of the two levels may be the wrong one: those that follow cannot be judged.
                    problems.push(problem);
                    break;
                }
            },
        }
    }
    Some(levels)
}

/// One level, `size:keep`.
fn level(text: &str) -> Result<Level, (String, String)> {
    let shape = "a level is size:keep, as in \"1m:2d\"";
    let (size, keep) = text
        .split_once(':')
        .ok_or_else(|| (format!("`{text}` is not a level of panes"), shape.to_string()))?;
    let read = |text| span_above_zero(text).map_err(|why| (why, shape.to_string()));
    let (size, keep) = (read(size)?, read(keep)?);
    if keep < size {
        let hint = format!("keep them for at least {size}");
        return Err((format!("panes of {size} are kept for {keep}, which is shorter than one pane"), hint));
    }
    Ok(Level { size, keep })
}

/// Whether a level fits above the one below it.
fn above(last: Level, next: Level) -> Result<Level, (String, String)> {
    let (size, keep) = (next.size, next.keep);
    if size <= last.size {
        let hint = "the finest panes stand first".to_string();
        return Err((format!("panes of {size} come after panes of {}", last.size), hint));
    }
    if size.0 % last.size.0 != 0 {
        let hint = format!("coarse panes are made of fine ones: write a multiple of {}", last.size);
        return Err((format!("{} does not divide {size}", last.size), hint));
    }
    if keep < last.keep {
        let hint = format!("a coarser level is kept at least as long as a finer one: {} or more", last.keep);
        return Err((
            format!("panes of {size} are kept for {keep}, those of {} for {}", last.size, last.keep),
            hint,
        ));
    }
    Ok(next)
}

/// Whether a word is a name: a letter or `_`, then letters, digits and `_`.
pub(crate) fn is_name(word: &str) -> bool {
    word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && word.bytes().next().is_some_and(|b| !b.is_ascii_digit())
}

/// A problem unless a source or metric has a proper name.
pub(crate) fn check_name(what: &str, name: &Placed<&str>, problems: &mut Problems) {
    let text = name.value;
    if is_name(text) {
        return;
    }
    let problem = if text.starts_with("sg.") {
        Problem::at(&name.place, format!("`{text}` begins with `sg.`, which is reserved"))
            .hint("use another name")
    } else {
        let problem = Problem::at(&name.place, format!("`{text}` is not a name for a {what}"));
        problem.hint("a name is a letter or `_`, then letters, digits and `_`")
    };
    problems.push(problem);
}

/// A problem for a name that is not among `known`.
pub(crate) fn unknown_name(what: &str, name: &Placed<String>, known: &[&str]) -> Problem {
    let hint =
        did_you_mean(&name.value, known.iter().copied()).map(|meant| format!("did you mean `{meant}`?"));
    Problem::at(&name.place, format!("there is no {what} `{}`", name.value)).hint_if(hint)
}

/// `20`, `50k`, `1M`, `1.5M`, `2B`.
pub(crate) fn count(text: &str) -> Option<u64> {
    let text = text.trim();
    let split = text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let zeros = match unit {
        "" => 0,
        "k" | "K" => 3,
        "M" => 6,
        "B" | "G" => 9,
        _ => return None,
    };
    let digits = digits.trim().replace(['_', ','], "");
    let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
    if fraction.len() > zeros || whole.is_empty() || whole.len() + zeros > 18 {
        return None;
    }
    format!("{whole}{fraction}{}", "0".repeat(zeros - fraction.len())).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_whole_numbers_with_a_unit() {
        for (text, n) in
            [("1B", 1), ("2KB", 2_000), ("3 MiB", 3 << 20), ("1GB", 1_000_000_000), ("256MiB", 256 << 20)]
        {
            assert_eq!(bytes(text), Ok(n), "{text}");
        }
        for bad in ["", "1", "MiB", "1.5GiB", "-1B", "0B", "1 TiB", "99999999999GiB", "99999999999999999999B"]
        {
            assert!(bytes(bad).is_err(), "{bad}");
        }
        assert!(bytes("256mib").unwrap_err().contains("did you mean `256MiB`?"));
    }

    #[test]
    fn bounds_of_groups_are_a_number_and_the_rest() {
        assert_eq!(groups("200 + other"), Ok(200));
        assert_eq!(groups("1+other"), Ok(1));
        for bad in [
            "",
            "200",
            "other",
            "0 + other",
            "-1 + other",
            "+5 + other",
            "1000001 + other",
            "5 + others",
            "+ other",
        ] {
            assert!(groups(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_plain() {
        for (word, good) in
            [("a", true), ("_a1", true), ("", false), ("1a", false), ("a-b", false), ("é", false)]
        {
            assert_eq!(is_name(word), good, "{word}");
        }
    }
}
