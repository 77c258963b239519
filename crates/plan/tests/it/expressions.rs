//! SQL expressions, from the text of a file to the columns of a batch.

use crate::parse;
use engine::Engine;
use engine::answer::{Answer, List};
use engine::batch::{Batch, Block, Reason};
use engine::column::Column;
use engine::compute::Compute;
use engine::decode::Decoder;
use engine::spec::{Kind, Question, Step};
use plan::Pipeline;
use std::sync::Arc;

/// A pipeline over NDJSON: keys of the source, then the lines of `[metric]`.
fn pipeline(source: &str, metrics: &str) -> Pipeline {
    let text = format!("[source.s]\npath = \"e.ndjson\"\n{source}\n[metric]\n{metrics}\n");
    parse(&text, &[]).unwrap_or_else(|problems| panic!("{}", problems.render(false)))
}

fn program(pipeline: &Pipeline) -> Option<Arc<dyn Compute>> {
    pipeline.programs[0].clone().map(|program| program as Arc<dyn Compute>)
}

fn decode(pipeline: &Pipeline, text: &str) -> Batch {
    let decoder = Decoder::new(&pipeline.spec.sources[0], None).expect("NDJSON needs no header");
    let block = Block { partition: 0, number: 0, first_byte: 0, bytes: text.as_bytes(), arrival: None };
    decoder.with_program(program(pipeline)).decode(&block)
}

/// The values of a column, as text.
fn values(batch: &Batch, column: usize) -> String {
    let text = |value: Option<String>| value.unwrap_or_else(|| "null".into());
    let all: Vec<String> = match &batch.columns[column] {
        Column::String(a) => a.iter().map(|v| text(v.map(str::to_string))).collect(),
        Column::Int64(a) => a.iter().map(|v| text(v.map(|v| v.to_string()))).collect(),
        Column::Float64(a) => a.iter().map(|v| text(v.map(|v| v.to_string()))).collect(),
        Column::Bool(a) => a.iter().map(|v| text(v.map(|v| v.to_string()))).collect(),
    };
    all.join(" ")
}

/// One derived column over records, and what it holds.
#[track_caller]
fn check(fields: &str, expression: &str, records: &str, want: &str) {
    let source = format!("fields = {{ {fields} }}\nderive = {{ x = \"{expression}\" }}");
    let pipeline = pipeline(&source, "n = { measure = \"count()\", by = [\"x\"] }");
    let batch = decode(&pipeline, &records.replace(';', "\n"));
    let column =
        pipeline.spec.sources[0].columns().iter().rposition(|field| field.path == "x").expect("x is there");
    assert_eq!(values(&batch, column), want, "{expression}");
}

#[test]
fn expressions_give_what_sql_says() {
    check("", "a * b", "{\"a\":2,\"b\":1.5};{\"a\":3};{\"a\":\"4\",\"b\":2}", "3 null 8");
    check("a = 'int64'", "a / 2", "{\"a\":7};{\"a\":-7}", "3 -3");
    check("", "upper(a) || '!'", "{\"a\":\"ä\"};{\"a\":null}", "Ä! null");
    check("", "coalesce(a, 'other')", "{\"a\":\"x\"};{}", "x other");
    check("", "a = 'x'", "{\"a\":\"x\"};{\"a\":\"y\"};{}", "true false null");
    check("", "n >= 500", "{\"n\":500};{\"n\":1};{}", "true false null");
    check("", "case when n > 1 then 'many' else 'one' end", "{\"n\":1};{\"n\":2}", "one many");
    check("", "split_part(a, '/', 2)", "{\"a\":\"/x/y\"};{\"a\":\"z\"}", "x ");
    check("", "regexp_match(a, 'from ([0-9.]+)')[1]", "{\"a\":\"x from 1.2\"};{\"a\":\"y\"}", "1.2 null");
    check("", "a.b", "{\"a\":{\"b\":\"deep\"}};{\"a\":1}", "deep null");
    check("", "a.b || '/' || \\\"c d\\\"", "{\"a\":{\"b\":\"x\"},\"c d\":\"y\"}", "x/y");
    check("", "cast(a as bigint) % 10", "{\"a\":\"123\"}", "3");
    check("", "to_timestamp_millis(cast(a as bigint))", "{\"a\":\"1000\"}", "1970-01-01T00:00:01");
    check("a = 'bool'", "not a", "{\"a\":true};{\"a\":false}", "false true");
    check("", "length(a)", "{\"a\":\"größe\"}", "5");
}

