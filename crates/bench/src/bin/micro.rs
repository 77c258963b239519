//! Sketches on hashed keys, ns per operation, beside floors of the same process: `streamgauge-micro [--passes N]`.
//!
//! The keys are the users of the bench's stream, hashed before the clock starts; the hash has lines of its own. Every
//! pass starts from fresh sketches and runs all cases once, so that a busy spell of the machine hits all alike.
//! Updates go by columns where a sketch takes columns, as the engine does it. The answers of the same sketches follow
//! with their errors: a fast wrong answer is none.
//!
//! The update floor adds to one of 300,000 counters, which live in the second cache. HLL may lie below it: its
//! registers fit the first one, and once it is warm it hardly ever stores.
#![forbid(unsafe_code)]

use std::cell::OnceCell;
use std::hint::black_box;
use std::num::NonZeroU32;
use std::process::ExitCode;

use bench::stream::{Stream, write_user_id};
use sketch::Token;
use sketch::bloom::{Seen, Size, Verdict};
use sketch::countmin::CountMin;
use sketch::frequent::Counters;
use sketch::hash::{Hashing, Key, theta_hashes_of_strings, tokens_of_strings};
use sketch::hll::{Distinct, LgK};
use sketch::quantile::Quantiles;
use sketch::sample::{Sample, priority};
use sketch::theta::Theta;
use timing::{Case, Timing, measure, table};

/// Keys in one run of a case.
const KEYS: usize = 10_000_000;
const USERS: NonZeroU32 = NonZeroU32::new(1_000_000).unwrap();
/// Rows handed from sketch to sketch in the combined step, as the engine does with its batches.
const BATCH: usize = 4_096;
/// Sketches in the merge, and what each has seen.
const MERGES: usize = 1_000;
const KEYS_EACH: usize = KEYS / MERGES;
/// Bytes of the floor's array of counters, and of its registers.
const FLOOR_COUNTERS: usize = 1_200_000 / size_of::<u32>();
const FLOOR_REGISTERS: usize = 1 << 14;

const FLOOR_UPDATE: &str = "floor: one add in 1.2 MB";
const FLOOR_MERGE: &str = "floor: byte maximum of 16 KiB";
const STEP: &str = "HLL + Count-Min + counters";
const MERGE: &str = "merge of HLL 2^14";
const ESTIMATE: &str = "query: HLL estimate";
const QUANTILE: &str = "query: quantile";
const TOP: &str = "query: top 10";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let passes = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Some(5),
        ["--passes", n] => n.parse().ok().filter(|&n: &usize| n > 0),
        _ => None,
    };
    let Some(passes) = passes else {
        eprintln!("usage: streamgauge-micro [--passes N, default 5]");
        return ExitCode::from(2);
    };
    let keys = Keys::of_stream();
    let late = Late::default();
    let mut cases = floors(&keys, &late);
    cases.extend(hashes(&keys));
    cases.extend(updates(&keys));
    cases.extend(memories(&keys));
    cases.push(merge(&keys, &late));
    cases.extend(queries(&keys, &late));
    let timings = measure(&cases, passes);
    print!("{}\n{}\n{}", table(&timings), answers(&keys, late.full(&keys)), verdicts(&timings));
    ExitCode::SUCCESS
}

/// The keys of the stream, laid out as a batch lays out a column.
struct Keys {
    bytes: Vec<u8>,
    offsets: Vec<i32>,
    tokens: Vec<Token>,
    latencies_ms: Vec<f64>,
    /// Events of each user, by rank.
    events_of: Vec<u64>,
}

impl Keys {
    fn of_stream() -> Keys {
        let (mut bytes, mut offsets, mut latencies_ms) = (Vec::new(), vec![0], Vec::new());
        let mut events_of = vec![0; USERS.get() as usize];
        for event in Stream::power_law(KEYS as u64, USERS) {
            write_user_id(event.user, &mut bytes);
            offsets.push(i32::try_from(bytes.len()).expect("ids of fourteen bytes at most"));
            latencies_ms.push(event.latency_tenths as f64 / 10.0);
            events_of[event.user as usize] += 1;
        }
        let mut tokens = Vec::new();
        tokens_of_strings(&bytes, &offsets, &mut tokens);
        Keys { bytes, offsets, tokens, latencies_ms, events_of }
    }

