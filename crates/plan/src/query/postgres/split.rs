//! A text of several statements, as clients send them, cut into its statements.

use crate::query::{QueryError, STATEMENT_BYTES_MAX};
use datafusion_sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion_sql::sqlparser::tokenizer::{Location, Token, Tokenizer};

/// Words of a statement that are told; commands have fewer.
const SIGNS_MAX: usize = 64;

/// A word or sign of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sign {
    /// A bare word in lower case, or a number.
    Word(String),
    /// A name in quotes.
    Name(String),
    /// A text.
    Text(String),
    /// Anything else.
    Mark(String),
}

impl Sign {
    /// What it says, without quotes.
    pub fn text(&self) -> &str {
        match self {
            Sign::Word(text) | Sign::Name(text) | Sign::Text(text) | Sign::Mark(text) => text,
        }
    }

    /// Whether it is this bare word.
    pub fn is(&self, word: &str) -> bool {
        matches!(self, Sign::Word(own) if own == word)
    }
}

/// One statement of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Its text, without the semicolon.
    pub text: String,
    /// What it begins with, without comments.
    pub signs: Vec<Sign>,
}

/// The statements of a text; none when there is nothing but blanks and comments.
///
/// # Errors
/// When it is too long, or a quote is not closed.
pub fn split(sql: &str) -> Result<Vec<Piece>, QueryError> {
    if sql.len() > STATEMENT_BYTES_MAX {
        let message =
            format!("the statement has {} bytes, and {STATEMENT_BYTES_MAX} are the most", sql.len());
        return Err(QueryError::limit(message, "ask in parts, or put common parts into views"));
    }
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql).with_unescape(false).tokenize_with_location();
    let tokens = tokens.map_err(|error| QueryError::syntax(format!("not a statement of SQL: {error}")))?;
    let ends = tokens.iter().filter(|token| token.token == Token::SemiColon).map(|token| token.span.start);
    let mut ends = offsets(sql, ends.collect()).into_iter().chain([sql.len()]);
    let (mut pieces, mut signs, mut from) = (Vec::new(), Vec::new(), 0);
    let last = std::iter::once(Token::SemiColon);
    for token in tokens.into_iter().map(|token| token.token).chain(last) {
        if token != Token::SemiColon {
            signs.extend(sign(token).filter(|_| signs.len() < SIGNS_MAX));
            continue;
        }
        let to = ends.next().unwrap_or(sql.len());
        // As it was written: what a token says of itself may be something else.
        let text = sql.get(from..to).unwrap_or_default().trim().to_string();
        from = to + 1;
        let signs = std::mem::take(&mut signs);
        if !signs.is_empty() {
            pieces.push(Piece { text, signs });
        }
    }
    Ok(pieces)
}

/// Where in a text these places are, in bytes; they ascend.
fn offsets(sql: &str, places: Vec<Location>) -> Vec<usize> {
    let mut wanted = places.into_iter().peekable();
    let (mut line, mut column, mut out) = (1, 1, Vec::new());
    for (at, c) in sql.char_indices() {
        if wanted.next_if(|place| (place.line, place.column) == (line, column)).is_some() {
            out.push(at);
        }
        (line, column) = if c == '\n' { (line + 1, 1) } else { (line, column + 1) };
    }
    out
}

fn sign(token: Token) -> Option<Sign> {
    Some(match token {
        Token::Whitespace(_) => return None,
        Token::Word(word) if word.quote_style.is_some() => Sign::Name(word.value.replace("\"\"", "\"")),
        Token::Word(word) => Sign::Word(word.value.to_lowercase()),
        Token::Number(number, _) => Sign::Word(number),
        Token::SingleQuotedString(text) => Sign::Text(text.replace("''", "'")),
        other => Sign::Mark(other.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sql: &str, expected: &[&str]) {
        let pieces = split(sql).expect("statements");
        let texts: Vec<&str> = pieces.iter().map(|piece| piece.text.as_str()).collect();
        assert_eq!(texts, expected, "{sql}");
    }

    #[test]
    fn a_text_is_cut_at_its_semicolons_and_nowhere_else() {
        check("", &[]);
        check(" ; -- nothing\n;/* ; */", &[]);
        check("begin; select 1;", &["begin", "select 1"]);
        check("select ';' , \"a;b\", 'it''s' ; select 2", &["select ';' , \"a;b\", 'it''s'", "select 2"]);
        check("select E'a\\';b', $$x;y$$", &["select E'a\\';b', $$x;y$$"]);
        check(
            "select 'ä';\r\n select $q$;$q$ -- ;\n; select 2",
            &["select 'ä'", "select $q$;$q$ -- ;", "select 2"],
        );
        check("select '\\d' as \"q\"\"q\"", &["select '\\d' as \"q\"\"q\""]);
        assert!(split("select 'open").is_err());
    }

    #[test]
    fn signs_say_what_a_statement_begins_with() {
        let pieces = split("-- who\nSET statement_timeout TO '5s'").expect("a statement");
        let signs: Vec<&str> = pieces[0].signs.iter().map(Sign::text).collect();
        assert_eq!(signs, ["set", "statement_timeout", "to", "5s"]);
        assert_eq!(pieces[0].signs[3], Sign::Text("5s".into()));
    }
}
