//! One event, and how it is written: NDJSON with the absent fields left out, CSV with them empty.

use crate::kind::EventType;
use crate::text::{digit, write_integer};
use crate::words;

/// The first three bytes of the addresses of the flood: 203.0.113.0/24, which RFC 5737 keeps for examples.
pub const ATTACKERS_NET: [u8; 3] = [203, 0, 113];

/// One event. Users, pages, products, search terms and campaigns are ranks: 0 is the most frequent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Number in the stream, from 0: its identity.
    pub number: u64,
    /// Event time, ms since 1970.
    pub ts_ms: u64,
    /// What happened.
    pub kind: EventType,
    /// Who did it.
    pub user: u32,
    /// Which visit of this user, by quarter of an hour; none for events of advertisements.
    pub session: Option<u32>,
    /// Device.
    pub device: &'static str,
    /// Country of the user, two letters.
    pub country: &'static str,
    /// Page; none for events of advertisements.
    pub page: Option<u32>,
    /// Product that was looked at, put into the cart or bought.
    pub product: Option<u32>,
    /// Search term.
    pub query: Option<u32>,
    /// Campaign, of landings and events of advertisements.
    pub campaign: Option<u32>,
    /// What an advertisement cost, thousandths.
    pub cost_mills: Option<u64>,
    /// What a purchase or a conversion brought, hundredths.
    pub revenue_cents: Option<u64>,
    /// How long the server took, tenths of a millisecond; none for events of advertisements.
    pub latency_tenths: Option<u64>,
    /// Value, hundredths: that of the cart where there is one.
    pub value_cents: u64,
    /// Address.
    pub ip: [u8; 4],
}

impl Event {
    /// Whether it belongs to the flood.
    pub fn is_attack(&self) -> bool {
        self.ip[..3] == ATTACKERS_NET
    }

    /// Appends it as one JSON object and a newline, absent fields left out. About 300 bytes.
    pub fn write_ndjson(&self, out: &mut Vec<u8>) {
        self.write(&mut Ndjson(out));
    }

    /// The line that names the columns of [`Event::write_csv`], with its newline.
    pub fn csv_header() -> &'static [u8] {
        b"event_id,ts,event_type,user_id,session,device,country,page,product_id,query,campaign_id,cost,revenue,\
          latency_ms,value,ip,endpoint\n"
    }

    /// Appends it as one line of comma-separated values, absent fields empty. Nothing needs quotes.
    pub fn write_csv(&self, out: &mut Vec<u8>) {
        self.write(&mut Csv(out));
    }

    /// All fields in their order.
    #[inline]
    fn write(&self, row: &mut impl Row) {
        row.text("{\"event_id\":\"", |out| named(b"e", self.number, out));
        row.number(",\"ts\":", Some(self.ts_ms), write_integer);
        row.text(",\"event_type\":\"", |out| out.extend_from_slice(self.kind.name().as_bytes()));
        row.text(",\"user_id\":\"", |out| write_user_id(self.user, out));
        row.text_of(",\"session\":\"", self.session, |session, out| {
            named(b"s", u64::from(self.user), out);
            named(b"-", u64::from(session), out);
        });
        row.text(",\"device\":\"", |out| out.extend_from_slice(self.device.as_bytes()));
        row.text(",\"country\":\"", |out| out.extend_from_slice(self.country.as_bytes()));
        row.text_of(",\"page\":\"", self.page, |page, out| named(b"/p/", u64::from(page), out));
        row.text_of(",\"product_id\":\"", self.product, |product, out| {
            named(b"product_", u64::from(product), out)
        });
        row.text_of(",\"query\":\"", self.query, write_query);
        row.text_of(",\"campaign_id\":\"", self.campaign, |campaign, out| {
            named(b"campaign_", u64::from(campaign), out);
        });
        row.number(",\"cost\":", self.cost_mills, write_decimal::<3>);
        row.number(",\"revenue\":", self.revenue_cents, write_decimal::<2>);
        row.number(",\"latency_ms\":", self.latency_tenths, write_decimal::<1>);
        row.number(",\"value\":", Some(self.value_cents), write_decimal::<2>);
        row.text(",\"ip\":\"", |out| write_ip(self.ip, out));
        row.text(",\"endpoint\":\"", |out| out.extend_from_slice(self.kind.endpoint().as_bytes()));
        row.end();
    }
}