    fn name(&self, row: usize) -> &[u8] {
        &self.bytes[self.offsets[row] as usize..self.offsets[row + 1] as usize]
    }
}

/// Sketches that take long to fill and are only read: filled once, when first wanted.
#[derive(Default)]
struct Late {
    filled: OnceCell<Vec<Distinct>>,
    registers: OnceCell<Vec<Vec<u8>>>,
    full: OnceCell<Full>,
}

/// What has seen the whole stream.
struct Full {
    hll: Distinct,
    quantiles: Quantiles,
    counters: Counters,
}

impl Late {
    fn filled(&self, keys: &Keys) -> &[Distinct] {
        self.filled.get_or_init(|| {
            let fill = |tokens: &[Token]| {
                let mut hll = new_hll();
                hll.update_all(tokens);
                hll
            };
            keys.tokens.chunks(KEYS_EACH).map(fill).collect()
        })
    }

    fn registers(&self) -> &[Vec<u8>] {
        self.registers.get_or_init(|| {
            (0..MERGES).map(|n| (0..FLOOR_REGISTERS).map(|r| (r * 31 + n) as u8 % 13).collect()).collect()
        })
    }

    fn full(&self, keys: &Keys) -> &Full {
        self.full.get_or_init(|| {
            let (mut hll, mut quantiles, mut counters) = (new_hll(), new_quantiles(), new_counters());
            hll.update_all(&keys.tokens);
            quantiles.update_all(&keys.latencies_ms);
            for (row, &token) in keys.tokens.iter().enumerate() {
                counters.update(token, 1, keys.name(row));
            }
            Full { hll, quantiles, counters }
        })
    }
}

fn new_hll() -> Distinct {
    Distinct::new(LgK::new(14).expect("within the range"))
}

fn new_countmin() -> CountMin {
    CountMin::new(14, 5)
}

fn new_counters() -> Counters {
    Counters::new(4_096)
}

fn new_quantiles() -> Quantiles {
    Quantiles::new(7).expect("within the range")
}

fn floors<'a>(keys: &'a Keys, late: &'a Late) -> Vec<Case<'a>> {
    let update = Case::new(FLOOR_UPDATE, KEYS, move || {
        let mut counters = vec![1u32; FLOOR_COUNTERS];
        move || {
            for token in &keys.tokens {
                // The high bits of a token are plain hash bits: scaled to the length, no division.
                let at = (((token.0 >> 32) * FLOOR_COUNTERS as u64) >> 32) as usize;
                counters[at] = counters[at].wrapping_add(1);
            }
            u64::from(black_box(counters)[0])
        }
    });
    let merge = Case::new(FLOOR_MERGE, MERGES, move || {
        let registers = late.registers();
        let mut into = vec![0u8; FLOOR_REGISTERS];
        move || {
            for from in registers {
                for (a, &b) in into.iter_mut().zip(from) {
                    *a = (*a).max(b);
                }
            }
            u64::from(black_box(into)[0])
        }
    });
    vec![update, merge]
}

fn hashes(keys: &Keys) -> Vec<Case<'_>> {
    let single = Case::new("hash, key by key", KEYS, move || {
        || (0..KEYS).fold(0, |all, row| all ^ Token::of_bytes(keys.name(row)).0)
    });
    let names = [
        ("hash, a column at a time", "hash and HLL, a column at a time", Hashing::Interchange),
        ("fast hash", "fast hash and HLL", Hashing::Fast),
        ("keyed hash", "keyed hash and HLL", Hashing::Keyed(Key::from_bytes([7; 16]))),
    ];
    let columns = names.into_iter().flat_map(|(alone, with_hll, hashing)| {
        let alone = Case::new(alone, KEYS, {
            let hashing = hashing.clone();
            move || {
                let hashing = hashing.clone();
                move || by_column(keys, &hashing, |tokens, all| all ^ black_box(tokens)[0].0)
            }
        });
        let with_hll = Case::new(with_hll, KEYS, move || {
            let (hashing, mut hll) = (hashing.clone(), new_hll());
            move || {
                by_column(keys, &hashing, |tokens, n| {
                    hll.update_all(tokens);
                    n
                });
                black_box(&hll).estimate(0.95).value as u64
            }
        });
        [alone, with_hll]
    });
    [single].into_iter().chain(columns).collect()
}

