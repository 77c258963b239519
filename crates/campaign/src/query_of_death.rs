//! C5 `query-of-death`: questions that would take for ever, or all memory, while clients post.
//!
//! Each ends within its time and a second with a typed refusal, or with an answer; memory, as the system sees it, stays within the budget
//! of the state and that of two queries; events are taken in hardly slower, and each once; and who goes away stops paying.

use crate::client::{Client, free_address};
use crate::crowd::{Crowd, Manner};
use crate::kill_http::{RUN, judge, pipeline, settle};
use crate::random::Random;
use crate::stage::Stage;
use crate::verdict::Verdict;
use anyhow::Result;
use serde_json::Value;
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// The budget of the state, and of one query: two run at a time, and each may have its share twice.
const MEMORY_MIB: u64 = 128;
const QUERY_MIB: u64 = 32;
const SLACK_PERCENT: u64 = 10;
/// How long one may take, and what may come on top.
const TIMEOUT: Duration = Duration::from_millis(1_000);
const GRACE: Duration = Duration::from_secs(1);
/// Asked at once, in the end.
const AT_ONCE: usize = 32;
/// Of what is taken in while nobody asks, so much at least.
const QUICK_PERCENT: u64 = 70;
const FULL_PERCENT: u64 = 90;
/// Status codes of answers and refusals; all else fails.
const TYPED: [u16; 7] = [200, 400, 403, 408, 413, 422, 429];

/// Runs it; a round is a question.
pub fn run(stage: &Stage, verdict: &mut Verdict) -> Result<()> {
    let (folder, address) = (stage.folder("asked")?, free_address()?);
    let limits = format!(
        "serve = {{ listen = \"{address}\", query = {{ memory = \"{QUERY_MIB}MiB\", timeout = \"{}ms\" }} }}",
        TIMEOUT.as_millis()
    );
    let plain = format!("serve = {{ listen = \"{address}\" }}");
    let text = pipeline(&address).replace(&plain, &limits);
    std::fs::write(folder.join("p.toml"), format!("memory = \"{MEMORY_MIB}MiB\"\n{text}"))?;
    let mut child = stage.start(&folder, "run", &RUN)?;
    child.says("listening on")?;
    let mut random = stage.random("questions");
    let pause = Duration::from_millis(10);
    let manner =
        Manner { address: address.clone(), clients: 4, events_max: 20, pause, prefix: String::new() };
    let crowd = Crowd::start(&manner, &mut random);
    let quiet = rate(&crowd, || std::thread::sleep(Duration::from_secs(stage.pick(3, 10))));
    let asked = rate(&crowd, || {
        for (name, question) in (0..stage.rounds).map(|number| hostile(number, &mut random)) {
            judged(name, &ask(&address, &question), 1, verdict);
        }
    });
    let crowded = rate(&crowd, || at_once(&address, &mut random, verdict));
    gone_away(&address, verdict);
    let share = (100.0 * asked.min(crowded) / quiet) as u64;
    verdict.figure("bodies_a_second_quiet", quiet as u64);
    verdict.figure("bodies_taken_in_percent", share);
    let least = stage.pick(QUICK_PERCENT, FULL_PERCENT);
    verdict.expect(share >= least, || format!("only {share} % were taken in while questions were asked"));
    let peak = child.peak_bytes()?;
    verdict.figure("peak_rss_mib", peak >> 20);
    let limit = ((MEMORY_MIB + 4 * QUERY_MIB) << 20) * (100 + SLACK_PERCENT) / 100;
    verdict.expect(peak <= limit, || format!("{peak} bytes were resident, {limit} may be"));
    verdict.expect(!child.panicked(), || format!("it panicked: {}", child.said()));
    settle(&folder, (child, crowd), verdict)?;
    judge(stage, &folder, verdict)
}

/// Bodies a second that were acknowledged meanwhile.
fn rate(crowd: &Crowd, meanwhile: impl FnOnce()) -> f64 {
    let (before, begun) = (crowd.acked(), Instant::now());
    meanwhile();
    (crowd.acked() - before) as f64 / begun.elapsed().as_secs_f64()
}

/// What came of a question.
struct Answered {
    status: Option<u16>,
    reason: Value,
    took: Duration,
}

fn ask(address: &str, question: &str) -> Answered {
    let (mut client, begun) = (Client::new(address), Instant::now());
    let answer = client.post("/v1/sql", "Content-Type: text/plain\r\n", question.as_bytes());
    let body: Value =
        answer.as_ref().and_then(|answer| serde_json::from_str(&answer.body).ok()).unwrap_or(Value::Null);
    let reason = if body["title"].is_string() { body["detail"].clone() } else { Value::Null };
    Answered { status: answer.map(|answer| answer.status), reason, took: begun.elapsed() }
}

/// Whether it is an answer or a refusal that says why, in time; `turns` is how many times as long it may have waited for its turn.
fn judged(name: &str, answered: &Answered, turns: u32, verdict: &mut Verdict) {
    let Answered { status, reason, took } = answered;
    // A refusal of what is too long may be gone with the connection.
    let Some(status) = status else {
        verdict.add("questions_without_answer", 1);
        return verdict.expect(name == "long", || format!("{name}: no answer after {took:?}"));
    };
    verdict.faults(&format!("questions_answered_with_{status}"), 1);
    verdict.expect(TYPED.contains(status), || format!("{name}: {status}: {reason}"));
    verdict.expect(*status == 200 || reason.is_string(), || format!("{name}: {status} without a reason"));
    let most = TIMEOUT * turns + GRACE;
    verdict.expect(*took <= most, || format!("{name}: {status} after {took:?}, {most:?} may be"));
}

