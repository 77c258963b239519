//! What the name of a field says: words in it that people use for times, ids, amounts and the like.

/// The words of the last part of a path, in lower case: `actor.createdAt` is `created at`.
pub(super) fn of(path: &str) -> Vec<String> {
    let name = path.rsplit('.').next().unwrap_or(path);
    let (mut words, mut word, mut lower) = (Vec::new(), String::new(), false);
    for c in name.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && lower) {
            words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
        }
        lower = c.is_lowercase() || c.is_numeric();
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

/// Whether a name says nothing because it was given by us: `c1`.
pub(super) fn is_nameless(path: &str) -> bool {
    path.strip_prefix('c').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// How much a name says that it is the time of the event: 3 certainly, 0 nothing, below 0 that it is another time.
pub(super) fn time_clue(path: &str) -> f64 {
    let words = of(path);
    let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    let joined = words.concat();
    let whole =
        ["timestamp", "ts", "time", "eventtime", "datetime", "eventts", "eventtimestamp", "occurredat", "t"];
    match () {
        () if has(&[
            "birth",
            "birthday",
            "born",
            "dob",
            "expires",
            "expiry",
            "expiration",
            "due",
            "until",
        ]) =>
        {
            -2.0
        }
        () if has(&[
            "updated", "modified", "end", "ended", "finished", "closed", "merged", "pushed", "deleted",
        ]) =>
        {
            if has(&["time", "at", "date", "ts", "timestamp", "on"]) {
                1.0
            } else {
                0.0
            }
        }
        () if whole.contains(&joined.as_str()) => 3.0,
        () if has(&["timestamp", "ts", "datetime", "epoch", "occurred"]) => 2.5,
        () if has(&["created", "received", "logged"]) && has(&["at", "on", "time", "date", "utc"]) => 2.0,
        () if has(&["time", "date", "when", "unixtime", "unix", "clock", "utc", "createdat"]) => 2.0,
        () if has(&["at", "start", "started", "begin", "day", "created"]) || joined.ends_with("time") => 1.0,
        () => 0.0,
    }
}

/// What a name says about the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// An amount; whether amounts are added up.
    Amount { additive: bool },
    /// Names one thing among many.
    Identity,
    /// A place on Earth.
    Coordinate,
    /// Part of a date.
    DatePart,
    /// Nothing.
    Unknown,
}

const ADDITIVE: [&str; 40] = [
    "bytes",
    "amount",
    "cost",
    "total",
    "sum",
    "count",
    "qty",
    "quantity",
    "revenue",
    "sales",
    "fare",
    "tip",
    "tips",
    "click",
    "clicks",
    "impressions",
    "views",
    "hits",
    "requests",
    "distance",
    "miles",
    "km",
    "added",
    "deleted",
    "delta",
    "size",
    "length",
    "retries",
    "errors",
    "packets",
    "octets",
    "tokens",
    "units",
    "items",
    "passengers",
    "trips",
    "orders",
    "conversions",
    "spend",
    "fee",
];
const INTENSIVE: [&str; 55] = [
    "time",
    "latency",
    "delay",
    "duration",
    "elapsed",
    "took",
    "ms",
    "millis",
    "micros",
    "us",
    "ns",
    "seconds",
    "secs",
    "minutes",
    "value",
    "len",
    "score",
    "rate",
    "ratio",
    "temp",
    "temperature",
    "humidity",
    "cpu",
    "mem",
    "memory",
    "usage",
    "utilization",
    "load",
    "salary",
    "income",
    "price",
    "points",
    "age",
    "width",
    "height",
    "weight",
    "speed",
    "velocity",
    "volume",
    "balance",
    "percent",
    "pct",
    "share",
    "stars",
    "rating",
    "pressure",
    "power",
    "voltage",
    "current",
    "depth",
    "level",
    "avg",
    "mean",
    "max",
    "min",
];
const IDENTITY: [&str; 38] = [
    "id", "ids", "uuid", "guid", "key", "hash", "sha", "sha1", "sha256", "md5", "token", "session", "serial",
    "sku", "isbn", "iban", "phone", "fax", "zip", "zipcode", "postcode", "postal", "plz", "uid", "gid",
    "pid", "ip", "mac", "account", "no", "nr", "number", "code", "ref", "port", "asin", "imei", "tailnum",
];
const COORDINATE: [&str; 8] = ["lat", "lon", "lng", "long", "latitude", "longitude", "northing", "easting"];
const DATE_PART: [&str; 11] =
    ["year", "month", "day", "hour", "minute", "second", "week", "weekday", "quarter", "dow", "yday"];

