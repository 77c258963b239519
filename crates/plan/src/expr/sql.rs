//! The text of an expression: its syntax, the names that it uses and what it uses them as.
//!
//! Fields have no types of their own, so what an expression does with a name that nobody declared decides: arithmetic
//! and comparison with a number make it a number, a place where a condition stands makes it a condition, everything else
//! is text.

use crate::measure::Fault;
use datafusion_sql::sqlparser::ast::{
    self, AccessExpr, BinaryOperator, CaseWhen, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident,
    UnaryOperator, Value, Visit, VisitMut, Visitor, VisitorMut,
};
use datafusion_sql::sqlparser::dialect::GenericDialect;
use datafusion_sql::sqlparser::keywords::Keyword;
use datafusion_sql::sqlparser::parser::{Parser, ParserError};
use datafusion_sql::sqlparser::tokenizer::{Token, Tokenizer};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// Longest expression that is read, in bytes.
const BYTES_MAX: usize = 16 << 10;
/// Most words and signs of one: operators nest as deep as there are of them, and what walks an expression recurses.
const TOKENS_MAX: usize = 500;
/// Parentheses inside one another.
const DEPTH_MAX: usize = 50;

/// Forms with a syntax of their own inside one another. Where one of them does not parse, the parser tries again as if its
/// word were a name, so each level doubles the work, or more.
const FORMS_MAX: usize = 10;
/// Words that begin such a form.
const FORMS: [&str; 20] = [
    "ARRAY",
    "CASE",
    "CAST",
    "CEIL",
    "CONVERT",
    "EXISTS",
    "EXTRACT",
    "FLOOR",
    "INTERVAL",
    "MAP",
    "NOT",
    "OVERLAY",
    "POSITION",
    "SAFE_CAST",
    "STRUCT",
    "SUBSTR",
    "SUBSTRING",
    "TRIM",
    "TRY_CAST",
    "TRY_CONVERT",
];

/// What a name is used as, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Use {
    /// Anything; text where nobody says more.
    Any,
    /// A condition.
    Condition,
    /// A number.
    Number,
}

/// An expression that was understood.
#[derive(Debug, Clone)]
pub(crate) struct Sql {
    expr: Expr,
    /// The names, in the order of their first appearance, and the strongest use of each.
    pub names: Vec<(String, Use)>,
}

/// Reads an expression. Names are not looked up.
pub(crate) fn parse(text: &str) -> Result<Sql, Fault> {
    stacker::maybe_grow(STACK_BYTES, STACK_BYTES, || parse_here(text))
}

/// Stack for parsing and compiling one expression: without optimisation a level of nesting takes tens of kilobytes.
pub(crate) const STACK_BYTES: usize = 32 << 20;

fn parse_here(text: &str) -> Result<Sql, Fault> {
    let whole = |message: String, hint: &str| Fault {
        message,
        span: 0..text.len(),
        hint: Some(hint.to_string()).filter(|hint| !hint.is_empty()),
    };
    if text.trim().is_empty() {
        return Err(whole("the expression is empty".into(), "as in event_type = 'purchase'"));
    }
    if text.len() > BYTES_MAX {
        return Err(whole(format!("an expression has at most {BYTES_MAX} bytes"), "split it with `derive`"));
    }
    let dialect = GenericDialect {};
    let tokens = Tokenizer::new(&dialect, text).tokenize_with_location();
    let mut tokens = tokens.map_err(|e| syntax(text, &ParserError::TokenizerError(e.to_string())))?;
    tokens.iter_mut().for_each(|token| unreserve(&mut token.token));
    if tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).count() > TOKENS_MAX {
        let message = format!("an expression has at most {TOKENS_MAX} words and signs");
        return Err(whole(message, "split it with `derive`"));
    }
    if forms_deep(tokens.iter().map(|token| &token.token)) > FORMS_MAX {
        let message =
            format!("more than {FORMS_MAX} of `cast`, `case`, `not` and their like are inside one another");
        return Err(whole(message, "split it with `derive`"));
    }
    let mut parser = Parser::new(&dialect).with_recursion_limit(DEPTH_MAX).with_tokens_with_locations(tokens);
    let mut expr = parser.parse_expr().map_err(|e| syntax(text, &e))?;
    let next = parser.peek_token();
    if next.token != Token::EOF {
        let at = offset(text, next.span.start.line, next.span.start.column);
        let message = format!("the expression ends before `{}`", next.token);
        return Err(Fault { message, span: at..text.len(), hint: Some("it is one SQL expression".into()) });
    }
    let _ = VisitMut::visit(&mut expr, &mut Dots);
    let mut uses = Uses::default();
    uses.walk(&expr, Use::Any);
    let _ = Visit::visit(&expr, &mut uses);
    Ok(Sql { names: uses.order.iter().map(|name| (name.clone(), uses.found[name])).collect(), expr })
}