/// Many at the same time: who gets no turn within the time of a query is told to come again.
fn at_once(address: &str, random: &mut Random, verdict: &mut Verdict) {
    let ask = |number: usize| {
        let (address, (name, question)) = (address.to_string(), hostile(number as u64, random));
        std::thread::spawn(move || (name, ask(&address, &question)))
    };
    let threads: Vec<_> = (0..AT_ONCE).map(ask).collect();
    for thread in threads {
        let (name, answered) = thread.join().expect("a client does not panic");
        judged(name, &answered, 2, verdict);
    }
}

/// Clients that ask and go away: what they asked ends with them, and the next one is answered at once.
fn gone_away(address: &str, verdict: &mut Verdict) {
    let question = "select count(*) from generate_series(1, 10000000000)";
    for _ in 0..20 {
        if let Ok(mut stream) = TcpStream::connect(address) {
            let length = question.len();
            let _ = write!(
                stream,
                "POST /v1/sql HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{question}"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    let answered = ask(address, "select 1");
    verdict.figure("answered_after_others_went_away_ms", answered.took.as_millis() as u64);
    verdict.expect(answered.status == Some(200) && answered.took <= GRACE, || {
        format!("after others went away: {:?} after {:?}", answered.status, answered.took)
    });
}

/// A question that is meant to hurt, and what it is called.
fn hostile(number: u64, random: &mut Random) -> (&'static str, String) {
    let many = 1_000_000_000 + random.below(1_000_000_000);
    let word = "y".repeat(1_000 + random.below(40_000) as usize);
    let commas = ",".repeat(1_000 + random.below(15_000) as usize);
    let series = format!("generate_series(1, {many})");
    let depth = 10 + random.below(300) as usize;
    let fold = |start: &str, times: usize, call: &dyn Fn(&str) -> String| {
        (0..times).fold(start.to_string(), |inner, _| call(&inner))
    };
    let make: [(&str, String); 28] = [
        ("sum", format!("select sum(value * 2) from {series}")),
        ("cross", format!("select count(*) from {series} a cross join {series} b")),
        ("own cross", "select count(*) from hits a, hits b, hits c, hits d".into()),
        ("sort", format!("select value from {series} order by value % 1000003 desc")),
        ("distinct", format!("select count(distinct value * {many}) from {series}")),
        ("groups", format!("select value % 1000000007, count(*) from {series} group by 1")),
        ("list", format!("select array_agg(value) from {series}")),
        ("texts", format!("select string_agg(value::text, '{word}') from {series}")),
        ("window", format!("select sum(value) over (order by value desc) from {series}")),
        ("recursion", "with recursive r as (select 1 as n union all select n + 1 from r) select count(*) from r".into()),
        ("doubling", "with recursive r as (select 'x' as s union all select s || s from r) select max(length(s)) from r".into()),
        ("parentheses", fold("1", depth, &|inner| format!("({inner})")).replacen('(', "select (", 1)),
        ("nested", fold("select 1 as n", depth.min(60), &|inner| format!("select n + 1 as n from ({inner})"))),
        ("keys", format!("select count(*) from hits where body in ({})", (0..6_000).map(|i| format!("'{i}'")).collect::<Vec<_>>().join(","))),
        ("long", format!("select '{}'", "x".repeat(10_000_000))),
        ("longer than may be", format!("select '{}'", "x".repeat(100_000))),
        ("replace", format!("select length({})", fold("'aaaaaaaa'", 12, &|inner| format!("replace({inner}, 'a', 'aaaaaaaa')")))),
        ("hex", format!("select length({})", fold("'aaaaaaaa'", 60, &|inner| format!("encode({inner}, 'hex')")))),
        ("concat", fold("select value::text as s from generate_series(1, 100000)", 16, &|inner| format!("select concat(s, s, s, s) as s from ({inner}) as t"))),
        ("joined", fold("select value::text as s from generate_series(1, 100000)", 16, &|inner| format!("select s || s || s as s from ({inner}) as t"))),
        ("lists", fold("select make_array(value) as s from generate_series(1, 100000)", 16, &|inner| format!("select array_concat(s, s, s) as s from ({inner}) as t"))),
        ("separators", format!("select length(array_to_string(string_to_array('{commas}', ','), '{word}'))")),
        ("replaced", format!("select max(length(regexp_replace(value::text, '', '{word}', 'g'))) from {series}")),
        ("constant", format!("select max(length('{word}' || value)) from {series}")),
        ("pattern", "select regexp_like('aaaa', '((\\w{1000}){1000}){1000}')".into()),
        ("operator", "select count(*) from shops where shop ~ '((\\w{100}){100}){100}'".into()),
        ("unnest", format!("select count(*) from (select unnest(string_to_array('{commas}', ',')) as u from {series}) as t")),
        ("no table", format!("select * from {}", "x".repeat(1 + random.below(2_000) as usize))),
    ];
    let at = number as usize % make.len();
    make.into_iter().nth(at).expect("there is one")
}
