//! What a client sets: names and values, few of which change anything here.

use super::failure::Failure;
use std::collections::BTreeMap;
use std::time::Duration;

/// The version of Postgres whose catalogue and protocol this is like.
pub(crate) const VERSION: &str = "15.0";
pub(crate) const VERSION_NUMBER: &str = "150000";

/// The settings there are, as they are at the beginning.
const KNOWN: [(&str, &str); 46] = [
    ("application_name", ""),
    ("bytea_output", "hex"),
    ("client_encoding", "UTF8"),
    ("client_min_messages", "notice"),
    ("datestyle", "ISO, MDY"),
    ("default_table_access_method", "heap"),
    ("default_tablespace", ""),
    ("default_transaction_deferrable", "off"),
    ("default_transaction_isolation", "repeatable read"),
    ("default_transaction_read_only", "on"),
    ("enable_seqscan", "on"),
    ("extra_float_digits", "1"),
    ("geqo", "on"),
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("in_hot_standby", "off"),
    ("integer_datetimes", "on"),
    ("intervalstyle", "postgres"),
    ("is_superuser", "off"),
    ("jit", "off"),
    ("lc_collate", "C"),
    ("lc_ctype", "C"),
    ("lc_messages", "C"),
    ("lc_monetary", "C"),
    ("lc_numeric", "C"),
    ("lc_time", "C"),
    ("lock_timeout", "0"),
    ("max_identifier_length", "63"),
    ("max_index_keys", "32"),
    ("password_encryption", "scram-sha-256"),
    ("row_security", "on"),
    ("search_path", "public"),
    ("server_encoding", "UTF8"),
    ("server_version", VERSION),
    ("server_version_num", VERSION_NUMBER),
    ("session_authorization", ""),
    ("ssl", "off"),
    ("standard_conforming_strings", "on"),
    ("statement_timeout", "0"),
    ("synchronous_commit", "on"),
    ("timezone", "UTC"),
    ("transaction_deferrable", "off"),
    ("transaction_isolation", "repeatable read"),
    ("transaction_read_only", "on"),
    ("work_mem", "4MB"),
    ("xmloption", "content"),
];

/// What clients are told at the beginning and whenever it changes, as they know it.
const REPORTED: [(&str, &str); 14] = [
    ("server_version", "server_version"),
    ("server_encoding", "server_encoding"),
    ("client_encoding", "client_encoding"),
    ("application_name", "application_name"),
    ("default_transaction_read_only", "default_transaction_read_only"),
    ("in_hot_standby", "in_hot_standby"),
    ("is_superuser", "is_superuser"),
    ("session_authorization", "session_authorization"),
    ("datestyle", "DateStyle"),
    ("intervalstyle", "IntervalStyle"),
    ("timezone", "TimeZone"),
    ("integer_datetimes", "integer_datetimes"),
    ("standard_conforming_strings", "standard_conforming_strings"),
    ("search_path", "search_path"),
];

/// Settings that cannot be changed.
const FIXED: [&str; 12] = [
    "in_hot_standby",
    "integer_datetimes",
    "is_superuser",
    "lc_collate",
    "lc_ctype",
    "max_identifier_length",
    "max_index_keys",
    "server_encoding",
    "server_version",
    "server_version_num",
    "session_authorization",
    "ssl",
];
/// Settings of one's own that a client may make.
const OWN_MAX: usize = 100;
const VALUE_BYTES_MAX: usize = 1_024;

/// The settings of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    values: BTreeMap<String, String>,
    /// As they were when the client came.
    first: BTreeMap<String, String>,
    /// What is taken back when the transaction ends.
    local: Vec<(String, Option<String>)>,
}

/// What came of a setting.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changed {
    /// What the client is to be told.
    pub report: Option<(&'static str, String)>,
    /// What it has no effect on.
    pub warning: Option<String>,
}

impl Settings {
    pub fn new(user: &str, encrypted: bool) -> Settings {
        let mut values: BTreeMap<String, String> =
            KNOWN.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        values.insert("session_authorization".into(), user.into());
        values.insert("ssl".into(), if encrypted { "on" } else { "off" }.into());
        Settings { first: values.clone(), values, local: Vec::new() }
    }

    /// What is set now is what `RESET` goes back to.
    pub fn begin(&mut self) {
        self.first = self.values.clone();
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(&name.to_lowercase()).map(String::as_str)
    }

    pub fn all(&self) -> &BTreeMap<String, String> {
        &self.values
    }

    /// What a client is told when it comes.
    pub fn reported(&self) -> impl Iterator<Item = (&'static str, &str)> {
        REPORTED.iter().map(|(name, shown)| (*shown, self.values[*name].as_str()))
    }

    /// Sets a value; `None` is the one of the beginning.
    pub fn set(&mut self, name: &str, value: Option<&str>, local: bool) -> Result<Changed, Failure> {
        let name = name.to_lowercase();
        let old = self.values.get(&name).cloned();
        if old.is_none() && !name.contains('.') {
            return Err(unknown(&name));
        }
        let value = value.map(String::from).or_else(|| self.first.get(&name).cloned()).unwrap_or_default();
        if value.len() > VALUE_BYTES_MAX || old.is_none() && self.values.len() >= KNOWN.len() + OWN_MAX {
            return Err(Failure::new("54000", "there is no room for this setting"));
        }
        if FIXED.contains(&name.as_str()) {
            return Err(Failure::new("55P02", format!("parameter \"{name}\" cannot be changed")));
        }
        let (value, warning) = accepted(&name, value)?;
        if local {
            self.local.push((name.clone(), old.clone()));
        }
        let report = REPORTED.iter().find(|(known, _)| *known == name && old.as_deref() != Some(&value));
        let report = report.map(|(_, shown)| (*shown, value.clone()));
        self.values.insert(name, value);
        Ok(Changed { report, warning })
    }