/// What a name says. The last word that says something counts: `session_count` is an amount, `order_id` an identity.
pub(super) fn meaning(path: &str) -> Meaning {
    let meaning = |word: &String| {
        let is = |list: &[&str]| list.contains(&word.as_str());
        match () {
            () if is(&ADDITIVE) => Some(Meaning::Amount { additive: true }),
            () if is(&INTENSIVE) => Some(Meaning::Amount { additive: false }),
            () if is(&IDENTITY) => Some(Meaning::Identity),
            () if is(&COORDINATE) => Some(Meaning::Coordinate),
            () if is(&DATE_PART) => Some(Meaning::DatePart),
            () => None,
        }
    };
    of(path).iter().rev().find_map(meaning).unwrap_or(Meaning::Unknown)
}

/// Whether a name is one by which events are usually told apart.
pub(super) fn is_usual_dimension(path: &str) -> bool {
    const WORDS: [&str; 40] = [
        "type",
        "kind",
        "event",
        "action",
        "status",
        "response",
        "method",
        "country",
        "device",
        "platform",
        "browser",
        "os",
        "channel",
        "category",
        "level",
        "severity",
        "region",
        "state",
        "source",
        "carrier",
        "currency",
        "plan",
        "tier",
        "language",
        "lang",
        "namespace",
        "protocol",
        "service",
        "environment",
        "env",
        "origin",
        "class",
        "label",
        "city",
        "result",
        "outcome",
        "gender",
        "mode",
        "endpoint",
        "host",
    ];
    of(path).iter().any(|word| WORDS.contains(&word.as_str()))
}

/// Whether a name is one of who or what acts: worth counting how many there are.
pub(super) fn is_usual_actor(path: &str) -> bool {
    const WORDS: [&str; 28] = [
        "user",
        "users",
        "customer",
        "client",
        "visitor",
        "session",
        "account",
        "actor",
        "login",
        "author",
        "member",
        "player",
        "device",
        "host",
        "ip",
        "addr",
        "address",
        "driver",
        "vehicle",
        "tailnum",
        "patient",
        "sender",
        "email",
        "cookie",
        "subscriber",
        "seller",
        "buyer",
        "uid",
    ];
    path.split('.').flat_map(of).any(|word| WORDS.contains(&word.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fall_apart_into_words() {
        for (path, want) in [
            ("actor.createdAt", "created at"),
            ("user_id", "user id"),
            ("user-item_affinity_0", "user item affinity 0"),
            ("HTTPStatus", "httpstatus"),
            ("größe", "größe"),
            ("", ""),
        ] {
            assert_eq!(of(path).join(" "), want, "{path}");
        }
    }

    #[test]
    fn names_tell_times_ids_and_amounts() {
        assert!(
            time_clue("ts") > time_clue("created_at") && time_clue("created_at") > time_clue("updated_at")
        );
        assert!(time_clue("expires_at") < 0.0 && time_clue("push_id") == 0.0);
        assert_eq!(meaning("order_id"), Meaning::Identity);
        assert_eq!(meaning("session_count"), Meaning::Amount { additive: true });
        assert_eq!(meaning("responseTime_ms"), Meaning::Amount { additive: false });
        assert_eq!(meaning("pickup_latitude"), Meaning::Coordinate);
        assert_eq!(meaning("colour"), Meaning::Unknown);
    }
}
