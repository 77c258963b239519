"""What clients that cannot be run here ask: written down after their published sources, each with a judge of what is found."""

TABLES = {"hits", "visitors", "latency", "pages", "asked"}


def first(rows):
    return [row[0] for row in rows]


def has(*names):
    return lambda rows: set(names) <= set(first(rows))


def any_rows(_):
    return True


def none(rows):
    return rows == []


SEARCH_PATH = """
          SELECT
            CASE WHEN trim(s[i]) = '"$user"' THEN user ELSE trim(s[i]) END
          FROM
            generate_series(
              array_lower(string_to_array(current_setting('search_path'),','),1),
              array_upper(string_to_array(current_setting('search_path'),','),1)
            ) as i,
            string_to_array(current_setting('search_path'),',') s
"""

GRAFANA = [
    ("SELECT 1", lambda rows: rows == [(1,)]),
    ("SELECT current_setting('server_version_num')::int/100 as version", lambda rows: rows == [(1500,)]),
    ("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'", none),
    (
        f"""
    SELECT
        CASE WHEN
              quote_ident(table_schema) IN ({SEARCH_PATH})
          THEN quote_ident(table_name)
          ELSE quote_ident(table_schema) || '.' || quote_ident(table_name)
        END AS "table"
        FROM information_schema.tables
        WHERE quote_ident(table_schema) NOT IN ('information_schema', 'pg_catalog', '_timescaledb_cache',
              '_timescaledb_catalog', '_timescaledb_internal', '_timescaledb_config', 'timescaledb_information',
              'timescaledb_experimental')
        ORDER BY CASE WHEN
              quote_ident(table_schema) IN ({SEARCH_PATH}) THEN 0 ELSE 1 END, 1""",
        lambda rows: first(rows)[:6] == ["asked", "busy", "hits", "latency", "pages", "visitors"] and "sg.metrics" in first(rows),
    ),
    (
        f"""
    SELECT quote_ident(column_name) AS "column", data_type AS "type"
    FROM information_schema.columns
    WHERE
      CASE WHEN array_length(parse_ident('hits'),1) = 2
        THEN quote_ident(table_schema) = (parse_ident('hits'))[1]
          AND quote_ident(table_name) = (parse_ident('hits'))[2]
        ELSE quote_ident(table_name) = 'hits'
          AND quote_ident(table_schema) IN ({SEARCH_PATH})
      END""",
        lambda rows: ("value", "bigint") in rows and any(kind == "timestamp with time zone" for _, kind in rows),
    ),
    # The macros $__timeGroupAlias(start,'5m') and $__timeFilter(start), expanded.
    (
        """SELECT floor(extract(epoch from start)/300)*300 AS "time", sum(value) AS "hits"
        FROM hits WHERE grouped_by = '' AND start BETWEEN '2026-01-01T00:00:00Z' AND '2026-01-01T01:59:59.999Z'
        GROUP BY 1 ORDER BY 1""",
        lambda rows: len(rows) == 24 and all(value == 300 for _, value in rows),
    ),
    # A panel over a table: $__time(start), and a label.
    (
        """SELECT start AS "time", device AS metric, value FROM hits('10m', '10m', by => 'device')
        WHERE start >= '2026-01-01T00:00:00Z' AND start <= '2026-01-01T02:00:00Z' ORDER BY 1, 2""",
        lambda rows: len(rows) == 36 and sum(value for _, _, value in rows) == 7200,
    ),
    # A variable of a dashboard.
    ("SELECT DISTINCT device FROM hits WHERE grouped_by = 'device'", has("ios", "android", "web")),
]

