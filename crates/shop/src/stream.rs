//! The shop as an iterator: event n from the settings and n.

use crate::event::{ATTACKERS_NET, Event};
use crate::kind::EventType;
use crate::random::{Rng, Weighted, exp, mix};
use crate::settings::Settings;
use crate::words::{CAMPAIGNS, COUNTRIES, DEVICES, PAGES, PRODUCTS, QUERIES};
use std::ops::Range;

/// A session begins anew this often, ms.
const SESSION_MS: u64 = 15 * 60_000;
/// Users who make the flood: so many of the rarest.
const ATTACKERS: u64 = 5;
/// Addresses that they come from.
const ATTACKERS_IPS: u64 = 8;
/// One in so many events of the flood is an ordinary one.
const ORDINARY_ONE_IN: u64 = 20;
/// Median of a cart, cents, and sigma of its logarithm.
const CART: (f64, f64) = (4_000.0, 0.7);
/// Sigma of the logarithm of a latency.
const LATENCY_SIGMA: f64 = 0.8;

/// The events of a shop, in the order of their arrival.
#[derive(Debug, Clone)]
pub struct Shop {
    settings: Settings,
    key: u64,
    next: u64,
    flood: Range<u64>,
    kinds: Weighted,
    users: Weighted,
    devices: Weighted,
    countries: Weighted,
    pages: Weighted,
    products: Weighted,
    queries: Weighted,
    campaigns: Weighted,
}

impl Shop {
    /// Opens a shop. Costs time and 16 bytes for each user.
    pub fn new(settings: Settings) -> Shop {
        Shop {
            key: mix(settings.seed),
            next: 0,
            flood: settings.flood_range().unwrap_or(0..0),
            kinds: Weighted::new(EventType::ALL.iter().map(|kind| kind.weight())),
            users: Weighted::power_law(settings.entities.max(1), 0.7),
            devices: Weighted::new(DEVICES.iter().map(|d| d.1)),
            countries: Weighted::new(COUNTRIES.iter().map(|c| c.1)),
            pages: Weighted::power_law(PAGES, 1.0),
            products: Weighted::power_law(PRODUCTS, 0.8),
            queries: Weighted::power_law(QUERIES, 1.0),
            campaigns: Weighted::power_law(CAMPAIGNS, 0.6),
            settings,
        }
    }

    /// What it was opened with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The event of this number, whether or not the iterator is there. Constant time.
    // The order of the draws is the identity of the shop: a new field draws after the others, never between.
    pub fn event(&self, number: u64) -> Event {
        // Mixed twice, so that the generators of two numbers do not walk the same path one step apart.
        let mut rng = Rng::seeded(mix(self.key.wrapping_add(number)));
        let drawn = EventType::ALL[self.kinds.draw(&mut rng)];
        let user = self.users.draw(&mut rng) as u32;
        let device = DEVICES[self.devices.draw(&mut rng)].0;
        let (on_time_ms, late_ms) = self.time(number, &mut rng);
        let ordinary = rng.word().is_multiple_of(ORDINARY_ONE_IN);
        let attack = self.flood.contains(&number) && !ordinary;

        let kind = if attack { EventType::Purchase } else { drawn };
        let user = if attack { self.attacker(&mut rng) } else { user };
        let visit = !kind.is_ad();
        let page = visit.then(|| self.pages.draw(&mut rng) as u32);
        let product = kind.has_product().then(|| self.products.draw(&mut rng) as u32);
        let query = (kind == EventType::Search).then(|| self.queries.draw(&mut rng) as u32);
        let campaign = kind.has_campaign().then(|| self.campaigns.draw(&mut rng) as u32);
        let value_cents = if kind.has_cart() {
            (CART.0 * exp(CART.1 * rng.normal())).round() as u64
        } else {
            50 * (1 + rng.below(10))
        };
        let latency_ms = visit.then(|| kind.latency_median_ms() * exp(LATENCY_SIGMA * rng.normal()));
        Event {
            number,
            // A late purchase of the flood would lie outside of the time that the flood was promised for.
            ts_ms: if attack { on_time_ms } else { late_ms },
            kind,
            user,
            session: visit.then(|| ((on_time_ms - self.settings.start_ms) / SESSION_MS) as u32),
            device,
            country: self.country(user),
            page,
            product,
            query,
            campaign,
            cost_mills: kind.is_ad().then(|| cost_mills(kind, value_cents, &mut rng)),
            revenue_cents: kind.has_revenue().then_some(value_cents),
            latency_tenths: latency_ms.map(|ms| (ms * 10.0).round() as u64),
            value_cents,
            ip: if attack { attackers_ip(&mut rng) } else { ip(user) },
        }
    }

    /// When an event happened: as it would be on time, and as it is.
    fn time(&self, number: u64, rng: &mut Rng) -> (u64, u64) {
        let slot = self.settings.slot_ms(number);
        let on_time_ms = slot + rng.below(self.settings.slot_ms(number.saturating_add(1)) - slot);
        let late = rng.below(1_000) < u64::from(self.settings.late_per_mille);
        // Drawn in any case, so that other settings of lateness change times alone.
        let delay_ms = (1 + rng.below(self.settings.late_max_ms)).min(self.settings.late_max_ms);
        let delay_ms = if late { delay_ms } else { 0 };
        (on_time_ms, on_time_ms.saturating_sub(delay_ms).max(self.settings.start_ms))
    }

    fn attacker(&self, rng: &mut Rng) -> u32 {
        self.settings.entities.saturating_sub(1 + rng.below(ATTACKERS) as u32)
    }

    fn country(&self, user: u32) -> &'static str {
        let mut rng = Rng::seeded(mix(!self.key).wrapping_add(mix(u64::from(user))));
        COUNTRIES[self.countries.draw(&mut rng)].0
    }
}

impl Iterator for Shop {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.nth(0)
    }

    fn nth(&mut self, skipped: usize) -> Option<Event> {
        let number = self.next.saturating_add(skipped as u64);
        if number >= self.settings.events {
            self.next = self.settings.events;
            return None;
        }
        self.next = number + 1;
        Some(self.event(number))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.settings.events - self.next);
        (left.unwrap_or(usize::MAX), left.ok())
    }
}

/// What a campaign pays, thousandths: little for showing, more for a click, a twentieth of a sale.
fn cost_mills(kind: EventType, sale_cents: u64, rng: &mut Rng) -> u64 {
    match kind {
        EventType::Impression => 2 + rng.below(5),
        EventType::AdClick => 500 + rng.below(1_501),
        _ => sale_cents / 2,
    }
}

/// The address of a user, in 10.0.0.0/8. The factor is odd, so no two of 2^24 users share one.
fn ip(user: u32) -> [u8; 4] {
    let [_, b, c, d] = user.wrapping_mul(0x9E37_79B1).wrapping_add(0x35_A71C).to_be_bytes();
    [10, b, c, d]
}

fn attackers_ip(rng: &mut Rng) -> [u8; 4] {
    let [a, b, c] = ATTACKERS_NET;
    [a, b, c, rng.below(ATTACKERS_IPS) as u8]
}
