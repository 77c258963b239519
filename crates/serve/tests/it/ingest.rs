//! Events come in; who may, what is said.

use crate::client::{Client, listen, metric, start, until};
use crate::inbox::TestInbox;
use engine::inbox::Refusal;
use serde_json::json;
use serve::{Behind, Listen, Role, Server, Source, Tokens};
use std::sync::Arc;

#[test]
fn a_body_is_handed_in_and_answered() {
    let (server, inbox) = start(listen());
    let mut client = Client::new(&server);
    let reply = client.post("/v1/events", &[], "{\"a\":1}\n{\"a\":2}\n");
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.json(), json!({ "accepted_bytes": 16, "records": 2, "duplicate": false, "offset": 16 }));
    // The connection goes on, and the only source can be named.
    let reply = client.post("/v1/events/events", &["Content-Type: application/x-ndjson"], "{\"a\":3}");
    assert_eq!((reply.status, reply.json()["offset"].as_u64()), (200, Some(23)));
    assert_eq!(inbox.bodies(), [&b"{\"a\":1}\n{\"a\":2}\n"[..], b"{\"a\":3}"]);
}

#[test]
fn nothing_is_answered_before_it_is_durable() {
    let (server, inbox) = start(listen());
    inbox.hold();
    let mut client = Client::new(&server);
    client.send(crate::client::request("/v1/events", &[], b"x\n"));
    until("the inbox has it", || inbox.holds() == 1);
    assert!(client.is_silent());
    inbox.release();
    assert_eq!(client.reply().map(|reply| reply.status), Some(200));
}

#[test]
fn a_retry_is_a_duplicate() {
    let (server, inbox) = start(listen());
    let headers = ["Streamgauge-Producer: web-1", "Streamgauge-Sequence: 7"];
    for duplicate in [false, true, true] {
        let reply = Client::new(&server).post("/v1/events", &headers, "x\n");
        assert_eq!((reply.status, reply.json()["duplicate"].as_bool()), (200, Some(duplicate)));
    }
    // The client that did not wait for its answer.
    let headers = ["Streamgauge-Producer: web-1", "Streamgauge-Sequence: 8"];
    inbox.hold();
    let mut impatient = Client::new(&server);
    impatient.send(crate::client::request("/v1/events", &headers, b"y\n"));
    until("the inbox has it", || inbox.holds() == 1);
    drop(impatient);
    inbox.release();
    assert_eq!(Client::new(&server).post("/v1/events", &headers, "y\n").json()["duplicate"], json!(true));
    assert_eq!(inbox.bodies(), [b"x\n", b"y\n"]);
    assert_eq!(metric(&server, "http_duplicate_bodies_total{source=\"events\"}"), Some(3));
}

#[test]
fn half_a_stamp_is_refused() {
    let (server, inbox) = start(listen());
    let long = format!("Streamgauge-Producer: {}", "x".repeat(129));
    let cases: [(&[&str], &str); 8] = [
        (&["Streamgauge-Producer: web-1"], "no streamgauge-sequence"),
        (&["Streamgauge-Sequence: 7"], "no streamgauge-producer"),
        (&["Streamgauge-Producer: a", "Streamgauge-Sequence: seven"], "`seven` is no number"),
        (&["Streamgauge-Producer: a", "Streamgauge-Sequence: -7"], "`-7` is no number"),
        (&["Streamgauge-Producer: a", "Streamgauge-Sequence: 18446744073709551616"], "is no number"),
        (&["Streamgauge-Producer: a b", "Streamgauge-Sequence: 7"], "`a b` is no name"),
        (&[&long, "Streamgauge-Sequence: 7"], "is no name"),
        (&["Streamgauge-Producer: a", "Streamgauge-Sequence: 7", "Streamgauge-Sequence: 8"], "there twice"),
    ];
    for (headers, part) in cases {
        Client::new(&server).post("/v1/events", headers, "x\n").assert_refused(400, part);
    }
    assert!(inbox.bodies().is_empty());
}

#[test]
fn refusals_say_when_to_come_again() {
    let (server, inbox) = start(listen());
    let cases = [
        (Refusal::Busy, 429, Some("1"), "being written", "busy"),
        (Refusal::Behind, 429, Some("5"), "wait to be read", "behind"),
        (Refusal::Stopping, 503, Some("5"), "being stopped", "stopping"),
        (Refusal::NoSpace, 503, Some("10"), "disk is full", "disk"),
        (Refusal::Failed("it broke".into()), 503, Some("10"), "it broke", "disk"),
        (Refusal::TooLong { bytes_max: 5 }, 413, None, "more than 5 bytes", "too_long"),
    ];
    for (refusal, status, after, part, reason) in cases {
        let name = format!("http_refused_requests_total{{reason=\"{reason}\"}}");
        let before = metric(&server, &name).unwrap();
        inbox.refuse(Some(refusal));
        let reply = Client::new(&server).post("/v1/events", &[], "x\n");
        reply.assert_refused(status, part);
        assert_eq!(reply.header("retry-after"), after, "{reply:?}");
        assert_eq!(metric(&server, &name), Some(before + 1));
    }
    let health = Client::new(&server).get("/health", &[]);
    assert_eq!(
        (health.status, health.json()["error"].as_str()),
        (200, Some("the body could not be written: it broke"))
    );
    inbox.refuse(None);
    assert_eq!(Client::new(&server).post("/v1/events", &[], "x\n").status, 200);
    assert_eq!(Client::new(&server).get("/health", &[]).json(), json!({ "status": "ok" }));
}

