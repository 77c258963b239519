//! What there is to be listed: schemas, tables and their columns, with the numbers that the catalogue gives them.

use super::datum::kind;
use crate::query::catalog::{Names, SCHEMA, SYSTEM};
use crate::size::words;
use datafusion::arrow::datatypes::{DataType, Field};

/// The number of the first table; those before it are Postgres' own.
const FIRST: i64 = 16_384;
pub(crate) const PG_CATALOG: i64 = 11;
pub(crate) const PUBLIC: i64 = 2_200;
pub(crate) const INFORMATION_SCHEMA: i64 = 13_000;
pub(crate) const SG: i64 = 16_000;
/// Whose everything is.
pub(crate) const OWNER: i64 = 10;

/// A table or a view.
#[derive(Debug, Clone)]
pub(crate) struct Relation {
    pub oid: i64,
    pub schema: String,
    pub name: String,
    /// `r` of a table, `v` of a view.
    pub kind: &'static str,
    /// The query of a view.
    pub definition: Option<String>,
    pub description: Option<String>,
    pub columns: Vec<Attribute>,
}

#[derive(Debug, Clone)]
pub(crate) struct Attribute {
    pub name: String,
    pub kind: u32,
    pub not_null: bool,
}

/// All there is.
#[derive(Debug, Clone)]
pub(crate) struct Listing {
    /// Name and number.
    pub schemas: Vec<(String, i64)>,
    pub relations: Vec<Relation>,
}

impl Listing {
    /// The tables of `public`, those of sources whose names are not free there, and the system tables.
    pub fn of(names: &Names) -> Listing {
        let mut schemas = vec![
            ("pg_catalog".to_string(), PG_CATALOG),
            (SCHEMA.to_string(), PUBLIC),
            ("information_schema".to_string(), INFORMATION_SCHEMA),
            (SYSTEM.to_string(), SG),
        ];
        let mut found: Vec<(String, String)> = Vec::new();
        let public = names.listed(SCHEMA);
        for name in &public {
            found.push((SCHEMA.into(), name.clone()));
        }
        for source in &names.sources {
            let own = names.listed(&source.name).into_iter().filter(|name| {
                !public.contains(name)
                    && names.measured.iter().any(|m| m.spec.name == source.name && m.name == *name)
            });
            found.extend(own.map(|name| (source.name.clone(), name)));
        }
        found.extend(names.listed(SYSTEM).into_iter().map(|name| (SYSTEM.into(), name)));
        let mut relations = Vec::new();
        for (number, (schema, name)) in (0i64..).zip(found) {
            if !schemas.iter().any(|(known, _)| *known == schema) {
                schemas.push((schema.clone(), SG + schemas.len() as i64));
            }
            let Some(fields) = names.fields(&schema, &name) else { continue };
            let view = names.views.iter().find(|view| schema == SCHEMA && view.view.name == name);
            let measured =
                names.measured.iter().find(|m| m.name == name && (schema == SCHEMA || m.spec.name == schema));
            let description = measured.map(|m| words(&m.spec.metrics[m.metric], &m.spec.columns()));
            let attribute = |field: &Field| Attribute {
                name: field.name().clone(),
                kind: of_arrow(field.data_type()),
                not_null: !field.is_nullable(),
            };
            relations.push(Relation {
                oid: FIRST + 2 * number,
                schema,
                kind: if view.is_some() { "v" } else { "r" },
                definition: view.map(|view| view.view.sql.clone()),
                description,
                columns: fields.iter().map(|field| attribute(field)).collect(),
                name,
            });
        }
        Listing { schemas, relations }
    }

    pub fn schema(&self, name: &str) -> i64 {
        self.schemas.iter().find(|(known, _)| known == name).map_or(0, |(_, oid)| *oid)
    }

    /// The number of what a text names, as `public.visitors` or `"Visits"`.
    pub fn relation(&self, text: &str) -> Option<(i64, String)> {
        if let Ok(oid) = text.parse::<i64>() {
            return Some((oid, self.shown(oid)));
        }
        let own = |relation: &&Relation| {
            let quoted = |name: &str| format!("\"{name}\"");
            let (schema, name) = (&relation.schema, &relation.name);
            let full = [schema.clone(), quoted(schema)]
                .map(|s| [format!("{s}.{name}"), format!("{s}.{}", quoted(name))]);
            let bare = schema == SCHEMA && (name == text || quoted(name) == text);
            bare || full.concat().iter().any(|known| known == text)
        };
        if let Some(relation) = self.relations.iter().find(own) {
            return Some((relation.oid, self.shown(relation.oid)));
        }
        let name = text.strip_prefix("pg_catalog.").unwrap_or(text);
        let known = SYSTEM_OIDS.iter().find(|(known, _)| *known == name);
        known.map(|(name, oid)| (*oid, name.to_string()))
    }

    /// How a relation is called.
    pub fn shown(&self, oid: i64) -> String {
        if let Some((name, _)) = SYSTEM_OIDS.iter().find(|(_, known)| *known == oid) {
            return name.to_string();
        }
        match self.relations.iter().find(|relation| relation.oid == oid) {
            Some(relation) if relation.schema == SCHEMA => quote_ident(&relation.name),
            Some(relation) => format!("{}.{}", quote_ident(&relation.schema), quote_ident(&relation.name)),
            None => oid.to_string(),
        }
    }
}

/// The numbers that clients know by heart.
const SYSTEM_OIDS: [(&str, i64); 12] = [
    ("pg_type", 1247),
    ("pg_attribute", 1249),
    ("pg_proc", 1255),
    ("pg_class", 1259),
    ("pg_authid", 1260),
    ("pg_database", 1262),
    ("pg_constraint", 2606),
    ("pg_namespace", 2615),
    ("pg_extension", 3079),
    ("pg_trigger", 2620),
    ("pg_am", 2601),
    ("pg_description", 2609),
];

/// A name in quotes where it needs them.
pub(crate) fn quote_ident(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !matches!(name, "end" | "user" | "table" | "select" | "from" | "order" | "group" | "all");
    if plain { name.into() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// The type of a column, as `serve` tells it with an answer.
fn of_arrow(data_type: &DataType) -> u32 {
    match data_type {
        DataType::Boolean => kind::BOOL,
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => kind::INT2,
        DataType::Int32 | DataType::UInt16 => kind::INT4,
        DataType::Int64 | DataType::UInt32 => kind::INT8,
        DataType::Float16 | DataType::Float32 => 700,
        DataType::Float64 => kind::FLOAT8,
        DataType::UInt64
        | DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => 1700,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            kind::BYTEA
        }
        DataType::Timestamp(_, Some(_)) => kind::TIMESTAMPTZ,
        DataType::Timestamp(_, None) => 1114,
        DataType::Date32 | DataType::Date64 => 1082,
        DataType::Time32(_) | DataType::Time64(_) => 1083,
        DataType::Interval(_) | DataType::Duration(_) => 1186,
        DataType::Struct(_) | DataType::Map(..) => 114,
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            match of_arrow(item.data_type()) {
                kind::BOOL => 1000,
                kind::BYTEA => 1001,
                kind::INT2 => kind::INT2S,
                kind::INT4 => kind::INT4S,
                kind::INT8 => kind::INT8S,
                kind::TEXT => kind::TEXTS,
                700 => 1021,
                kind::FLOAT8 => 1022,
                kind::TIMESTAMPTZ => 1185,
                1114 => 1115,
                1082 => 1182,
                1700 => 1231,
                _ => 114,
            }
        }
        _ => kind::TEXT,
    }
}
