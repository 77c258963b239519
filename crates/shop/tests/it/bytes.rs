//! What is written: the same for a seed, and readable by others.

use serde_json::Value;
use shop::{Event, EventType, Settings, Shop};
use std::collections::BTreeSet;

const KEYS: [&str; 17] = [
    "event_id",
    "ts",
    "event_type",
    "user_id",
    "session",
    "device",
    "country",
    "page",
    "product_id",
    "query",
    "campaign_id",
    "cost",
    "revenue",
    "latency_ms",
    "value",
    "ip",
    "endpoint",
];

fn ndjson(events: impl Iterator<Item = Event>) -> Vec<u8> {
    let mut out = Vec::new();
    events.for_each(|event| event.write_ndjson(&mut out));
    out
}

fn csv(events: impl Iterator<Item = Event>) -> Vec<u8> {
    let mut out = Event::csv_header().to_vec();
    events.for_each(|event| event.write_csv(&mut out));
    out
}

/// FNV-1a, 64 bits: a fingerprint that needs no other crate and none of ours.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

fn lines(bytes: &[u8]) -> Vec<&str> {
    let text = std::str::from_utf8(bytes).expect("UTF-8");
    text.strip_suffix('\n').expect("a newline at the end").split('\n').collect()
}

#[test]
fn a_seed_always_gives_the_same_bytes() {
    let shop = Shop::new(Settings::default());
    assert_eq!(fingerprint(&ndjson(shop.clone().take(10_000))), 0x7a9b_0f81_720f_ef31);
    assert_eq!(fingerprint(&csv(shop.clone().take(10_000))), 0x96d2_e0e7_178d_a912);
    let flood = Settings::default().flood_range().expect("a flood");
    let flood = flood.map(|n| shop.event(n));
    assert_eq!(fingerprint(&ndjson(flood)), 0x9852_9708_9033_fd7d);
}

#[test]
fn another_seed_gives_other_bytes() {
    let written = |seed| ndjson(Shop::new(Settings::new(100, 1_000, seed)));
    let all: BTreeSet<_> = [0, 1, 2, 42, u64::MAX].map(written).into_iter().collect();
    assert_eq!(all.len(), 5);
}

#[test]
fn an_event_depends_on_its_number_and_not_on_the_way_there() {
    let shop = Shop::new(Settings::new(5_000, 300, 1));
    let all: Vec<Event> = shop.clone().collect();
    assert_eq!(all.len(), 5_000);
    assert_eq!(shop.size_hint(), (5_000, Some(5_000)));
    assert!(all.iter().zip(0..).all(|(event, n)| *event == shop.event(n)));
    assert!(shop.clone().skip(700).step_by(13).eq(all.iter().copied().skip(700).step_by(13)));
    assert_eq!(shop.clone().nth(5_000), None);

    let longer = Shop::new(Settings::new(u64::MAX, 300, 1));
    assert!(longer.take(3_000).eq(all.into_iter().take(3_000)));
}

#[test]
fn every_line_is_an_object_with_the_fields_of_its_type() {
    let shop = Shop::new(Settings::default()).take(20_000);
    let (text, table) = (ndjson(shop.clone()), csv(shop.clone()));
    let rows = lines(&table);
    assert_eq!(rows[0].split(',').collect::<Vec<_>>(), KEYS);
    let mut ids = BTreeSet::new();
    let lines = lines(&text);
    assert_eq!((lines.len(), rows.len()), (20_000, 20_001));
    for ((line, row), event) in lines.iter().zip(&rows[1..]).zip(shop) {
        let object: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        let object = object.as_object().expect("an object");
        let present: Vec<&str> = KEYS.into_iter().filter(|key| object.contains_key(*key)).collect();
        assert_eq!(present.len(), object.len(), "an unknown key in {line}");
        let positions: Vec<usize> =
            present.iter().map(|k| line.find(&format!("\"{k}\":")).unwrap()).collect();
        assert!(positions.is_sorted(), "keys out of order: {line}");
        assert_eq!(present, expected_keys(event.kind), "{line}");

        let cells: Vec<&str> = row.split(',').collect();
        assert_eq!(cells.len(), KEYS.len(), "{row}");
        for (key, cell) in KEYS.into_iter().zip(cells) {
            let written = match object.get(key) {
                None => "",
                Some(Value::String(text)) => text,
                Some(number) => {
                    assert_eq!(number.as_f64(), cell.parse().ok(), "{key} in {row}");
                    continue;
                }
            };
            assert_eq!(written, cell, "{key} in {row}");
        }
        assert!(ids.insert(object["event_id"].to_string()), "twice: {line}");
        check_values(object, &event);
    }
}

fn expected_keys(kind: EventType) -> Vec<&'static str> {
    use EventType::*;
    let left_out = |key: &str| match key {
        "session" | "page" | "latency_ms" => matches!(kind, Impression | AdClick | Conversion),
        "product_id" => !matches!(kind, ProductView | AddToCart | Purchase),
        "query" => kind != Search,
        "campaign_id" => !matches!(kind, Landing | Impression | AdClick | Conversion),
        "cost" => !matches!(kind, Impression | AdClick | Conversion),
        "revenue" => !matches!(kind, Purchase | Conversion),
        _ => false,
    };
    KEYS.into_iter().filter(|key| !left_out(key)).collect()
}

fn check_values(object: &serde_json::Map<String, Value>, event: &Event) {
    let number = |key: &str| object[key].as_f64().expect("a number");
    assert_eq!(object["ts"].as_u64(), Some(event.ts_ms));
    assert_eq!(object["user_id"], format!("user_{}", event.user));
    assert_eq!(object["event_type"], event.kind.name());
    assert_eq!(object["ip"], std::net::Ipv4Addr::from(event.ip).to_string());
    assert_eq!(number("value"), event.value_cents as f64 / 100.0);
    if let Some(tenths) = event.latency_tenths {
        assert_eq!(number("latency_ms"), tenths as f64 / 10.0);
    }
    if let Some(mills) = event.cost_mills {
        assert_eq!(number("cost"), mills as f64 / 1_000.0);
    }
    if let Some(cents) = event.revenue_cents {
        assert_eq!((number("revenue"), cents), (cents as f64 / 100.0, event.value_cents));
    }
}

#[test]
fn an_empty_shop_has_no_events() {
    assert_eq!(Shop::new(Settings::new(0, 10, 1)).next(), None);
    assert_eq!(Shop::new(Settings::new(3, 0, 1)).map(|event| event.user).collect::<Vec<_>>(), [0, 0, 0]);
}
