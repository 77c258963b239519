//! States of other nodes: what comes is handed on in order, and what is said to it goes back.

use crate::client::{Client, listen, metric, request};
use engine::origins::{Incoming, No, Offered, Origins, SegmentOf};
use serve::{Behind, Listen, Role, Server, Tokens};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Remembers what came of segments, whole or not.
#[derive(Default)]
struct Store {
    kept: Arc<Mutex<Vec<Vec<u8>>>>,
    dropped: Arc<Mutex<usize>>,
}

struct Part {
    bytes: Vec<u8>,
    kept: Arc<Mutex<Vec<Vec<u8>>>>,
    dropped: Arc<Mutex<usize>>,
}

impl Origins for Store {
    fn offer(&self, origin: &str, source: &str, manifest: &[u8]) -> Result<Offered, No> {
        match manifest {
            b"taken" => Ok(Offered::Taken),
            b"known" => Ok(Offered::Known { commit: 7 }),
            b"another" => Err(No::Another("it is another".into())),
            b"large" => Err(No::TooMuch("it is large".into())),
            b"busy" => Err(No::Busy),
            b"full" => Err(No::NoSpace),
            _ => Ok(Offered::Lacks { state: format!("{origin}:{source}"), segments: vec!["s-1".into()] }),
        }
    }

    fn segment(&self, of: &SegmentOf<'_>) -> Result<Box<dyn Incoming>, No> {
        if of.name != "s-1" {
            return Err(No::NotThis("nobody needs it".into()));
        }
        Ok(Box::new(Part { bytes: Vec::new(), kept: self.kept.clone(), dropped: self.dropped.clone() }))
    }
}

impl Incoming for Part {
    fn push(&mut self, bytes: &[u8]) -> Result<(), No> {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > 5_000_000 { Err(No::NotThis("it is longer".into())) } else { Ok(()) }
    }

    fn finish(mut self: Box<Self>) -> Result<(), No> {
        self.kept.lock().unwrap().push(std::mem::take(&mut self.bytes));
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        *self.dropped.lock().unwrap() += 1;
    }
}

fn start(listen: Listen) -> (Server, Arc<Store>) {
    let store = Arc::new(Store::default());
    let server = Server::start(listen, Behind { origins: Some(store.clone()), ..Behind::default() }).unwrap();
    (server, store)
}

fn put(path: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = request(path, &[], body);
    bytes.splice(..4, *b"PUT");
    bytes
}

const COMMIT: &str = "/v1/origins/a/e/commit";
const SEGMENT: &str = "/v1/origins/a/e/segments/0/s-1";

#[test]
fn offers_are_answered_as_they_are_judged() {
    let (server, _) = start(listen());
    let mut client = Client::new(&server);
    let mut check = |body: &str, status: u16, fragment: &str| {
        let reply = client.post(COMMIT, &[], body);
        assert_eq!(reply.status, status, "{reply:?}");
        assert!(reply.body.contains(fragment), "{reply:?}");
    };
    check("taken", 200, "\"taken\"");
    check("known", 200, "\"commit\":7");
    check("x", 200, "\"of\":\"a:e\"");
    check("x", 200, "[\"s-1\"]");
    check("another", 409, "it is another");
    check("large", 413, "it is large");
    check("busy", 429, "too many");
    check("full", 503, "disk is full");
    assert_eq!(metric(&server, "origin_commits_total"), Some(1));
}

#[test]
fn a_segment_of_any_length_is_handed_on_whole_or_not_at_all() {
    // Longer than a body may be: it is not held in memory.
    let (server, store) = start(Listen { body_bytes_max: 1 << 16, ..listen() });
    let mut client = Client::new(&server);
    let long: Vec<u8> = (0..4_000_000u32).map(|i| (i / 3) as u8).collect();
    for body in [&long[..], b"", b"short"] {
        client.send(put(SEGMENT, body));
        assert_eq!(client.reply().unwrap().status, 200);
        assert_eq!(store.kept.lock().unwrap().pop().unwrap(), body);
    }
    client.send(put("/v1/origins/a/e/segments/0/s-2", b"x"));
    client.reply().unwrap().assert_refused(412, "nobody needs it");
    client.send(put(SEGMENT, &vec![7; 5_000_001]));
    client.reply().unwrap().assert_refused(412, "longer");
    let before = *store.dropped.lock().unwrap();
    let whole = put(SEGMENT, &long);
    drop(client);
    let mut cut = Client::new(&server);
    cut.send(&whole[..whole.len() / 2]);
    drop(cut);
    crate::client::until("it is dropped", || *store.dropped.lock().unwrap() > before);
    assert!(store.kept.lock().unwrap().is_empty(), "half a segment is none");
}

#[test]
fn a_segment_that_stops_coming_is_told_so() {
    let (server, store) = start(Listen { body_timeout: Duration::from_millis(50), ..listen() });
    let mut slow = Client::new(&server);
    slow.send(&put(SEGMENT, b"hello")[..60]);
    let reply = slow.reply();
    assert!(reply.is_none_or(|reply| reply.status == 408));
    assert!(store.kept.lock().unwrap().is_empty());
}

#[test]
fn without_a_store_and_without_the_token_nothing_is_taken() {
    let none = Server::start(listen(), Behind::default()).unwrap();
    Client::new(&none).post(COMMIT, &[], "taken").assert_refused(404, "no states of other nodes");
    let (server, store) = start(Listen { tokens: Tokens::none().with("sesame", Role::Ingest), ..listen() });
    Client::new(&server).post(COMMIT, &[], "taken").assert_refused(401, "token");
    let mut client = Client::new(&server);
    client.send(put(SEGMENT, b"x"));
    client.reply().unwrap().assert_refused(401, "token");
    assert!(store.kept.lock().unwrap().is_empty());
    let bearer = ["Authorization: Bearer sesame"];
    assert_eq!(Client::new(&server).post(COMMIT, &bearer, "taken").status, 200);
}

#[test]
fn the_client_says_what_it_was_answered() {
    let (server, store) = start(Listen { tokens: Tokens::none().with("sesame", Role::Ingest), ..listen() });
    let url = format!("http://{}", server.address());
    let client = serve::Client::new(&url, Some("sesame".into())).unwrap();
    let long = vec![9; 3_000_000];
    assert_eq!(client.send("PUT", SEGMENT, long.len() as u64, &long[..]).unwrap().status, 200);
    assert_eq!(store.kept.lock().unwrap().pop().unwrap(), long);
    let full = client.send("POST", COMMIT, 4, &b"full"[..]).unwrap();
    assert_eq!((full.status, full.retry_after), (503, Some(Duration::from_secs(10))));
    // A body that ends early is no body.
    assert!(client.send("PUT", SEGMENT, 10, &b"short"[..]).is_err());
    assert!(store.kept.lock().unwrap().is_empty());
    let stranger = serve::Client::new(&url, None).unwrap();
    assert_eq!(stranger.send("POST", COMMIT, 5, &b"taken"[..]).unwrap().status, 401);
    drop(server);
    assert!(client.send("POST", COMMIT, 5, &b"taken"[..]).is_err());
}
