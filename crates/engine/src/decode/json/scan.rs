//! Scanners for the pieces of a JSON line (RFC 8259), without recursion and without allocation.
//!
//! `None` means "not for me", never "wrong": the slow path decides. All of them accept exactly what serde_json accepts
//! of a value that nobody wants, as far as they accept at all; a newline is never part of a value, because it ends the
//! record. Input is valid UTF-8.

use crate::decode::digits::{byte, skip_number};
use crate::decode::lanes::{LANES, first_stop, piece};
use crate::decode::value::{Decimal, Scalar};

/// How deep a skipped value may nest before it is left to the slow path: one bit of a word for each level.
const DEPTH_MAX: u32 = 64;

/// A scalar and where it ends. Strings with escapes and containers are left to the slow path.
#[inline(always)]
pub(super) fn scalar(bytes: &[u8], start: usize) -> Option<(Scalar<'_>, usize)> {
    match byte(bytes, start) {
        b'"' => {
            let end = plain_string(bytes, start + 1)?;
            Some((Scalar::Text(&bytes[start + 1..end]), end + 1))
        }
        b'-' | b'0'..=b'9' => {
            let (number, end) = Decimal::from_json(bytes, start)?;
            Some((Scalar::Number(number), end))
        }
        _ => word(bytes, start),
    }
}

/// The end of any value.
#[inline(always)]
pub(super) fn skip_value(bytes: &[u8], start: usize) -> Option<usize> {
    match byte(bytes, start) {
        b'"' => skip_string(bytes, start + 1),
        b'-' | b'0'..=b'9' => skip_number(bytes, start),
        b'{' | b'[' => skip_container(bytes, start),
        _ => word(bytes, start).map(|(_, end)| end),
    }
}

/// null, true or false.
#[inline(never)]
fn word(bytes: &[u8], start: usize) -> Option<(Scalar<'_>, usize)> {
    let rest = bytes.get(start..)?;
    let (scalar, length) = if rest.starts_with(b"null") {
        (Scalar::Null, 4)
    } else if rest.starts_with(b"true") {
        (Scalar::Bool(true), 4)
    } else if rest.starts_with(b"false") {
        (Scalar::Bool(false), 5)
    } else {
        return None;
    };
    Some((scalar, start + length))
}

/// The closing quote of a string without escapes whose content starts at `start`.
#[inline(always)]
pub(super) fn plain_string(bytes: &[u8], start: usize) -> Option<usize> {
    let end = string_stop(bytes, start);
    (byte(bytes, end) == b'"').then_some(end)
}

/// What lies behind a string whose content starts at `start`. Escapes are checked as far as serde_json does for a string
/// that nobody reads: `\u` needs four digits, which need not be half a pair.
#[inline(always)]
pub(super) fn skip_string(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        at = string_stop(bytes, at);
        match byte(bytes, at) {
            b'"' => return Some(at + 1),
            b'\\' => at = skip_escape(bytes, at + 1)?,
            _ => return None,
        }
    }
}

#[inline(never)]
fn skip_escape(bytes: &[u8], at: usize) -> Option<usize> {
    match byte(bytes, at) {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(at + 1),
        b'u' => {
            let digits = bytes.get(at + 1..at + 5)?;
            digits.iter().all(u8::is_ascii_hexdigit).then_some(at + 5)
        }
        _ => None,
    }
}

/// The first quote, backslash or control character at or behind `at`, or the end of the bytes.
#[inline(always)]
fn string_stop(bytes: &[u8], mut at: usize) -> usize {
    loop {
        // Behind the end there are zeros, which stop as controls.
        let n = first_stop(&piece(bytes, at));
        if n < LANES {
            return at + n;
        }
        at += LANES;
    }
}

/// The first byte at or behind `at` that is no whitespace. The newline counts as something: it ends the record.
#[inline(always)]
pub(super) fn skip_blanks(bytes: &[u8], mut at: usize) -> usize {
    while matches!(byte(bytes, at), b' ' | b'\t' | b'\r') {
        at += 1;
    }
    at
}