METABASE = [
    ("SHOW TIMEZONE", lambda rows: rows == [("UTC",)]),
    ("SELECT nspname AS \"TABLE_SCHEM\", current_database() AS \"TABLE_CATALOG\" FROM pg_catalog.pg_namespace WHERE nspname <> 'pg_toast' AND (nspname !~ '^pg_temp_' OR nspname = (pg_catalog.current_schemas(true))[1]) AND (nspname !~ '^pg_toast_temp_' OR nspname = replace((pg_catalog.current_schemas(true))[1], 'pg_temp_', 'pg_toast_temp_')) ORDER BY \"TABLE_SCHEM\"", has("public", "sg")),
    (
        """SELECT "n"."nspname" AS "schema", "c"."relname" AS "name",
          CASE "c"."relkind" WHEN 'r' THEN 'TABLE' WHEN 'p' THEN 'PARTITIONED TABLE' WHEN 'v' THEN 'VIEW'
            WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE NULL END AS "type",
          "d"."description" AS "description", NULLIF("stat"."n_live_tup", 0) AS "estimated_row_count"
        FROM "pg_catalog"."pg_class" AS "c"
        INNER JOIN "pg_catalog"."pg_namespace" AS "n" ON "c"."relnamespace" = "n"."oid"
        LEFT JOIN "pg_catalog"."pg_description" AS "d" ON ("c"."oid" = "d"."objoid") AND ("d"."objsubid" = 0) AND ("d"."classoid" = 'pg_class'::regclass)
        LEFT JOIN "pg_stat_user_tables" AS "stat" ON ("n"."nspname" = "stat"."schemaname") AND ("c"."relname" = "stat"."relname")
        WHERE ("c"."relnamespace" = "n"."oid") AND ("n"."nspname" !~ '^pg_') AND ("n"."nspname" <> 'information_schema')
          AND c.relkind in ('r', 'p', 'v', 'f', 'm') AND ("n"."nspname" IN ('public'))
        ORDER BY "type" ASC, "schema" ASC, "name" ASC""",
        lambda rows: [row[1] for row in rows if row[2] == "TABLE"] == sorted(TABLES) and ("public", "busy", "VIEW") in [row[:3] for row in rows] and any(row[3] == "unique(user)" for row in rows),
    ),
    (
        """with table_privileges as (
           select NULL as role, t.schemaname as schema, t.objectname as table,
             pg_catalog.has_any_column_privilege(current_user, '"' || replace(t.schemaname, '"', '""') || '"' || '.' || '"' || replace(t.objectname, '"', '""') || '"', 'update') as update,
             pg_catalog.has_any_column_privilege(current_user, '"' || replace(t.schemaname, '"', '""') || '"' || '.' || '"' || replace(t.objectname, '"', '""') || '"', 'select') as select,
             pg_catalog.has_table_privilege(current_user, '"' || replace(t.schemaname, '"', '""') || '"' || '.' || '"' || replace(t.objectname, '"', '""') || '"', 'delete') as delete
           from (
             select schemaname, tablename as objectname from pg_catalog.pg_tables
             union
             select schemaname, viewname as objectname from pg_catalog.pg_views
             union
             select schemaname, matviewname as objectname from pg_catalog.pg_matviews
           ) t
           where t.schemaname !~ '^pg_' and t.schemaname <> 'information_schema'
             and pg_catalog.has_schema_privilege(current_user, t.schemaname, 'usage')
        )
        select t.* from table_privileges t where t.select or t.update or t.delete""",
        lambda rows: {row[2] for row in rows if row[1] == "public"} == TABLES | {"busy"} and all(row[3:] == (False, True, False) for row in rows),
    ),
    (
        """SELECT "c"."column_name" AS "name",
          CASE WHEN "c"."udt_schema" IN ('public', 'pg_catalog') THEN FORMAT_TYPE(FORMAT.ATTTYPID, -1) ELSE "c"."udt_name" END AS "database-type",
          "c"."ordinal_position" - 1 AS "database-position", "c"."table_schema" AS "table-schema", "c"."table_name" AS "table-name",
          "pk"."column_name" IS NOT NULL AS "pk?", ("column_default" IS NULL OR LOWER("column_default") = 'null') AND "is_nullable" = 'NO' AS "database-required"
        FROM "information_schema"."columns" AS "c"
        LEFT JOIN (SELECT "tc"."table_schema", "tc"."table_name", "kc"."column_name"
          FROM "information_schema"."table_constraints" AS "tc"
          INNER JOIN "information_schema"."key_column_usage" AS "kc" ON ("tc"."constraint_name" = "kc"."constraint_name") AND ("tc"."table_schema" = "kc"."table_schema")
          WHERE "tc"."constraint_type" = 'PRIMARY KEY') AS "pk"
          ON ("c"."table_schema" = "pk"."table_schema") AND ("c"."table_name" = "pk"."table_name") AND ("c"."column_name" = "pk"."column_name")
        INNER JOIN pg_catalog.pg_attribute AS FORMAT ON FORMAT.ATTNAME = "c"."column_name" AND FORMAT.ATTRELID = ('"' || "c"."table_schema" || '"."' || "c"."table_name" || '"')::regclass
        WHERE c.table_schema !~ '^information_schema|catalog_history|pg_' AND ("c"."table_schema" IN ('public'))
        ORDER BY "table-schema" ASC, "table-name" ASC, "database-position" ASC""",
        lambda rows: ("start", "timestamp with time zone", 0, "public", "hits", False, False) in rows,
    ),
    (
        """SELECT "fk_ns"."nspname" AS "fk-table-schema", "fk_table"."relname" AS "fk-table-name", "fk_column"."attname" AS "fk-column-name"
        FROM "pg_constraint" AS "c" INNER JOIN "pg_class" AS "fk_table" ON "c"."conrelid" = "fk_table"."oid"
        INNER JOIN "pg_namespace" AS "fk_ns" ON "c"."connamespace" = "fk_ns"."oid"
        INNER JOIN "pg_attribute" AS "fk_column" ON "c"."conrelid" = "fk_column"."attrelid"
        WHERE ("c"."contype" = 'f'::char) AND ("fk_column"."attnum" = ANY(c.conkey)) ORDER BY "fk-table-schema" ASC""",
        none,
    ),
    ("SELECT nspname, typname FROM pg_type JOIN pg_namespace ON pg_namespace.oid = pg_type.typnamespace WHERE pg_type.typtype = 'e'", none),
    ("SELECT \"public\".\"hits\".\"device\" AS \"device\" FROM \"public\".\"hits\" WHERE \"public\".\"hits\".\"grouped_by\" = 'device' GROUP BY \"public\".\"hits\".\"device\" ORDER BY \"public\".\"hits\".\"device\" ASC LIMIT 1000", lambda rows: first(rows) == ["android", "ios", "web"]),
    ("SELECT TRUE AS \"_\" FROM \"public\".\"hits\" WHERE 1 <> 1 LIMIT 0", none),
    ("SELECT DATE_TRUNC('hour', \"public\".\"hits\".\"start\") AS \"start\", SUM(\"public\".\"hits\".\"value\") AS \"sum\" FROM \"public\".\"hits\" WHERE \"public\".\"hits\".\"grouped_by\" = '' AND \"public\".\"hits\".\"start\" >= CAST('2026-01-01' AS date) GROUP BY DATE_TRUNC('hour', \"public\".\"hits\".\"start\") ORDER BY DATE_TRUNC('hour', \"public\".\"hits\".\"start\") ASC", lambda rows: [row[1] for row in rows] == [3600, 3600]),
    ("SELECT \"source\".\"start\" AS \"start\", \"source\".\"value\" AS \"value\" FROM (select start, value from hits where grouped_by = '') AS \"source\" WHERE \"source\".\"value\" IS NOT NULL LIMIT 2000", lambda rows: len(rows) > 0),
]

