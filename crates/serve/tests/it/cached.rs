//! Answers that are kept are those that would be given now, and what is kept has bounds.

use crate::asked::{hits, moment};
use crate::client::{Client, Reply, listen, request};
use engine::moment::{Moment, Reader};
use engine::spec::Source;
use plan::query::{Database, Options};
use serde_json::{Value, json};
use serve::{Behind, Listen, Server};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};

/// A source whose moment is what the test says, and which may keep those waiting who ask.
struct Turning {
    source: Arc<Source>,
    now: Mutex<Arc<Moment>>,
    /// Whether it has its moment at hand.
    at_hand: AtomicBool,
    held: Mutex<bool>,
    let_go: Condvar,
    asked: AtomicU64,
}

impl Turning {
    fn new(rows: usize) -> Arc<Turning> {
        let source = Arc::new(hits());
        let now = Mutex::new(moment(&source, rows));
        let (at_hand, asked) = (AtomicBool::new(true), AtomicU64::new(0));
        Arc::new(Turning { source, now, at_hand, held: Mutex::new(false), let_go: Condvar::new(), asked })
    }

    fn turn(&self, rows: usize) {
        *self.now.lock().unwrap() = moment(&self.source, rows);
    }

    fn hold(&self, held: bool) {
        *self.held.lock().unwrap() = held;
        self.let_go.notify_all();
    }
}

impl Reader for Turning {
    fn sources(&self) -> Vec<Arc<Source>> {
        vec![Arc::clone(&self.source)]
    }

    fn moment(&self, _: usize) -> Result<Arc<Moment>, String> {
        self.asked.fetch_add(1, SeqCst);
        drop(self.let_go.wait_while(self.held.lock().unwrap(), |held| *held).unwrap());
        Ok(Arc::clone(&self.now.lock().unwrap()))
    }

    fn current(&self, _: usize) -> Option<Arc<Moment>> {
        self.at_hand.load(SeqCst).then(|| Arc::clone(&self.now.lock().unwrap()))
    }
}

fn start(reader: &Arc<Turning>, cache_bytes_max: usize) -> Server {
    let reader = Arc::clone(reader) as Arc<dyn Reader>;
    let database = Some(Database::new(Arc::clone(&reader), Options::default()));
    let behind = Behind { reader: Some(reader), database, ..Behind::default() };
    Server::start(Listen { cache_bytes_max, ..listen() }, behind).expect("a server")
}

fn sql(client: &mut Client, statement: &str) -> Reply {
    client.send(request("/v1/sql", &[], statement.as_bytes()));
    client.reply().expect("an answer")
}

/// Whether it is an answer that was kept.
fn was_kept(reply: &Reply) -> bool {
    assert_eq!(reply.status, 200, "{reply:?}");
    match reply.header("cache-status") {
        Some("streamgauge; hit") => true,
        Some("streamgauge; fwd=miss") => false,
        other => panic!("{other:?}"),
    }
}

fn counts(server: &Server) -> Value {
    let mut client = Client::new(server);
    let status = client.get("/v1/status", &[]).json();
    let text = client.get("/metrics", &[]).body;
    let of = |name: &str| -> u64 {
        let lines = text.lines().filter_map(|line| line.strip_prefix(&format!("streamgauge_cache_{name}")));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    };
    let cache = &status["cache"];
    for (name, key) in [("hits_total", "hits"), ("misses_total", "misses"), ("evictions_total", "evicted")] {
        assert_eq!(of(name), cache[key].as_u64().unwrap(), "{name}: {text}");
    }
    cache.clone()
}

#[test]
fn the_same_question_is_answered_once_until_something_changes() {
    let reader = Turning::new(7_200);
    let server = start(&reader, 1 << 20);
    let mut client = Client::new(&server);
    let mut ask = |path: &str| client.get(path, &[]);
    let first = ask("/v1/metrics/hits?by=");
    let again = ask("/v1/metrics/hits?by=");
    assert!(!was_kept(&first) && was_kept(&again));
    assert_eq!((&first.body, first.header("etag")), (&again.body, again.header("etag")));
    // Other words are another question.
    assert!(!was_kept(&ask("/v1/metrics/hits?by=device")));
    // Where the moment is not at hand it is waited for, and is the same.
    reader.at_hand.store(false, SeqCst);
    assert!(was_kept(&ask("/v1/metrics/hits?by=")));
    reader.at_hand.store(true, SeqCst);
    reader.turn(7_201);
    let new = ask("/v1/metrics/hits?by=");
    assert!(!was_kept(&new));
    assert_eq!(new.json()["rows"][0]["value"], 7_201);
    assert_ne!(new.header("etag"), first.header("etag"));
    assert!(was_kept(&ask("/v1/metrics/hits?by=")));
    // What is refused is not kept.
    ask("/v1/metrics/hits?by=colour").assert_refused(400, "colour");
    ask("/v1/metrics/hits?by=colour").assert_refused(400, "colour");
    let counts = counts(&server);
    assert_eq!((&counts["hits"], &counts["misses"], &counts["entries"]), (&json!(3), &json!(5), &json!(2)));
}

