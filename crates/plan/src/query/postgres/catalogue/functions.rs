//! Functions of the catalogue.

use super::datum::{Datum, list_of};
use super::listing::{OWNER, quote_ident};
use super::select::Asking;
use super::types;
use crate::query::{About, QueryError};
use datafusion_sql::sqlparser::ast::{Function, ObjectNamePart};

/// What a function is called, without its schema.
pub(crate) fn called(function: &Function) -> String {
    match function.name.0.last() {
        Some(ObjectNamePart::Identifier(ident)) => ident.value.to_lowercase(),
        _ => String::new(),
    }
}

/// Whether a bare word is a function without arguments.
pub(crate) fn is_word(name: &str) -> bool {
    matches!(
        name,
        "current_user" | "session_user" | "user" | "current_role" | "current_catalog" | "current_schema"
    )
}

/// Functions that say something about the connection or the catalogue: a statement that calls one and names no table asks
/// the catalogue.
pub(crate) fn is_of_catalogue(name: &str) -> bool {
    is_word(name)
        || matches!(
            name,
            "version"
                | "current_database"
                | "current_schemas"
                | "current_setting"
                | "set_config"
                | "format_type"
                | "quote_ident"
                | "obj_description"
                | "col_description"
                | "shobj_description"
                | "to_regclass"
                | "to_regtype"
                | "txid_current"
                | "inet_server_addr"
                | "inet_server_port"
                | "inet_client_addr"
        )
        || name.starts_with("pg_")
        || name.starts_with("has_")
}

/// Functions that fold rows.
pub(crate) fn folds(name: &str) -> bool {
    matches!(
        name,
        "count"
            | "sum"
            | "avg"
            | "max"
            | "min"
            | "array_agg"
            | "string_agg"
            | "bool_and"
            | "bool_or"
            | "every"
            | "json_agg"
    )
}

/// Functions that give rows.
pub(crate) fn gives_rows(name: &str) -> bool {
    matches!(
        name,
        "unnest"
            | "generate_series"
            | "generate_subscripts"
            | "_pg_expandarray"
            | "regexp_split_to_table"
            | "pg_get_keywords"
            | "json_array_elements"
            | "aclexplode"
            | "pg_options_to_table"
            | "pg_timezone_names"
            | "pg_show_all_settings"
            | "pg_listening_channels"
    )
}

/// Words that drivers ask for as key words.
const KEYWORDS: [&str; 4] = ["analyze", "freeze", "ilike", "verbose"];

