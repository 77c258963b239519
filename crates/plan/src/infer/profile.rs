//! One column of the sample, measured: its type, what is missing, how many values, what they look like.

use super::distinct::Distinct;
use super::table::Column;
use super::typed;
use engine::spec::Kind;
use std::collections::HashMap;

/// Words for a missing value that need not be known ones: at most so many, in at most a tenth of the values.
const ODD_WORDS_MAX: usize = 3;

/// What was found out about a column.
#[derive(Debug)]
pub(super) struct Profile {
    pub path: String,
    pub unnamed: Option<&'static str>,
    pub kind: Kind,
    /// Words that stand for a missing number, in the order of their first use.
    pub null_words: Vec<String>,
    /// Values, without null words.
    pub values: usize,
    pub containers: usize,
    pub distinct: Distinct,
    /// Whether no value is like another in length, words and numbers: see the fields.
    pub text: Text,
    /// Of a column of numbers.
    pub numbers: Option<Numbers>,
    /// Evenness of the values in bits: 0 for one value, 3 for eight of the same weight.
    pub entropy: f64,
    /// Equal for columns of which each value goes with one value of the other and the other way round.
    pub pattern: u64,
    /// The first value.
    pub example: String,
    /// Numbers with a comma for the point.
    pub decimal_commas: bool,
}

/// How values look as texts.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Text {
    pub bytes_mean: f64,
    pub bytes_max: usize,
    /// Parts between blanks.
    pub words_mean: f64,
    /// Whether all are hexadecimal or UUIDs of 16 digits and more.
    pub hexadecimal: bool,
}

/// How values look as numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    pub least: f64,
    pub most: f64,
    pub mean: f64,
    /// Whether each is larger than the one before.
    pub ascending: bool,
    /// Whether each is one more than the one before.
    pub counting: bool,
    /// Whether all could be times of day as in 517 and 2359, and more than sixty of them.
    pub clock: bool,
}

impl Profile {
    /// Looks at all values of a column. O(values).
    pub fn of(column: &Column<'_>) -> Profile {
        let (kind, null_words) = kind(column);
        let is_null = |text: &str| null_words.iter().any(|word| word == text);
        let cells =
            || column.cells.iter().map(|(event, text)| (*event, &**text)).filter(|(_, t)| !is_null(t));
        let values = cells().count();
        let (distinct, entropy, pattern) = count(cells());
        let numeric = matches!(kind, Kind::Int64 | Kind::Float64) && values > 0;
        let commas = cells().filter(|(_, text)| typed::decimal_comma(text).is_some()).count();
        Profile {
            path: column.path.clone(),
            unnamed: column.unnamed,
            kind,
            values,
            containers: column.containers,
            distinct,
            text: text(cells().map(|(_, text)| text), values),
            numbers: numeric.then(|| numbers(cells().map(|(_, text)| text))),
            entropy,
            pattern,
            example: cells().next().map_or(String::new(), |(_, text)| text.to_string()),
            decimal_commas: kind == Kind::String && commas > 0 && commas * 10 >= values * 9,
            null_words,
        }
    }

    /// Share of the events that have a value.
    pub fn filled(&self, events: usize) -> f64 {
        self.values as f64 / events.max(1) as f64
    }
}

