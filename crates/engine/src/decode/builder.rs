//! Rows under construction: column builders that can take back a row, and what stands beside the columns of a [`Batch`].
//!
//! A row is appended value by value and then either committed or rolled back, so readers write straight into the columns
//! and still leave no trace of a record that turns out bad. Buffers are handed to Arrow, so what is kept from block to
//! block is not memory but the knowledge of how much will be needed.

use super::complete::Completion;
use super::lanes::{LANES, closing_quote, first_stop};
use super::time::TimeReader;
use super::value::{Decimal, Scalar};
use crate::batch::{Bad, Batch, Block, Place, Raw, Reason};
use crate::column::Column;
use crate::spec::{BadPolicy, Kind, Later, Source, TimeFrom, TimeSpec};
use crate::time::Time;
use arrow_array::{BooleanArray, Float64Array, Int64Array, StringArray};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use sabotage::{Bug, planted};

/// A record of the block that is being decoded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    /// Newlines before it in the block.
    pub(super) line: u64,
    /// Its first byte in the block.
    pub(super) start: usize,
    /// Its bytes without the line end.
    pub(super) bytes: &'a [u8],
}

/// The rows of the block that is being decoded.
pub(super) struct Rows {
    pub(super) columns: Vec<ColumnBuilder>,
    nulls: Nulls,
    times: Vec<Time>,
    time: Option<TimeReader>,
    ordinals: Vec<u32>,
    keep_ordinals: bool,
    from_arrival: bool,
    /// The field that is the time as well.
    time_field: Option<usize>,
    rows: usize,
    rows_expected: usize,
    bad: Vec<Bad>,
    places: Vec<Place>,
    raw: Vec<Raw>,
    keep_bad: bool,
    keep_places: bool,
    keep_raw: bool,
    record_bytes_max: usize,
    first_byte: u64,
    /// Newlines seen in the block.
    pub(super) lines: u64,
}

/// Words that stand for a missing value where a value does not convert.
struct Nulls(Vec<Box<[u8]>>);

impl Nulls {
    #[cold]
    fn contain(&self, scalar: &Scalar<'_>) -> bool {
        scalar.text().is_some_and(|text| self.0.iter().any(|null| **null == *text))
    }
}

impl Rows {
    pub(super) fn new(source: &Source) -> Rows {
        let time_path = source.time.as_ref().and_then(TimeSpec::field).map(|(path, _)| path);
        let from = source.time.as_ref().map(|time| &time.from);
        Rows {
            columns: source.fields.iter().map(|field| ColumnBuilder::new(field.kind)).collect(),
            nulls: Nulls(source.nulls.iter().map(|null| null.as_bytes().into()).collect()),
            times: Vec::new(),
            time: source.time.as_ref().and_then(TimeSpec::field).map(|(_, format)| TimeReader::new(format)),
            time_field: source.fields.iter().position(|field| Some(field.path.as_str()) == time_path),
            ordinals: Vec::new(),
            keep_ordinals: matches!(from, Some(TimeFrom::Row(_))),
            from_arrival: matches!(from, Some(TimeFrom::Arrival)),
            rows: 0,
            rows_expected: 0,
            bad: Vec::new(),
            places: Vec::new(),
            raw: Vec::new(),
            keep_places: Completion::wants_places(source),
            keep_bad: source.bad == BadPolicy::Quarantine,
            keep_raw: source.time.as_ref().is_some_and(|time| time.later == Later::Quarantine),
            record_bytes_max: source.record_bytes_max,
            first_byte: 0,
            lines: 0,
        }
    }

    /// Keeps the raw record of every row from now on.
    pub(super) fn keep_raw(&mut self) {
        self.keep_raw = true;
    }

    /// Starts a block.
    pub(super) fn begin(&mut self, block: &Block<'_>) {
        self.rows = 0;
        self.lines = 0;
        self.first_byte = block.first_byte;
        for column in &mut self.columns {
            column.begin(self.rows_expected);
        }
        if self.time.is_some() {
            self.times.reserve(self.rows_expected);
        }
    }

    /// Most bytes of a record.
    pub(super) fn record_bytes_max(&self) -> usize {
        self.record_bytes_max
    }

