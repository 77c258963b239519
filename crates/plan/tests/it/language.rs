//! Measures and expressions: any text is survived, and what is computed is what an evaluator of a page computes.

use crate::parse;
use engine::batch::{Block, Reason};
use engine::column::Column;
use engine::compute::Compute;
use engine::decode::Decoder;
use plan::Pipeline;
use proptest::prelude::*;
use std::sync::Arc;

/// Pieces that mean something in SQL or in a measure.
const PIECES: [&str; 62] = [
    "count()",
    "unique(",
    "top(",
    "seen(",
    "sample(",
    "quantiles(",
    " filter (where ",
    "weight => ",
    "(",
    ")",
    "[",
    "]",
    "'",
    "\"",
    "--",
    "/*",
    "*/",
    ",",
    ".",
    "::",
    "||",
    "+",
    "-",
    "*",
    "/",
    "%",
    "=",
    "<>",
    ">=",
    "<",
    " and ",
    " or ",
    " not ",
    " is null",
    " like ",
    " in (",
    " between ",
    "case when ",
    " then ",
    " else ",
    " end",
    "cast(",
    " as bigint)",
    " as interval",
    "upper(",
    "coalesce(",
    "regexp_match(",
    "split_part(",
    "a",
    "n",
    "x.y",
    "null",
    "true",
    "1",
    "-9223372036854775808",
    "1e400",
    "'ä'",
    "interval '1 day'",
    "date '2020-01-01'",
    "exists (select 1)",
    "{",
    "}",
];

/// The text as a measure, as a derived column and as a filter; what is accepted must also run.
fn survive(text: &str) {
    let quoted = serde_json::to_string(text).expect("text is JSON");
    let inside = serde_json::to_string(&format!("count() filter (where {text})")).expect("text is JSON");
    let head = "[source.s]\npath = \"e.ndjson\"\nfields = { n = \"int64\" }\n";
    for file in [
        format!("{head}[metric]\nm = {quoted}\n"),
        format!(
            "{head}derive = {{ d = {quoted} }}\n[metric]\nm = {{ measure = \"count()\", by = [\"d\"] }}\n"
        ),
        format!("{head}[metric]\nm = {inside}\n"),
        format!("{head}explode = {{ e = {quoted} }}\n[metric]\nm = \"count()\"\n"),
    ] {
        match parse(&file, &[]) {
            Ok(pipeline) => {
                drop(rows(&pipeline, "{\"a\":\"ä b\",\"n\":7,\"x\":{\"y\":\"1\"}}\n{\"n\":0}\n{}\n"))
            }
            Err(problems) => assert!(!problems.render(true).is_empty()),
        }
    }
}

