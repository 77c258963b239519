//! The exact answers, counted from the events themselves: neither from their bytes nor by the engine.

use engine::time::{Span, Time};
use shop::exact::{Counts, Exact, Seen, Values};
use shop::{Event, EventType, write_ip, write_query, write_user_id};
use std::collections::BTreeMap;

/// What is true of a stream.
#[derive(Debug, Default)]
pub struct Truth {
    /// Users, types, pages, latencies, revenue.
    pub exact: Exact,
    /// Distinct sessions.
    pub sessions: Seen<(u32, u32)>,
    /// Distinct users who put something into the cart.
    pub carts: Seen<u32>,
    /// Distinct users who bought.
    pub buyers: Seen<u32>,
    /// Purchases by address.
    pub buyer_ips: Counts<[u8; 4]>,
    /// What purchases brought in, hundredths.
    pub purchases_cents: u64,
    /// Searches by term.
    pub queries: Counts<u32>,
    /// What campaigns cost, thousandths.
    pub cost_mills: BTreeMap<u32, u64>,
    /// Latencies by the part of the server that was called, ms.
    pub latencies_ms: BTreeMap<&'static str, Values>,
    /// By the start of the window.
    pub windows: BTreeMap<Time, Slice>,
    width: Option<Span>,
}

/// What is true of a window.
#[derive(Debug, Default)]
pub struct Slice {
    /// Events in it.
    pub events: u64,
    /// Purchases in it.
    pub purchases: u64,
    /// Who made them.
    pub buyers: Seen<u32>,
}

impl Truth {
    /// Nothing yet. Windows of this length, if any, are told apart.
    pub fn new(width: Option<Span>) -> Truth {
        Truth { width, ..Truth::default() }
    }

    /// Counts an event.
    pub fn update(&mut self, event: &Event) {
        self.exact.update(event);
        if let Some(session) = event.session {
            self.sessions.update((event.user, session));
        }
        if let Some(query) = event.query {
            self.queries.update(query);
        }
        if let (Some(campaign), Some(cost)) = (event.campaign, event.cost_mills) {
            *self.cost_mills.entry(campaign).or_default() += cost;
        }
        if let Some(tenths) = event.latency_tenths {
            self.latencies_ms.entry(event.kind.endpoint()).or_default().update(tenths as f64 / 10.0);
        }
        match event.kind {
            EventType::AddToCart => {
                self.carts.update(event.user);
            }
            EventType::Purchase => self.update_purchase(event),
            _ => {}
        }
        self.update_window(event);
    }

    fn update_purchase(&mut self, event: &Event) {
        self.buyers.update(event.user);
        self.buyer_ips.update(event.ip);
        self.purchases_cents += event.revenue_cents.unwrap_or(0);
    }

    fn update_window(&mut self, event: &Event) {
        let Some(width) = self.width else { return };
        let slice = self.windows.entry(Time(event.ts_ms as i64 * 1_000).floor_to(width)).or_default();
        slice.events += 1;
        if event.kind == EventType::Purchase {
            slice.purchases += 1;
            slice.buyers.update(event.user);
        }
    }

    /// The true counts of all items of a list metric, heaviest first; `None` for one that is not known.
    pub fn items(&self, metric: &str) -> Option<Vec<(String, u64)>> {
        Some(match metric {
            "top_users" => named(&self.exact.by_user, |user, out| write_user_id(*user, out)),
            "top_pages" => named(&self.exact.by_page, |page, out| out.extend(format!("/p/{page}").bytes())),
            "top_queries" => named(&self.queries, |query, out| write_query(*query, out)),
            "buyer_ips" => named(&self.buyer_ips, |ip, out| write_ip(*ip, out)),
            "top_campaigns" => {
                let mut all: Vec<_> =
                    self.cost_mills.iter().map(|(c, mills)| (format!("campaign_{c}"), *mills)).collect();
                all.sort_by_key(|(_, mills)| std::cmp::Reverse(*mills));
                all
            }
            _ => return None,
        })
    }
}

fn named<K: std::hash::Hash + Ord + Clone>(
    counts: &Counts<K>,
    write: fn(&K, &mut Vec<u8>),
) -> Vec<(String, u64)> {
    let name = |key: &K| text(|out| write(key, out));
    counts.top(usize::MAX).iter().map(|(key, count)| (name(key), *count)).collect()
}

/// What `write` appends, as text.
pub fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).expect("names are text")
}
