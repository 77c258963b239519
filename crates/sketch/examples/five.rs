//! A stream processor of five sketches: who is new, how many there are, how often, what most, how slow.
//!
//! `cargo run --release -p streamgauge-sketch --example five < events.txt`, where a line is `user action milliseconds`.

use sketch::Token;
use sketch::bloom::{Seen, Size, Verdict};
use sketch::countmin::Freq;
use sketch::frequent::Counters;
use sketch::hll::{Distinct, LgK};
use sketch::quantile::Quantiles;
use std::io::BufRead;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut known = Seen::new(Size::new(1_000_000, 0.01)?, 4 << 20);
    let mut users = Distinct::new(LgK::for_relative_error(0.02, 0.95));
    let mut actions = Freq::new(12, 5, 256);
    let mut busiest = Counters::new(1 << 10);
    let mut latency = Quantiles::new(6)?;
    let mut first_times = 0u64;

    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let mut words = line.split_whitespace();
        let (Some(user), Some(action), Some(ms)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        // A value is hashed once, whatever the number of sketches that want it.
        let (user_token, action_token) = (Token::of_str(user), Token::of_str(action));
        first_times += u64::from(known.check_and_insert(user_token) == Verdict::New);
        users.update(user_token);
        actions.update(action_token, 1, action.as_bytes());
        busiest.update(user_token, 1, user.as_bytes());
        latency.update(ms.parse().unwrap_or(f64::NAN));
    }

    let e = users.estimate(0.95);
    println!(
        "users       {:.0}, in {:.0}..{:.0} with 95 %; {first_times} seen for the first time",
        e.value, e.low, e.high
    );
    let clicks = actions.query(Token::of_str("click"), 0.99);
    println!("clicks      {} of {}, at least {}", clicks.value, actions.total(), clicks.low);
    for one in busiest.top(3) {
        let user = String::from_utf8_lossy(one.item);
        println!(
            "busiest     {user}: {} in {}..={}",
            one.estimate.value, one.estimate.low, one.estimate.high
        );
    }
    if let Some(p99) = latency.quantile(0.99) {
        println!("p99         {:.1} ms, in {:.1}..={:.1} for certain", p99.value, p99.low, p99.high);
    }
    Ok(())
}
