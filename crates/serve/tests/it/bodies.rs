//! Bodies: compressed, chunked, too long, of wrong types.

use crate::client::{Client, listen, metric, request, start};
use flate2::Compression;
use flate2::write::GzEncoder;
use serve::Listen;
use std::io::Write;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

fn lines(n: usize) -> Vec<u8> {
    (0..n).flat_map(|i| format!("{{\"number\":{i}}}\n").into_bytes()).collect()
}

#[test]
fn compressed_bodies_are_taken_in_as_what_they_hold() {
    let (server, inbox) = start(listen());
    let text = lines(5_000);
    let two_members = [gzip(&text[..1_000]), gzip(&text[1_000..])].concat();
    let cases = [
        ("identity", text.clone()),
        ("gzip", gzip(&text)),
        ("GZIP", gzip(&text)),
        ("x-gzip", gzip(&text)),
        ("gzip", two_members),
        ("zstd", zstd(&text)),
    ];
    for (i, (encoding, body)) in cases.into_iter().enumerate() {
        let reply =
            Client::new(&server).post("/v1/events", &[&format!("Content-Encoding: {encoding}")], body);
        assert_eq!(
            (reply.status, reply.json()["records"].as_u64()),
            (200, Some(5_000)),
            "{encoding}: {reply:?}"
        );
        assert_eq!(inbox.bodies()[i], text, "{encoding}");
    }
}

#[test]
fn what_cannot_be_decompressed_is_refused() {
    let (server, inbox) = start(listen());
    let (good_gzip, good_zstd) = (gzip(&lines(1_000)), zstd(&lines(1_000)));
    let mut flipped = good_gzip.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 4;
    let cases: [(&str, &[u8]); 7] = [
        ("gzip", b"{\"a\":1}\n"),
        ("gzip", b""),
        ("gzip", &good_gzip[..good_gzip.len() - 9]),
        ("gzip", &flipped),
        ("gzip", &good_zstd),
        ("zstd", &good_zstd[..good_zstd.len() - 4]),
        ("zstd", &good_gzip),
    ];
    for (encoding, body) in cases {
        let reply =
            Client::new(&server).post("/v1/events", &[&format!("Content-Encoding: {encoding}")], body);
        reply.assert_refused(400, "cannot be decompressed");
    }
    for encoding in ["br", "deflate", "gzip, gzip", "compress"] {
        let reply =
            Client::new(&server).post("/v1/events", &[&format!("Content-Encoding: {encoding}")], &good_gzip);
        reply.assert_refused(415, &format!("`{encoding}` is not read"));
        assert_eq!(reply.header("accept-encoding"), Some("gzip, zstd"));
    }
    let twice = ["Content-Encoding: gzip", "Content-Encoding: gzip"];
    Client::new(&server).post("/v1/events", &twice, good_gzip).assert_refused(415, "`several` is not read");
    assert!(inbox.bodies().is_empty());
}

#[test]
fn bombs_are_refused() {
    let (server, inbox) = start(listen());
    let zeros = vec![b'0'; 64 << 20];
    for (encoding, bomb) in
        [("gzip", gzip(&zeros)), ("gzip", gzip(&gzip(&zeros)).repeat(900)), ("zstd", zstd(&zeros))]
    {
        let header = format!("Content-Encoding: {encoding}");
        let reply = Client::new(&server).post("/v1/events", &[&header], &bomb);
        reply.assert_refused(413, "8388608 bytes");
    }
    // A frame that asks for 2 GiB of window.
    let huge = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00];
    let reply = Client::new(&server).post("/v1/events", &["Content-Encoding: zstd"], huge);
    reply.assert_refused(400, "cannot be decompressed");
    assert!(inbox.bodies().is_empty());
    assert_eq!(metric(&server, "http_receiving_bytes"), Some(0), "what was held is given back");
}

#[test]
fn a_body_may_be_as_long_as_allowed_and_no_longer() {
    let (server, inbox) = start(Listen { body_bytes_max: 1_000, ..listen() });
    let chunked = |bytes: usize| {
        let head = "POST /v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".to_string();
        let chunk = format!("64\r\n{}\r\n", "x".repeat(100));
        head + &chunk.repeat(bytes / 100)
            + &format!("{:x}\r\n{}\r\n0\r\n\r\n", 1 + bytes % 100, "y".repeat(1 + bytes % 100))
    };
    for (bytes, status) in [(999, 200), (1_000, 200), (1_001, 413), (100_000, 413)] {
        let reply = Client::new(&server).post("/v1/events", &[], vec![b'x'; bytes]);
        assert_eq!(reply.status, status, "{bytes} bytes: {reply:?}");
        let mut client = Client::new(&server);
        client.send(chunked(bytes - 1));
        assert_eq!(client.reply().unwrap().status, status, "{bytes} bytes in chunks");
    }
    assert_eq!(inbox.bodies().len(), 4);
    // One that asks before it sends is told at once.
    let mut client = Client::new(&server);
    client.send(
        "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000000\r\nExpect: 100-continue\r\n\r\n",
    );
    client.reply().unwrap().assert_refused(413, "more than 1000 bytes");
    let mut client = Client::new(&server);
    client.send("POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    client.send("x\n");
    assert_eq!(client.reply().unwrap().status, 200);
}

#[test]
fn types_that_are_no_lines_of_json_are_refused() {
    let (server, _) = start(listen());
    let mut client = Client::new(&server);
    for fine in [
        "application/x-ndjson",
        "application/json; charset=utf-8",
        "application/jsonl",
        "text/plain",
        "application/x-www-form-urlencoded",
    ] {
        let reply = client.post("/v1/events", &[&format!("Content-Type: {fine}")], "x\n");
        assert_eq!(reply.status, 200, "{fine}");
    }
    for wrong in ["text/html", "multipart/form-data; boundary=x", "image/png", "application/x-protobuf"] {
        let reply = client.post("/v1/events", &[&format!("Content-Type: {wrong}")], "x\n");
        reply.assert_refused(415, &format!("`{wrong}` is not read"));
    }
}

#[test]
fn bodies_together_take_bounded_memory() {
    let (server, inbox) = start(Listen { receiving_bytes_max: 0, body_bytes_max: 1_000, ..listen() });
    let whole = request("/v1/events", &[], &[b'x'; 1_000]);
    let mut early = [Client::new(&server), Client::new(&server)];
    for client in &mut early {
        client.send(&whole[..whole.len() - 1]);
    }
    crate::client::until("two have sent nearly all", || {
        metric(&server, "http_receiving_bytes").is_some_and(|bytes| bytes == 2 * 999)
    });
    let reply = Client::new(&server).post("/v1/events", &[], vec![b'y'; 1_000]);
    reply.assert_refused(429, "too many bytes");
    assert_eq!(reply.header("retry-after"), Some("1"));
    for client in &mut early {
        client.send("x");
        assert_eq!(client.reply().unwrap().status, 200);
    }
    // The longest body has room, compressed and decompressed, however little is allowed.
    let longest = [&b"z".repeat(999)[..], b"\n"].concat();
    let reply = Client::new(&server).post("/v1/events", &["Content-Encoding: gzip"], gzip(&longest));
    assert_eq!((reply.status, inbox.bodies().len()), (200, 3));
}