#[test]
fn names_are_case_sensitive_and_a_definition_may_use_the_field_of_its_own_name() {
    check("", "coalesce(x, Y)", "{\"x\":\"a\"};{\"Y\":\"b\",\"y\":\"c\"}", "a b");
}

#[test]
fn a_row_that_fails_is_bad_and_its_neighbours_stay() {
    let pipeline = pipeline("fields = { a = \"int64\" }\nderive = { x = \"100 / a\" }", "n = \"sum(x)\"");
    let records: Vec<String> = (0..1000).map(|n| format!("{{\"a\":{}}}", n % 7)).collect();
    let batch = decode(&pipeline, &records.join("\n"));
    let zeros: Vec<u64> = (0..1000).filter(|n| n % 7 == 0).collect();
    assert_eq!(batch.rows, 1000 - zeros.len());
    let bad: Vec<(Reason, u64)> = batch.bad.iter().map(|bad| (bad.reason, bad.raw.line)).collect();
    assert_eq!(bad, zeros.iter().map(|n| (Reason::Derive, *n)).collect::<Vec<_>>());
    assert!(values(&batch, 1).split(' ').all(|x| x.parse::<i64>().unwrap() >= 16));
}

#[test]
fn bad_records_keep_their_bytes_and_order_when_an_expression_fails_too() {
    let source = "bad = \"quarantine\"\nfields = { a = \"int64\" }\nderive = { x = \"1 / a\" }";
    let batch =
        decode(&pipeline(source, "n = \"sum(x)\""), "{\"a\":1}\nnonsense\n{\"a\":0}\n{\"a\":\"x\"}\n");
    let bad: Vec<(Reason, u64, &[u8])> =
        batch.bad.iter().map(|bad| (bad.reason, bad.raw.byte, &*bad.raw.bytes)).collect();
    assert_eq!(
        bad,
        [
            (Reason::Json, 8, &b"nonsense"[..]),
            (Reason::Derive, 17, &b"{\"a\":0}"[..]),
            (Reason::Type, 25, &b"{\"a\":\"x\"}"[..])
        ]
    );
}

#[test]
fn equal_parts_are_evaluated_once() {
    let derive = "derive = { l = \"lower(a) || 'x'\", m = \"lower(a) || 'y'\", u = \"upper(l)\", v = \"upper(l) || m\" }";
    let plan = pipeline(derive, "n = \"count() filter (where lower(a) = 'q')\"");
    // Four columns and the filter; `lower(a)` and `upper(l)` once each.
    assert_eq!(plan.programs[0].as_ref().expect("there are expressions").evaluations(), [7]);
    let batch = decode(&plan, "{\"a\":\"Q\"}\n");
    let names: Vec<String> = plan.spec.sources[0].columns().iter().map(|field| field.path.clone()).collect();
    let shown: Vec<String> = ["l", "m", "u", "v"]
        .iter()
        .map(|name| values(&batch, names.iter().position(|n| n == name).unwrap()))
        .collect();
    assert_eq!(shown, ["qx", "qy", "QX", "QXqy"]);
    // Behind a condition nothing is computed ahead: the division would fail.
    let guarded = "derive = { x = \"case when a <> 0 then 1 / a else 0 end\", y = \"case when a > 0 then 1 / a end\" }\nfields = { a = \"int64\" }";
    let batch = decode(&pipeline(guarded, "n = \"sum(x)\""), "{\"a\":0}\n{\"a\":1}\n");
    assert_eq!((batch.rows, values(&batch, 1), values(&batch, 2)), (2, "0 1".into(), "null 1".into()));
}

#[test]
fn without_expressions_there_is_no_program() {
    let plan = pipeline("", "n = \"count() filter (where bot)\"\nm = \"unique(user)\"");
    assert!(plan.programs[0].is_none());
    assert_eq!(plan.spec.sources[0].metrics[0].filter, Some(0));
    assert_eq!(plan.spec.sources[0].fields[0].kind, Kind::Bool);
}

#[test]
fn a_list_makes_events() {
    let source =
        "derive = { long = \"length(item) > 1\" }\nexplode = { item = \"string_to_array(line, ' ')\" }";
    let plan = pipeline(source, "n = { measure = \"count()\", by = [\"item\", \"long\", \"user\"] }");
    let batch = decode(
        &plan,
        "{\"line\":\"a bb\",\"user\":\"u\"}\n{\"user\":\"v\"}\n{\"line\":\"c\",\"user\":\"w\"}\n",
    );
    let names: Vec<String> = plan.spec.sources[0].columns().iter().map(|field| field.path.clone()).collect();
    let of = |name: &str| values(&batch, names.iter().position(|n| n == name).expect("it is there"));
    assert_eq!(
        (of("item"), of("long"), of("user")),
        ("a bb c".into(), "false true false".into(), "u u w".into())
    );
    assert_eq!((batch.rows, batch.exploded_empty), (3, 1));
}

