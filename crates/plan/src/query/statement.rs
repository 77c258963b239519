//! One statement that reads: parsed, held to its limits, and with the names of fields as pipeline files write them.

use super::QueryError;
use super::catalog::{Names, SCHEMA};
use super::deep::deeply;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion_sql::sqlparser::ast::{
    Expr, FunctionArguments, Ident, ObjectName, ObjectNamePart, Statement as Ast, TableAlias, TableFactor,
    VisitMut, VisitorMut,
};
use datafusion_sql::sqlparser::dialect::GenericDialect;
use datafusion_sql::sqlparser::keywords::Keyword;
use datafusion_sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// Longest statement.
pub const STATEMENT_BYTES_MAX: usize = 64 << 10;
/// Most words and signs of a statement, without commas and values. What walks an expression recurses once for each, and
/// operators nest as deep as a text is long.
pub const STATEMENT_WORDS_MAX: usize = 1_000;

/// Reads a statement, and refuses everything that does not read only.
pub(crate) fn read(sql: &str, names: &Names) -> Result<Statement, QueryError> {
    deeply(|| {
        let mut statement = parse(sql)?;
        if !reads_only(&statement) {
            let message = format!("only statements that read are answered here, not `{}`", first_word(sql));
            return Err(QueryError::refused(message)
                .hint("there are SELECT, EXPLAIN, SHOW TABLES, SHOW COLUMNS and DESCRIBE"));
        }
        let words = names.words();
        rewrite(&mut statement, &mut Rewrite { names, words, depth: 0, named: 0 });
        Ok(statement)
    })
}

/// The words and signs of a statement, held to their limits.
pub(crate) fn words(sql: &str) -> Result<Vec<TokenWithSpan>, QueryError> {
    if sql.len() > STATEMENT_BYTES_MAX {
        let message =
            format!("the statement has {} bytes, and {STATEMENT_BYTES_MAX} are the most", sql.len());
        return Err(QueryError::limit(message, "ask in parts, or put common parts into views"));
    }
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location();
    let tokens = tokens.map_err(|error| QueryError::syntax(format!("not a statement of SQL: {error}")))?;
    let is_word = |token: &&TokenWithSpan| {
        !matches!(
            token.token,
            Token::Whitespace(_)
                | Token::Comma
                | Token::Number(..)
                | Token::SingleQuotedString(_)
                | Token::SemiColon
        )
    };
    let words = tokens.iter().filter(is_word).count();
    if words > STATEMENT_WORDS_MAX {
        let message =
            format!("the statement has {words} words and signs, and {STATEMENT_WORDS_MAX} are the most");
        return Err(QueryError::limit(message, "ask in parts, or put common parts into views"));
    }
    Ok(tokens)
}

/// Parses one statement.
pub(crate) fn parse(sql: &str) -> Result<Statement, QueryError> {
    let mut tokens = words(sql)?;
    name_top(&mut tokens);
    let parsed = DFParserBuilder::new(tokens)
        .with_dialect(&GenericDialect {})
        .build()
        .and_then(|mut parser| parser.parse_statements())
        .map_err(|error| QueryError::of(&error))?;
    let mut statements = parsed.into_iter();
    match (statements.next(), statements.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(QueryError::wrong("there is no statement").hint("as in: select * from sg.metrics")),
        (Some(_), Some(_)) => {
            Err(QueryError::wrong("this is more than one statement").hint("send them one by one"))
        }
    }
}

/// `select top(sketch, 5)` means the function, not the word of another dialect for LIMIT.
fn name_top(tokens: &mut [TokenWithSpan]) {
    for at in 1..tokens.len() {
        if let (Token::LParen, Token::Word(word)) = (tokens[at].token.clone(), &mut tokens[at - 1].token)
            && word.keyword == Keyword::TOP
            && word.quote_style.is_none()
        {
            (word.keyword, word.quote_style) = (Keyword::NoKeyword, Some('"'));
            word.value = word.value.to_lowercase();
        }
    }
}

fn first_word(sql: &str) -> String {
    let word: String = sql.trim_start().chars().take_while(|c| c.is_alphanumeric()).take(20).collect();
    if word.is_empty() { "this".into() } else { word.to_uppercase() }
}