/// How deep [`FORMS`] can be inside one another, at most: those around an opening bracket, and those since then that no
/// comma or `and` has ended.
fn forms_deep<'a>(tokens: impl Iterator<Item = &'a Token>) -> usize {
    let (mut around, mut here, mut outside, mut deepest) = (0usize, 0usize, Vec::new(), 0);
    for token in tokens {
        match token {
            Token::Word(word) if word.quote_style.is_none() => match word.value.to_uppercase().as_str() {
                "AND" | "OR" => here = 0,
                form if FORMS.contains(&form) => here += 1,
                _ => {}
            },
            Token::LParen | Token::LBracket | Token::LBrace => {
                outside.push((around, here));
                (around, here) = (around + here, 0);
            }
            Token::RParen | Token::RBracket | Token::RBrace => {
                (around, here) = outside.pop().unwrap_or_default();
                // What stood before the bracket ends with it.
                here = here.saturating_sub(1);
            }
            Token::Comma => here = 0,
            _ => {}
        }
        deepest = deepest.max(around + here);
    }
    deepest
}

/// `user` is a field of web logs and of half of all events; as a word of SQL it is a function without parentheses.
fn unreserve(token: &mut Token) {
    const WORDS: [&str; 5] = ["user", "current_user", "session_user", "current_catalog", "current_role"];
    if let Token::Word(word) = token
        && WORDS.iter().any(|reserved| word.value.eq_ignore_ascii_case(reserved))
    {
        word.keyword = Keyword::NoKeyword;
    }
}

impl Sql {
    /// The expression that is nothing but this name.
    pub fn name(path: &str) -> Sql {
        Sql { expr: Expr::Identifier(Ident::new(path)), names: vec![(path.to_string(), Use::Any)] }
    }

    /// The name, when the expression is nothing else.
    pub fn lone_name(&self) -> Option<&str> {
        path(&self.expr)?;
        self.names.first().map(|(name, _)| name.as_str())
    }

    /// The expression as it would be written, whatever blanks it was written with.
    pub fn text(&self) -> String {
        stacker::maybe_grow(STACK_BYTES, STACK_BYTES, || self.expr.to_string())
    }

    /// The expression with every name replaced by the one that `rename` gives it.
    pub fn renamed(&self, rename: &dyn Fn(&str) -> String) -> Expr {
        let mut expr = self.expr.clone();
        let _ = VisitMut::visit(&mut expr, &mut Rename(rename));
        expr
    }
}

/// The path that an identifier stands for.
fn path(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(ident) => Some(ident.value.clone()),
        Expr::CompoundIdentifier(parts) => {
            Some(parts.iter().map(|part| part.value.as_str()).collect::<Vec<_>>().join("."))
        }
        _ => None,
    }
}

fn syntax(text: &str, error: &ParserError) -> Fault {
    let message = match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message.as_str(),
        ParserError::RecursionLimitExceeded => "it is nested too deeply",
    };
    // The place stands at the end: "... at Line: 1, Column: 17".
    let (what, start) = match message.rsplit_once(" at Line: ") {
        Some((what, place)) if !what.ends_with("found: EOF") => {
            let mut numbers = place.split(", Column: ").map(|n| n.trim().parse::<u64>().unwrap_or(1));
            let (line, column) = (numbers.next().unwrap_or(1), numbers.next().unwrap_or(1));
            (what, offset(text, line, column))
        }
        Some((what, _)) => (what, text.len()),
        None => (message, if message.ends_with("found: EOF") { text.len() } else { 0 }),
    };
    let word = text[start..].find(|c: char| c.is_whitespace()).filter(|n| *n > 0);
    let end = word.map_or(text.len(), |n| start + n);
    Fault {
        message: format!("this is not an SQL expression: {what}"),
        span: start..end,
        hint: Some("text stands in single quotes, names with other characters in double quotes".into()),
    }
}

/// Byte of a line and column, both from 1, the column in characters.
fn offset(text: &str, line: u64, column: u64) -> usize {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1) as usize).map(str::len).sum();
    let rest = &text[start.min(text.len())..];
    let within = rest.char_indices().nth(column.saturating_sub(1) as usize).map_or(rest.len(), |(at, _)| at);
    start.min(text.len()) + within
}

/// Members are names: `a.b[1]` is element 1 of `a.b`, whatever the parser makes of the dot.
struct Dots;