/// Decodes and computes records: the columns, and the numbers of the records that are bad.
fn rows(pipeline: &Pipeline, records: &str) -> (Vec<Column>, Vec<u64>) {
    let decoder = Decoder::new(&pipeline.spec.sources[0], None).expect("NDJSON needs no header");
    let program = pipeline.programs[0].clone().map(|program| program as Arc<dyn Compute>);
    let block = Block { partition: 0, number: 0, first_byte: 0, bytes: records.as_bytes(), arrival: None };
    let batch = decoder.with_program(program).decode(&block);
    assert!(batch.bad.iter().all(|bad| matches!(bad.reason, Reason::Derive | Reason::Type)));
    (batch.columns, batch.bad.iter().map(|bad| bad.raw.line).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_pieces_of_sql_are_survived(pieces in prop::collection::vec(0usize..PIECES.len(), 0..12)) {
        survive(&pieces.into_iter().map(|piece| PIECES[piece]).collect::<String>());
    }

    #[test]
    fn any_text_is_survived_as_sql(text in any::<String>()) {
        survive(&text);
    }
}

#[test]
fn deep_nesting_is_refused_or_works() {
    for n in [10, 40, 60, 400, 20_000] {
        let around =
            |open: &str, inner: &str, close: &str| format!("{}{inner}{}", open.repeat(n), close.repeat(n));
        for text in [
            around("(", "n", ")"),
            around("upper(", "a", ")"),
            around("coalesce(n, ", "n", ")"),
            around("not ", "true", ""),
            around("- ", "n", ""),
            around("n + ", "n", ""),
            around("n > 1 and ", "true", ""),
            around("case when n > 1 then ", "n", " end"),
            around("a || ", "a", ""),
            around("n in (", "1", ")"),
            around("cast(", "n", " as bigint)"),
            around("unique(", "a", ")"),
            around("[", "1", "]"),
            around("a[", "1", "]"),
            around("a.", "a", ""),
            around("(", "", ""),
            around("cast(", "n", ""),
            around("interval ", "n", ""),
            around("array[", "n", ""),
            around("position(", "n", ""),
            around("substring(", "n", ""),
            around("overlay(", "n", ""),
            around("not (", "n", ""),
            around("case when ", "n", ""),
        ] {
            survive(&text);
        }
    }
}

/// Arithmetic over three integers (a, b, c) and two floats (x, y).
#[derive(Debug, Clone)]
enum Sum {
    Int(i64),
    Float(f64),
    Column(usize),
    Minus(Box<Sum>),
    Of(char, Box<Sum>, Box<Sum>),
}

/// Conditions over it.
#[derive(Debug, Clone)]
enum Test {
    Is(&'static str, Sum, Sum),
    Null(Sum),
    Not(Box<Test>),
    And(Box<Test>, Box<Test>),
    Or(Box<Test>, Box<Test>),
}

const NAMES: [&str; 5] = ["a", "b", "c", "x", "y"];

/// Values of the five columns.
type Row = ([Option<i64>; 3], [Option<f64>; 2]);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Number {
    Int(i64),
    Float(f64),
}

/// The row is bad.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Fails;

impl Sum {
    fn sql(&self) -> String {
        match self {
            Sum::Int(i) => format!("({i})"),
            Sum::Float(f) => format!("({f:?})"),
            Sum::Column(n) => NAMES[*n].into(),
            Sum::Minus(of) => format!("(- {})", of.sql()),
            Sum::Of(op, l, r) => format!("({} {op} {})", l.sql(), r.sql()),
        }
    }

    fn is_float(&self) -> bool {
        match self {
            Sum::Int(_) => false,
            Sum::Float(_) => true,
            Sum::Column(n) => *n > 2,
            Sum::Minus(of) => of.is_float(),
            Sum::Of(_, l, r) => l.is_float() || r.is_float(),
        }
    }

    /// Integers wrap around, but for `/`, which fails where the quotient does not fit, and by zero; floats are IEEE 754.
    fn value(&self, row: &Row) -> Result<Option<Number>, Fails> {
        Ok(match self {
            Sum::Int(i) => Some(Number::Int(*i)),
            Sum::Float(f) => Some(Number::Float(*f)),
            Sum::Column(n) if *n < 3 => row.0[*n].map(Number::Int),
            Sum::Column(n) => row.1[*n - 3].map(Number::Float),
            Sum::Minus(of) => of.value(row)?.map(|value| match value {
                Number::Int(i) => Number::Int(i.wrapping_neg()),
                Number::Float(f) => Number::Float(-f),
            }),
            Sum::Of(op, l, r) => match (l.value(row)?, r.value(row)?) {
                (Some(Number::Int(a)), Some(Number::Int(b))) => Some(Number::Int(whole(*op, a, b)?)),
                (Some(a), Some(b)) => Some(Number::Float(floating(*op, float(a), float(b)))),
                _ => None,
            },
        })
    }
}

fn whole(op: char, a: i64, b: i64) -> Result<i64, Fails> {
    Ok(match op {
        '+' => a.wrapping_add(b),
        '-' => a.wrapping_sub(b),
        '*' => a.wrapping_mul(b),
        '/' => a.checked_div(b).ok_or(Fails)?,
        _ if b == 0 => return Err(Fails),
        _ => a.wrapping_rem(b),
    })
}

fn floating(op: char, a: f64, b: f64) -> f64 {
    match op {
        '+' => a + b,
        '-' => a - b,
        _ => a * b,
    }
}

fn float(number: Number) -> f64 {
    match number {
        Number::Int(i) => i as f64,
        Number::Float(f) => f,
    }
}

impl Test {
    fn sql(&self) -> String {
        match self {
            Test::Is(op, l, r) => format!("({} {op} {})", l.sql(), r.sql()),
            Test::Null(of) => format!("({} is null)", of.sql()),
            Test::Not(of) => format!("(not {})", of.sql()),
            Test::And(l, r) => format!("({} and {})", l.sql(), r.sql()),
            Test::Or(l, r) => format!("({} or {})", l.sql(), r.sql()),
        }
    }

    /// Three-valued; what a left side has decided is not computed.
    fn value(&self, row: &Row) -> Result<Option<bool>, Fails> {
        Ok(match self {
            Test::Is(op, l, r) => {
                let (Some(a), Some(b)) = (l.value(row)?, r.value(row)?) else { return Ok(None) };
                let order = match (a, b) {
                    (Number::Int(a), Number::Int(b)) => a.cmp(&b),
                    (a, b) => float(a).partial_cmp(&float(b)).expect("there is no NaN"),
                };
                Some(match *op {
                    "=" => order.is_eq(),
                    "<>" => order.is_ne(),
                    "<" => order.is_lt(),
                    "<=" => order.is_le(),
                    ">" => order.is_gt(),
                    _ => order.is_ge(),
                })
            }
            Test::Null(of) => Some(of.value(row)?.is_none()),
            Test::Not(of) => of.value(row)?.map(|value| !value),
            Test::And(l, r) => match l.value(row)? {
                Some(false) => Some(false),
                left => match (left, r.value(row)?) {
                    (_, Some(false)) => Some(false),
                    (Some(true), right) => right,
                    _ => None,
                },
            },
            Test::Or(l, r) => match l.value(row)? {
                Some(true) => Some(true),
                left => match (left, r.value(row)?) {
                    (_, Some(true)) => Some(true),
                    (Some(false), right) => right,
                    _ => None,
                },
            },
        })
    }
}

/// Arithmetic; floats know no division, which would make NaN.
fn sum(ops: &'static [char], floats: bool) -> impl Strategy<Value = Sum> + Clone {
    let columns = if floats { 5 } else { 3 };
    let literal = if floats {
        prop_oneof![(-3i64..4).prop_map(Sum::Int), (-4i8..5).prop_map(|n| Sum::Float(f64::from(n) / 2.0))]
            .boxed()
    } else {
        (-3i64..4).prop_map(Sum::Int).boxed()
    };
    let leaf = prop_oneof![1 => literal, 3 => (0usize..columns).prop_map(Sum::Column)];
    leaf.prop_recursive(4, 16, 2, move |inner| {
        prop_oneof![
            1 => inner.clone().prop_map(|of| Sum::Minus(Box::new(of))),
            5 => (prop::sample::select(ops), inner.clone(), inner).prop_map(|(op, l, r)| Sum::Of(op, Box::new(l), Box::new(r)))
        ]
    })
}

fn test(of: impl Strategy<Value = Sum> + Clone + 'static) -> impl Strategy<Value = Test> {
    let op = prop::sample::select(vec!["=", "<>", "<", "<=", ">", ">="]);
    let leaf = prop_oneof![
        4 => (op, of.clone(), of.clone()).prop_map(|(op, l, r)| Test::Is(op, l, r)),
        1 => of.prop_map(Test::Null)
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            1 => inner.clone().prop_map(|of| Test::Not(Box::new(of))),
            2 => (inner.clone(), inner.clone()).prop_map(|(l, r)| Test::And(Box::new(l), Box::new(r))),
            2 => (inner.clone(), inner).prop_map(|(l, r)| Test::Or(Box::new(l), Box::new(r)))
        ]
    })
}

