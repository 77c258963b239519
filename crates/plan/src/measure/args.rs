//! The arguments of a measure: fields, numbers, lists of numbers, SQL.

use super::cursor::{Cursor, is_word_start};
use super::{Fault, Operand, SHAPE, fault};
use std::ops::Range;

/// One argument of a call.
#[derive(Debug)]
pub(super) enum Arg {
    /// A field or an expression.
    Operand(Operand),
    Number(f64, Range<usize>),
    List(Vec<(f64, Range<usize>)>, Range<usize>),
    /// `name => value`.
    Named(String, Operand, Range<usize>),
}

impl Arg {
    pub(super) fn span(&self) -> Range<usize> {
        match self {
            Arg::Operand(operand) => operand.span.clone(),
            Arg::Number(_, span) | Arg::List(_, span) | Arg::Named(_, _, span) => span.clone(),
        }
    }
}

/// Everything between the parentheses; begins behind the opening one and ends behind the closing one.
pub(super) fn arguments(cursor: &mut Cursor<'_>, name: &str) -> Result<Vec<Arg>, Fault> {
    let open = cursor.at - 1;
    let mut args = Vec::new();
    cursor.blanks();
    if cursor.eat(')') {
        return Ok(args);
    }
    loop {
        cursor.blanks();
        args.push(argument(cursor, name, open)?);
        cursor.blanks();
        if cursor.eat(')') {
            return Ok(args);
        }
        if !cursor.eat(',') {
            return Err(cursor.unclosed(name, open));
        }
    }
}

fn argument(cursor: &mut Cursor<'_>, name: &str, open: usize) -> Result<Arg, Fault> {
    let start = cursor.at;
    match cursor.peek() {
        None => return Err(fault(start..start, "the measure ends where an argument should be", SHAPE)),
        Some(',' | ')') => return Err(fault(start..start + 1, "an argument is missing here", SHAPE)),
        Some('[') => return list(cursor),
        Some('"') => {
            // A quote that never ends hides the parenthesis: it is the quote that is wrong.
            let mut ahead = Cursor { text: cursor.text, at: cursor.at };
            ahead.quoted()?;
        }
        Some(_) => {}
    }
    let span = cursor.until(&[',', ')']).ok_or_else(|| cursor.unclosed(name, open))?;
    let text = &cursor.text[span.clone()];
    if let Some(at) = text.find("=>")
        && let Some(word) = Some(text[..at].trim()).filter(|word| is_word(word))
    {
        let value = &text[at + 2..];
        let start = span.end - value.trim_start().len();
        let operand = operand(cursor.text, start..span.end)?;
        return Ok(Arg::Named(word.to_string(), operand, span));
    }
    if is_number_like(text) {
        let mut number = Cursor { text: &cursor.text[..span.end], at: span.start };
        let (n, s) = number.number()?;
        if number.rest().is_empty() {
            return Ok(Arg::Number(n, s));
        }
    }
    operand(cursor.text, span).map(Arg::Operand)
}

/// A field or an expression.
fn operand(whole: &str, span: Range<usize>) -> Result<Operand, Fault> {
    if span.is_empty() {
        return Err(fault(span, "an argument is missing here", SHAPE));
    }
    let mut cursor = Cursor { text: &whole[..span.end], at: span.start };
    let path = path(&mut cursor)?;
    Ok(match path.filter(|_| cursor.rest().is_empty()) {
        Some(text) => Operand { text, is_sql: false, span },
        None => Operand { text: whole[span.clone()].to_string(), is_sql: true, span },
    })
}

/// The path of a field, as far as the text is one.
fn path(cursor: &mut Cursor<'_>) -> Result<Option<String>, Fault> {
    let start = cursor.at;
    let mut path = String::new();
    loop {
        if cursor.peek() == Some('"') {
            path.push_str(cursor.quoted()?);
        } else if let Some((word, _)) = cursor.word() {
            path.push_str(word);
        } else if path.is_empty() {
            return Ok(None);
        } else {
            return Err(fault(start..cursor.at, "the path ends with a dot", "name the member after the dot"));
        }
        if !cursor.eat('.') {
            return Ok(Some(path));
        }
        path.push('.');
    }
}

fn list(cursor: &mut Cursor<'_>) -> Result<Arg, Fault> {
    let start = cursor.at;
    cursor.eat('[');
    let mut numbers = Vec::new();
    loop {
        cursor.blanks();
        if cursor.eat(']') {
            return Ok(Arg::List(numbers, start..cursor.at));
        }
        numbers.push(cursor.number()?);
        cursor.blanks();
        if !cursor.eat(',') && cursor.peek() != Some(']') {
            return Err(fault(start..cursor.at, "the list is not closed by `]`", ""));
        }
    }
}

fn is_word(text: &str) -> bool {
    text.starts_with(is_word_start) && text.chars().all(|c| is_word_start(c) || c.is_ascii_digit())
}

/// Whether a text is meant as a number: digits, or a sign that nothing but digits follow.
fn is_number_like(text: &str) -> bool {
    let unsigned = text.trim_start_matches(['+', '-', '.']);
    let one_word = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_'));
    one_word && (unsigned.is_empty() || unsigned.starts_with(|c: char| c.is_ascii_digit()))
}
