//! Numbers and texts for people.

/// A number as short as it can be without being wrong by a tenth of a percent.
pub(super) fn plain(n: f64) -> String {
    match () {
        () if n.fract() == 0.0 && n.abs() < 1e15 => {
            format!("{}{}", if n < 0.0 { "-" } else { "" }, thousands(n.abs() as usize))
        }
        () if (1e6..1e15).contains(&n.abs()) => plain(n.round()),
        () if (0.001..1e6).contains(&n.abs()) => {
            let short = format!("{n:.3}");
            short.trim_end_matches('0').trim_end_matches('.').to_string()
        }
        () => format!("{n:.2e}"),
    }
}

/// 12,345.
pub fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// 2.1 MB.
pub(super) fn size(bytes: usize) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{} kB", bytes / 1_000),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10),
    }
}

/// A value inside a comment or a sentence: short, and without anything that would end the line.
pub(super) fn shown(text: &str) -> String {
    const CHARS_MAX: usize = 40;
    let plain = |c: char| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c };
    let mut out: String = text.chars().take(CHARS_MAX).map(plain).collect();
    if text.chars().count() > CHARS_MAX {
        out.push('…');
    }
    out
}

/// The last part of a path, with slashes between its parts.
pub(super) fn name(path: &str) -> String {
    shown(path.rsplit('/').next().unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (n, want) in [
            (0.0, "0"),
            (-1234.0, "-1,234"),
            (0.25, "0.25"),
            (1.0 / 3.0, "0.333"),
            (2e6 + 0.6, "2,000,001"),
            (1e20, "1.00e20"),
            (1e-9, "1.00e-9"),
        ] {
            assert_eq!(plain(n), want);
        }
        assert_eq!((size(999).as_str(), size(4_194_304).as_str()), ("999 B", "4.1 MB"));
    }

    #[test]
    fn texts_stay_on_their_line() {
        assert_eq!(shown("a\nb\u{7f}c"), "a b c");
        assert_eq!(name("a/b.csv"), "b.csv");
    }
}