#[test]
fn an_answer_that_is_known_is_not_sent_again() {
    let reader = Turning::new(60);
    let server = start(&reader, 1 << 20);
    let mut client = Client::new(&server);
    let tag = client.get("/v1/metrics/hits", &[]).header("etag").expect("a tag").to_string();
    let known = format!("If-None-Match: {tag}");
    let reply = client.get("/v1/metrics/hits", &[&known]);
    assert_eq!((reply.status, reply.body.as_str(), reply.header("etag")), (304, "", Some(tag.as_str())));
    reader.turn(61);
    assert_eq!(client.get("/v1/metrics/hits", &[&known]).status, 200);
}

#[test]
fn queries_are_kept_unless_they_ask_for_the_time_or_for_chance() {
    let reader = Turning::new(600);
    let server = start(&reader, 1 << 20);
    let mut client = Client::new(&server);
    let total = "select value from hits(by => '')";
    let first = sql(&mut client, total);
    assert!(!was_kept(&first) && first.json()["rows"] == json!([[600]]));
    let again = sql(&mut client, total);
    assert!(was_kept(&again) && again.body == first.body);
    reader.turn(601);
    let new = sql(&mut client, total);
    assert!(!was_kept(&new) && new.json()["rows"] == json!([[601]]));
    for kept in ["select 1 as x", "select metric from sg.metrics", "select 'now' as word"] {
        assert!(!was_kept(&sql(&mut client, kept)) && was_kept(&sql(&mut client, kept)), "{kept}");
    }
    for changing in [
        "select now()",
        "select Current_Date as d",
        "select random() from hits(by => '')",
        "select uuid()",
        "select value from hits(from => now() - interval '1 day', by => '')",
        "explain select 1",
    ] {
        assert!(
            !was_kept(&sql(&mut client, changing)) && !was_kept(&sql(&mut client, changing)),
            "{changing}"
        );
    }
    sql(&mut client, "select nothing").assert_refused(400, "nothing");
}

#[test]
fn what_is_kept_has_its_bounds() {
    let reader = Turning::new(60);
    let server = start(&reader, 16 << 10);
    let mut client = Client::new(&server);
    for limit in 1..=100 {
        assert!(!was_kept(&client.get(&format!("/v1/metrics/hits?by=&limit={limit}"), &[])));
        // What is asked for stays.
        assert_eq!(was_kept(&client.get("/v1/metrics/hits?by=", &[])), limit > 1, "{limit}");
    }
    let counts = counts(&server);
    let number = |key: &str| counts[key].as_u64().unwrap();
    assert!(number("bytes") <= 16 << 10 && number("evicted") > 50, "{counts}");
    assert_eq!(number("entries") + number("evicted"), 101, "{counts}");
    // One that would take most of the room is not kept at all; without room none is.
    for path in ["/v1/metrics/hits?panes", "/v1/metrics/hits?every=1m"] {
        let small = start(&reader, 1 << 10);
        let mut client = Client::new(&small);
        assert!(!was_kept(&client.get(path, &[])) && !was_kept(&client.get(path, &[])));
    }
    let none = start(&reader, 0);
    let mut client = Client::new(&none);
    assert!(
        !was_kept(&client.get("/v1/metrics/hits", &[])) && !was_kept(&client.get("/v1/metrics/hits", &[]))
    );
}

#[test]
fn of_those_who_ask_the_same_at_once_one_is_answered() {
    let reader = Turning::new(60);
    let server = start(&reader, 1 << 20);
    reader.at_hand.store(false, SeqCst);
    reader.hold(true);
    let mut clients: Vec<Client> = (0..8).map(|_| Client::new(&server)).collect();
    for client in &mut clients {
        client.send("GET /v1/metrics/hits HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    crate::client::until("one is being answered", || reader.asked.load(SeqCst) > 0);
    reader.hold(false);
    let replies: Vec<Reply> = clients.iter_mut().map(|client| client.reply().expect("an answer")).collect();
    assert!(replies.iter().all(|reply| reply.body == replies[0].body));
    assert_eq!(replies.iter().filter(|reply| !was_kept(reply)).count(), 1);
    assert_eq!(counts(&server)["misses"], 1);
}

#[test]
fn a_stream_is_given_what_is_kept() {
    let reader = Turning::new(60);
    let server = start(&reader, 1 << 20);
    let mut client = Client::new(&server);
    let body = client.get("/v1/metrics/hits?by=", &[]).body;
    client.send("GET /v1/stream?ask=hits%3Fby%3D&every=100ms HTTP/1.1\r\nHost: x\r\n\r\n");
    client.until(&format!("\"answer\":{body}"));
    assert_eq!(counts(&server)["misses"], 1);
}
