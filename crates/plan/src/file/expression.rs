//! A field, or an SQL expression over fields, where the file takes either.

use super::tree;
use crate::expr::{self, Sql};
use crate::measure::{Fault, Operand};
use crate::problem::{Place, Placed, Problem, Problems};

/// What was written, understood as far as that goes without the rest of the file.
#[derive(Debug, Clone)]
pub(crate) struct Expression {
    /// The path of the field, or the text of the expression.
    pub text: Placed<String>,
    /// The expression; `None` for a field.
    pub sql: Option<Sql>,
}

impl Expression {
    /// A field.
    pub fn field(path: Placed<String>) -> Expression {
        Expression { text: path, sql: None }
    }

    /// An operand of the measure `whole`, which stands at `place`.
    pub fn of_operand(
        operand: Operand,
        whole: &str,
        place: &Place,
        problems: &mut Problems,
    ) -> Option<Expression> {
        let own = tree::inside(problems, place, whole, operand.span.clone());
        if !operand.is_sql {
            return Some(Expression::field(Placed { value: operand.text, place: own }));
        }
        let start = operand.span.start;
        let at = |fault: &Fault, problems: &Problems| {
            tree::inside(problems, place, whole, start + fault.span.start..start + fault.span.end)
        };
        Expression::read(operand.text, own, &at, problems)
    }

    /// An expression that is a value of its own.
    pub fn of_text(text: &Placed<&str>, problems: &mut Problems) -> Option<Expression> {
        let at = |fault: &Fault, problems: &Problems| {
            tree::inside(problems, &text.place, text.value, fault.span.clone())
        };
        Expression::read(text.value.to_string(), text.place.clone(), &at, problems)
    }

    fn read(
        text: String,
        place: Place,
        at: &dyn Fn(&Fault, &Problems) -> Place,
        problems: &mut Problems,
    ) -> Option<Expression> {
        match expr::parse(&text) {
            Ok(sql) => Some(match sql.lone_name() {
                Some(name) => Expression::field(Placed { value: name.to_string(), place }),
                None => Expression { text: Placed { value: text, place }, sql: Some(sql) },
            }),
            Err(fault) => {
                let place = at(&fault, problems);
                problems.push(Problem::at(&place, fault.message).hint_if(fault.hint));
                None
            }
        }
    }

    /// The names it uses.
    pub fn names(&self) -> Vec<&str> {
        match &self.sql {
            None => vec![&self.text.value],
            Some(sql) => sql.names.iter().map(|(name, _)| name.as_str()).collect(),
        }
    }
}
