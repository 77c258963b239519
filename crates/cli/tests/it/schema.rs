//! Reports against docs/answer.schema.json, by a validator of the keywords that the published schemas use.

use crate::support::Workdir;
use serde_json::{Value, json};

/// The schema as it is published.
pub fn schema() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/answer.schema.json");
    serde_json::from_str(&std::fs::read_to_string(path).expect("the schema is there"))
        .expect("the schema is JSON")
}

/// What is wrong with `value` under `rule`, a part of `root`. A keyword that is not known here is an error of the test.
pub fn validate(root: &Value, rule: &Value, value: &Value) -> Result<(), String> {
    for (keyword, says) in rule.as_object().expect("a schema is an object") {
        let fits = match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "default" | "examples" => true,
            // Patterns help editors; nothing here depends on one.
            "pattern" | "propertyNames" => true,
            "minLength" => value.as_str().is_none_or(|v| v.chars().count() as u64 >= number(says)),
            "maxLength" => value.as_str().is_none_or(|v| v.chars().count() as u64 <= number(says)),
            "minItems" => value.as_array().is_none_or(|v| v.len() as u64 >= number(says)),
            "maxItems" => value.as_array().is_none_or(|v| v.len() as u64 <= number(says)),
            "minProperties" => value.as_object().is_none_or(|v| v.len() as u64 >= number(says)),
            "maxProperties" => value.as_object().is_none_or(|v| v.len() as u64 <= number(says)),
            "$ref" => {
                let name = says.as_str().and_then(|s| s.strip_prefix("#/$defs/")).expect("a local reference");
                validate(root, &root["$defs"][name], value)?;
                true
            }
            "type" => match says {
                Value::Array(types) => types.iter().any(|t| is_of(t, value)),
                one => is_of(one, value),
            },
            "const" => says == value,
            "enum" => says.as_array().expect("a list").contains(value),
            "minimum" => value.as_f64().is_none_or(|v| v >= says.as_f64().expect("a number")),
            "maximum" => value.as_f64().is_none_or(|v| v <= says.as_f64().expect("a number")),
            "required" => says
                .as_array()
                .expect("a list")
                .iter()
                .all(|key| value.get(key.as_str().expect("a key")).is_some()),
            "items" => {
                value
                    .as_array()
                    .into_iter()
                    .flatten()
                    .try_for_each(|element| validate(root, says, element))?;
                true
            }
            "properties" => {
                let known = says.as_object().expect("an object").iter();
                known
                    .filter_map(|(key, rule)| Some((rule, value.get(key)?)))
                    .try_for_each(|(r, v)| validate(root, r, v))?;
                true
            }
            "additionalProperties" => {
                let extra = value
                    .as_object()
                    .into_iter()
                    .flatten()
                    .filter(|(key, _)| rule["properties"].get(key).is_none());
                match says {
                    Value::Bool(allowed) => *allowed || extra.count() == 0,
                    rule => {
                        extra.map(|(_, v)| v).try_for_each(|v| validate(root, rule, v))?;
                        true
                    }
                }
            }
            "anyOf" => {
                let mut cases = says.as_array().expect("a list").iter();
                cases.any(|case| validate(root, case, value).is_ok())
            }
            "oneOf" => {
                let cases = says.as_array().expect("a list").iter();
                cases.filter(|case| validate(root, case, value).is_ok()).count() == 1
            }
            other => panic!("the validator does not know `{other}`"),
        };
        if !fits {
            return Err(format!("{keyword} {says} does not hold for {value}"));
        }
    }
    Ok(())
}

fn number(says: &Value) -> u64 {
    says.as_u64().expect("a number")
}

fn is_of(name: &Value, value: &Value) -> bool {
    match name.as_str().expect("the name of a type") {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("there is no type `{other}`"),
    }
}