/// The type of a column and the words in it that are no values. A word that is no number does not make a column of
/// numbers one of texts if it is a word for nothing, or if it is one of few in many.
fn kind(column: &Column<'_>) -> (Kind, Vec<String>) {
    let texts = || column.cells.iter().map(|(_, text)| &**text);
    let total = column.cells.len();
    if total == 0 {
        return (Kind::String, Vec::new());
    }
    if texts().all(|text| matches!(text, "true" | "false")) {
        return (Kind::Bool, Vec::new());
    }
    let (mut numbers, mut integers, mut words): (usize, usize, Vec<String>) = (0, 0, Vec::new());
    for text in texts() {
        if typed::number(text).is_some() {
            numbers += 1;
            integers += usize::from(typed::is_integer(text));
        } else if !words.iter().any(|word| word == text) {
            words.push(text.to_string());
            if words.len() > 16 {
                return (Kind::String, Vec::new());
            }
        }
    }
    let odd = words.iter().filter(|word| !typed::is_null_word(word)).count();
    let plain = words.iter().all(|word| word.len() <= 20 && !word.bytes().any(|b| b.is_ascii_digit()));
    let few = odd == 0 || (odd <= ODD_WORDS_MAX && plain && numbers * 10 >= total * 9 && total >= 20);
    // Digits that do not fit a number are a code.
    let huge =
        texts().any(|text| typed::number(text).is_some_and(|n| n.abs() >= 9e18) && !text.contains('.'));
    match () {
        () if numbers == 0 || !few || huge => (Kind::String, Vec::new()),
        () if integers == numbers => (Kind::Int64, words),
        () => (Kind::Float64, words),
    }
}

/// Counts values: how many are different, how even they are, and the pattern of their repetition, which is that of the
/// numbers that they get in the order of their first use.
fn count<'t>(cells: impl Iterator<Item = (u32, &'t str)>) -> (Distinct, f64, u64) {
    let (mut known, mut counts) = (HashMap::new(), Vec::<usize>::new());
    let mut pattern = 0xcbf2_9ce4_8422_2325u64;
    for (event, text) in cells {
        let number = *known.entry(text).or_insert_with(|| {
            counts.push(0);
            counts.len() - 1
        });
        counts[number] += 1;
        pattern = mix(mix(pattern, u64::from(event)), number as u64);
    }
    let values: usize = counts.iter().sum();
    let entropy = counts.iter().map(|n| *n as f64 / values as f64).map(|p| -p * p.log2()).sum();
    (
        Distinct { seen: counts.len(), values, once: counts.iter().filter(|count| **count == 1).count() },
        entropy,
        pattern,
    )
}

/// A step of a hash that has to tell columns apart, nothing more.
fn mix(hash: u64, n: u64) -> u64 {
    let mixed = (hash ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

fn text<'t>(texts: impl Iterator<Item = &'t str> + Clone, values: usize) -> Text {
    let (mut bytes, mut bytes_max, mut words) = (0, 0, 0);
    for text in texts.clone() {
        bytes += text.len();
        bytes_max = bytes_max.max(text.len());
        words += text.split_whitespace().count();
    }
    let is_hex = |text: &str| {
        let digits = text.bytes().filter(u8::is_ascii_hexdigit).count();
        digits >= 16 && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
    };
    let mean = |sum: usize| sum as f64 / values.max(1) as f64;
    let hexadecimal = values > 0 && texts.clone().all(is_hex);
    Text { bytes_mean: mean(bytes), bytes_max, words_mean: mean(words), hexadecimal }
}

fn numbers<'t>(texts: impl Iterator<Item = &'t str>) -> Numbers {
    let mut out = Numbers {
        least: f64::INFINITY,
        most: f64::NEG_INFINITY,
        mean: 0.0,
        ascending: true,
        counting: true,
        clock: true,
    };
    let (mut last, mut sum, mut count, mut minutes) = (None, 0.0, 0.0, std::collections::BTreeSet::new());
    for n in texts.filter_map(typed::number) {
        (out.least, out.most) = (out.least.min(n), out.most.max(n));
        if let Some(last) = last {
            out.ascending &= n > last;
            out.counting &= n == last + 1.0;
        }
        (sum, count) = (sum + n, count + 1.0);
        out.clock &= n.fract() == 0.0 && (0.0..=2400.0).contains(&n) && n % 100.0 < 60.0;
        if out.clock {
            minutes.insert(n as u32);
        }
        last = Some(n);
    }
    out.mean = sum / count;
    out.clock &= minutes.len() > 60 && out.most >= 1000.0;
    out
}