#[test]
fn what_depends_on_a_verdict_comes_behind_it() {
    let source = "derive = { new = \"not again\", loud = \"upper(page)\" }";
    let metrics = "\
n = \"count() filter (where new)\"
again = { measure = \"seen(user) filter (where loud <> 'X')\", size = \"1k @ 1%\" }
fresh = { measure = \"count()\", by = [\"again\"] }";
    let source = pipeline(source, metrics).spec.sources.remove(0);
    let names: Vec<String> = source.columns().into_iter().map(|field| field.path).collect();
    assert_eq!(names, ["user", "page", "loud", "loud <> 'X'", "again", "new"]);
    assert!(matches!(&source.steps[..], [Step::Compute(_), Step::Judge { metric: 1 }, Step::Compute(_)]));
    assert_eq!((source.certain_steps(), source.first_uncertain()), (1, 4));
    let uncertain: Vec<bool> = source.metrics.iter().map(|metric| source.is_uncertain(metric)).collect();
    assert_eq!(uncertain, [true, false, true]);
}

/// Runs a pipeline over records in blocks of two, over so many shards.
fn run(plan: &Pipeline, records: &str, shards: usize) -> Vec<Answer> {
    let source = &plan.spec.sources[0];
    let mut engine =
        Engine::with_program(source, program(plan), None, shards, 64 << 20).expect("NDJSON needs no header");
    let lines: Vec<&str> = records.split_inclusive('\n').collect();
    let mut first_byte = 0;
    for (number, lines) in lines.chunks(2).enumerate() {
        let bytes = lines.concat();
        engine.push(&Block {
            partition: 0,
            number: number as u64,
            first_byte,
            bytes: bytes.as_bytes(),
            arrival: None,
        });
        first_byte += bytes.len() as u64;
    }
    engine.answers(Question::Total)
}

fn number(answers: &[Answer], metric: &str) -> f64 {
    let answer = answers.iter().find(|answer| answer.metric == metric).expect("it was asked");
    answer.reading.value.expect("it is a number").as_f64()
}

#[test]
fn filters_weights_and_verdicts_come_out_in_the_answers() {
    let metrics = "\
errors = \"count() filter (where status >= 500)\"
revenue = \"sum(price * qty) filter (where kind = 'buy')\"
heavy = \"top(user, 1, weight => bytes)\"
again = { measure = \"seen(user)\", size = \"1k @ 1%\" }
returning = \"count() filter (where again)\"
users = \"audience(user)\"
some = \"sample(2, user, again)\"";
    let plan = pipeline("", metrics);
    let records = "\
{\"user\":\"a\",\"status\":500,\"price\":2,\"qty\":3,\"kind\":\"buy\",\"bytes\":5}
{\"user\":\"b\",\"status\":200,\"price\":9,\"qty\":9,\"kind\":\"look\",\"bytes\":1}
{\"user\":\"a\",\"status\":503,\"price\":1,\"qty\":1,\"kind\":\"buy\",\"bytes\":null}
{\"user\":\"b\",\"status\":null,\"bytes\":-7}
{\"user\":\"b\",\"bytes\":1}
";
    for shards in [1, 2, 7] {
        let answers = run(&plan, records, shards);
        let got: Vec<f64> = ["errors", "revenue", "again", "returning", "users"]
            .map(|metric| number(&answers, metric))
            .to_vec();
        assert_eq!(got, [2.0, 7.0, 2.0, 3.0, 2.0], "{shards} shards");
        let of = |metric: &str| &answers.iter().find(|answer| answer.metric == metric).unwrap().reading;
        assert!(!of("returning").is_exact() && of("errors").is_exact());
        let List::Items(items) = &of("heavy").list else { panic!("a list") };
        assert_eq!((items.len(), items[0].value), (1, 5));
        let List::Rows(rows) = &of("some").list else { panic!("rows") };
        assert_eq!(rows.len(), 2);
        let negative = answers.iter().find(|answer| {
            answer.metric == "sg.source" && format!("{:?}", answer.by).contains("weight_negative")
        });
        assert_eq!(negative.expect("it is counted").reading.value.unwrap().as_f64(), 1.0);
    }
}