/// The rows of a function that gives rows.
pub(crate) fn rows(name: &str, args: &[Datum]) -> Vec<Datum> {
    let items = |at: usize| match args.get(at) {
        Some(Datum::List(items)) => items.clone(),
        Some(Datum::Text(text)) => match list_of(text) {
            Some(Datum::List(items)) => items,
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    let int = |at: usize| args.get(at).and_then(Datum::int);
    match name {
        "unnest" => items(0),
        "generate_subscripts" => (1..=items(0).len() as i64).map(Datum::Int).collect(),
        "generate_series" => {
            const ROWS_MAX: usize = 100_000;
            let (Some(from), Some(to), step) = (int(0), int(1), int(2).unwrap_or(1)) else {
                return Vec::new();
            };
            let inside = |at: &i64| if step > 0 { *at <= to } else { *at >= to };
            let next = |at: &i64| at.checked_add(step).filter(|_| step != 0);
            std::iter::successors(Some(from), next)
                .take_while(inside)
                .take(ROWS_MAX)
                .map(Datum::Int)
                .collect()
        }
        "_pg_expandarray" => {
            let row = |(n, x): (i64, Datum)| Datum::Row(vec![("x".into(), x), ("n".into(), Datum::Int(n))]);
            (1..).zip(items(0)).map(row).collect()
        }
        "regexp_split_to_table" => match args {
            [Datum::Text(text), Datum::Text(by), ..] => text.split(by.as_str()).map(Datum::text).collect(),
            _ => Vec::new(),
        },
        "pg_get_keywords" => KEYWORDS
            .iter()
            .map(|word| {
                Datum::Row(vec![("word".into(), Datum::text(*word)), ("catcode".into(), Datum::text("U"))])
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// Longest text that a function makes.
const TEXT_BYTES_MAX: usize = 16 << 20;

/// An error for a text that would be longer than there is room for.
pub(crate) fn fits(bytes: usize) -> Result<(), QueryError> {
    if bytes <= TEXT_BYTES_MAX {
        return Ok(());
    }
    let message = "a text of a question to the catalogue is longer than 16 MiB";
    Err(QueryError::limit(message, "ask for less at once").about(About::Memory))
}

/// Bytes of what a function makes, at most, where that may be much more than what it is given.
fn made_bytes(name: &str, args: &[Datum]) -> usize {
    let text = |at: usize| args.get(at).and_then(Datum::shown).unwrap_or_default();
    let length = |at: usize| text(at).len();
    match name {
        "replace" if length(1) > 0 => text(0).matches(&text(1)).count().saturating_mul(length(2)),
        "regexp_replace" => (length(0) + 1).saturating_mul(length(2)),
        "array_to_string" => match args.first() {
            Some(Datum::List(items)) => items.len().saturating_mul(length(1) + length(2)),
            _ => 0,
        },
        "concat_ws" => args.len().saturating_mul(length(0)),
        _ => 0,
    }
}

/// The value of a function.
pub(crate) fn value(name: &str, args: &[Datum], asking: &Asking<'_>) -> Result<Datum, QueryError> {
    fits(made_bytes(name, args))?;
    if let Some(found) = of_catalogue(name, args, asking)? {
        return Ok(found);
    }
    if let Some(found) = of_lists(name, args) {
        return Ok(found);
    }
    of_texts(name, args).ok_or_else(|| {
        QueryError::wrong(format!("there is no function `{name}` in the catalogue")).about(About::Function)
    })
}

fn of_catalogue(name: &str, args: &[Datum], asking: &Asking<'_>) -> Result<Option<Datum>, QueryError> {
    let (client, listing) = (asking.client, asking.listing);
    let int = |at: usize| args.get(at).and_then(Datum::int);
    let text = |at: usize| args.get(at).and_then(Datum::shown);
    Ok(Some(match name {
        "version" => {
            let version = client.settings.get("server_version").map_or("15.0", String::as_str);
            Datum::Text(format!("PostgreSQL {version} (Streamgauge {})", env!("CARGO_PKG_VERSION")))
        }
        "current_database" | "current_catalog" => Datum::text(&client.database),
        "current_user" | "session_user" | "user" | "current_role" | "getpgusername" => {
            Datum::text(&client.user)
        }
        "current_schema" => Datum::text("public"),
        "current_schemas" => {
            let all = args.first().and_then(Datum::truth) == Some(true);
            let own = if all { &["pg_catalog", "public"][..] } else { &["public"] };
            Datum::List(own.iter().map(|name| Datum::text(*name)).collect())
        }
        "current_setting" => match text(0).map(|name| client.settings.get(&name.to_lowercase()).cloned()) {
            Some(Some(value)) => Datum::Text(value),
            _ if args.get(1).and_then(Datum::truth) == Some(true) => Datum::Null,
            _ => {
                let name = text(0).unwrap_or_default();
                return Err(QueryError::wrong(format!("unrecognized configuration parameter \"{name}\"")));
            }
        },
        "set_config" => args.get(1).cloned().unwrap_or(Datum::Null),
        "pg_backend_pid" => Datum::Int(client.process.into()),
        "pg_get_userbyid" => {
            Datum::text(if int(0) == Some(OWNER) { client.user.as_str() } else { "unknown" })
        }
        "format_type" => int(0).map_or(Datum::Null, |oid| Datum::Text(types::shown(oid))),
        "to_regclass" => text(0)
            .and_then(|name| listing.relation(&name))
            .map_or(Datum::Null, |(oid, name)| Datum::Named(oid, name)),
        "to_regtype" => text(0)
            .and_then(|name| types::by_name(&name))
            .map_or(Datum::Null, |oid| Datum::Named(oid, types::shown(oid))),
        "obj_description" => {
            let own = listing.relations.iter().find(|relation| Some(relation.oid) == int(0));
            own.and_then(|relation| relation.description.clone()).map_or(Datum::Null, Datum::Text)
        }
        "pg_get_viewdef" => {
            let named = text(0).and_then(|name| listing.relation(&name)).map(|(oid, _)| oid);
            let oid = int(0).or(named);
            let own = listing.relations.iter().find(|relation| Some(relation.oid) == oid);
            own.and_then(|relation| relation.definition.clone()).map_or(Datum::Null, Datum::Text)
        }
        "pg_encoding_to_char" | "pg_client_encoding" => Datum::text("UTF8"),
        "pg_char_to_encoding" => Datum::Int(6),
        "pg_is_in_recovery" | "pg_is_other_temp_schema" | "pg_cancel_backend" | "pg_terminate_backend" => {
            Datum::Bool(false)
        }
        "pg_relation_is_updatable" | "pg_column_is_updatable" => Datum::Bool(false),
        "pg_my_temp_schema"
        | "pg_relation_size"
        | "pg_total_relation_size"
        | "pg_table_size"
        | "pg_indexes_size"
        | "pg_database_size" => Datum::Int(0),
        "pg_size_pretty" => Datum::text("0 bytes"),
        "txid_current" => Datum::Int(1),
        "pg_typeof" => Datum::text("text"),
        // What reads is allowed, and nothing else.
        name if name.starts_with("has_") => {
            let what = args.last().and_then(Datum::shown).unwrap_or_default().to_lowercase();
            Datum::Bool(what.split(',').any(|word| {
                let word = word.trim();
                ["select", "usage", "connect", "execute", "member", "set"].contains(&word)
            }))
        }
        name if name.ends_with("_is_visible") => {
            let own = listing.relations.iter().find(|relation| Some(relation.oid) == int(0));
            Datum::Bool(own.is_none_or(|relation| relation.schema == crate::query::catalog::SCHEMA))
        }
        "col_description" | "shobj_description" | "inet_server_addr" | "inet_server_port"
        | "inet_client_addr" | "inet_client_port" => Datum::Null,
        name if name.starts_with("pg_advisory_") => Datum::text(""),
        name if name.starts_with("pg_") && !gives_rows(name) => Datum::Null,
        _ => return Ok(None),
    }))
}

fn of_lists(name: &str, args: &[Datum]) -> Option<Datum> {
    if name.starts_with("array_") && args.first().is_some_and(Datum::is_null) {
        return Some(Datum::Null);
    }
    let list = |at: usize| match args.get(at) {
        Some(Datum::List(items)) => Some(items.clone()),
        Some(Datum::Text(text)) => match list_of(text) {
            Some(Datum::List(items)) => Some(items),
            _ => None,
        },
        _ => None,
    };
    let count = |at: usize| {
        list(at).filter(|items| !items.is_empty()).map_or(Datum::Null, |items| Datum::Int(items.len() as i64))
    };
    Some(match name {
        "array_length" | "array_upper" => count(0),
        "array_lower" => list(0).filter(|items| !items.is_empty()).map_or(Datum::Null, |_| Datum::Int(1)),
        "cardinality" => list(0).map_or(Datum::Null, |items| Datum::Int(items.len() as i64)),
        "array_position" => {
            let wanted = args.get(1)?;
            let at =
                list(0).and_then(|items| items.iter().position(|item| item.equals(wanted) == Some(true)));
            at.map_or(Datum::Null, |at| Datum::Int(at as i64 + 1))
        }
        "array_append" => {
            let mut items = list(0).unwrap_or_default();
            items.extend(args.get(1).cloned());
            Datum::List(items)
        }
        "array_cat" => Datum::List([list(0).unwrap_or_default(), list(1).unwrap_or_default()].concat()),
        "array_remove" => {
            let gone = args.get(1)?;
            let left = list(0)?.into_iter().filter(|item| item.equals(gone) != Some(true));
            Datum::List(left.collect())
        }
        "array_to_string" => match (list(0), args.get(1).and_then(Datum::shown)) {
            (Some(items), Some(by)) => {
                let absent = args.get(2).and_then(Datum::shown);
                let shown: Vec<String> =
                    items.iter().filter_map(|item| item.shown().or_else(|| absent.clone())).collect();
                Datum::Text(shown.join(&by))
            }
            _ => Datum::Null,
        },
        "string_to_array" => {
            match (args.first().and_then(Datum::shown), args.get(1).and_then(Datum::shown)) {
                (Some(text), _) if text.is_empty() => Datum::List(Vec::new()),
                (Some(text), Some(by)) if by.is_empty() => Datum::List(vec![Datum::Text(text)]),
                (Some(text), Some(by)) => Datum::List(text.split(by.as_str()).map(Datum::text).collect()),
                (Some(text), None) => Datum::List(text.chars().map(Datum::text).collect()),
                (None, _) => Datum::Null,
            }
        }
        "parse_ident" => {
            let parts = args.first().and_then(Datum::shown)?;
            Datum::List(parts.split('.').map(|part| Datum::text(part.trim_matches('"'))).collect())
        }
        _ => return None,
    })
}

fn of_texts(name: &str, args: &[Datum]) -> Option<Datum> {
    let text = |at: usize| args.get(at).and_then(Datum::shown);
    let int = |at: usize| args.get(at).and_then(Datum::int);
    let number = |at: usize| args.get(at).and_then(Datum::number);
    let or_null = |text: Option<String>| text.map_or(Datum::Null, Datum::Text);
    let stripped = |start: bool, end: bool| {
        let chars: Vec<char> = text(1).unwrap_or_else(|| " ".into()).chars().collect();
        let mut own = text(0)?;
        if start {
            own = own.trim_start_matches(chars.as_slice()).to_string();
        }
        if end {
            own = own.trim_end_matches(chars.as_slice()).to_string();
        }
        Some(own)
    };
    Some(match name {
        "row" => Datum::Row(args.iter().map(|arg| (String::new(), arg.clone())).collect()),
        "coalesce" => args.iter().find(|arg| !arg.is_null()).cloned().unwrap_or(Datum::Null),
        "nullif" => match args {
            [one, other] if one.equals(other) == Some(true) => Datum::Null,
            [one, ..] => one.clone(),
            [] => Datum::Null,
        },
        "greatest" | "least" => {
            let better = |best: Datum, next: &Datum| match next.compare(&best) {
                Some(order) if order.is_gt() == (name == "greatest") && order.is_ne() => next.clone(),
                _ => best,
            };
            let mut there = args.iter().filter(|arg| !arg.is_null());
            let first = there.next().cloned().unwrap_or(Datum::Null);
            there.fold(first, better)
        }
        "lower" => or_null(text(0).map(|text| text.to_lowercase())),
        "upper" => or_null(text(0).map(|text| text.to_uppercase())),
        "btrim" => or_null(stripped(true, true)),
        "ltrim" => or_null(stripped(true, false)),
        "rtrim" => or_null(stripped(false, true)),
        "quote_ident" => or_null(text(0).map(|text| quote_ident(&text))),
        "quote_literal" => or_null(text(0).map(|text| format!("'{}'", text.replace('\'', "''")))),
        "quote_nullable" => {
            Datum::Text(text(0).map_or("NULL".into(), |text| format!("'{}'", text.replace('\'', "''"))))
        }
        "length" | "char_length" | "character_length" => {
            text(0).map_or(Datum::Null, |text| Datum::Int(text.chars().count() as i64))
        }
        "octet_length" => text(0).map_or(Datum::Null, |text| Datum::Int(text.len() as i64)),
        "replace" => or_null(
            text(0)
                .zip(text(1))
                .zip(text(2))
                .map(|((text, from), to)| if from.is_empty() { text } else { text.replace(&from, &to) }),
        ),
        "concat" => Datum::Text(args.iter().filter_map(Datum::shown).collect()),
        "concat_ws" => {
            Datum::Text(args.iter().skip(1).filter_map(Datum::shown).collect::<Vec<_>>().join(&text(0)?))
        }
        "split_part" => {
            let part = |text: String| {
                text.split(args.get(1)?.shown()?.as_str())
                    .nth(usize::try_from(int(2)? - 1).ok()?)
                    .map(String::from)
            };
            or_null(text(0).map(|text| part(text).unwrap_or_default()))
        }
        "strpos" => match (text(0), text(1)) {
            (Some(text), Some(part)) => {
                Datum::Int(text.find(&part).map_or(0, |at| text[..at].chars().count() as i64 + 1))
            }
            _ => Datum::Null,
        },
        "left" => or_null(
            text(0).zip(int(1)).map(|(text, n)| text.chars().take(usize::try_from(n).unwrap_or(0)).collect()),
        ),
        "substr" | "substring" => or_null(text(0).map(|text| substring(&text, int(1).unwrap_or(1), int(2)))),
        "starts_with" => match (text(0), text(1)) {
            (Some(text), Some(start)) => Datum::Bool(text.starts_with(&start)),
            _ => Datum::Null,
        },
        "abs" => match args.first()? {
            Datum::Int(n) => Datum::Int(n.saturating_abs()),
            other => other.number().map_or(Datum::Null, |f| Datum::Float(f.abs())),
        },
        "round" => number(0).map_or(Datum::Null, |f| Datum::Float(f.round_ties_even())),
        "floor" => number(0).map_or(Datum::Null, |f| Datum::Float(f.floor())),
        "ceil" | "ceiling" => number(0).map_or(Datum::Null, |f| Datum::Float(f.ceil())),
        "mod" => match (int(0), int(1)) {
            (Some(a), Some(b)) => a.checked_rem(b).map_or(Datum::Null, Datum::Int),
            _ => Datum::Null,
        },
        "regexp_replace" => {
            let (text, pattern, with) = (text(0), text(1)?, text(2)?);
            let all = args.get(3).and_then(Datum::shown).is_some_and(|flags| flags.contains('g'));
            let regex = super::eval::regex(&pattern, false).ok()?;
            let with = with.replace('\\', "$");
            let done = |text: String| {
                if all {
                    regex.replace_all(&text, with.as_str())
                } else {
                    regex.replace(&text, with.as_str())
                }
                .into_owned()
            };
            or_null(text.map(done))
        }
        _ => return None,
    })
}

pub(crate) fn substring(text: &str, from: i64, length: Option<i64>) -> String {
    let end = length.map_or(i64::MAX, |length| from.saturating_add(length));
    let inside = |(at, c): (i64, char)| (at >= from && at < end).then_some(c);
    (1..).zip(text.chars()).filter_map(inside).collect()
}
