//! How often things occur, against the weights that the documentation promises. The weights are written here again.

use shop::exact::Exact;
use shop::{EventType, Settings, Shop};
use std::collections::BTreeMap;

const EVENTS: u64 = 200_000;

fn shop() -> Shop {
    Shop::new(Settings::new(EVENTS, 10_000, 42).with_flood(false))
}

/// Pearson's chi-square of counts against weights, and a limit that chance passes once in a million seeds.
fn check_shares(counts: &BTreeMap<&str, u64>, weights: &[(&str, f64)], limit: f64) {
    let (total, sum) = (counts.values().sum::<u64>() as f64, weights.iter().map(|w| w.1).sum::<f64>());
    assert!(counts.keys().all(|name| weights.iter().any(|w| w.0 == *name)), "{counts:?}");
    let chi_square: f64 = weights
        .iter()
        .map(|(name, weight)| {
            let expected = total * weight / sum;
            (counts.get(name).copied().unwrap_or(0) as f64 - expected).powi(2) / expected
        })
        .sum();
    assert!(chi_square < limit, "chi-square {chi_square} of {limit}: {counts:?}");
}

fn counts<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, u64> {
    let mut counts = BTreeMap::new();
    names.for_each(|name| *counts.entry(name).or_default() += 1);
    counts
}

/// A count out of `of` against its probability, five standard deviations: a false alarm in 6e-7 of the seeds.
fn check_count(what: &str, count: u64, of: u64, share: f64) {
    let (expected, sigma) = (of as f64 * share, (of as f64 * share * (1.0 - share)).sqrt());
    assert!(
        (count as f64 - expected).abs() < 5.0 * sigma,
        "{what}: {count} where {expected} ± {sigma} was expected"
    );
}

#[test]
fn event_types_have_their_weights() {
    let weights = [
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
        ("landing", 14.0),
        ("product_view", 12.0),
        ("checkout", 5.0),
        ("impression", 12.0),
        ("ad_click", 2.0),
        ("conversion", 0.5),
    ];
    assert_eq!(EventType::ALL.len(), weights.len());
    // The 1 - 1e-6 quantile at 17 degrees of freedom.
    check_shares(&counts(shop().map(|event| event.kind.name())), &weights, 60.13);
}

#[test]
fn devices_have_their_weights() {
    let weights = [("mobile", 55.0), ("desktop", 35.0), ("tablet", 8.0), ("tv", 2.0)];
    check_shares(&counts(shop().map(|event| event.device)), &weights, 30.66);
}

#[test]
fn countries_have_their_weights_among_users_and_users_stay_in_theirs() {
    let mut homes = BTreeMap::new();
    for event in shop() {
        assert_eq!(*homes.entry(event.user).or_insert((event.country, event.ip)), (event.country, event.ip));
    }
    assert!(homes.len() > 9_000);
    let weights = [
        ("US", 30.0),
        ("DE", 16.0),
        ("GB", 12.0),
        ("FR", 10.0),
        ("IN", 8.0),
        ("BR", 6.0),
        ("JP", 5.0),
        ("CA", 4.0),
        ("ES", 3.0),
        ("NL", 3.0),
        ("PL", 2.0),
        ("NG", 1.0),
    ];
    check_shares(&counts(homes.values().map(|home| home.0)), &weights, 48.87);
    let mut addresses: Vec<_> = homes.values().map(|home| home.1).collect();
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), homes.len(), "two users share an address");
}

#[test]
fn users_pages_and_products_follow_their_power_laws() {
    let mut exact = Exact::default();
    let mut products = [0u64; 2];
    for event in shop() {
        exact.update(&event);
        if let Some(product) = event.product {
            products[0] += u64::from(product < 10);
            products[1] += 1;
        }
    }
    let share = |first: u32, of: u32, exponent: f64| {
        let sum = |n: u32| (0..n).map(|i| (f64::from(i) + 1.0).powf(-exponent)).sum::<f64>();
        sum(first) / sum(of)
    };
    let first =
        |counts: &shop::exact::Counts<u32>, n: u32| (0..n).map(|rank| counts.count(&rank)).sum::<u64>();
    for n in [1, 10, 1_000] {
        check_count("first users", first(&exact.by_user, n), EVENTS, share(n, 10_000, 0.7));
    }
    let pages = first(&exact.by_page, 500);
    check_count("first page", first(&exact.by_page, 1), pages, share(1, 500, 1.0));
    check_count("first ten pages", first(&exact.by_page, 10), pages, share(10, 500, 1.0));
    check_count("first ten products", products[0], products[1], share(10, 2_000, 0.8));
    // The exact counters agree with one another.
    assert_eq!(exact.users.distinct(), exact.by_user.distinct());
    assert_eq!(exact.users.distinct() + exact.users.returning(), EVENTS);
    assert_eq!(exact.by_type.top(18).iter().map(|t| t.1).sum::<u64>(), EVENTS);
    assert_eq!(exact.latencies_ms.count(), pages);
    assert_eq!(exact.by_user.top(1)[0].0, 0);
}

#[test]
fn latencies_and_carts_are_log_normal() {
    let views: Vec<u64> = shop()
        .filter(|event| event.kind == EventType::PageView)
        .filter_map(|event| event.latency_tenths)
        .collect();
    let carts: Vec<u64> = shop().filter_map(|event| event.revenue_cents).collect();
    // Points median e^(sigma z), and the share below them; tenths of a millisecond are rounded, hence points between.
    let below = |of: &[u64], point: f64| of.iter().filter(|&&x| (x as f64) < point).count() as u64;
    for (tenths, z_share) in [
        (71.5, normal_share((7.15f64 / 20.0).ln() / 0.8)),
        (200.5, normal_share((20.05f64 / 20.0).ln() / 0.8)),
        (1_286.5, normal_share((128.65f64 / 20.0).ln() / 0.8)),
    ] {
        check_count("latencies", below(&views, tenths), views.len() as u64, z_share);
    }
    for cents in [1_000.5, 4_000.5, 20_000.5] {
        check_count(
            "carts",
            below(&carts, cents),
            carts.len() as u64,
            normal_share((cents / 4_000.0f64).ln() / 0.7),
        );
    }
}

/// The normal distribution function, by Simpson's rule from -8.
fn normal_share(z: f64) -> f64 {
    let (from, steps) = (-8.0, 2_000);
    let h = (z - from) / f64::from(steps);
    let density = |x: f64| (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let weight = |i: i32| if i == 0 || i == steps { 1.0 } else { f64::from(2 + 2 * (i % 2)) };
    (0..=steps).map(|i| weight(i) * density(from + h * f64::from(i))).sum::<f64>() * h / 3.0
}
