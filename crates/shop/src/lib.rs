//! The event stream of an online shop: seeded, endless or bounded, the same bytes on every machine.
//!
//! One stream for demonstrations, tests and measurements, and [`exact`] to count it the plain way, so that what sketches
//! say can be held against the truth. No IO, no clock, no thread: events come out of an iterator and are written into a
//! buffer of the caller.
//!
//! ```
//! use shop::{Settings, Shop};
//!
//! let mut out = Vec::new();
//! for event in Shop::new(Settings { events: 3, entities: 100, seed: 7, ..Settings::default() }) {
//!     event.write_ndjson(&mut out);
//! }
//! assert_eq!(out.iter().filter(|&&byte| byte == b'\n').count(), 3);
//! ```
//!
//! # What the shop looks like
//!
//! By default 100,000 events by 10,000 users: 28 events a second, so nearly an hour from a whole hour on, with about 1,680
//! events in every minute: enough for windows of a second, of a minute and of ten to say different things.
//!
//! | what | how it is drawn |
//! |---|---|
//! | users | weight 1/(rank+1)^0.7; the first of 10,000 makes about 2 % of the events |
//! | event types | the weights of [`EventType::weight`], out of 215.5 |
//! | pages, products, campaigns | 500, 2,000 and 40 of them, by power laws with exponents 1, 0.8 and 0.6 |
//! | search terms | 200, exponent 1 |
//! | devices | mobile 55, desktop 35, tablet 8, tv 2; for each event anew, so users come with several |
//! | country, address | fixed for each user: twelve countries, one address of 10.0.0.0/8 |
//! | session | one for each user and quarter of an hour |
//! | latency | log-normal, sigma 0.8, median by event type |
//! | cart | log-normal, median 40.00, sigma 0.7: `value` of cart, checkout, purchase and conversion |
//! | other `value`s | 0.5 to 5.0 in steps of 0.5 |
//! | lateness | one in twenty is 1 to 2,000 ms late; all others are in the order of their times |
//!
//! Events are independent draws: the funnel (landing, product view, cart, checkout, purchase) narrows in numbers, but no
//! user walks through it step by step, and a conversion needs no click before it.
//!
//! # The flood
//!
//! The first two thirds of the events are for learning what is usual, the last third is for watching. Between events
//! 1,000 and 1,500 of the last third five of the rarest users, at eight addresses in 203.0.113.0/24, make 19 of 20 events, all of
//! them purchases, none of them late. [`Settings::flood_range`] says where, [`Settings::flood_time_range_ms`] when.
//!
//! # Why the bytes are the same everywhere
//!
//! An event is a function of the settings and its number: event n draws from a generator seeded by (seed, n). So any
//! stretch can be made alone ([`Shop::event`], `skip`), a longer shop begins like a shorter one, and switching the flood
//! off changes no event outside it. What reaches the bytes is integer arithmetic and floats made of operations that IEEE
//! 754 rounds in one way only; `ln` and `exp` are written out in [`random`]. A fingerprint in the tests holds the bytes.
#![forbid(unsafe_code)]

mod event;
pub mod exact;
mod kind;
pub mod random;
mod settings;
mod stream;
pub mod text;
mod words;

pub use event::{ATTACKERS_NET, Event, write_ip, write_query, write_user_id};
pub use kind::EventType;
pub use settings::Settings;
pub use stream::Shop;