fn some_rows() -> impl Strategy<Value = Vec<Row>> {
    let int = || {
        let some = prop_oneof![4 => -3i64..4, 1 => Just(i64::MIN), 1 => Just(i64::MAX), 1 => any::<i64>()];
        prop::option::weighted(0.85, some)
    };
    let float = || prop::option::weighted(0.85, (-6i8..7).prop_map(|n| f64::from(n) / 2.0));
    let row = ([int(), int(), int()], [float(), float()]);
    prop::collection::vec(row, 1..40)
}

fn records(rows: &[Row]) -> String {
    let member = |name: &str, value: Option<String>| format!("\"{name}\":{}", value.unwrap_or("null".into()));
    let record = |(ints, floats): &Row| {
        let ints = NAMES.iter().zip(ints).map(|(name, i)| member(name, i.map(|i| i.to_string())));
        let floats = NAMES[3..].iter().zip(floats).map(|(name, f)| member(name, f.map(|f| format!("{f:?}"))));
        format!("{{{}}}\n", ints.chain(floats).collect::<Vec<_>>().join(","))
    };
    rows.iter().map(record).collect()
}

/// What our program makes of an expression: per row a value as text, or nothing where the row is bad. `None` when the
/// expression is refused because its constants fail.
fn computed(sql: &str, rows_: &[Row]) -> Option<Vec<Result<String, Fails>>> {
    let source = "[source.s]\npath = \"e.ndjson\"\nfields = { a = \"int64\", b = \"int64\", c = \"int64\", x = \"float64\", y = \"float64\" }";
    let metric = "[metric]\nm = { measure = \"count()\", by = [\"d\"] }";
    let pipeline = match parse(&format!("{source}\nderive = {{ d = \"{sql}\" }}\n{metric}\n"), &[]) {
        Ok(pipeline) => pipeline,
        Err(problems) => {
            let text = problems.render(false);
            assert!(text.contains("fails on every event"), "{sql}: {text}");
            return None;
        }
    };
    let (columns, bad) = rows(&pipeline, &records(rows_));
    let columns_ = pipeline.spec.sources[0].columns();
    let at = columns_.iter().rposition(|field| field.path == "d").expect("it is derived");
    let shown = |value: Option<String>| Ok(value.unwrap_or("null".into()));
    let mut values: Vec<Result<String, Fails>> = match &columns[at] {
        Column::Int64(a) => a.iter().map(|v| shown(v.map(|v| v.to_string()))).collect(),
        Column::Float64(a) => a.iter().map(|v| shown(v.map(|v| format!("{v:?}")))).collect(),
        Column::Bool(a) => a.iter().map(|v| shown(v.map(|v| v.to_string()))).collect(),
        other => panic!("{sql} gives {other:?}"),
    };
    bad.iter().for_each(|&line| values.insert(line as usize, Err(Fails)));
    Some(values)
}