/// A line in the making. `before` is what stands before a value in NDJSON.
trait Row {
    fn text(&mut self, before: &str, write: impl FnOnce(&mut Vec<u8>));
    fn text_of(&mut self, before: &str, value: Option<u32>, write: impl FnOnce(u32, &mut Vec<u8>));
    fn number(&mut self, before: &str, value: Option<u64>, write: impl FnOnce(u64, &mut Vec<u8>));
    fn end(&mut self);
}

struct Ndjson<'a>(&'a mut Vec<u8>);

impl Row for Ndjson<'_> {
    #[inline]
    fn text(&mut self, before: &str, write: impl FnOnce(&mut Vec<u8>)) {
        self.0.extend_from_slice(before.as_bytes());
        write(self.0);
        self.0.push(b'"');
    }

    #[inline]
    fn text_of(&mut self, before: &str, value: Option<u32>, write: impl FnOnce(u32, &mut Vec<u8>)) {
        if let Some(value) = value {
            self.text(before, |out| write(value, out));
        }
    }

    #[inline]
    fn number(&mut self, before: &str, value: Option<u64>, write: impl FnOnce(u64, &mut Vec<u8>)) {
        if let Some(value) = value {
            self.0.extend_from_slice(before.as_bytes());
            write(value, self.0);
        }
    }

    #[inline]
    fn end(&mut self) {
        self.0.extend_from_slice(b"}\n");
    }
}

/// Every value is followed by a comma; the last one becomes the newline.
struct Csv<'a>(&'a mut Vec<u8>);

impl Row for Csv<'_> {
    #[inline]
    fn text(&mut self, _: &str, write: impl FnOnce(&mut Vec<u8>)) {
        write(self.0);
        self.0.push(b',');
    }

    #[inline]
    fn text_of(&mut self, _: &str, value: Option<u32>, write: impl FnOnce(u32, &mut Vec<u8>)) {
        if let Some(value) = value {
            write(value, self.0);
        }
        self.0.push(b',');
    }

    #[inline]
    fn number(&mut self, _: &str, value: Option<u64>, write: impl FnOnce(u64, &mut Vec<u8>)) {
        if let Some(value) = value {
            write(value, self.0);
        }
        self.0.push(b',');
    }

    #[inline]
    fn end(&mut self) {
        self.0.pop();
        self.0.push(b'\n');
    }
}

/// Appends the id that the user of this rank has in the output.
#[inline]
pub fn write_user_id(rank: u32, out: &mut Vec<u8>) {
    named(b"user_", u64::from(rank), out);
}

#[inline]
fn named(name: &[u8], number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    write_integer(number, out);
}

/// Appends the search term of this rank.
pub fn write_query(rank: u32, out: &mut Vec<u8>) {
    let (look, thing) = words::query(rank);
    out.extend_from_slice(look.as_bytes());
    out.push(b' ');
    out.extend_from_slice(thing.as_bytes());
}

/// Appends an address.
pub fn write_ip(ip: [u8; 4], out: &mut Vec<u8>) {
    write_integer(u64::from(ip[0]), out);
    for byte in &ip[1..] {
        named(b".", u64::from(*byte), out);
    }
}

/// Appends a number of `PLACES` decimal places.
#[inline]
fn write_decimal<const PLACES: u32>(n: u64, out: &mut Vec<u8>) {
    write_integer(n / 10u64.pow(PLACES), out);
    out.push(b'.');
    for place in (0..PLACES).rev() {
        out.push(digit(n / 10u64.pow(place)));
    }
}
