//! `GET /openapi.json`: what may be asked, for programs. Made of the table of routes, so that none is left out.

use crate::counters::Refused;
use crate::roles::Need;
use crate::routes::{Told, told};
use crate::server::House;
use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The schema of answers, as it is published.
const ANSWER: &str = include_str!("../../../docs/answer.schema.json");

/// What a method of a route does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operation {
    /// In lower case.
    pub method: &'static str,
    /// In a few words.
    pub says: &'static str,
    /// Words behind the `?`, and headers.
    pub takes: &'static [Param],
    /// Media types of the body that it reads, if it reads one.
    pub body: &'static [&'static str],
    /// What it answers when it does what it is asked.
    pub gives: &'static [Gives],
}

/// A word that a request may have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Param {
    pub at: At,
    pub name: &'static str,
    pub says: &'static str,
}

/// Where it stands.
#[derive(Debug, Clone, Copy)]
pub(crate) enum At {
    Query,
    Header,
}

/// An answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gives {
    pub status: u16,
    pub says: &'static str,
    /// Its media type and the name of its schema; empty is no body.
    pub media: &'static str,
    pub schema: &'static str,
}

/// An answer of 200 as JSON.
pub(crate) const fn json_of(says: &'static str, schema: &'static str) -> Gives {
    Gives { status: 200, says, media: "application/json", schema }
}

/// An answer of 200 as something else.
pub(crate) const fn media_of(says: &'static str, media: &'static str) -> Gives {
    Gives { status: 200, says, media, schema: "Text" }
}

/// A word behind the `?`.
pub(crate) const fn word(name: &'static str, says: &'static str) -> Param {
    Param { at: At::Query, name, says }
}

/// A header.
pub(crate) const fn header(name: &'static str, says: &'static str) -> Param {
    Param { at: At::Header, name, says }
}

/// The document.
pub(crate) async fn openapi(State(house): State<Arc<House>>) -> Json<Value> {
    Json(document(&house.listen.base))
}

/// OpenAPI 3.1, of a server below this base path.
pub(crate) fn document(base: &str) -> Value {
    let paths: Map<String, Value> =
        told().iter().map(|route| (route.path.to_string(), Value::Object(item(route)))).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Streamgauge",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Events in, answers with their bounds out. Every refusal is application/problem+json and says what to do.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": if base.is_empty() { "/" } else { base } }],
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "responses": { "Problem": {
                "description": "A refusal: what is wrong, and what to do.",
                "headers": { "Retry-After": {
                    "description": "Seconds after which it may be tried again.", "schema": { "type": "integer" },
                } },
                "content": { "application/problem+json": { "schema": reference("Problem") } },
            } },
            "securitySchemes": {
                "token": {
                    "type": "http", "scheme": "bearer",
                    "description": "Without tokens in the pipeline file whoever is on the machine of the server may do everything.",
                },
                "cookie": { "type": "apiKey", "in": "cookie", "name": crate::guard::COOKIE },
            },
        },
    })
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn item(route: &Told) -> Map<String, Value> {
    route.does.iter().map(|does| (does.method.to_string(), operation(route, does))).collect()
}

fn operation(route: &Told, does: &Operation) -> Value {
    let parts = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = parts
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }));
    let others = does.takes.iter().map(|param| {
        let at = match param.at {
            At::Query => "query",
            At::Header => "header",
        };
        json!({ "name": param.name, "in": at, "description": param.says, "schema": { "type": "string" } })
    });
    let mut responses: Map<String, Value> = does.gives.iter().map(given).collect();
    responses.insert("default".into(), json!({ "$ref": "#/components/responses/Problem" }));
    let security = match route.need {
        Need::Nothing => json!([]),
        Need::Token | Need::Ingest | Need::Read => json!([{ "token": [] }, { "cookie": [] }]),
    };
    let mut out = json!({
        "operationId": name(does.method, route.path),
        "summary": does.says,
        "description": format!("Needs {}.", role(route.need)),
        "x-streamgauge-needs": word_of(route.need),
        "security": security,
        "parameters": in_path.chain(others).collect::<Vec<Value>>(),
        "responses": responses,
    });
    if !does.body.is_empty() {
        let content: Map<String, Value> = does
            .body
            .iter()
            .map(|media| (media.to_string(), json!({ "schema": body_schema(media) })))
            .collect();
        out["requestBody"] = json!({ "required": true, "content": content });
    }
    out
}