impl VisitorMut for Dots {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::CompoundFieldAccess { root, access_chain } = expr else { return ControlFlow::Continue(()) };
        let mut parts = match &**root {
            Expr::Identifier(ident) => vec![ident.clone()],
            Expr::CompoundIdentifier(parts) => parts.clone(),
            _ => return ControlFlow::Continue(()),
        };
        while let Some(AccessExpr::Dot(Expr::Identifier(ident))) = access_chain.first() {
            parts.push(ident.clone());
            access_chain.remove(0);
        }
        **root = Expr::CompoundIdentifier(parts);
        if access_chain.is_empty() {
            *expr = (**root).clone();
        }
        ControlFlow::Continue(())
    }
}

struct Rename<'a>(&'a dyn Fn(&str) -> String);

impl VisitorMut for Rename<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some(path) = path(expr) {
            *expr = Expr::Identifier(Ident::new((self.0)(&path)));
        }
        ControlFlow::Continue(())
    }
}

/// Names with their strongest use.
#[derive(Default)]
struct Uses {
    order: Vec<String>,
    found: BTreeMap<String, Use>,
}

/// Names that are reached on no other way are used as anything.
impl Visitor for Uses {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Some(path) = path(expr) {
            self.note(path, Use::Any);
        }
        ControlFlow::Continue(())
    }
}

impl Uses {
    fn note(&mut self, path: String, as_what: Use) {
        match self.found.get_mut(&path) {
            Some(known) => *known = (*known).max(as_what),
            None => {
                self.order.push(path.clone());
                self.found.insert(path, as_what);
            }
        }
    }

    /// Walks the forms that say what their parts are; the visitor finds the names in all others.
    fn walk(&mut self, expr: &Expr, as_what: Use) {
        if let Some(path) = path(expr) {
            return self.note(path, as_what);
        }
        match expr {
            Expr::Nested(inner) => self.walk(inner, as_what),
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => self.walk(expr, Use::Condition),
            Expr::UnaryOp { expr, .. } => self.walk(expr, Use::Number),
            Expr::IsTrue(inner) | Expr::IsNotTrue(inner) | Expr::IsFalse(inner) | Expr::IsNotFalse(inner) => {
                self.walk(inner, Use::Condition);
            }
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right),
            Expr::Between { expr, low, high, .. } => self.alike([&**expr, &**low, &**high].into_iter()),
            Expr::InList { expr, list, .. } => self.alike(list.iter().chain([&**expr])),
            Expr::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref(), as_what);
            }
            Expr::Function(function) => self.function(function, as_what),
            _ => {}
        }
    }

    fn binary(&mut self, left: &Expr, op: &BinaryOperator, right: &Expr) {
        use BinaryOperator::{And, Divide, Eq, Gt, GtEq, Lt, LtEq, Minus, Modulo, Multiply, NotEq, Or, Plus};
        let both = [left, right].into_iter();
        match op {
            And | Or => both.for_each(|side| self.walk(side, Use::Condition)),
            Plus | Minus | Multiply | Divide | Modulo => both.for_each(|side| self.walk(side, Use::Number)),
            Eq | NotEq | Gt | GtEq | Lt | LtEq => self.alike(both),
            _ => both.for_each(|side| self.walk(side, Use::Any)),
        }
    }

    /// Expressions that are compared: if one of them is plainly a number, all are.
    fn alike<'a>(&mut self, mut all: impl Iterator<Item = &'a Expr> + Clone) {
        let as_what = all.clone().map(looks).max().unwrap_or(Use::Any);
        all.by_ref().for_each(|expr| self.walk(expr, as_what));
    }

    fn case(&mut self, operand: Option<&Expr>, whens: &[CaseWhen], other: Option<&Expr>, as_what: Use) {
        match operand {
            Some(operand) => self.alike(whens.iter().map(|when| &when.condition).chain([operand])),
            None => whens.iter().for_each(|when| self.walk(&when.condition, Use::Condition)),
        }
        let results = || whens.iter().map(|when| &when.result).chain(other);
        let as_what = results().map(looks).max().unwrap_or(Use::Any).max(as_what);
        results().for_each(|result| self.walk(result, as_what));
    }

    fn function(&mut self, function: &ast::Function, as_what: Use) {
        let FunctionArguments::List(list) = &function.args else { return };
        let args = list.args.iter().filter_map(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))
            | FunctionArg::Named { arg: FunctionArgExpr::Expr(expr), .. }
            | FunctionArg::ExprNamed { arg: FunctionArgExpr::Expr(expr), .. } => Some(expr),
            _ => None,
        });
        let name = function.name.to_string().to_lowercase();
        let as_what = match name.as_str() {
            name if OF_NUMBERS.contains(&name) => Use::Number,
            name if OF_LIKES.contains(&name) => {
                args.clone().map(looks).max().unwrap_or(Use::Any).max(as_what)
            }
            _ => Use::Any,
        };
        args.for_each(|arg| self.walk(arg, as_what));
    }
}

