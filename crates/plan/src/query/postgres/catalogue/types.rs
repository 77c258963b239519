//! The types of Postgres that are known here.

/// A type: number, name, what it is called in SQL, bytes of a value (-1 where they differ), category, number of its arrays.
pub(crate) struct Type {
    pub oid: u32,
    pub name: &'static str,
    pub sql: &'static str,
    pub bytes: i64,
    pub category: &'static str,
    pub array: u32,
}

const fn t(
    oid: u32,
    name: &'static str,
    sql: &'static str,
    bytes: i64,
    category: &'static str,
    array: u32,
) -> Type {
    Type { oid, name, sql, bytes, category, array }
}

pub(crate) const TYPES: [Type; 32] = [
    t(16, "bool", "boolean", 1, "B", 1000),
    t(17, "bytea", "bytea", -1, "U", 1001),
    t(18, "char", "\"char\"", 1, "Z", 1002),
    t(19, "name", "name", 64, "S", 1003),
    t(20, "int8", "bigint", 8, "N", 1016),
    t(21, "int2", "smallint", 2, "N", 1005),
    t(22, "int2vector", "int2vector", -1, "A", 1006),
    t(23, "int4", "integer", 4, "N", 1007),
    t(24, "regproc", "regproc", 4, "N", 1008),
    t(25, "text", "text", -1, "S", 1009),
    t(26, "oid", "oid", 4, "N", 1028),
    t(30, "oidvector", "oidvector", -1, "A", 1013),
    t(114, "json", "json", -1, "U", 199),
    t(194, "pg_node_tree", "pg_node_tree", -1, "Z", 0),
    t(700, "float4", "real", 4, "N", 1021),
    t(701, "float8", "double precision", 8, "N", 1022),
    t(705, "unknown", "unknown", -2, "X", 0),
    t(869, "inet", "inet", -1, "I", 1041),
    t(1042, "bpchar", "character", -1, "S", 1014),
    t(1043, "varchar", "character varying", -1, "S", 1015),
    t(1082, "date", "date", 4, "D", 1182),
    t(1083, "time", "time without time zone", 8, "D", 1183),
    t(1114, "timestamp", "timestamp without time zone", 8, "D", 1115),
    t(1184, "timestamptz", "timestamp with time zone", 8, "D", 1185),
    t(1186, "interval", "interval", 16, "T", 1187),
    t(1266, "timetz", "time with time zone", 12, "D", 1270),
    t(1700, "numeric", "numeric", -1, "N", 1231),
    t(2205, "regclass", "regclass", 4, "N", 2210),
    t(2206, "regtype", "regtype", 4, "N", 2211),
    t(2278, "void", "void", 4, "P", 0),
    t(2950, "uuid", "uuid", 16, "U", 2951),
    t(3802, "jsonb", "jsonb", -1, "U", 3807),
];

pub(crate) fn by_oid(oid: i64) -> Option<&'static Type> {
    TYPES.iter().find(|own| i64::from(own.oid) == oid)
}

/// What a type is called in SQL; arrays with brackets.
pub(crate) fn shown(oid: i64) -> String {
    if let Some(own) = by_oid(oid) {
        return own.sql.into();
    }
    let of = TYPES.iter().find(|own| own.array != 0 && i64::from(own.array) == oid);
    of.map_or("???".into(), |own| format!("{}[]", own.sql))
}

/// The number of a type by any of its names.
pub(crate) fn by_name(name: &str) -> Option<i64> {
    let name = name.trim().trim_start_matches("pg_catalog.").to_lowercase();
    if let Some(element) = name.strip_suffix("[]") {
        let element = by_name(element)?;
        return by_oid(element).map(|own| own.array.into());
    }
    let bare = name.trim_matches('"');
    let array = |own: &&Type| bare.strip_prefix('_') == Some(own.name);
    let own = TYPES.iter().find(|own| own.name == bare || own.sql == name).map(|own| own.oid);
    own.or_else(|| TYPES.iter().find(array).map(|own| own.array)).map(i64::from)
}