DBEAVER = [
    ("SELECT version()", lambda rows: rows[0][0].startswith("PostgreSQL 15")),
    ("SELECT current_schema(),session_user", lambda rows: rows == [("public", "me")]),
    ("SELECT db.oid,db.* FROM pg_catalog.pg_database db WHERE datname='streamgauge'", lambda rows: len(rows) == 1),
    ("SELECT * FROM pg_catalog.pg_settings where name='standard_conforming_strings'", lambda rows: rows[0][1] == "on"),
    ("SELECT string_agg(word, ',') from pg_catalog.pg_get_keywords() where word <> ALL ('{a,abs,absolute}'::text[])", lambda rows: "ilike" in rows[0][0]),
    ("SELECT n.oid,n.*,d.description FROM pg_catalog.pg_namespace n LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid=n.oid AND d.objsubid=0 AND d.classoid='pg_namespace'::regclass ORDER BY nspname", lambda rows: "public" in [row[2] for row in rows]),
    ("SELECT t.oid,t.*,c.relkind,format_type(nullif(t.typbasetype, 0), t.typtypmod) as base_type_name, d.description FROM pg_catalog.pg_type t LEFT OUTER JOIN pg_catalog.pg_type et ON et.oid=t.typelem LEFT OUTER JOIN pg_catalog.pg_class c ON c.oid=t.typrelid LEFT OUTER JOIN pg_catalog.pg_description d ON t.oid=d.objoid WHERE t.typname IS NOT NULL AND (c.relkind IS NULL OR c.relkind = 'c') AND (et.typcategory IS NULL OR et.typcategory <> 'C')", lambda rows: len(rows) > 40),
    ("SELECT c.oid,c.*,d.description,pg_catalog.pg_get_expr(c.relpartbound, c.oid) as partition_expr, pg_catalog.pg_get_partkeydef(c.oid) as partition_key FROM pg_catalog.pg_class c LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid=c.oid AND d.objsubid=0 AND d.classoid='pg_class'::regclass WHERE c.relnamespace=2200 AND c.relkind not in ('i','I','c')", lambda rows: TABLES <= {row[2] for row in rows}),
    ("SELECT c.relname,a.*,pg_catalog.pg_get_expr(ad.adbin, ad.adrelid, true) as def_value,dsc.description,dep.objid FROM pg_catalog.pg_attribute a INNER JOIN pg_catalog.pg_class c ON (a.attrelid=c.oid) LEFT OUTER JOIN pg_catalog.pg_attrdef ad ON (a.attrelid=ad.adrelid AND a.attnum = ad.adnum) LEFT OUTER JOIN pg_catalog.pg_description dsc ON (c.oid=dsc.objoid AND a.attnum = dsc.objsubid) LEFT OUTER JOIN pg_depend dep on dep.refobjid = a.attrelid AND dep.deptype = 'i' and dep.refobjsubid = a.attnum and dep.classid = dep.refclassid WHERE NOT a.attisdropped AND c.relkind not in ('i','I','c') AND c.oid = 'public.hits'::regclass ORDER BY a.attnum", lambda rows: rows[0][0] == "hits" and rows[0][2] == "start"),
    ("select c.oid,pg_catalog.pg_total_relation_size(c.oid) as total_rel_size,pg_catalog.pg_relation_size(c.oid) as rel_size FROM pg_class c WHERE c.relnamespace=2200", lambda rows: len(rows) >= 5),
    ("SELECT x.* FROM public.hits x WHERE x.grouped_by = '' LIMIT 200", lambda rows: len(rows) > 0),
]

