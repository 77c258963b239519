//! Clients that are slow, broken or hostile; others do not notice.

use crate::client::{Client, listen, metric, request, start, until};
use serve::Listen;
use std::time::Duration;

const SOON: Duration = Duration::from_millis(50);

#[test]
fn a_head_that_does_not_end_loses_the_connection() {
    let (server, inbox) = start(Listen { head_timeout: SOON, ..listen() });
    for start in ["", "POST /v1/ev", "POST /v1/events HTTP/1.1\r\nHost: x\r\n"] {
        let mut slow = Client::new(&server);
        slow.send(start);
        let reply = slow.reply();
        assert!(reply.as_ref().is_none_or(|reply| reply.status == 408), "{start:?}: {reply:?}");
    }
    // And so does a connection that stays silent behind an answer.
    let mut idle = Client::new(&server);
    assert_eq!(idle.post("/v1/events", &[], "x\n").status, 200);
    assert_eq!(idle.reply(), None);
    assert_eq!(inbox.bodies().len(), 1);
}

#[test]
fn a_body_that_does_not_come_is_told_so() {
    let (server, inbox) = start(Listen { body_timeout: SOON, ..listen() });
    for length in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
        let mut slow = Client::new(&server);
        slow.send(format!("POST /v1/events HTTP/1.1\r\nHost: x\r\n{length}\r\n\r\n2"));
        slow.reply().unwrap().assert_refused(408, "did not come within");
    }
    assert!(inbox.bodies().is_empty());
}

#[test]
fn half_a_body_is_nothing() {
    let (server, inbox) = start(listen());
    let whole = request("/v1/events", &[], b"{\"a\":1}\n{\"a\":2}\n");
    for cut in 0..whole.len() {
        Client::new(&server).send(&whole[..cut]);
    }
    let mut chunked = Client::new(&server);
    chunked.send("POST /v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nx\n\r\n");
    drop(chunked);
    until("all are gone", || metric(&server, "http_connections") == Some(1));
    assert!(inbox.bodies().is_empty());
    assert_eq!(Client::new(&server).post("/v1/events", &[], "x\n").status, 200);
}

#[test]
fn requests_in_a_row_are_answered_in_order() {
    let (server, inbox) = start(listen());
    let mut client = Client::new(&server);
    let many: Vec<u8> =
        (0..50).flat_map(|i| request("/v1/events", &[], format!("{i}\n").as_bytes())).collect();
    client.send(many);
    for i in 1..=50 {
        assert_eq!(
            client.reply().unwrap().json()["offset"].as_u64(),
            Some(if i < 11 { 2 * i } else { 3 * i - 10 })
        );
    }
    assert_eq!(inbox.bodies().len(), 50);
}

#[test]
fn a_client_that_reads_no_answers_loses_the_connection() {
    let (server, _) = start(Listen { answer_timeout: SOON, ..listen() });
    let mut deaf = Client::new(&server);
    let many = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1_000);
    let mut sent = 0;
    while deaf.send(&many) {
        sent += 1;
        assert!(sent < 100_000, "the server buffers without end");
    }
    until("it is gone", || metric(&server, "http_connections") == Some(1));
}

#[test]
fn connections_are_bounded() {
    let (server, inbox) = start(Listen { connections_max: 2, ..listen() });
    let mut held = [Client::new(&server), Client::new(&server)];
    // They are there for certain once they are answered.
    assert!(held.iter_mut().all(|client| client.get("/health", &[]).status == 200));
    let mut third = Client::new(&server);
    let reply = third.reply().unwrap();
    reply.assert_refused(503, "too many connections");
    assert_eq!(reply.header("retry-after"), Some("1"));
    let [one, mut other] = held;
    drop(one);
    until("there is room", || {
        let mut next = Client::new(&server);
        next.send(request("/v1/events", &[], b"x\n"));
        next.reply().is_some_and(|reply| reply.status == 200)
    });
    assert_eq!(inbox.bodies().len(), 1);
    let metrics = other.get("/metrics", &[]).body;
    assert!(!metrics.contains("streamgauge_http_refused_connections_total 0"), "{metrics}");
}

#[test]
fn heads_are_bounded() {
    let (server, _) = start(listen());
    for head in [
        format!("X-Long: {}\r\n", "x".repeat(1 << 20)),
        (0..10_000).map(|i| format!("X-{i}: y\r\n")).collect::<String>(),
    ] {
        let mut client = Client::new(&server);
        client.send(format!("POST /v1/events HTTP/1.1\r\nHost: x\r\n{head}\r\n"));
        let reply = client.reply();
        assert!(reply.as_ref().is_none_or(|reply| reply.status == 431), "{reply:?}");
    }
    assert_eq!(Client::new(&server).get("/health", &[]).status, 200);
}

#[test]
fn two_lengths_are_no_length() {
    let (server, inbox) = start(listen());
    for head in [
        "Content-Length: 2\r\nContent-Length: 20",
        "Content-Length: 2, 20",
        "Content-Length: +2",
        "Content-Length: 2x",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: x\r\nContent-Length: 2",
    ] {
        let mut client = Client::new(&server);
        client
            .send(format!("POST /v1/events HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\nx\nGET / HTTP/1.1\r\n\r\n"));
        let reply = client.reply();
        assert!(reply.as_ref().is_none_or(|reply| reply.status == 400), "{head:?}: {reply:?}");
        assert_eq!(client.reply(), None, "{head:?}: what follows is no request");
    }
    assert!(inbox.bodies().is_empty());
}

#[test]
fn rubbish_harms_nobody_else() {
    let (server, inbox) = start(Listen { head_timeout: SOON, body_timeout: SOON, ..listen() });
    let good = request("/v1/events", &["Streamgauge-Producer: a", "Streamgauge-Sequence: 1"], b"x\n");
    let mut random = 5u64;
    let mut below = |n: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % n
    };
    for _ in 0..300 {
        let mut bytes = good.clone();
        for _ in 0..1 + below(4) {
            let at = below(bytes.len());
            match below(3) {
                0 => bytes[at] = below(256) as u8,
                1 => drop(bytes.drain(at..(at + below(9)).min(bytes.len()))),
                _ => bytes.insert(at, b"\r\n: \0\xff;,"[below(8)]),
            }
            if bytes.is_empty() {
                break;
            }
        }
        Client::new(&server).send(bytes);
    }
    assert_eq!(Client::new(&server).post("/v1/events", &[], "good\n").status, 200);
    assert!(inbox.bodies().iter().any(|body| body == b"good\n"));
    until("all are gone", || metric(&server, "http_connections") == Some(1));
}