/// Functions whose arguments are numbers.
const OF_NUMBERS: [&str; 26] = [
    "abs", "acos", "asin", "atan", "atan2", "cbrt", "ceil", "cos", "degrees", "exp", "floor", "isnan",
    "iszero", "ln", "log", "log10", "log2", "nanvl", "pow", "power", "radians", "round", "signum", "sin",
    "sqrt", "trunc",
];
/// Functions whose arguments are of one type, which is that of the result.
const OF_LIKES: [&str; 5] = ["coalesce", "greatest", "least", "nullif", "nvl"];

/// What an expression plainly is.
fn looks(expr: &Expr) -> Use {
    use BinaryOperator::{Divide, Minus, Modulo, Multiply, Plus};
    match expr {
        Expr::Value(value) if matches!(value.value, Value::Number(..)) => Use::Number,
        Expr::Value(value) if matches!(value.value, Value::Boolean(_)) => Use::Condition,
        Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, .. } => Use::Number,
        Expr::BinaryOp { op: Plus | Minus | Multiply | Divide | Modulo, .. } => Use::Number,
        Expr::Nested(inner) => looks(inner),
        Expr::Function(function) if OF_NUMBERS.contains(&&*function.name.to_string().to_lowercase()) => {
            Use::Number
        }
        _ => Use::Any,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: &[(&str, Use)]) {
        let names = parse(text).unwrap_or_else(|f| panic!("{text}: {f:?}")).names;
        let got: Vec<(&str, Use)> = names.iter().map(|(name, as_what)| (name.as_str(), *as_what)).collect();
        assert_eq!(got, want, "{text}");
    }

    #[test]
    fn names_are_found_with_what_they_are_used_as() {
        use Use::{Any, Condition, Number};
        check("price * qty", &[("price", Number), ("qty", Number)]);
        check("lower(actor.login) || \"user-agent\"", &[("actor.login", Any), ("user-agent", Any)]);
        check("status >= 500 and not bot", &[("status", Number), ("bot", Condition)]);
        check("a = b", &[("a", Any), ("b", Any)]);
        check("kind = 'x' or n between 1 and m", &[("kind", Any), ("n", Number), ("m", Number)]);
        check("n in (1, 2)", &[("n", Number)]);
        check("coalesce(n, 0) + round(x)", &[("n", Number), ("x", Number)]);
        check("coalesce(device, 'other')", &[("device", Any)]);
        check("case when ok then a else -1 end", &[("ok", Condition), ("a", Number)]);
        check("case k when 1 then 'x' end", &[("k", Number)]);
        check("cast(x as double) / 2", &[("x", Any)]);
        check("string_to_array(line, ' ')[2]", &[("line", Any)]);
        check("a.b.c[1]", &[("a.b.c", Any)]);
        check("x is null or -x > y", &[("x", Number), ("y", Number)]);
        check("Größe", &[("Größe", Any)]);
        check("coalesce(user, user.login, \"end\")", &[("user", Any), ("user.login", Any), ("end", Any)]);
        check("User = 'x' and session_user", &[("User", Any), ("session_user", Condition)]);
        check("1", &[]);
    }

    #[test]
    fn a_lone_name_is_told_from_an_expression() {
        assert_eq!(parse("a.b").unwrap().lone_name(), Some("a.b"));
        assert_eq!(parse("\"a b\"").unwrap().lone_name(), Some("a b"));
        assert_eq!(parse("not a").unwrap().lone_name(), None);
    }

    #[track_caller]
    fn bad(text: &str, message: &str, at: &str) {
        let fault = parse(text).expect_err(text);
        assert!(fault.message.contains(message), "{text}: {fault:?}");
        assert_eq!(&text[fault.span.clone()], at, "{text}: {fault:?}");
    }

    #[test]
    fn what_is_no_expression_is_shown_where_it_goes_wrong() {
        bad("", "empty", "");
        bad("a +", "not an SQL expression", "");
        bad("a = = b", "not an SQL expression", "=");
        bad("a b", "ends before `b`", "b");
        bad("a, b", "ends before", ", b");
        bad("'open", "not an SQL expression", "'open");
        assert!(parse(&"(".repeat(3_000)).is_err());
        assert!(parse(&"not ".repeat(3_000)).is_err());
        assert!(parse(&"(".repeat(500)).is_err());
        assert!(parse(&("not ".repeat(499) + "a")).is_err());
        assert!(parse(&("a + ".repeat(249) + "a")).is_ok());
    }
}