    /// All as they were at the beginning; what changed by that.
    pub fn reset(&mut self) -> Vec<(&'static str, String)> {
        let before = std::mem::replace(&mut self.values, self.first.clone());
        self.changed(&before)
    }

    /// Takes back what was set for the transaction alone.
    pub fn end_transaction(&mut self) -> Vec<(&'static str, String)> {
        if self.local.is_empty() {
            return Vec::new();
        }
        let before = self.values.clone();
        for (name, value) in std::mem::take(&mut self.local).into_iter().rev() {
            match value {
                Some(value) => self.values.insert(name, value),
                None => self.values.remove(&name),
            };
        }
        self.changed(&before)
    }

    fn changed(&self, before: &BTreeMap<String, String>) -> Vec<(&'static str, String)> {
        let differs = |(name, _): &&(&str, &str)| self.values.get(*name) != before.get(*name);
        REPORTED.iter().filter(differs).map(|(name, shown)| (*shown, self.values[*name].clone())).collect()
    }

    /// How long a statement may take, if the client says so.
    pub fn timeout(&self) -> Option<Duration> {
        let millis = self.get("statement_timeout").and_then(millis)?;
        (millis > 0).then(|| Duration::from_millis(millis))
    }

    /// Whether warnings are wanted.
    pub fn warns(&self) -> bool {
        !matches!(self.get("client_min_messages"), Some("error" | "fatal" | "panic"))
    }
}

pub(crate) fn unknown(name: &str) -> Failure {
    Failure::new("42704", format!("unrecognized configuration parameter \"{name}\""))
}

/// A value as it is kept, with what it does not do.
fn accepted(name: &str, value: String) -> Result<(String, Option<String>), Failure> {
    let lower = value.to_lowercase();
    let wrong = |why: &str| {
        let message = format!("invalid value for parameter \"{name}\": \"{value}\"");
        Err(Failure::new("22023", message).hint(why))
    };
    let fine = |value: String| Ok((value, None));
    match name {
        "client_encoding" => match lower.replace(['-', '_', '\''], "").as_str() {
            "utf8" | "unicode" | "default" => fine("UTF8".into()),
            _ => wrong("texts are UTF-8 here"),
        },
        "datestyle" if !lower.starts_with("iso") && lower != "default" => wrong("times are written as ISO"),
        "datestyle" => fine("ISO, MDY".into()),
        "intervalstyle" if lower != "postgres" => wrong("there is postgres alone"),
        "standard_conforming_strings" if !matches!(lower.as_str(), "on" | "true" | "1" | "yes") => {
            wrong("backslashes are themselves here")
        }
        "bytea_output" if lower != "hex" => wrong("bytes are written as hex"),
        "statement_timeout" => match millis(&value) {
            Some(0) => fine("0".into()),
            Some(millis) => fine(format!("{millis}ms")),
            None => wrong("write milliseconds, or a number with ms, s, min or h"),
        },
        // Whatever is wanted: this server only reads.
        "default_transaction_read_only" | "transaction_read_only" => fine("on".into()),
        "client_min_messages" => fine(lower),
        "timezone" => {
            let utc = ["utc", "gmt", "etc/utc", "etc/gmt", "zulu", "0", "default", "utc0"];
            let warning = (!utc.contains(&lower.as_str()))
                .then(|| format!("times are told in UTC, and not in the time zone \"{value}\""));
            Ok(("UTC".into(), warning))
        }
        _ => fine(value),
    }
}

/// A length of time in milliseconds: a number of them, or with a unit.
fn millis(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let unit = match unit.trim() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit).filter(|millis| *millis <= i32::MAX as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_told_and_taken_back() {
        let mut settings = Settings::new("me", false);
        let changed = settings.set("Application_Name", Some("psql"), false).expect("a setting");
        assert_eq!(changed.report, Some(("application_name", "psql".into())));
        settings.begin();
        settings.set("statement_timeout", Some("5s"), true).expect("a setting");
        assert_eq!(settings.timeout(), Some(Duration::from_secs(5)));
        settings.end_transaction();
        assert_eq!(settings.timeout(), None);
        settings.set("application_name", Some("other"), false).expect("a setting");
        assert_eq!(settings.reset(), [("application_name", "psql".to_string())]);
        assert!(settings.set("timezone", Some("Europe/Berlin"), false).expect("a setting").warning.is_some());
        assert_eq!(settings.get("TimeZone"), Some("UTC"));
        for (name, value) in [
            ("nothing", "1"),
            ("server_version", "9"),
            ("client_encoding", "LATIN1"),
            ("statement_timeout", "soon"),
            ("standard_conforming_strings", "off"),
        ] {
            assert!(settings.set(name, Some(value), false).is_err(), "{name}");
        }
        assert!(settings.set("my.own", Some("1"), false).is_ok());
    }

    #[test]
    fn lengths_of_time() {
        for (text, expected) in [
            ("0", Some(0)),
            ("250", Some(250)),
            ("5s", Some(5_000)),
            ("2 min", Some(120_000)),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(millis(text), expected, "{text}");
        }
    }
}