/// A report with every shape of answer: groups of every type, the other group, nothing measured, huge integers.
fn report(args: &[&str]) -> Value {
    let lines: String = (0..3_000i64)
        .map(|i| {
            format!(
                "{{\"ts\": {i}, \"s\": \"v{i}\", \"i\": {}, \"f\": {}.5, \"b\": {}, \"big\": 9007199254740993}}\n",
                i % 3,
                i % 7,
                i % 2 == 0
            )
        })
        .collect();
    let text = format!("{lines}{{\"ts\": 3000}}\nbad\n");
    let source = "time = { field = \"ts\", unit = \"s\" }\n\
                  fields = { i = \"int64\", f = \"float64\", b = \"bool\", big = \"int64\" }";
    let by = "by = [[], [\"i\"], [\"b\", \"f\"], [\"big\"]]";
    let measures = [
        "count()",
        "sum(big)",
        "sum(f)",
        "min(i)",
        "max(f)",
        "avg(f)",
        "stddev(f)",
        "unique(s)",
        "top(s, 3)",
        "freq(i)",
        "top(big)",
        "quantiles(f)",
        "histogram(f)",
        "histogram(f, 1, 2.5)",
    ];
    let mut metrics: String =
        measures.iter().enumerate().map(|(n, m)| format!("m{n} = {{ measure = \"{m}\", {by} }}\n")).collect();
    metrics.push_str("seen = { measure = \"seen(s)\", size = \"1k @ 1%\" }\n");
    metrics.push_str("old = { measure = \"count() filter (where seen)\", by = [[], [\"b\"]] }\n");
    metrics.push_str("who = \"audience(s)\"\nsome = { measure = \"sample(2, s, i)\", by = [[], [\"b\"]] }\n");
    metrics.push_str("few = { measure = \"unique(s)\", by = [\"s\"], keys = \"2 + other\" }\n");
    metrics.push_str("fewq = { measure = \"quantiles(f)\", by = [\"s\"], keys = \"2 + other\" }\n");
    let dir = Workdir::with("d.ndjson", text, source, &metrics);
    Value::Array(dir.json(args))
}

#[test]
fn reports_fit_the_published_schema() {
    let schema = schema();
    for args in [&[][..], &["--every", "10m"], &["--window", "20m", "--every", "10m"]] {
        let report = report(args);
        validate(&schema, &schema, &report).unwrap_or_else(|e| panic!("{args:?}: {e}"));
        let answers = report.as_array().expect("an array");
        for answer in answers {
            validate(&schema, &schema["$defs"]["answer"], answer).unwrap_or_else(|e| panic!("{e}"));
        }
        for (list, least) in
            [("items", 3), ("quantiles", 1), ("buckets", 2), ("rows", 3), ("fill", 1), ("other", 1)]
        {
            assert!(
                answers.iter().filter(|a| a.get(list).is_some()).count() >= least,
                "{list} is among the answers"
            );
        }
        for guarantee in ["exact", "proven", "probabilistic", "none"] {
            let is = |a: &Value| a["guarantee"] == guarantee;
            // Ten minutes are 600 values: still a plain set.
            assert!(
                answers.iter().any(is) || (guarantee == "probabilistic" && !args.is_empty()),
                "{guarantee}"
            );
        }
    }
}

#[test]
fn what_is_not_a_report_does_not_fit() {
    let schema = schema();
    let good = report(&[]);
    let list = |name: &str| {
        good.as_array().expect("an array").iter().position(|a| a.get(name).is_some()).expect(name)
    };
    let (items, quantiles, buckets, other) =
        (list("items"), list("quantiles"), list("buckets"), list("other"));
    let keys = good[0].as_object().expect("an answer").keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys.len(), 13);
    for key in &keys {
        let mut report = good.clone();
        report[0].as_object_mut().expect("an answer").remove(key);
        assert!(validate(&schema, &schema, &report).is_err(), "without {key}");
    }
    for (index, path, wrong) in [
        (0, "/extra", json!(1)),
        (0, "/metric", json!(null)),
        (0, "/by", json!({"a": []})),
        (0, "/value", json!([1])),
        (0, "/confidence", json!(1.5)),
        (0, "/guarantee", json!("sure")),
        (0, "/exact", json!("true")),
        (0, "/late", json!(-1)),
        (0, "/start", json!(0)),
        (other, "/other", json!(false)),
        (items, "/value", json!(3)),
        (items, "/quantiles", json!([])),
        (items, "/items/0/low", json!(-1)),
        (items, "/items/0/more", json!(1)),
        (quantiles, "/quantiles/0/q", json!(2)),
        (buckets, "/buckets/0/le", json!("Inf")),
    ] {
        let mut report = good.clone();
        let (parent, key) = path.rsplit_once('/').expect("a path");
        report[index].pointer_mut(parent).expect("a parent")[key] = wrong;
        assert!(validate(&schema, &schema, &report).is_err(), "{path} of {index}");
    }
    assert!(validate(&schema, &schema, &json!({})).is_err());
}