fn number_shown(value: Option<Number>, is_float: bool) -> String {
    match value {
        None => "null".into(),
        Some(Number::Int(i)) if is_float => format!("{:?}", i as f64),
        Some(Number::Int(i)) => i.to_string(),
        Some(Number::Float(f)) => format!("{f:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// `+`, `-`, `*` and negation of integers wrap around, as Rust's wrapping operations do and Postgres does not: there
    /// they are errors. `/` and `%` by zero, and the smallest integer / -1, make the row bad.
    #[test]
    fn integers_wrap_around_and_division_by_zero_is_bad(of in sum(&['+', '-', '*', '/', '%'], false), rows in some_rows()) {
        if let Some(got) = computed(&of.sql(), &rows) {
            let want: Vec<_> = rows.iter().map(|row| of.value(row).map(|v| number_shown(v, false))).collect();
            prop_assert_eq!(got, want, "{}", of.sql());
        }
    }

    #[test]
    fn integers_and_floats_mix_to_floats(of in sum(&['+', '-', '*'], true), rows in some_rows()) {
        let want: Vec<_> = rows.iter().map(|row| of.value(row).map(|v| number_shown(v, of.is_float()))).collect();
        prop_assert_eq!(computed(&of.sql(), &rows).expect("nothing fails"), want, "{}", of.sql());
    }

    #[test]
    fn conditions_have_three_values(of in test(sum(&['+', '-', '*'], true)), rows in some_rows()) {
        let shown = |v: Option<bool>| v.map_or("null".into(), |v| v.to_string());
        let want: Vec<_> = rows.iter().map(|row| of.value(row).map(shown)).collect();
        prop_assert_eq!(computed(&of.sql(), &rows).expect("nothing fails"), want, "{}", of.sql());
    }

    /// Where a side of `and` or `or` fails, a row is bad unless the left side decides. A simpler form of the same
    /// condition may fail on fewer rows, never on more, and no row gets another value.
    #[test]
    fn what_the_left_side_decides_does_not_fail(of in test(sum(&['+', '/', '%'], false)), rows in some_rows()) {
        let shown = |v: Option<bool>| v.map_or("null".to_string(), |v| v.to_string());
        for (row, got) in rows.iter().zip(computed(&of.sql(), &rows).unwrap_or_default()) {
            if let Ok(want) = of.value(row) {
                prop_assert_eq!(got, Ok(shown(want)), "{} of {:?}", of.sql(), row);
            }
        }
    }
}
