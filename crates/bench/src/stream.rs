//! The power-law event stream that the bench reads: same parameters, same bytes, on every machine.
//!
//! One hour of event time from a whole minute on. Users follow a power law (weight `1/(rank+1)^0.7`), pages a harmonic
//! one, event types and devices have fixed weights, latencies are log-normal (median 20 ms, sigma 0.8), and every
//! twentieth event is up to five seconds late. Left out: bad records, nulls, nesting and gaps; the tests have those.
//!
//! Latencies go through `ln`, `exp` and `cos` of the platform, which may differ in the last bit; rounding to tenths of
//! a millisecond hides that in all but a vanishing share of events.

use shop::random::{Rng, Weighted};
use shop::text::{digit, write_integer};
use std::num::NonZeroU32;

/// First instant of every stream, ms since 1970: a whole minute.
const START_MS: u64 = 1_760_000_040_000;
/// Event time that a stream spans, ms.
const SPAN_MS: f64 = 3_600_000.0;
/// Longest delay of a late event, ms, not reached.
const LATE_MS: u64 = 5_000;
/// One in so many events is late.
const LATE_ONE_IN: u64 = 20;

const EVENTS: [(&str, f64); 12] = [
    ("page_view", 50.0),
    ("click", 30.0),
    ("scroll", 20.0),
    ("form_submit", 10.0),
    ("add_to_cart", 8.0),
    ("purchase", 3.0),
    ("search", 15.0),
    ("login", 5.0),
    ("logout", 4.0),
    ("share", 6.0),
    ("comment", 7.0),
    ("like", 12.0),
];
const DEVICES: [(&str, f64); 4] = [("mobile", 55.0), ("desktop", 35.0), ("tablet", 8.0), ("tv", 2.0)];
const PAGES: u32 = 1_000;

/// One event, before it is written in some format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Event time, ms since 1970.
    pub ts_ms: u64,
    /// Rank of the user: 0 is the most frequent one.
    pub user: u32,
    /// Event type.
    pub event: &'static str,
    /// Number of the page.
    pub page: u32,
    /// Device.
    pub device: &'static str,
    /// Latency in tenths of a millisecond.
    pub latency_tenths: u64,
    /// A value in hundredths, 0..=99.
    pub value_hundredths: u64,
}

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Ndjson,
    /// Comma separated, with a header line.
    Csv,
}

/// An iterator over the events of one stream.
pub struct Stream {
    rng: Rng,
    users: Weighted,
    events: Weighted,
    pages: Weighted,
    devices: Weighted,
    next: u64,
    count: u64,
}

impl Stream {
    /// The stream of `count` events by `entities` users. Costs time and 12 bytes for each user.
    pub fn power_law(count: u64, entities: NonZeroU32) -> Stream {
        let entities = entities.get();
        Stream {
            rng: Rng::seeded(0x5743 ^ count ^ (u64::from(entities) << 20)),
            users: Weighted::new((0..entities).map(|rank| 1.0 / (f64::from(rank) + 1.0).powf(0.7))),
            events: Weighted::new(EVENTS.iter().map(|e| e.1)),
            pages: Weighted::new((0..PAGES).map(|rank| 1.0 / (f64::from(rank) + 1.0))),
            devices: Weighted::new(DEVICES.iter().map(|d| d.1)),
            next: 0,
            count,
        }
    }
}

impl Iterator for Stream {
    type Item = Event;

    // The order of the draws is the identity of the stream: a new field draws after the others, never between.
    fn next(&mut self) -> Option<Event> {
        if self.next == self.count {
            return None;
        }
        let user = self.users.draw(&mut self.rng) as u32;
        let event = EVENTS[self.events.draw(&mut self.rng)].0;
        let page = self.pages.draw(&mut self.rng) as u32;
        let device = DEVICES[self.devices.draw(&mut self.rng)].0;
        let on_time = START_MS + (self.next as f64 * SPAN_MS / self.count as f64) as u64;
        let luck = self.rng.word();
        let delay = if luck.is_multiple_of(LATE_ONE_IN) { (luck >> 32) % LATE_MS } else { 0 };
        let latency_ms = 20.0 * (0.8 * normal(&mut self.rng)).exp();
        self.next += 1;
        Some(Event {
            ts_ms: (on_time - delay).max(START_MS),
            user,
            event,
            page,
            device,
            latency_tenths: (latency_ms * 10.0).round() as u64,
            value_hundredths: self.rng.below(100),
        })
    }
}