/// Hashes all keys, a batch at a time.
fn by_column(keys: &Keys, hashing: &Hashing, mut fold: impl FnMut(&[Token], u64) -> u64) -> u64 {
    let mut out = Vec::with_capacity(BATCH);
    (0..KEYS).step_by(BATCH).fold(0, |all, from| {
        let to = (from + BATCH).min(KEYS);
        hashing.tokens_of_strings(&keys.bytes, &keys.offsets[from..=to], &mut out);
        fold(&out, all)
    })
}

fn updates(keys: &Keys) -> Vec<Case<'_>> {
    let hll = Case::new("HLL 2^14 update", KEYS, move || {
        let mut hll = new_hll();
        move || {
            hll.update_all(&keys.tokens);
            black_box(&hll).estimate(0.95).value as u64
        }
    });
    let countmin = Case::new("Count-Min 5 x 2^14 update", KEYS, move || {
        let mut countmin = new_countmin();
        move || {
            countmin.update_all(&keys.tokens);
            black_box(&countmin).total()
        }
    });
    let counters = Case::new("counters 4096 with names, update", KEYS, move || {
        let mut counters = new_counters();
        move || {
            for (row, &token) in keys.tokens.iter().enumerate() {
                counters.update(token, 1, keys.name(row));
            }
            black_box(&counters).total()
        }
    });
    let step = Case::new(STEP, KEYS, move || {
        let (mut hll, mut countmin, mut counters) = (new_hll(), new_countmin(), new_counters());
        move || {
            for (batch, tokens) in keys.tokens.chunks(BATCH).enumerate() {
                hll.update_all(tokens);
                countmin.update_all(tokens);
                for (row, &token) in tokens.iter().enumerate() {
                    counters.update(token, 1, keys.name(batch * BATCH + row));
                }
            }
            black_box((&hll, &countmin, &counters)).2.total()
        }
    });
    let quantiles = Case::new("quantile update", KEYS, move || {
        let mut quantiles = new_quantiles();
        move || {
            quantiles.update_all(&keys.latencies_ms);
            black_box(&quantiles).count()
        }
    });
    [hll, countmin, counters, step, quantiles].map(|case| case.floor(FLOOR_UPDATE)).into()
}

/// Membership, theta and a sample of rows: what remembers keys or rows rather than counting them.
fn memories(keys: &Keys) -> Vec<Case<'_>> {
    let new_seen = || Seen::new(Size::new(u64::from(USERS.get()), 0.01).expect("within the range"), 0);
    let stream = Case::new("seen 1M @ 1%, stream", KEYS, move || {
        let mut seen = new_seen();
        move || keys.tokens.iter().filter(|&&t| seen.check_and_insert(t) == Verdict::New).count() as u64
    });
    let new = Case::new("seen 1M @ 1%, all new", USERS.get() as usize, move || {
        let mut seen = new_seen();
        let users: Vec<Token> = (0..i64::from(USERS.get())).map(Token::of_i64).collect();
        move || users.iter().filter(|&&t| seen.check_and_insert(t) == Verdict::New).count() as u64
    });
    let theta = Case::new("theta 2^12 update", KEYS, move || {
        let mut hashes = Vec::new();
        theta_hashes_of_strings(&keys.bytes, &keys.offsets, &mut hashes);
        let mut theta = Theta::new(LgK::new(12).expect("within the range"));
        move || {
            theta.update_all(&hashes);
            black_box(&theta).estimate(0.95).value as u64
        }
    });
    let sample = Case::new("sample of 1,000 rows", KEYS, move || {
        let mut sample = Sample::new(1_000);
        move || {
            for row in 0..KEYS {
                sample.offer(priority(0, row as u64), |out| out.extend_from_slice(keys.name(row)));
            }
            black_box(&sample).rows().len() as u64
        }
    });
    [stream, new, theta, sample].map(|case| case.floor(FLOOR_UPDATE)).into()
}

