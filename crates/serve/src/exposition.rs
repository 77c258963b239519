//! The text that Prometheus reads: families of series, each told once, and no more series than a scrape should have.
//!
//! Format 0.0.4. Every name begins with `streamgauge_`.

use std::collections::BTreeSet;
use std::fmt::Write;

/// Text of families.
pub(crate) struct Exposition {
    out: String,
    names: BTreeSet<String>,
    /// What measured series may still be.
    room: usize,
    dropped: u64,
}

/// The series of one family.
pub(crate) struct Family<'e> {
    of: &'e mut Exposition,
    name: String,
}

impl Exposition {
    /// Nothing yet, with room for so many measured series.
    pub fn new(room: usize) -> Exposition {
        Exposition { out: String::new(), names: BTreeSet::new(), room, dropped: 0 }
    }

    /// Begins a family. A name that was told before gets none of its own: its lines must stand together.
    pub fn family(&mut self, name: &str, kind: &str, help: &str) -> Option<Family<'_>> {
        let name = format!("streamgauge_{}", plain(name));
        if !self.names.insert(name.clone()) {
            self.dropped += 1;
            return None;
        }
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let _ = writeln!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Some(Family { of: self, name })
    }

    /// One number, a family by itself.
    pub fn single(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        if let Some(mut family) = self.family(name, kind, help) {
            family.put("", &[], value);
        }
    }

    /// Series that had no room, and families whose name was taken.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    pub fn finish(self) -> String {
        self.out
    }
}

impl Family<'_> {
    /// A series; `suffix` is that of histograms and summaries (`_sum`, `_bucket`).
    pub fn put(&mut self, suffix: &str, labels: &[(&str, &str)], value: f64) {
        let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let labels: Vec<String> =
            labels.iter().map(|(key, text)| format!("{}=\"{}\"", plain(key), escaped(text))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let value = match value {
            v if v.is_nan() => "NaN".to_string(),
            v if v.is_infinite() => if v > 0.0 { "+Inf" } else { "-Inf" }.to_string(),
            v => v.to_string(),
        };
        let _ = writeln!(self.of.out, "{}{suffix}{labels} {value}", self.name);
    }

    /// The same of what was measured, which is as much as users make it; left out, and counted, where there is no room.
    pub fn put_measured(&mut self, suffix: &str, labels: &[(&str, &str)], value: f64) {
        match self.of.room.checked_sub(1) {
            Some(room) => {
                self.of.room = room;
                self.put(suffix, labels, value);
            }
            None => self.of.dropped += 1,
        }
    }
}

/// A name as Prometheus takes it.
fn plain(name: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
    let name: String = name.chars().map(fits).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_cannot_break_out_of_their_quotes() {
        let mut out = Exposition::new(0);
        out.family("x_total", "counter", "Two\nlines.").expect("new").put(
            "",
            &[("source", "a\"} 1\n\\")],
            3.0,
        );
        let expected = "# HELP streamgauge_x_total Two\\nlines.\n# TYPE streamgauge_x_total counter\n\
            streamgauge_x_total{source=\"a\\\"} 1\\n\\\\\"} 3\n";
        assert_eq!(out.finish(), expected);
    }

    #[test]
    fn what_has_no_room_or_name_is_counted() {
        let mut out = Exposition::new(1);
        let mut family = out.family("a.b", "gauge", "x").expect("new");
        family.put_measured("", &[("1x", "y")], f64::INFINITY);
        family.put_measured("", &[("1x", "z")], 1.0);
        assert!(out.family("a b", "gauge", "x").is_none());
        assert_eq!(out.dropped(), 2);
        assert!(out.finish().ends_with("streamgauge_a_b{_1x=\"y\"} +Inf\n"));
    }
}
