//! A position in a text, and the small things that can be read there.

use super::{Fault, fault};
use std::ops::Range;

/// A position in the expression.
pub(super) struct Cursor<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Cursor<'a> {
        Cursor { text, at: 0 }
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    pub(super) fn eat(&mut self, c: char) -> bool {
        let there = self.peek() == Some(c);
        self.at += if there { c.len_utf8() } else { 0 };
        there
    }

    pub(super) fn word(&mut self) -> Option<(&'a str, Range<usize>)> {
        let rest = self.rest();
        rest.chars().next().filter(|c| is_word_start(*c))?;
        let len = rest.find(|c: char| !is_word_start(c) && !c.is_ascii_digit()).unwrap_or(rest.len());
        let span = self.at..self.at + len;
        self.at += len;
        Some((&rest[..len], span))
    }

    /// A name in double quotes, which may hold anything but a double quote.
    pub(super) fn quoted(&mut self) -> Result<&'a str, Fault> {
        let start = self.at;
        match self.rest()[1..].find('"') {
            None => Err(fault(start..self.text.len(), "the quoted name is not closed", "")),
            Some(0) => Err(fault(start..start + 2, "the name of a field is empty", "")),
            Some(len) => {
                self.at += len + 2;
                Ok(&self.text[start + 1..start + 1 + len])
            }
        }
    }

    pub(super) fn number(&mut self) -> Result<(f64, Range<usize>), Fault> {
        let (rest, start) = (self.rest(), self.at);
        let mut len = 0;
        for c in rest.chars() {
            let exponent_sign = matches!(c, '-' | '+') && rest[..len].ends_with(['e', 'E']);
            let sign = matches!(c, '-' | '+') && len == 0;
            if !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_') || exponent_sign || sign) {
                break;
            }
            len += c.len_utf8();
        }
        self.at += len;
        let shown = if len == 0 {
            self.peek().map(String::from).unwrap_or_default()
        } else {
            rest[..len].to_string()
        };
        let digits = rest[..len].contains(|c: char| c.is_ascii_digit());
        match rest[..len].parse::<f64>() {
            Ok(n) if n.is_finite() && digits => Ok((n, start..self.at)),
            _ => Err(fault(start..start + shown.len(), &format!("`{shown}` is not a number"), "")),
        }
    }

    /// Eats this word, in whatever case, unless it goes on.
    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let start = self.at;
        let found = self.word().is_some_and(|(found, _)| found.eq_ignore_ascii_case(word));
        if !found {
            self.at = start;
        }
        found
    }

    /// Goes on to the first of these characters that stands outside of quotes and parentheses, and gives what lies
    /// before it, without blanks around. `None` when there is none.
    pub(super) fn until(&mut self, ends: &[char]) -> Option<Range<usize>> {
        let start = self.at;
        let (mut depth, mut quote) = (0usize, None);
        for (at, c) in self.rest().char_indices() {
            match (quote, c) {
                (Some(open), c) if c == open => quote = None,
                (Some(_), _) => {}
                (None, '\'' | '"') => quote = Some(c),
                (None, c) if depth == 0 && ends.contains(&c) => {
                    let text = &self.rest()[..at];
                    let from = start + text.len() - text.trim_start().len();
                    let to = start + text.trim_end().len();
                    self.at = start + at;
                    return Some(from.min(to)..to);
                }
                (None, '(' | '[' | '{') => depth += 1,
                (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
                (None, _) => {}
            }
        }
        None
    }

    /// The fault of a parenthesis that nothing closes.
    pub(super) fn unclosed(&self, name: &str, open: usize) -> Fault {
        let message = format!("the parenthesis of `{name}` is not closed");
        fault(open..open + 1, &message, "add `)` at the end; are all quotes closed?")
    }
}

pub(super) fn is_word_start(c: char) -> bool {
    c == '_' || c.is_alphabetic()
}
