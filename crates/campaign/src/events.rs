//! The events that campaigns feed: from a seed, with late ones and bad lines among them.

use crate::random::Random;
use std::fmt::Write;

/// Event time of the first one, in seconds.
const BEGIN: u64 = 1_700_000_000;
/// Events of a second.
const PER_SECOND: u64 = 100;
/// How many late by how much: one in fifty by up to five minutes.
const LATE_ONE_IN: u64 = 50;
const LATE_SECONDS: u64 = 300;
/// One line in so many is no event.
const BAD_ONE_IN: u64 = 997;
/// Different keys.
pub const USERS: u64 = 5_000;

/// Writes events number `from` to `to` behind what is there. Every line is another one: its number stands in it.
pub fn write(random: &mut Random, numbers: std::ops::Range<u64>, out: &mut String) {
    for i in numbers {
        if i % BAD_ONE_IN == BAD_ONE_IN - 1 {
            let _ = writeln!(out, "this is no event, but line {i}");
            continue;
        }
        let late = if random.below(LATE_ONE_IN) == 0 { random.below(LATE_SECONDS) } else { 0 };
        let ts = BEGIN + i / PER_SECOND - late;
        let (user, shop, n) = (random.below(USERS), random.below(7), random.below(1_000));
        let _ =
            writeln!(out, "{{\"ts\":{ts},\"id\":{i},\"user\":\"u{user}\",\"shop\":\"s{shop}\",\"n\":{n}}}");
    }
}
