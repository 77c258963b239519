//! The flood is where it is promised, when it is promised, and changes nothing else.

use shop::{Event, EventType, Settings, Shop};
use std::collections::BTreeSet;
use std::ops::Range;

fn check_range(events: u64, train: Range<u64>, flood: Option<Range<u64>>) {
    let settings = Settings::new(events, 100, 1);
    assert_eq!((settings.train_range(), settings.flood_range()), (train.clone(), flood));
    assert_eq!(settings.test_range(), train.end..events);
    assert_eq!(settings.with_flood(false).flood_range(), None);
}

#[test]
fn the_flood_lies_in_the_last_third() {
    check_range(100_000, 0..66_667, Some(67_667..68_167));
    check_range(15_000, 0..10_000, Some(11_000..11_500));
    check_range(3_600, 0..2_400, Some(3_400..3_600));
    check_range(3_000, 0..2_000, None);
    check_range(0, 0..0, None);
    check_range(u64::MAX, 0..u64::MAX - u64::MAX / 3, {
        let second = u64::MAX - u64::MAX / 3;
        Some(second + 1_000..second + 1_500)
    });
    // Its time cannot be told, but asking is no crash.
    assert!(Settings::new(u64::MAX, 1, 1).flood_time_range_ms().is_some());
}

#[test]
fn the_flood_is_purchases_of_few_users_from_one_net_at_its_time() {
    let settings = Settings::default();
    let (range, time) = (settings.flood_range().unwrap(), settings.flood_time_range_ms().unwrap());
    let calm = Shop::new(settings.clone().with_flood(false));
    let (mut attackers, mut addresses) = (BTreeSet::new(), BTreeSet::new());
    let mut attacks = 0;
    for (event, calm) in Shop::new(settings).zip(calm) {
        if !event.is_attack() {
            assert_eq!(event, calm, "the flood reaches beyond itself");
            continue;
        }
        assert!(range.contains(&event.number) && time.contains(&event.ts_ms), "{event:?}");
        assert_eq!((event.kind, &event.ip[..3]), (EventType::Purchase, &[203, 0, 113][..]));
        attacks += 1;
        attackers.insert(event.user);
        addresses.insert(event.ip);
    }
    // 475 of 500 expected, sigma 4.9; five of them.
    assert!((451..=499).contains(&attacks), "{attacks}");
    assert_eq!(attackers.into_iter().collect::<Vec<_>>(), [9_995, 9_996, 9_997, 9_998, 9_999]);
    assert_eq!(addresses.len(), 8);
    // 500 events at 28 a second.
    assert!((17_800..17_900).contains(&(time.end - time.start)), "{time:?}");
}

#[test]
fn a_minute_with_the_flood_has_many_times_the_purchases() {
    let settings = Settings::default();
    let minute = |event: &Event| (event.ts_ms - settings.start_ms) / 60_000;
    let mut purchases = [0u32; 60];
    for event in Shop::new(settings.clone()).filter(|event| event.kind == EventType::Purchase) {
        purchases[minute(&event) as usize] += 1;
    }
    let flood = settings.flood_time_range_ms().unwrap();
    let flooded = (flood.start - settings.start_ms) / 60_000..=(flood.end - 1 - settings.start_ms) / 60_000;
    let (within, usual): (Vec<_>, Vec<_>) = (0..60).partition(|m| flooded.contains(m));
    let most = |minutes: &[u64]| minutes.iter().map(|&m| purchases[m as usize]).max().unwrap();
    // 23 are usual; 60 is a Poisson tail below 1e-9 a minute.
    assert!(most(&usual) < 60 && most(&within) > 200, "{purchases:?}");
}