impl Format {
    /// What stands before the first event.
    pub fn header(self) -> &'static [u8] {
        match self {
            Format::Ndjson => b"",
            Format::Csv => b"ts,user_id,event,page,device,latency_ms,value\n",
        }
    }

    /// Appends one event and its newline.
    pub fn write(self, e: &Event, out: &mut Vec<u8>) {
        // What stands before each of the seven fields, and after the last.
        let around: [&[u8]; 8] = match self {
            Format::Ndjson => [
                b"{\"ts\":",
                b",\"user_id\":\"entity_",
                b"\",\"event\":\"",
                b"\",\"page\":\"/p/",
                b"\",\"device\":\"",
                b"\",\"latency_ms\":",
                b",\"value\":",
                b"}\n",
            ],
            Format::Csv => [b"", b",entity_", b",", b",/p/", b",", b",", b",", b"\n"],
        };
        out.extend_from_slice(around[0]);
        write_integer(e.ts_ms, out);
        out.extend_from_slice(around[1]);
        write_integer(u64::from(e.user), out);
        out.extend_from_slice(around[2]);
        out.extend_from_slice(e.event.as_bytes());
        out.extend_from_slice(around[3]);
        write_integer(u64::from(e.page), out);
        out.extend_from_slice(around[4]);
        out.extend_from_slice(e.device.as_bytes());
        out.extend_from_slice(around[5]);
        write_integer(e.latency_tenths / 10, out);
        out.extend_from_slice(&[b'.', digit(e.latency_tenths % 10)]);
        out.extend_from_slice(around[6]);
        out.extend_from_slice(&[b'0', b'.', digit(e.value_hundredths / 10), digit(e.value_hundredths % 10)]);
        out.extend_from_slice(around[7]);
    }
}

/// The user id that [`Format::write`] gives the user of this rank.
pub fn write_user_id(rank: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(b"entity_");
    write_integer(u64::from(rank), out);
}

/// A standard normal number (Box and Muller 1958, the cosine half).
fn normal(rng: &mut Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.unit()).ln()).sqrt();
    radius * (2.0 * std::f64::consts::PI * rng.unit()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(events: u64, entities: u32, format: Format, take: usize) -> Vec<u8> {
        let mut out = format.header().to_vec();
        for event in Stream::power_law(events, NonZeroU32::new(entities).unwrap()).take(take) {
            format.write(&event, &mut out);
        }
        out
    }

    /// FNV-1a, 64 bits: a fingerprint that needs no other crate and none of ours.
    fn fingerprint(bytes: &[u8]) -> u64 {
        bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
    }

    #[test]
    fn the_stream_is_the_one_that_was_measured() {
        let ndjson = written(1_000_000, 100_000, Format::Ndjson, 1_000);
        let first = br#"{"ts":1760000040000,"user_id":"entity_879","event":"page_view","page":"/p/6","device":"desktop","latency_ms":6.6,"value":0.21}"#;
        assert_eq!(ndjson.split(|&b| b == b'\n').next().unwrap(), first);
        assert_eq!(fingerprint(&ndjson), 0x06d3_dc7a_af1e_be6c);
        let csv = written(1_000_000, 100_000, Format::Csv, 1_000);
        assert_eq!(fingerprint(&csv), 0x40a8_7980_8d6d_a9af);
    }

    #[test]
    fn users_follow_the_power_law_and_no_event_leaves_the_hour() {
        let mut top = 0u32;
        let mut late = 0u32;
        let mut newest = 0;
        for event in Stream::power_law(200_000, NonZeroU32::new(1_000).unwrap()) {
            assert!((START_MS..START_MS + SPAN_MS as u64).contains(&event.ts_ms));
            assert!(event.ts_ms + LATE_MS > newest, "later than promised");
            late += u32::from(event.ts_ms < newest);
            newest = newest.max(event.ts_ms);
            top += u32::from(event.user == 0);
        }
        // Expected share of the first user: 1 / sum of (i+1)^-0.7 over 1,000 users; five standard deviations.
        let share = 1.0 / (0..1_000).map(|i| (f64::from(i) + 1.0).powf(-0.7)).sum::<f64>();
        let (expected, sigma) = (200_000.0 * share, (200_000.0 * share * (1.0 - share)).sqrt());
        assert!((f64::from(top) - expected).abs() < 5.0 * sigma, "{top} of {expected}");
        // One in twenty is delayed, by less than 1 ms in one of 5,000: 9,998 expected, sigma 97.5.
        assert!((9_500..10_500).contains(&late), "{late}");
    }

    #[test]
    fn an_empty_stream_has_only_its_header() {
        assert_eq!(written(0, 1, Format::Ndjson, 10), b"");
        assert_eq!(written(0, 1, Format::Csv, 10), Format::Csv.header());
    }
}
