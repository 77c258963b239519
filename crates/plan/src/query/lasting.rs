//! Which answers last: those that follow from what was measured alone.
//!
//! Judged by words, so that a statement which has one of them for a column is taken for one that does not last: nothing wrong
//! is said of it, it is only answered anew.

use super::View;
use datafusion::execution::SessionState;
use datafusion::logical_expr::Volatility;
use datafusion_sql::sqlparser::dialect::GenericDialect;
use datafusion_sql::sqlparser::tokenizer::{Token, Tokenizer};
use std::collections::BTreeSet;

/// Words that are no functions by name, and what tells how a query went.
const WORDS: [&str; 7] = [
    "current_date",
    "current_time",
    "current_timestamp",
    "localtime",
    "localtimestamp",
    "explain",
    "analyze",
];

/// Whether an answer is the same as long as the moments are.
pub(crate) fn is_lasting(state: &SessionState, views: &[&View], sql: &str) -> bool {
    let changing: BTreeSet<&str> = state
        .scalar_functions()
        .iter()
        .filter(|(_, function)| function.signature().volatility != Volatility::Immutable)
        .map(|(name, _)| name.as_str())
        .chain(WORDS)
        .collect();
    let (mut unread, mut seen) = (vec![sql], BTreeSet::new());
    while let Some(text) = unread.pop() {
        let Ok(tokens) = Tokenizer::new(&GenericDialect {}, text).tokenize() else { return false };
        for token in tokens {
            let Token::Word(word) = token else { continue };
            if changing.contains(word.value.to_lowercase().as_str()) {
                return false;
            }
            // A view is what it says.
            if let Some(view) = views.iter().find(|view| view.name.eq_ignore_ascii_case(&word.value))
                && seen.insert(&view.name)
            {
                unread.push(&view.sql);
            }
        }
    }
    true
}
