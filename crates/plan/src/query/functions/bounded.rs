//! Functions of DataFusion that make much out of little, held to so many bytes whenever they are called.
//!
//! DataFusion accounts for what its operators keep, and not for what expressions make on the way: `replace` in `replace` ten deep would
//! make gigabytes of eight letters, in one call that nothing can interrupt. So what a call can come to is reckoned before it is
//! made. A batch for which that is too much is cut in two until it fits; one row for which it is ends the query.

use super::super::QueryError;
use super::operators::JOIN;
use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::{cast, concat};
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use datafusion::prelude::SessionContext;
use regex::RegexBuilder;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Most bytes that a value made of constants has: one may stand in every row of a batch.
const CONSTANT_BYTES_MAX: u64 = 64 << 10;
/// Most bytes that a regular expression takes once it is compiled: how long it takes for each letter grows with it.
const PATTERN_BYTES_MAX: usize = 512 << 10;

/// Puts them in the place of those that a session has. A call makes at most `bytes_max` bytes.
pub(super) fn register(session: &SessionContext, bytes_max: usize) {
    for (name, growth, pattern) in FUNCTIONS {
        let inner = session.state().scalar_functions().get(*name).cloned();
        // Once is enough: a session learns its functions again when the pipeline changes.
        if let Some(inner) = inner.filter(|inner| !inner.inner().is::<Bounded>()) {
            let bounded = Bounded { inner, growth: *growth, pattern: *pattern, bytes_max };
            session.register_udf(ScalarUDF::new_from_impl(bounded));
        }
    }
}

/// What a call can come to, in bytes; whether its second argument is a regular expression.
type Growth = fn(&[Given], u64) -> u64;
const FUNCTIONS: &[(&str, Growth, bool)] = &[
    (JOIN, sum, false),
    ("array_append", sum, false),
    ("array_concat", sum, false),
    ("array_prepend", sum, false),
    ("array_replace", replaced_elements, false),
    ("array_replace_all", replaced_elements, false),
    ("array_replace_n", replaced_elements, false),
    ("array_to_string", joined, false),
    ("array_union", sum, false),
    ("arrays_zip", sum, false),
    ("concat", sum, false),
    ("concat_ws", separated, false),
    ("encode", twice, false),
    ("make_array", sum, false),
    ("overlay", sum, false),
    ("regexp_count", sum, true),
    ("regexp_instr", sum, true),
    ("regexp_like", sum, true),
    ("regexp_match", matched, true),
    ("regexp_replace", replaced_matches, true),
    ("replace", replaced, false),
    ("string_to_array", split, false),
    ("translate", twice, false),
];

/// An argument of a call.
#[derive(Debug, Clone, Copy, Default)]
struct Given {
    /// Bytes over all rows.
    total: u64,
    /// Bytes of the longest value.
    longest: u64,
    /// Bytes of the value where it is one for all rows, else 1.
    shortest: u64,
    /// Elements of lists.
    elements: u64,
    /// Signs that may name a group, or make one.
    marks: u64,
}

impl Given {
    fn of(value: &ColumnarValue, rows: u64) -> Result<Given> {
        match value {
            ColumnarValue::Array(array) => Given::of_array(array),
            ColumnarValue::Scalar(scalar) => {
                let one = Given::of_array(&scalar.to_array()?)?;
                let (total, elements) = (one.total.saturating_mul(rows), one.elements.saturating_mul(rows));
                Ok(Given { total, elements, shortest: one.longest, ..one })
            }
        }
    }

    fn of_array(array: &ArrayRef) -> Result<Given> {
        let mut given = Given { shortest: 1, ..Given::default() };
        match array.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                let texts = cast(array, &DataType::Utf8View)?;
                texts.as_string_view().iter().flatten().for_each(|text| given.of_value(text.as_bytes()));
            }
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
                let values = cast(array, &DataType::BinaryView)?;
                values.as_binary_view().iter().flatten().for_each(|value| given.of_value(value));
            }
            DataType::List(_) => {
                let lists = array.as_list::<i32>();
                let (first, last) = (lists.value_offsets().first(), lists.value_offsets().last());
                given.elements =
                    last.zip(first).map_or(0, |(last, first)| u64::from((last - first).unsigned_abs()));
                given.of_bytes(array)?;
            }
            _ => {
                given.of_bytes(array)?;
                given.elements = given.total;
            }
        }
        Ok(given)
    }

    fn of_value(&mut self, value: &[u8]) {
        let marks = value.iter().filter(|byte| b"\\$(".contains(byte)).count();
        self.total += value.len() as u64;
        self.longest = self.longest.max(value.len() as u64);
        self.marks = self.marks.max(marks as u64);
    }

    fn of_bytes(&mut self, array: &ArrayRef) -> Result<()> {
        self.total = array.to_data().get_slice_memory_size()? as u64;
        self.longest = self.total;
        Ok(())
    }
}

fn sum(given: &[Given], _: u64) -> u64 {
    given.iter().fold(0, |sum, given| sum.saturating_add(given.total))
}

fn twice(given: &[Given], rows: u64) -> u64 {
    sum(given, rows).saturating_mul(2)
}

/// `[sep, ...]`
fn separated(given: &[Given], rows: u64) -> u64 {
    let between = given.first().map_or(0, |sep| sep.longest).saturating_mul(rows);
    sum(given, rows).saturating_add(between.saturating_mul(given.len() as u64))
}