#[test]
fn several_sources_have_paths_of_their_own() {
    let inboxes = [Arc::new(TestInbox::default()), Arc::new(TestInbox::default())];
    let sources = vec![Source::new("clicks", inboxes[0].clone()), Source::new("orders", inboxes[1].clone())];
    let server = Server::start(listen(), Behind { sources, ..Behind::default() }).unwrap();
    let mut client = Client::new(&server);
    assert_eq!(client.post("/v1/events/orders", &[], "x\n").status, 200);
    assert_eq!((inboxes[0].bodies().len(), inboxes[1].bodies().len()), (0, 1));
    let reply = client.post("/v1/events", &[], "x\n");
    reply.assert_refused(404, "several sources");
    assert!(reply.body.contains("/v1/events/clicks or /v1/events/orders"), "{reply:?}");
    client.post("/v1/events/order", &[], "x\n").assert_refused(404, "no source is called `order`");
    let none = Server::start(listen(), Behind::default()).unwrap();
    Client::new(&none).post("/v1/events", &[], "x\n").assert_refused(404, "no source takes events");
}

#[test]
fn paths_and_methods_that_are_not_there_say_what_is() {
    let (server, _) = start(listen());
    let mut client = Client::new(&server);
    client.get("/v2", &[]).assert_refused(404, "nothing here");
    let reply = client.get("/v1/events", &[]);
    reply.assert_refused(405, "this method");
    assert_eq!(reply.header("allow"), Some("POST"));
    client.post("/health", &[], "x\n").assert_refused(405, "this method");
}

#[test]
fn a_token_is_asked_for_everywhere_but_for_health() {
    let (server, inbox) = start(Listen { tokens: Tokens::none().with("secret", Role::Admin), ..listen() });
    let token = "Authorization: Bearer secret";
    for wrong in [&[][..], &["Authorization: Bearer wrong"], &[token, token]] {
        let reply = Client::new(&server).post("/v1/events", wrong, "x\n");
        reply.assert_refused(401, "needs the token");
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
        Client::new(&server).get("/metrics", wrong).assert_refused(401, "needs the token");
        Client::new(&server).get("/nothing", wrong).assert_refused(401, "needs the token");
    }
    assert!(inbox.bodies().is_empty());
    let mut client = Client::new(&server);
    assert_eq!(client.post("/v1/events", &[token], "x\n").status, 200);
    assert_eq!(client.get("/metrics", &[token]).status, 200);
    assert_eq!((client.get("/health", &[]).status, client.get("/ready", &[]).status), (200, 503));
}

#[test]
fn a_web_page_of_another_origin_may_not_send() {
    let (server, inbox) = start(listen());
    let headers = ["Content-Type: text/plain", "Origin: https://evil.example"];
    Client::new(&server).post("/v1/events", &headers, "x\n").assert_refused(403, "another origin");
    assert!(inbox.bodies().is_empty());
}

#[test]
fn readiness_and_counters_are_told() {
    let (server, _) = start(listen());
    let mut client = Client::new(&server);
    assert_eq!(client.get("/ready", &[]).status, 503);
    server.set_ready(true);
    assert_eq!(client.get("/ready", &[]).json(), json!({ "ready": true, "stopping": false }));
    client.post("/v1/events", &[], "x\ny\n");
    let reply = client.get("/metrics", &[]);
    assert_eq!(reply.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for line in [
        "streamgauge_http_requests_total{status=\"200\"} 2",
        "streamgauge_http_requests_total{status=\"503\"} 1",
        "streamgauge_http_received_bytes_total 4",
        "streamgauge_http_connections 1",
        "streamgauge_http_accepted_bodies_total{source=\"events\"} 1",
        "streamgauge_http_accepted_bytes_total{source=\"events\"} 4",
        "streamgauge_http_accepted_records_total{source=\"events\"} 2",
        "streamgauge_http_receiving_bytes 0",
        "streamgauge_inbox_queue_bytes{source=\"events\"} 11",
        "streamgauge_inbox_backlog_bytes{source=\"events\"} 22",
    ] {
        assert!(reply.body.lines().any(|other| other == line), "`{line}` in {}", reply.body);
    }
    // Every sample has its head, and names are those of Prometheus.
    for line in reply.body.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let name = name.strip_suffix("_sum").or(name.strip_suffix("_count")).unwrap_or(name);
        assert!(reply.body.contains(&format!("# TYPE {name} ")), "{name}");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
    }
}