fn merge<'a>(keys: &'a Keys, late: &'a Late) -> Case<'a> {
    Case::new(MERGE, MERGES, move || {
        let filled = late.filled(keys);
        let mut into = new_hll();
        move || {
            for from in filled {
                into.merge(from).expect("all of the same kind");
            }
            black_box(&into).estimate(0.95).value as u64
        }
    })
    .floor(FLOOR_MERGE)
}

fn queries<'a>(keys: &'a Keys, late: &'a Late) -> Vec<Case<'a>> {
    const ASKED: usize = 10_000;
    let case = |name, ask: fn(&Full) -> u64| {
        Case::new(name, ASKED, move || {
            let full = late.full(keys);
            move || (0..ASKED).fold(0, |all, _| all ^ ask(black_box(full)))
        })
    };
    vec![
        case(ESTIMATE, |full| full.hll.estimate(0.95).value.to_bits()),
        case(QUANTILE, |full| full.quantiles.quantile(0.99).map_or(0, |e| e.value.to_bits())),
        case(TOP, |full| black_box(full.counters.top(10)).len() as u64),
    ]
}

/// What the sketches answer about the whole stream, with errors against exact counts.
fn answers(keys: &Keys, full: &Full) -> String {
    let exact_users = keys.events_of.iter().filter(|&&events| events > 0).count() as f64;
    let users = full.hll.estimate(0.95).value;
    let mut latencies = keys.latencies_ms.clone();
    // The smallest value with at least 99 % of the values at or below it.
    let at = (latencies.len() as f64 * 0.99).ceil() as usize - 1;
    let exact_p99 = *latencies.select_nth_unstable_by(at, f64::total_cmp).1;
    let p99 = full.quantiles.quantile(0.99).map_or(f64::NAN, |e| e.value);
    // Ties with the tenth count as hits.
    let mut events_of = keys.events_of.clone();
    let tenth = *events_of.select_nth_unstable_by(9, |a, b| b.cmp(a)).1;
    let mut names = Vec::new();
    let mut is_hit = |item: &[u8]| {
        (0..USERS.get()).filter(|&user| keys.events_of[user as usize] >= tenth).any(|user| {
            names.clear();
            write_user_id(user, &mut names);
            names == item
        })
    };
    let hits = full.counters.top(10).iter().filter(|counted| is_hit(counted.item)).count();
    let percent = |given: f64, exact: f64| 100.0 * (given / exact - 1.0);
    format!(
        "  answers: {users:.0} users ({:+.2} %), p99 {p99:.2} ms ({:+.2} %), {hits} of the top 10\n",
        percent(users, exact_users),
        percent(p99, exact_p99)
    )
}

/// The bars, judged on the minimum: ns an operation, what must hold and what is aimed at.
fn verdicts(timings: &[Timing]) -> String {
    let per_second = |m: f64| 1e3 / m;
    let bars = [
        (STEP, per_second(14.0), per_second(22.0), "14 M events/s, aim 22"),
        (MERGE, 3e6 / MERGES as f64, 1.2e6 / MERGES as f64, "1,000 in 3 ms, aim 1.2 ms"),
        (ESTIMATE, 1e3, 1e3, "1 us"),
        (QUANTILE, 1e3, 1e3, "1 us"),
        (TOP, 2e4, 2e4, "20 us"),
    ];
    let mut text = String::new();
    for (name, must, aim, words) in bars {
        let ns = timings.iter().find(|t| t.name == name).map_or(f64::NAN, Timing::min);
        let word = if ns <= aim {
            "aim "
        } else if ns <= must {
            "pass"
        } else {
            "MISS"
        };
        text += &format!("  {word}  {name}: {ns:.1} ns, {:.2} M/s (must {words})\n", per_second(ns));
    }
    text
}