/// `[list, sep, null]`: a number takes less than so many letters.
fn joined(given: &[Given], rows: u64) -> u64 {
    const NUMBER: u64 = 32;
    let words = given.iter().skip(1).fold(NUMBER, |sum, word| sum.saturating_add(word.longest));
    let elements = given.first().map_or(0, |list| list.elements);
    sum(given, rows).saturating_add(elements.saturating_mul(words))
}

/// `[text, sep]`: an element is a view of 16 bytes, and of one letter at least but for empty ones.
fn split(given: &[Given], rows: u64) -> u64 {
    sum(given, rows).saturating_mul(17).saturating_add(17 * rows)
}

/// `[list, from, to]`
fn replaced_elements(given: &[Given], rows: u64) -> u64 {
    let [list, _, to, ..] = given else { return sum(given, rows) };
    sum(given, rows).saturating_add(list.elements.saturating_mul(to.longest))
}

/// `[text, from, to]`
fn replaced(given: &[Given], rows: u64) -> u64 {
    let [text, from, to] = given else { return sum(given, rows) };
    let times = (text.total / from.shortest.max(1)).saturating_add(rows);
    text.total.saturating_add(times.saturating_mul(to.longest))
}

/// `[text, pattern]`: each group is a part of the text.
fn matched(given: &[Given], rows: u64) -> u64 {
    let [text, pattern, ..] = given else { return sum(given, rows) };
    text.total.saturating_mul(1 + pattern.marks)
}

/// `[text, pattern, to, flags]`: with flags, at every letter and at the end; each reference in `to` is a part of the text.
fn replaced_matches(given: &[Given], rows: u64) -> u64 {
    let [text, _, to, flags @ ..] = given else { return sum(given, rows) };
    let times = if flags.is_empty() { rows } else { text.total.saturating_add(rows) };
    text.total.saturating_mul(1 + to.marks).saturating_add(times.saturating_mul(to.longest))
}

/// One of them.
#[derive(Debug)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    growth: Growth,
    pattern: bool,
    bytes_max: usize,
}

impl PartialEq for Bounded {
    fn eq(&self, other: &Bounded) -> bool {
        self.inner == other.inner && self.bytes_max == other.bytes_max
    }
}

impl Eq for Bounded {}

impl Hash for Bounded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
        self.bytes_max.hash(state);
    }
}

impl Bounded {
    /// Calls it for some rows, or for half of them twice.
    fn call(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let given = args.args.iter().map(|arg| Given::of(arg, rows as u64)).collect::<Result<Vec<_>>>()?;
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let bytes_max = if constant { CONSTANT_BYTES_MAX } else { self.bytes_max as u64 };
        let bytes = if constant {
            (self.growth)(&given, 1) / (rows.max(1) as u64)
        } else {
            (self.growth)(&given, rows as u64)
        };
        if bytes <= bytes_max {
            return self.inner.invoke_with_args(args);
        }
        if constant || rows < 2 {
            let message = format!("`{}` would make a value of more bytes than may be", self.inner.name());
            return Err(QueryError::limit(message, "ask for shorter texts, as by left(s, 100)").into());
        }
        let halves = [(0, rows / 2), (rows / 2, rows - rows / 2)];
        let mut made: Vec<ArrayRef> = Vec::new();
        for (from, count) in halves {
            let half = self.call(part(&args, from, count))?.into_array(count)?;
            made.push(half);
            let so_far: usize = made.iter().map(|half| half.get_array_memory_size()).sum();
            if so_far as u64 > bytes_max {
                let message = format!("`{}` would make too much of these rows", self.inner.name());
                return Err(QueryError::limit(message, "ask for shorter texts, as by left(s, 100)").into());
            }
        }
        let made: Vec<&dyn Array> = made.iter().map(|half| &**half).collect();
        Ok(ColumnarValue::Array(concat(&made)?))
    }
}

/// The same call for some of its rows.
fn part(args: &ScalarFunctionArgs, from: usize, count: usize) -> ScalarFunctionArgs {
    let cut = |arg: &ColumnarValue| match arg {
        ColumnarValue::Array(array) => ColumnarValue::Array(array.slice(from, count)),
        scalar => scalar.clone(),
    };
    ScalarFunctionArgs { args: args.args.iter().map(cut).collect(), number_rows: count, ..args.clone() }
}

/// That regular expressions are no larger than may be.
fn check_patterns(patterns: &ColumnarValue) -> Result<()> {
    let patterns = cast(&patterns.to_array(1)?, &DataType::Utf8View)?;
    let mut last = None;
    for pattern in patterns.as_string_view().iter().flatten() {
        if last.replace(pattern) != Some(pattern) {
            check_pattern(pattern)?;
        }
    }
    Ok(())
}

/// That one is.
pub(super) fn check_pattern(pattern: &str) -> Result<()> {
    match RegexBuilder::new(pattern).size_limit(PATTERN_BYTES_MAX).build() {
        Err(regex::Error::CompiledTooBig(_)) => {
            let hint = "repeat less within it, as {1,10} for {1,1000}";
            Err(QueryError::limit("the regular expression is too large", hint).into())
        }
        // What else is wrong is said by who uses it.
        _ => Ok(()),
    }
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if self.pattern
            && let Some(patterns) = args.args.get(1)
        {
            check_patterns(patterns)?;
        }
        self.call(args)
    }
}