fn reads_only(statement: &Statement) -> bool {
    match statement {
        Statement::Statement(ast) => match &**ast {
            Ast::Query(_)
            | Ast::ShowTables { .. }
            | Ast::ShowColumns { .. }
            | Ast::ShowVariable { .. }
            | Ast::ExplainTable { .. } => true,
            Ast::Explain { statement, .. } => matches!(&**statement, Ast::Query(_)),
            _ => false,
        },
        Statement::Explain(explain) => reads_only(&explain.statement),
        _ => false,
    }
}

/// Applies a visitor to the syntax that is not DataFusion's own.
fn rewrite(statement: &mut Statement, visitor: &mut Rewrite<'_>) {
    match statement {
        Statement::Statement(ast) => {
            let _ = VisitMut::visit(&mut **ast, visitor);
        }
        Statement::Explain(explain) => rewrite(&mut explain.statement, visitor),
        _ => {}
    }
}

/// Names as fields have them: `deviceType` and `actor.login` need no quotes.
struct Rewrite<'n> {
    names: &'n Names,
    words: BTreeSet<&'n str>,
    /// Tables in parentheses that this stands in.
    depth: usize,
    /// Of which so many were given names.
    named: usize,
}

impl Rewrite<'_> {
    /// DataFusion folds bare words to lower case: one that is a name as it stands is quoted.
    fn quote(&self, ident: &mut Ident) {
        if ident.quote_style.is_none() && self.words.contains(ident.value.as_str()) {
            ident.quote_style = Some('"');
        }
    }
}

impl VisitorMut for Rewrite<'_> {
    type Break = ();

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<()> {
        let idents = relation.0.iter().map(|part| part.as_ident().map(|ident| ident.value.clone()));
        let parts: Option<Vec<String>> = idents.collect();
        // What DataFusion would take for catalogue, schema and table is a source and a name with a dot.
        if let Some([source, first, rest]) = parts.as_deref()
            && first != SCHEMA
            && self.names.sources.iter().any(|known| known.name == *source)
        {
            let idents = [source.clone(), format!("{first}.{rest}")].map(|name| Ident::with_quote('"', name));
            relation.0 = idents.into_iter().map(ObjectNamePart::Identifier).collect();
        }
        for part in &mut relation.0 {
            if let ObjectNamePart::Identifier(ident) = part {
                self.quote(ident);
            }
        }
        ControlFlow::Continue(())
    }

    /// A table in parentheses within another one gets a name. Of two nameless ones that ask for the same, as `select n + 1 as n`, the
    /// optimizer of DataFusion 55.2 would take one away, although it counts (`merge_consecutive_projections`).
    fn pre_visit_table_factor(&mut self, table: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Derived { alias, .. } = table {
            self.depth += 1;
            if self.depth > 1 && alias.is_none() {
                self.named += 1;
                let name = Ident::with_quote('"', format!("subquery_{}", self.named));
                *alias = Some(TableAlias { explicit: true, name, columns: Vec::new(), at: None });
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, table: &mut TableFactor) -> ControlFlow<()> {
        self.depth -= usize::from(matches!(table, TableFactor::Derived { .. }));
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(ident) => self.quote(ident),
            Expr::CompoundIdentifier(parts) => {
                let name = |from: usize| {
                    parts[from..].iter().map(|part| part.value.as_str()).collect::<Vec<_>>().join(".")
                };
                let dotted = (0..parts.len() - 1).find(|&from| self.words.contains(name(from).as_str()));
                if let Some(from) = dotted {
                    let name = name(from);
                    parts.truncate(from);
                    parts.push(Ident::with_quote('"', name));
                }
                parts.iter_mut().for_each(|part| self.quote(part));
                if let [only] = parts.as_slice() {
                    *expr = Expr::Identifier(only.clone());
                }
            }
            // As a scalar function it would stand before the one of windows.
            Expr::Function(function) if function.over.is_none() => {
                let has_args =
                    matches!(&function.args, FunctionArguments::List(list) if !list.args.is_empty());
                if let ([ObjectNamePart::Identifier(name)], true) = (function.name.0.as_mut_slice(), has_args)
                    && name.value.eq_ignore_ascii_case("rank")
                {
                    name.value = "rank_of".into();
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