SUPERSET = [
    ("SELECT pg_catalog.version()", lambda rows: "PostgreSQL 15" in rows[0][0]),
    ("show standard_conforming_strings", lambda rows: rows == [("on",)]),
    ("SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%' ORDER BY nspname", has("public", "sg")),
    ("SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public' AND c.relkind in ('r', 'p')", lambda rows: set(first(rows)) == TABLES),
    ("SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid) FROM pg_catalog.pg_attrdef d WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef) AS DEFAULT, a.attnotnull, a.attrelid as table_oid, pgd.description as comment, a.attgenerated as generated FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_description pgd ON (pgd.objoid = a.attrelid AND pgd.objsubid = a.attnum) WHERE a.attrelid = (SELECT c.oid FROM pg_class c WHERE c.relname = 'hits' AND c.relkind = 'r') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum", lambda rows: rows[0][:2] == ("start", "timestamp with time zone")),
]

PGX_AND_NPGSQL = [
    ("select t.oid, case when nsp.nspname in ('pg_catalog', 'public') then t.typname else nsp.nspname||'.'||t.typname end from pg_type t left join pg_type base_type on t.typelem=base_type.oid left join pg_namespace nsp on t.typnamespace=nsp.oid where ( t.typtype in('b', 'p', 'r', 'e') and (base_type.oid is null or base_type.typtype in('b', 'p', 'r')) )", any_rows),
    (
        """SELECT ns.nspname, t.oid, t.typname, t.typtype, t.typnotnull, t.elemtypoid
        FROM (
            SELECT
                typ.oid, typ.typnamespace, typ.typname, typ.typtype, typ.typrelid, typ.typnotnull, typ.relkind,
                elemtyp.oid AS elemtypoid, elemtyp.typname AS elemtypname, elemcls.relkind AS elemrelkind,
                CASE WHEN elemproc.proname='array_recv' THEN 'a' ELSE elemtyp.typtype END AS elemtyptype, typ.typcategory
            FROM (
                SELECT typ.oid, typnamespace, typname, typrelid, typnotnull, relkind, typelem AS elemoid, typcategory,
                    CASE WHEN proc.proname='array_recv' THEN 'a' ELSE typ.typtype END AS typtype,
                    CASE WHEN proc.proname='array_recv' THEN typ.typelem WHEN typ.typtype='r' THEN rngsubtype WHEN typ.typtype='d' THEN typ.typbasetype END AS elemtypoid
                FROM pg_type AS typ
                LEFT JOIN pg_class AS cls ON (cls.oid = typ.typrelid)
                LEFT JOIN pg_proc AS proc ON proc.oid = typ.typreceive
                LEFT JOIN pg_range ON (pg_range.rngtypid = typ.oid)
            ) AS typ
            LEFT JOIN pg_type AS elemtyp ON elemtyp.oid = elemtypoid
            LEFT JOIN pg_class AS elemcls ON (elemcls.oid = elemtyp.typrelid)
            LEFT JOIN pg_proc AS elemproc ON elemproc.oid = elemtyp.typreceive
        ) AS t
        JOIN pg_namespace AS ns ON (ns.oid = typnamespace)
        WHERE
            typtype IN ('b', 'r', 'm', 'e', 'd') OR
            (typtype = 'c' AND relkind='c') OR
            (typtype = 'p' AND typname IN ('record', 'void', 'unknown')) OR
            (typtype = 'a' AND (elemtyptype IN ('b', 'r', 'm', 'e', 'd') OR (elemtyptype = 'c' AND elemrelkind='c')))
        ORDER BY CASE WHEN typtype IN ('b', 'e', 'p') THEN 0 WHEN typtype = 'r' THEN 1 WHEN typtype = 'm' THEN 2 ELSE 5 END""",
        lambda rows: "timestamptz" in [row[2] for row in rows],
    ),
    ("DISCARD ALL; SELECT 1", any_rows),
    ("SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL; SELECT 1", any_rows),
]

HANDSHAKES = {
    "Grafana": GRAFANA,
    "Metabase": METABASE,
    "DBeaver": DBEAVER,
    "Superset": SUPERSET,
    "pgx and Npgsql": PGX_AND_NPGSQL,
}