    /// Whether a record of this length is too long.
    #[inline]
    pub(super) fn too_long(&self, bytes: usize) -> bool {
        bytes > self.record_bytes_max
    }

    /// Appends the event time of the current row; false when it is none.
    #[inline(always)]
    pub(super) fn push_time(&mut self, scalar: &Scalar<'_>) -> bool {
        let time = self.time.as_ref().and_then(|reader| reader.read(scalar));
        time.map(|time| self.times.push(time)).is_some()
    }

    /// Appends the event time of the current row, so many microseconds after 1970; false when that is no time.
    pub(super) fn push_time_micros(&mut self, micros: i64) -> bool {
        Time::from_micros(micros).map(|time| self.times.push(time)).is_some()
    }

    /// Whether the record of every row is kept.
    pub(super) fn keeps_rows(&self) -> bool {
        self.keep_raw
    }

    /// Whether the bytes of bad records are kept.
    pub(super) fn keeps_bad(&self) -> bool {
        self.keep_bad
    }

    /// The field that is the time as well.
    pub(super) fn time_field(&self) -> Option<usize> {
        self.time_field
    }

    /// Appends the event time of the current row if an integer is one; false when it is none.
    #[inline(always)]
    pub(super) fn push_time_integer(&mut self, integer: u64) -> bool {
        let time = self.time.as_ref().and_then(|reader| reader.read_integer(integer));
        time.map(|time| self.times.push(time)).is_some()
    }

    /// Appends the event time of the current row if it is the JSON number at the front of `rest`; what lies behind it.
    #[inline(always)]
    pub(super) fn push_time_number<'a>(&mut self, rest: &'a [u8]) -> Option<&'a [u8]> {
        let (number, end) = Decimal::from_json(rest, 0)?;
        let time = self.time.as_ref()?.read_number(&number)?;
        self.times.push(time);
        rest.get(end..)
    }

    /// Appends a value of the current row; false when it does not convert.
    #[inline(always)]
    pub(super) fn push(&mut self, field: usize, scalar: &Scalar<'_>) -> bool {
        self.columns[field].push(scalar)
            || (self.nulls.contain(scalar) && self.columns[field].push(&Scalar::Null))
    }

    /// Appends a whole row whose scalars `get` hands out (by field, or the time for `None`), or reports the record as
    /// bad: the time is judged first, then the fields in order.
    pub(super) fn push_record<'a>(
        &mut self,
        record: &Record<'_>,
        get: impl Fn(Option<usize>) -> Scalar<'a>,
    ) -> bool {
        if self.time.is_some() && !self.push_time(&get(None)) {
            self.reject(Reason::Time, self.time_field, record);
            return false;
        }
        for field in 0..self.columns.len() {
            if !self.push(field, &get(Some(field))) {
                self.reject(Reason::Type, Some(field), record);
                return false;
            }
        }
        self.commit(record);
        true
    }

    /// Ends the current row: every column has its value.
    #[inline(always)]
    pub(super) fn commit(&mut self, record: &Record<'_>) {
        if self.keep_ordinals {
            // Fits: a block is shorter than 2 GiB.
            self.ordinals.push((self.rows + self.bad.len()) as u32);
        }
        self.rows += 1;
        if self.keep_places {
            // Fits: a block is shorter than 2 GiB.
            let (line, start, len) = (record.line as u32, record.start as u32, record.bytes.len() as u32);
            self.places.push(Place { line, start, len });
        }
        if self.keep_raw {
            self.raw.push(Raw { line: record.line, byte: self.position(record), bytes: record.bytes.into() });
        }
    }

    /// Forgets what was appended since the last commit.
    #[inline(never)]
    pub(super) fn roll_back(&mut self) {
        self.times.truncate(self.rows);
        for column in &mut self.columns {
            column.truncate(self.rows);
        }
    }

    /// Reports a record as bad, in place of the current row.
    #[cold]
    pub(super) fn reject(&mut self, reason: Reason, field: Option<usize>, record: &Record<'_>) {
        self.roll_back();
        let mut bytes = if self.keep_bad { record.bytes } else { &[] };
        if reason == Reason::TooLong {
            // One byte more than allowed, so that it is too long when it comes again. Of one that is longer than what is read at
            // once there is no more either.
            bytes = &bytes[..bytes.len().min(self.record_bytes_max.saturating_add(1))];
        }
        self.bad.push(Bad {
            reason,
            field,
            raw: Raw { line: record.line, byte: self.position(record), bytes: bytes.into() },
        });
        if planted(Bug::BadCountedTwice) {
            self.bad.extend(self.bad.last().cloned());
        }
    }

    /// Ends the block.
    pub(super) fn finish(&mut self, block: &Block<'_>) -> Batch {
        // An eighth more than last time, so that a slightly fuller block does not have to grow its buffers.
        self.rows_expected = self.rows + self.rows / 8 + 8;
        if self.from_arrival {
            self.times = vec![block.arrival.unwrap_or(Time(0)); self.rows];
        }
        Batch {
            partition: block.partition,
            number: block.number,
            rows: self.rows,
            times: std::mem::take(&mut self.times),
            ordinals: std::mem::take(&mut self.ordinals),
            records: (self.rows + self.bad.len()) as u64,
            columns: self.columns.iter_mut().map(|column| column.finish()).collect(),
            has_value: Vec::new(),
            bad: std::mem::take(&mut self.bad),
            lines: self.lines,
            first_byte: self.first_byte,
            places: std::mem::take(&mut self.places),
            exploded_empty: 0,
            raw: std::mem::take(&mut self.raw),
        }
    }

    /// Ends a block of good records whose columns are made elsewhere and whose times, if a field holds them, are here.
    pub(super) fn finish_whole(&mut self, block: &Block<'_>, rows: usize) -> Batch {
        if self.keep_ordinals {
            self.ordinals.extend(0..rows as u32);
        }
        if self.keep_places {
            self.places.extend((0..rows as u32).map(|row| Place { line: row, start: row, len: 0 }));
        }
        self.rows = rows;
        // The builders were begun for nothing; they take up their expectations again.
        let expected = self.rows_expected;
        let batch = self.finish(block);
        self.rows_expected = expected;
        batch
    }

    fn position(&self, record: &Record<'_>) -> u64 {
        self.first_byte + record.start as u64
    }
}

