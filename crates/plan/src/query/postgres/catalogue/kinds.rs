//! The type of an expression, which is told before there are rows.

use super::datum::kind::{self, BOOL, FLOAT8, INT4, INT8, NAME, OID, TEXT, TEXTS};
use super::scope::{Scope, names};
use super::select::Asking;
use super::types;
use datafusion_sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, DataType, Expr, Function, FunctionArguments, Subscript, Value,
};

/// What a type is called in a cast.
pub(crate) fn word(data_type: &DataType) -> String {
    let text = data_type.to_string().to_lowercase();
    text.trim_start_matches("pg_catalog.").replace(['"', '`'], "")
}

/// The type that a cast leads to.
fn of_cast(word: &str) -> u32 {
    if word.starts_with("reg") {
        return TEXT;
    }
    let bare = word.split('(').next().unwrap_or(word).trim();
    let bare = match bare {
        "int" => "integer",
        "double" => "double precision",
        "float" => "double precision",
        other => other,
    };
    types::by_name(bare).and_then(|oid| u32::try_from(oid).ok()).unwrap_or(TEXT)
}

/// The type of an expression.
pub(crate) fn of(expr: &Expr, scope: &Scope<'_>, asking: &Asking<'_>) -> u32 {
    let of = |expr: &Expr| of(expr, scope, asking);
    if let Some(parts) = names(expr) {
        return scope.kind(&parts).unwrap_or(match parts.as_slice() {
            [only] if super::functions::is_word(only) => NAME,
            _ => TEXT,
        });
    }
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) if digits.contains(['.', 'e', 'E']) => FLOAT8,
            Value::Number(digits, _) if digits.len() < 10 => INT4,
            Value::Number(..) => INT8,
            Value::Boolean(_) => BOOL,
            _ => TEXT,
        },
        Expr::Cast { data_type, .. } => of_cast(&word(data_type)),
        Expr::TypedString(typed) => of_cast(&word(&typed.data_type)),
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } | Expr::UnaryOp { expr: inner, .. } => {
            of(inner)
        }
        Expr::BinaryOp { left, op, right } => match op {
            BinaryOperator::Plus
            | BinaryOperator::Minus
            | BinaryOperator::Multiply
            | BinaryOperator::Divide
            | BinaryOperator::Modulo
            | BinaryOperator::BitwiseAnd
            | BinaryOperator::BitwiseOr => match (of(left), of(right)) {
                (FLOAT8, _) | (_, FLOAT8) => FLOAT8,
                (INT8, _) | (_, INT8) => INT8,
                _ => INT4,
            },
            BinaryOperator::StringConcat => match of(left) {
                array if kind::element(array).is_some() => array,
                _ => TEXT,
            },
            _ => BOOL,
        },
        Expr::Case { conditions, else_result, .. } => {
            let results = conditions.iter().map(|when| &when.result).chain(else_result.as_deref());
            let mut kinds = results.filter(|result| !is_null(result)).map(of);
            let first = kinds.next().unwrap_or(TEXT);
            // A literal is of the type of what it stands beside.
            kinds.find(|kind| *kind != TEXT).filter(|_| first == TEXT || first == INT4).unwrap_or(first)
        }
        Expr::Subquery(query) => asking.kinds(query, scope).first().copied().unwrap_or(TEXT),
        Expr::Array(array) => kind::array(array.elem.first().map_or(TEXT, of)),
        Expr::CompoundFieldAccess { root, access_chain } => {
            let mut own = of(root);
            for access in access_chain {
                own = match access {
                    AccessExpr::Subscript(Subscript::Index { .. }) => kind::element(own).unwrap_or(TEXT),
                    AccessExpr::Subscript(Subscript::Slice { .. }) => own,
                    AccessExpr::Dot(Expr::Identifier(field)) if field.value == "n" => INT4,
                    AccessExpr::Dot(_) => TEXT,
                };
            }
            own
        }
        Expr::Function(function) => of_function(function, scope, asking),
        Expr::Position { .. } | Expr::Extract { .. } => INT4,
        Expr::Substring { .. } | Expr::Trim { .. } | Expr::Overlay { .. } => TEXT,
        Expr::Ceil { .. } | Expr::Floor { .. } => FLOAT8,
        Expr::AtTimeZone { .. } => TEXT,
        Expr::Tuple(_) | Expr::Interval(_) => TEXT,
        _ => BOOL,
    }
}

fn is_null(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if value.value == Value::Null)
}

fn of_function(function: &Function, scope: &Scope<'_>, asking: &Asking<'_>) -> u32 {
    let name = super::functions::called(function);
    let args = super::eval::arguments(function);
    let arg = |at: usize| args.get(at).map_or(TEXT, |arg| of(arg, scope, asking));
    if let FunctionArguments::Subquery(query) = &function.args {
        return kind::array(asking.kinds(query, scope).first().copied().unwrap_or(TEXT));
    }
    match name.as_str() {
        "count"
        | "row_number"
        | "rank"
        | "dense_rank"
        | "sum"
        | "pg_relation_size"
        | "pg_total_relation_size"
        | "pg_table_size"
        | "pg_database_size"
        | "pg_indexes_size"
        | "txid_current" => INT8,
        "coalesce" | "nullif" | "greatest" | "least" | "max" | "min" | "abs" => {
            args.iter().map(|arg| of(arg, scope, asking)).find(|kind| *kind != TEXT).unwrap_or(TEXT)
        }
        "array_agg" => kind::array(arg(0)),
        "unnest" => kind::element(arg(0)).unwrap_or(TEXT),
        "array_append" | "array_cat" | "array_remove" => arg(0),
        "string_to_array" | "regexp_split_to_array" | "regexp_match" => TEXTS,
        "current_schemas" => kind::NAMES,
        "current_schema" | "current_database" | "current_user" | "current_catalog" | "session_user"
        | "pg_get_userbyid" => NAME,
        "array_length"
        | "array_lower"
        | "array_upper"
        | "cardinality"
        | "array_position"
        | "length"
        | "char_length"
        | "character_length"
        | "octet_length"
        | "strpos"
        | "pg_backend_pid"
        | "generate_series"
        | "generate_subscripts"
        | "pg_char_to_encoding"
        | "mod"
        | "sign"
        | "inet_server_port" => INT4,
        "to_regclass" | "pg_my_temp_schema" => OID,
        "avg" | "round" | "floor" | "ceil" | "ceiling" | "pg_stat_get_numscans" | "age" => FLOAT8,
        "bool_and"
        | "bool_or"
        | "every"
        | "starts_with"
        | "pg_is_in_recovery"
        | "pg_is_other_temp_schema"
        | "pg_relation_is_updatable"
        | "pg_advisory_unlock_all"
        | "pg_cancel_backend" => BOOL,
        name if name.starts_with("has_") || name.ends_with("_is_visible") => BOOL,
        _ => TEXT,
    }
}