/// `get_v1_metrics_name`: what generators make functions of.
fn name(method: &str, path: &str) -> String {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    std::iter::once(method).chain(words).collect::<Vec<&str>>().join("_")
}

fn given(gives: &Gives) -> (String, Value) {
    let mut answer = json!({ "description": gives.says });
    if !gives.media.is_empty() {
        let mut content = Map::new();
        content.insert(gives.media.into(), json!({ "schema": reference(gives.schema) }));
        answer["content"] = Value::Object(content);
    }
    (gives.status.to_string(), answer)
}

fn body_schema(media: &str) -> Value {
    match media {
        "application/json" => reference("Query"),
        "application/octet-stream" => reference("Bytes"),
        _ => reference("Text"),
    }
}

/// What a route needs, as a word.
pub(crate) fn word_of(need: Need) -> &'static str {
    match need {
        Need::Nothing => "nothing",
        Need::Token => "token",
        Need::Ingest => "ingest",
        Need::Read => "read",
    }
}

fn role(need: Need) -> &'static str {
    match need {
        Need::Nothing => "nothing",
        need => need.what(),
    }
}

/// The schemas that routes name.
fn schemas() -> Value {
    let text = |says: &str| json!({ "type": "string", "description": says });
    let number = |says: &str| json!({ "type": "integer", "minimum": 0, "description": says });
    let object = |properties: Value| {
        let names: Vec<String> =
            properties.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
        json!({ "type": "object", "properties": properties, "required": names })
    };
    let time = json!({ "type": ["string", "null"], "description": "RFC 3339, UTC." });
    let (reasons, words): (Vec<&str>, Vec<String>) =
        Refused::ALL.iter().map(|(reason, word)| (*word, format!("`{word}`: {}", reason.says()))).unzip();
    let mut all = json!({
        "Text": { "type": "string" },
        "Bytes": { "type": "string", "format": "binary" },
        "Query": object(json!({ "query": text("One statement that reads.") })),
        "Problem": object(json!({
            "type": { "const": "about:blank" },
            "title": text("The status in words."),
            "status": number("The status."),
            "reason": { "type": "string", "enum": reasons, "description": words.join("; ") },
            "detail": text("What is wrong, in a sentence."),
            "hint": text("What to do."),
        })),
        "Accepted": {
            "type": "object",
            "properties": {
                "accepted_bytes": number("Bytes of the body, decompressed."),
                "records": number("Lines that are not blank."),
                "duplicate": { "type": "boolean", "description": "It had been taken in before." },
                "offset": number("A position behind the body in the log."),
                "judged": { "type": "boolean", "description": "Where `reply` was asked for: whether `events` are there." },
                "events": { "type": "array", "items": { "type": "object" }, "description": "Of each record, by the names of `reply`; or `bad`, and why." },
                "why": text("Why they are not."),
            },
            "required": ["accepted_bytes", "records", "duplicate", "offset"],
        },
        "Offered": {
            "type": "object",
            "properties": {
                "state": { "enum": ["taken", "known", "lacking"] },
                "commit": number("The newest commit that was known."),
                "of": text("The state whose segments are lacking."),
                "segments": { "type": "array", "items": { "type": "string" } },
            },
            "required": ["state"],
        },
        "Replaced": object(json!({
            "state": { "enum": ["taken", "known"] },
            "revision": number("The newest revision of the origin."),
        })),
        "Segment": object(json!({ "bytes": number("Bytes that were taken over.") })),
        "Metrics": object(json!({ "metrics": { "type": "array", "items": object(json!({
            "metric": text("Its name."),
            "source": text("The source that it measures."),
            "measure": text("The word of pipeline files."),
            "of": { "type": ["string", "null"], "description": "The field that it measures." },
            "by": { "type": "array", "items": { "type": "array", "items": { "type": "string" } } },
            "panes": { "type": "array", "items": { "type": "string" } },
            "total": { "type": "boolean", "description": "Whether all time is kept." },
            "groups_max": number("Groups that are kept apart."),
        })) } })),
        "Answer": object(json!({
            "metric": text("Its name."),
            "complete_to": time,
            "newest": time,
            "late": number("Late events of the source so far."),
            "rows": { "type": "array", "items": reference("Row") },
        })),
        "Table": object(json!({
            "columns": { "type": "array", "items": object(json!({ "name": text("Its name."), "type": text("Its type, as Arrow has it.") })) },
            "rows": { "type": "array", "items": { "type": "array" } },
            "lints": { "type": "array", "items": object(json!({
                "code": text("A word for what is doubtful."), "text": text("What it is."), "hint": text("What to write instead."),
            })) },
            "took_ms": { "type": "number" },
        })),
        "Status": object(json!({
            "version": text("Of the program."),
            "uptime_s": number("Seconds that it has been listening."),
            "ready": { "type": "boolean" },
            "stopping": { "type": "boolean" },
            "connections": number("Connections that are open."),
            "sql": { "type": "boolean", "description": "Whether it is asked in SQL." },
            "cache": { "type": "object", "additionalProperties": { "type": "integer" } },
            "sources": { "type": "array", "items": { "type": "object" } },
        })),
        "Health": {
            "type": "object",
            "properties": { "status": { "enum": ["ok", "trouble"] }, "error": text("The last error of the disk.") },
            "required": ["status"],
        },
        "Ready": object(json!({ "ready": { "type": "boolean" }, "stopping": { "type": "boolean" } })),
        "OpenApi": { "type": "object" },
    });
    // The published schema of answers, with its parts where references lead now.
    let moved = ANSWER.replace("#/$defs/", "#/components/schemas/Row.");
    let published: Value = serde_json::from_str(&moved).unwrap_or_default();
    for (name, schema) in published["$defs"].as_object().into_iter().flatten() {
        all[format!("Row.{name}")] = schema.clone();
    }
    all["Row"] = reference("Row.answer");
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Every `$ref` in a document.
    fn references(value: &Value, out: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                out.extend(members.get("$ref").and_then(Value::as_str).map(String::from));
                members.values().for_each(|value| references(value, out));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, out)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_schema_is_used() {
        let document = document("");
        let mut all = BTreeSet::new();
        references(&document, &mut all);
        for reference in &all {
            let pointer = reference.strip_prefix('#').expect("inside of the document");
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        for name in document["components"]["schemas"].as_object().expect("schemas").keys() {
            assert!(all.contains(&format!("#/components/schemas/{name}")), "nobody needs {name}");
        }
    }

    #[test]
    fn every_reason_is_named() {
        let problem = &document("")["components"]["schemas"]["Problem"];
        let named = problem["properties"]["reason"]["enum"].as_array().expect("reasons");
        let known: Vec<Value> = Refused::ALL.iter().map(|(_, word)| json!(word)).collect();
        assert_eq!(named, &known);
    }

    #[test]
    fn routes_stand_there_with_what_they_need() {
        let document = document("/gauge");
        assert_eq!(document["servers"][0]["url"], "/gauge");
        assert_eq!(document["paths"].as_object().expect("paths").len(), told().len());
        for route in told() {
            let item = document["paths"][route.path].as_object().expect("an item");
            assert!(!item.is_empty(), "{} does nothing", route.path);
            for operation in item.values() {
                assert_eq!(operation["x-streamgauge-needs"], word_of(route.need), "{}", route.path);
                let guarded = operation["security"].as_array().is_some_and(|all| !all.is_empty());
                assert_eq!(guarded, route.need != Need::Nothing, "{}", route.path);
            }
        }
    }
}