/// A column under construction.
pub(super) enum ColumnBuilder {
    String(Texts),
    Int64(Numbers<i64>),
    Float64(Numbers<f64>),
    Bool(Bools),
}

impl ColumnBuilder {
    fn new(kind: Kind) -> ColumnBuilder {
        match kind {
            Kind::String => ColumnBuilder::String(Texts::default()),
            Kind::Int64 => ColumnBuilder::Int64(Numbers::default()),
            Kind::Float64 => ColumnBuilder::Float64(Numbers::default()),
            Kind::Bool => {
                ColumnBuilder::Bool(Bools { values: BooleanBufferBuilder::new(0), validity: Validity(None) })
            }
        }
    }

    fn begin(&mut self, rows: usize) {
        match self {
            ColumnBuilder::String(texts) => texts.begin(rows),
            ColumnBuilder::Int64(numbers) => numbers.values.reserve(rows),
            ColumnBuilder::Float64(numbers) => numbers.values.reserve(rows),
            ColumnBuilder::Bool(bools) => bools.values.reserve(rows),
        }
    }

    /// Appends a value by the rule of its kind; false, and nothing appended, when it does not convert.
    #[inline(always)]
    fn push(&mut self, scalar: &Scalar<'_>) -> bool {
        if matches!(scalar, Scalar::Null) {
            self.push_null();
            return true;
        }
        match self {
            ColumnBuilder::String(texts) => scalar.text().map(|text| texts.push(text)).is_some(),
            ColumnBuilder::Int64(numbers) => scalar.to_i64().map(|value| numbers.push(value)).is_some(),
            ColumnBuilder::Float64(numbers) => scalar.to_f64().map(|value| numbers.push(value)).is_some(),
            ColumnBuilder::Bool(bools) => scalar.to_bool().map(|value| bools.push(value)).is_some(),
        }
    }

    #[inline(never)]
    fn push_null(&mut self) {
        match self {
            ColumnBuilder::String(texts) => texts.push_null(),
            ColumnBuilder::Int64(numbers) => numbers.push_null(),
            ColumnBuilder::Float64(numbers) => numbers.push_null(),
            ColumnBuilder::Bool(bools) => {
                bools.validity.push_null(bools.values.len());
                bools.values.append(false);
            }
        }
    }