/// The end of an object or array.
#[inline(never)]
fn skip_container(bytes: &[u8], start: usize) -> Option<usize> {
    // One bit for each open container, the innermost lowest: 1 is an object.
    let (mut open, mut depth, mut at) = (0u64, 0, start);
    loop {
        let first = byte(bytes, at);
        let opened = matches!(first, b'{' | b'[');
        if opened {
            if depth == DEPTH_MAX {
                return None;
            }
            (open, depth) = (open << 1 | u64::from(first == b'{'), depth + 1);
            at = skip_blanks(bytes, at + 1);
        } else {
            at = match first {
                b'"' => skip_string(bytes, at + 1)?,
                b'-' | b'0'..=b'9' => skip_number(bytes, at)?,
                _ => word(bytes, at)?.1,
            };
        }
        // Containers that end here, up to the next member or element.
        let mut empty = opened;
        loop {
            if depth == 0 {
                return Some(at);
            }
            at = if empty { at } else { skip_blanks(bytes, at) };
            let is_object = open & 1 == 1;
            match byte(bytes, at) {
                b'}' if is_object => (open, depth, at) = (open >> 1, depth - 1, at + 1),
                b']' if !is_object => (open, depth, at) = (open >> 1, depth - 1, at + 1),
                b',' if !empty => {
                    at = skip_blanks(bytes, at + 1);
                    break;
                }
                _ if empty => break,
                _ => return None,
            }
            empty = false;
        }
        if open & 1 == 1 {
            at = skip_key(bytes, at)?;
        }
    }
}

/// The first byte of the value that belongs to the key at `at`.
fn skip_key(bytes: &[u8], at: usize) -> Option<usize> {
    if byte(bytes, at) != b'"' {
        return None;
    }
    let colon = skip_blanks(bytes, skip_string(bytes, at + 1)?);
    (byte(bytes, colon) == b':').then(|| skip_blanks(bytes, colon + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::IgnoredAny;

    /// What the skipper accepts, serde_json accepts, and the other way round but for depth.
    fn check(text: &str) {
        let ours = skip_value(text.as_bytes(), 0) == Some(text.len());
        let theirs = serde_json::from_str::<IgnoredAny>(text).is_ok();
        assert_eq!(ours, theirs, "{text}");
    }

    #[test]
    fn values_are_skipped_as_serde_json_skips_them() {
        for text in [
            "null",
            "true",
            "false",
            "nul",
            "nulll",
            "True",
            "0",
            "-1.5e+3",
            "01",
            "1.",
            "\"\"",
            "\"a",
            "\"\\u12G4\"",
            "\"\\ud800\"",
            "\"\\x\"",
            "\"\\\"\"",
            "\"a\u{1}b\"",
            "\"a\tb\"",
            "\"\u{7f}é\u{2028}\"",
            "[]",
            "{}",
            "[ ]",
            "{ }",
            "[1]",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[1,2 , 3]",
            "[[],[[]],{}]",
            "{\"a\":1}",
            "{\"a\":1,}",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\" : [ { \"b\" : null } ] }",
            "{a:1}",
            "{1:1}",
            "[1}",
            "{\"a\":1]",
            "[",
            "{",
            "[[",
            "]",
            "{\"a\":1,\"a\":2}",
            "[\"\\n\\u0041\",-0]",
            "{\"a\\tb\":[]}",
            "[-]",
            "[1]]",
            "",
            "[\r\t 1]",
            "[}",
            "{]",
            "[\"a\" \"b\"]",
            "{\"a\":1 \"b\":2}",
            "{\"a\":1,2}",
            "{\"a\",\"b\"}",
            "[:]",
            "[1:2]",
        ] {
            check(text);
        }
    }

    #[test]
    fn every_short_text_of_punctuation_is_skipped_alike() {
        let alphabet = ["{", "}", "[", "]", ",", ":", "\"a\"", "1", " "];
        let mut texts = vec![String::new()];
        for _ in 0..5 {
            texts = texts.iter().flat_map(|text| alphabet.map(|next| format!("{text}{next}"))).collect();
            // Blanks at the ends are not part of a value.
            texts
                .iter()
                .filter(|text| !text.ends_with(' ') && !text.starts_with(' '))
                .for_each(|text| check(text));
        }
    }

    #[test]
    fn too_deep_is_left_to_the_slow_path() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(skip_value(nested(64).as_bytes(), 0), Some(128));
        assert_eq!(skip_value(nested(65).as_bytes(), 0), None);
        assert_eq!(skip_value("[".repeat(100_000).as_bytes(), 0), None);
    }

    #[test]
    fn a_newline_ends_everything() {
        for text in ["[1,\n2]", "{\"a\":\n1}", "[\n]", "\"a\nb\""] {
            assert_eq!(skip_value(text.as_bytes(), 0), None, "{text:?}");
        }
    }
}