    fn truncate(&mut self, rows: usize) {
        match self {
            ColumnBuilder::String(texts) => texts.truncate(rows),
            ColumnBuilder::Int64(numbers) => numbers.truncate(rows),
            ColumnBuilder::Float64(numbers) => numbers.truncate(rows),
            ColumnBuilder::Bool(bools) => {
                bools.values.truncate(rows);
                bools.validity.truncate(rows);
            }
        }
    }

    fn finish(&mut self) -> Column {
        match self {
            ColumnBuilder::String(texts) => Column::String(texts.finish()),
            ColumnBuilder::Int64(numbers) => {
                let (values, nulls) = numbers.finish();
                Column::Int64(Int64Array::new(values, nulls))
            }
            ColumnBuilder::Float64(numbers) => {
                let (values, nulls) = numbers.finish();
                Column::Float64(Float64Array::new(values, nulls))
            }
            ColumnBuilder::Bool(bools) => {
                Column::Bool(BooleanArray::new(bools.values.finish(), bools.validity.finish()))
            }
        }
    }
}

/// Strings end to end.
#[derive(Default)]
pub(super) struct Texts {
    bytes: Vec<u8>,
    bytes_expected: usize,
    /// End of each string, after a leading 0.
    offsets: Vec<i32>,
    validity: Validity,
}

impl Texts {
    fn begin(&mut self, rows: usize) {
        self.bytes.reserve(self.bytes_expected + LANES);
        self.offsets.reserve(rows + 1);
        self.offsets.push(0);
    }

    /// Appends the string at the front of `rest`, behind its opening quote, and says what lies behind the closing one.
    /// Nothing is appended when a backslash or a control character comes first, or too few bytes to look at.
    ///
    /// Searching and copying are one pass: whole pieces are appended, and what was too much is taken off.
    #[inline(always)]
    pub(super) fn push_until_quote<'a>(&mut self, rest: &'a [u8]) -> Option<&'a [u8]> {
        let piece = *rest.first_chunk()?;
        let Some(n) = closing_quote(&piece) else {
            return self.push_long_until_quote(rest);
        };
        let rest = rest.get(n + 1..)?;
        let end = self.bytes.len() + n;
        self.bytes.extend_from_slice(&piece);
        self.bytes.truncate(end);
        self.end();
        Some(rest)
    }

    /// The same of a string that does not end within the first piece.
    #[inline(never)]
    fn push_long_until_quote<'a>(&mut self, mut rest: &'a [u8]) -> Option<&'a [u8]> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(rest.first_chunk::<LANES>()?);
        while let Some((piece, behind)) = rest.split_first_chunk()
            && first_stop(piece) == LANES
            && let Some(&next) = behind.first_chunk()
        {
            let before = self.bytes.len();
            self.bytes.extend_from_slice(&next);
            if let Some(n) = closing_quote(&next) {
                self.bytes.truncate(before + n);
                self.end();
                return behind.get(n + 1..);
            }
            rest = behind;
        }
        self.bytes.truncate(start);
        None
    }

    #[inline]
    fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.end();
    }

    #[inline(always)]
    fn end(&mut self) {
        // Fits: a block is shorter than 2 GiB and no string is longer than its source.
        self.offsets.push(self.bytes.len() as i32);
        self.validity.push_valid();
    }

    fn push_null(&mut self) {
        self.validity.push_null(self.offsets.len() - 1);
        self.offsets.push(self.bytes.len() as i32);
    }

    fn truncate(&mut self, rows: usize) {
        self.offsets.truncate(rows + 1);
        self.bytes.truncate(self.offsets[rows] as usize);
        self.validity.truncate(rows);
    }

    fn finish(&mut self) -> StringArray {
        self.bytes_expected = self.bytes.len() + self.bytes.len() / 8;
        let bytes = Buffer::from_vec(std::mem::take(&mut self.bytes));
        let offsets = OffsetBuffer::new(ScalarBuffer::from(std::mem::take(&mut self.offsets)));
        StringArray::try_new(offsets, bytes, self.validity.finish())
            .expect("strings are whole pieces of checked UTF-8, cut at ASCII characters")
    }
}

/// Numbers of one type.
#[derive(Default)]
pub(super) struct Numbers<T> {
    values: Vec<T>,
    validity: Validity,
}

impl<T: Default + arrow_buffer::ArrowNativeType> Numbers<T> {
    #[inline(always)]
    pub(super) fn push(&mut self, value: T) {
        self.values.push(value);
        self.validity.push_valid();
    }

    fn push_null(&mut self) {
        self.validity.push_null(self.values.len());
        self.values.push(T::default());
    }

    fn truncate(&mut self, rows: usize) {
        self.values.truncate(rows);
        self.validity.truncate(rows);
    }

    fn finish(&mut self) -> (ScalarBuffer<T>, Option<NullBuffer>) {
        (ScalarBuffer::from(std::mem::take(&mut self.values)), self.validity.finish())
    }
}

/// Booleans, a bit each.
pub(super) struct Bools {
    values: BooleanBufferBuilder,
    validity: Validity,
}

impl Bools {
    #[inline(always)]
    fn push(&mut self, value: bool) {
        self.values.append(value);
        self.validity.push_valid();
    }
}

/// Which values are there; no bits until one is missing.
#[derive(Default)]
struct Validity(Option<BooleanBufferBuilder>);

impl Validity {
    #[inline(always)]
    fn push_valid(&mut self) {
        if let Some(bits) = &mut self.0 {
            append_valid(bits);
        }
    }

    /// A missing value after `before` others.
    #[inline(never)]
    fn push_null(&mut self, before: usize) {
        let bits = self.0.get_or_insert_with(|| {
            let mut bits = BooleanBufferBuilder::new(before + 64);
            bits.append_n(before, true);
            bits
        });
        bits.append(false);
    }

    fn truncate(&mut self, rows: usize) {
        if let Some(bits) = &mut self.0 {
            bits.truncate(rows);
        }
    }

    /// A null that was rolled back leaves bits without a zero: to the outside that is the same as no bits.
    fn finish(&mut self) -> Option<NullBuffer> {
        let bits: BooleanBuffer = self.0.take()?.finish();
        Some(NullBuffer::new(bits)).filter(|nulls| nulls.null_count() > 0)
    }
}

/// A call of its own: what most columns do without is kept out of the loop over lines.
#[inline(never)]
fn append_valid(bits: &mut BooleanBufferBuilder) {
    bits.append(true);
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Array;

    #[test]
    fn strings_of_any_length_are_copied_up_to_the_quote() {
        let mut texts = Texts::default();
        texts.begin(0);
        let mut want = Vec::new();
        for n in 0..200 {
            let text: String = "äbcdefghijklmnopqrstuvwxyz/_#".chars().cycle().take(n).collect();
            let tail = "|behind the string";
            let pushed = |texts: &mut Texts, end: &str| {
                let line = format!("{text}{end}{tail}");
                texts.push_until_quote(line.as_bytes()).map(|rest| rest == tail.as_bytes())
            };
            assert_eq!(pushed(&mut texts, "\""), Some(true), "{n}");
            assert_eq!(pushed(&mut texts, "\\\""), None, "backslash, {n}");
            assert_eq!(pushed(&mut texts, "\n\""), None, "newline, {n}");
            assert_eq!(texts.push_until_quote(text.as_bytes()), None, "no quote, {n}");
            want.push(text);
        }
        let got = texts.finish();
        assert_eq!(got.iter().map(Option::unwrap).collect::<Vec<_>>(), want);
    }

    #[test]
    fn a_row_taken_back_leaves_no_trace() {
        for kind in [Kind::String, Kind::Int64, Kind::Float64, Kind::Bool] {
            let mut column = ColumnBuilder::new(kind);
            column.begin(0);
            let value = if kind == Kind::Bool { Scalar::Bool(true) } else { Scalar::Text(b"12") };
            assert!(column.push(&value));
            column.push_null();
            column.truncate(1);
            assert!(column.push(&value));
            let (rows, nulls) = match column.finish() {
                Column::String(array) => (array.len(), array.nulls().cloned()),
                Column::Int64(array) => (array.len(), array.nulls().cloned()),
                Column::Float64(array) => (array.len(), array.nulls().cloned()),
                Column::Bool(array) => (array.len(), array.nulls().cloned()),
            };
            assert_eq!((rows, nulls), (2, None), "{kind:?}");
        }
    }
}
