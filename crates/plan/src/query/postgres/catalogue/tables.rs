//! The tables of the catalogue: their columns as Postgres 15 has them, and their rows, few of which are not empty.

use super::datum::{Datum, kind};
use super::listing::{Listing, OWNER, PG_CATALOG, Relation};
use super::types::{TYPES, shown};
use crate::query::postgres::Client;

/// A row as names and values; what is not named is null.
type Row = Vec<(&'static str, Datum)>;

/// Name, and columns with their types. Those behind a dot are not part of `*`.
pub(crate) const TABLES: &[(&str, &str)] = &[
    ("pg_namespace", "oid:oid nspname:name nspowner:oid nspacl:text[] .tableoid:oid .xmin:text"),
    (
        "pg_class",
        "oid:oid relname:name relnamespace:oid reltype:oid reloftype:oid relowner:oid relam:oid relfilenode:oid reltablespace:oid relpages:int4 reltuples:float8 relallvisible:int4 reltoastrelid:oid relhasindex:bool relisshared:bool relpersistence:char relkind:char relnatts:int2 relchecks:int2 relhasrules:bool relhastriggers:bool relhassubclass:bool relrowsecurity:bool relforcerowsecurity:bool relispopulated:bool relreplident:char relispartition:bool relrewrite:oid relfrozenxid:text relminmxid:text relacl:text[] reloptions:text[] relpartbound:text .tableoid:oid .xmin:text .ctid:text",
    ),
    (
        "pg_attribute",
        "attrelid:oid attname:name atttypid:oid attstattarget:int4 attlen:int2 attnum:int2 attndims:int4 attcacheoff:int4 atttypmod:int4 attbyval:bool attalign:char attstorage:char attcompression:char attnotnull:bool atthasdef:bool atthasmissing:bool attidentity:char attgenerated:char attisdropped:bool attislocal:bool attinhcount:int4 attcollation:oid attacl:text[] attoptions:text[] attfdwoptions:text[] attmissingval:text .tableoid:oid",
    ),
    (
        "pg_type",
        "oid:oid typname:name typnamespace:oid typowner:oid typlen:int2 typbyval:bool typtype:char typcategory:char typispreferred:bool typisdefined:bool typdelim:char typrelid:oid typsubscript:text typelem:oid typarray:oid typinput:text typoutput:text typreceive:text typsend:text typmodin:text typmodout:text typanalyze:text typalign:char typstorage:char typnotnull:bool typbasetype:oid typtypmod:int4 typndims:int4 typcollation:oid typdefaultbin:text typdefault:text typacl:text[] .tableoid:oid",
    ),
    (
        "pg_database",
        "oid:oid datname:name datdba:oid encoding:int4 datlocprovider:char datistemplate:bool datallowconn:bool datconnlimit:int4 datfrozenxid:text datminmxid:text dattablespace:oid datcollate:text datctype:text daticulocale:text datcollversion:text datacl:text[] .tableoid:oid",
    ),
    (
        "pg_roles",
        "rolname:name rolsuper:bool rolinherit:bool rolcreaterole:bool rolcreatedb:bool rolcanlogin:bool rolreplication:bool rolconnlimit:int4 rolpassword:text rolvaliduntil:timestamptz rolbypassrls:bool rolconfig:text[] oid:oid",
    ),
    (
        "pg_authid",
        "oid:oid rolname:name rolsuper:bool rolinherit:bool rolcreaterole:bool rolcreatedb:bool rolcanlogin:bool rolreplication:bool rolbypassrls:bool rolconnlimit:int4 rolpassword:text rolvaliduntil:timestamptz",
    ),
    (
        "pg_user",
        "usename:name usesysid:oid usecreatedb:bool usesuper:bool userepl:bool usebypassrls:bool passwd:text valuntil:timestamptz useconfig:text[]",
    ),
    ("pg_group", "groname:name grosysid:oid grolist:oid[]"),
    (
        "pg_settings",
        "name:text setting:text unit:text category:text short_desc:text extra_desc:text context:text vartype:text source:text min_val:text max_val:text enumvals:text[] boot_val:text reset_val:text sourcefile:text sourceline:int4 pending_restart:bool",
    ),
    ("pg_description", "objoid:oid classoid:oid objsubid:int4 description:text"),
    (
        "pg_tables",
        "schemaname:name tablename:name tableowner:name tablespace:name hasindexes:bool hasrules:bool hastriggers:bool rowsecurity:bool",
    ),
    ("pg_views", "schemaname:name viewname:name viewowner:name definition:text"),
    ("pg_tablespace", "oid:oid spcname:name spcowner:oid spcacl:text[] spcoptions:text[]"),
    ("pg_am", "oid:oid amname:name amhandler:text amtype:char"),
    (
        "pg_collation",
        "oid:oid collname:name collnamespace:oid collowner:oid collprovider:char collisdeterministic:bool collencoding:int4 collcollate:text collctype:text colliculocale:text collversion:text",
    ),
    (
        "pg_language",
        "oid:oid lanname:name lanowner:oid lanispl:bool lanpltrusted:bool lanplcallfoid:oid laninline:oid lanvalidator:oid lanacl:text[]",
    ),
    (
        "pg_stat_user_tables",
        "relid:oid schemaname:name relname:name seq_scan:int8 idx_scan:int8 n_live_tup:int8 n_dead_tup:int8 last_vacuum:timestamptz last_autovacuum:timestamptz last_analyze:timestamptz last_autoanalyze:timestamptz",
    ),
    (
        "pg_stat_activity",
        "datid:oid datname:name pid:int4 usesysid:oid usename:name application_name:text client_addr:text client_port:int4 backend_start:timestamptz xact_start:timestamptz query_start:timestamptz state_change:timestamptz wait_event_type:text wait_event:text state:text backend_xid:text backend_xmin:text query:text backend_type:text",
    ),
    ("pg_attrdef", "oid:oid adrelid:oid adnum:int2 adbin:text"),
    (
        "pg_index",
        "indexrelid:oid indrelid:oid indnatts:int2 indnkeyatts:int2 indisunique:bool indnullsnotdistinct:bool indisprimary:bool indisexclusion:bool indimmediate:bool indisclustered:bool indisvalid:bool indcheckxmin:bool indisready:bool indislive:bool indisreplident:bool indkey:int2[] indcollation:oid[] indclass:oid[] indoption:int2[] indexprs:text indpred:text .tableoid:oid .xmin:text",
    ),
    (
        "pg_constraint",
        "oid:oid conname:name connamespace:oid contype:char condeferrable:bool condeferred:bool convalidated:bool conrelid:oid contypid:oid conindid:oid conparentid:oid confrelid:oid confupdtype:char confdeltype:char confmatchtype:char conislocal:bool coninhcount:int4 connoinherit:bool conkey:int2[] confkey:int2[] conpfeqop:oid[] conppeqop:oid[] conffeqop:oid[] conexclop:oid[] conbin:text .tableoid:oid .xmin:text",
    ),
    ("pg_inherits", "inhrelid:oid inhparent:oid inhseqno:int4 inhdetachpending:bool"),
    (
        "pg_trigger",
        "oid:oid tgrelid:oid tgparentid:oid tgname:name tgfoid:oid tgtype:int2 tgenabled:char tgisinternal:bool tgconstrrelid:oid tgconstrindid:oid tgconstraint:oid tgdeferrable:bool tginitdeferred:bool tgnargs:int2 tgattr:int2[] tgargs:bytea tgqual:text",
    ),
    (
        "pg_rewrite",
        "oid:oid rulename:name ev_class:oid ev_type:char ev_enabled:char is_instead:bool ev_qual:text ev_action:text",
    ),
    (
        "pg_policy",
        "oid:oid polname:name polrelid:oid polcmd:char polpermissive:bool polroles:oid[] polqual:text polwithcheck:text",
    ),
    (
        "pg_proc",
        "oid:oid proname:name pronamespace:oid proowner:oid prolang:oid procost:float8 prorows:float8 provariadic:oid prosupport:text prokind:char prosecdef:bool proleakproof:bool proisstrict:bool proretset:bool provolatile:char proparallel:char pronargs:int2 pronargdefaults:int2 prorettype:oid proargtypes:oid[] proallargtypes:oid[] proargmodes:char[] proargnames:text[] proargdefaults:text protrftypes:oid[] prosrc:text probin:text prosqlbody:text proconfig:text[] proacl:text[] .tableoid:oid .xmin:text",
    ),
    ("pg_aggregate", "aggfnoid:oid aggkind:char aggnumdirectargs:int2 aggtransfn:text aggfinalfn:text"),
    (
        "pg_operator",
        "oid:oid oprname:name oprnamespace:oid oprowner:oid oprkind:char oprleft:oid oprright:oid oprresult:oid oprcode:text",
    ),
    (
        "pg_opclass",
        "oid:oid opcmethod:oid opcname:name opcnamespace:oid opcowner:oid opcfamily:oid opcintype:oid opcdefault:bool opckeytype:oid",
    ),
    ("pg_cast", "oid:oid castsource:oid casttarget:oid castfunc:oid castcontext:char castmethod:char"),
    ("pg_enum", "oid:oid enumtypid:oid enumsortorder:float8 enumlabel:name"),
    (
        "pg_range",
        "rngtypid:oid rngsubtype:oid rngmultitypid:oid rngcollation:oid rngsubopc:oid rngcanonical:text rngsubdiff:text",
    ),
    (
        "pg_extension",
        "oid:oid extname:name extowner:oid extnamespace:oid extrelocatable:bool extversion:text extconfig:oid[] extcondition:text[]",
    ),
    ("pg_available_extensions", "name:name default_version:text installed_version:text comment:text"),
    ("pg_foreign_table", "ftrelid:oid ftserver:oid ftoptions:text[]"),
    (
        "pg_foreign_server",
        "oid:oid srvname:name srvowner:oid srvfdw:oid srvtype:text srvversion:text srvacl:text[] srvoptions:text[]",
    ),
    (
        "pg_foreign_data_wrapper",
        "oid:oid fdwname:name fdwowner:oid fdwhandler:oid fdwvalidator:oid fdwacl:text[] fdwoptions:text[]",
    ),
    ("pg_auth_members", "oid:oid roleid:oid member:oid grantor:oid admin_option:bool"),
    ("pg_db_role_setting", "setdatabase:oid setrole:oid setconfig:text[]"),
    (
        "pg_sequence",
        "seqrelid:oid seqtypid:oid seqstart:int8 seqincrement:int8 seqmax:int8 seqmin:int8 seqcache:int8 seqcycle:bool",
    ),
    (
        "pg_sequences",
        "schemaname:name sequencename:name sequenceowner:name data_type:text start_value:int8 min_value:int8 max_value:int8 increment_by:int8 cycle:bool cache_size:int8 last_value:int8",
    ),
    (
        "pg_depend",
        "classid:oid objid:oid objsubid:int4 refclassid:oid refobjid:oid refobjsubid:int4 deptype:char",
    ),
    ("pg_shdescription", "objoid:oid classoid:oid description:text"),
    (
        "pg_partitioned_table",
        "partrelid:oid partstrat:char partnatts:int2 partdefid:oid partattrs:int2[] partclass:oid[] partcollation:oid[] partexprs:text",
    ),
    (
        "pg_statistic_ext",
        "oid:oid stxrelid:oid stxname:name stxnamespace:oid stxowner:oid stxstattarget:int4 stxkeys:int2[] stxkind:char[] stxexprs:text",
    ),
    ("pg_stats", "schemaname:name tablename:name attname:name null_frac:float8 n_distinct:float8"),
    (
        "pg_publication",
        "oid:oid pubname:name pubowner:oid puballtables:bool pubinsert:bool pubupdate:bool pubdelete:bool pubtruncate:bool pubviaroot:bool",
    ),
    ("pg_publication_rel", "oid:oid prpubid:oid prrelid:oid prqual:text prattrs:int2[]"),
    ("pg_publication_namespace", "oid:oid pnpubid:oid pnnspid:oid"),
    ("pg_subscription", "oid:oid subdbid:oid subname:name subowner:oid subenabled:bool"),
    (
        "pg_event_trigger",
        "oid:oid evtname:name evtevent:name evtowner:oid evtfoid:oid evtenabled:char evttags:text[]",
    ),
    (
        "pg_matviews",
        "schemaname:name matviewname:name matviewowner:name tablespace:name hasindexes:bool ispopulated:bool definition:text",
    ),
    ("pg_indexes", "schemaname:name tablename:name indexname:name tablespace:name indexdef:text"),
    ("pg_locks", "locktype:text database:oid relation:oid pid:int4 mode:text granted:bool"),
    ("pg_default_acl", "oid:oid defaclrole:oid defaclnamespace:oid defaclobjtype:char defaclacl:text[]"),
    (
        "pg_conversion",
        "oid:oid conname:name connamespace:oid conowner:oid conforencoding:int4 contoencoding:int4 conproc:text condefault:bool",
    ),
    ("pg_timezone_names", "name:text abbrev:text utc_offset:text is_dst:bool"),
    ("pg_largeobject_metadata", "oid:oid lomowner:oid lomacl:text[]"),
    ("pg_ts_config", "oid:oid cfgname:name cfgnamespace:oid cfgowner:oid cfgparser:oid"),
    (
        "pg_ts_dict",
        "oid:oid dictname:name dictnamespace:oid dictowner:oid dicttemplate:oid dictinitoption:text",
    ),
    ("pg_ts_parser", "oid:oid prsname:name prsnamespace:oid"),
    ("pg_ts_template", "oid:oid tmplname:name tmplnamespace:oid"),
    ("pg_opfamily", "oid:oid opfmethod:oid opfname:name opfnamespace:oid opfowner:oid"),
    (
        "pg_amop",
        "oid:oid amopfamily:oid amoplefttype:oid amoprighttype:oid amopstrategy:int2 amopopr:oid amopmethod:oid",
    ),
    ("pg_user_mapping", "oid:oid umuser:oid umserver:oid umoptions:text[]"),
    ("pg_stat_database", "datid:oid datname:name numbackends:int4"),
    ("pg_prepared_statements", "name:text statement:text"),
    ("pg_cursors", "name:text statement:text"),
    ("pg_prepared_xacts", "transaction:text gid:text owner:name database:name"),
    (
        "information_schema.schemata",
        "catalog_name:name schema_name:name schema_owner:name default_character_set_catalog:name default_character_set_schema:name default_character_set_name:name sql_path:text",
    ),
    (
        "information_schema.tables",
        "table_catalog:name table_schema:name table_name:name table_type:text self_referencing_column_name:name reference_generation:text user_defined_type_catalog:name user_defined_type_schema:name user_defined_type_name:name is_insertable_into:text is_typed:text commit_action:text",
    ),
    (
        "information_schema.views",
        "table_catalog:name table_schema:name table_name:name view_definition:text check_option:text is_updatable:text is_insertable_into:text",
    ),
    (
        "information_schema.columns",
        "table_catalog:name table_schema:name table_name:name column_name:name ordinal_position:int4 column_default:text is_nullable:text data_type:text character_maximum_length:int4 character_octet_length:int4 numeric_precision:int4 numeric_precision_radix:int4 numeric_scale:int4 datetime_precision:int4 interval_type:text interval_precision:int4 character_set_catalog:name character_set_schema:name character_set_name:name collation_catalog:name collation_schema:name collation_name:name domain_catalog:name domain_schema:name domain_name:name udt_catalog:name udt_schema:name udt_name:name scope_catalog:name scope_schema:name scope_name:name maximum_cardinality:int4 dtd_identifier:name is_self_referencing:text is_identity:text identity_generation:text identity_start:text identity_increment:text identity_maximum:text identity_minimum:text identity_cycle:text is_generated:text generation_expression:text is_updatable:text",
    ),
    (
        "information_schema.table_constraints",
        "constraint_catalog:name constraint_schema:name constraint_name:name table_catalog:name table_schema:name table_name:name constraint_type:text is_deferrable:text initially_deferred:text enforced:text nulls_distinct:text",
    ),
    (
        "information_schema.key_column_usage",
        "constraint_catalog:name constraint_schema:name constraint_name:name table_catalog:name table_schema:name table_name:name column_name:name ordinal_position:int4 position_in_unique_constraint:int4",
    ),
    (
        "information_schema.constraint_column_usage",
        "table_catalog:name table_schema:name table_name:name column_name:name constraint_catalog:name constraint_schema:name constraint_name:name",
    ),
    (
        "information_schema.referential_constraints",
        "constraint_catalog:name constraint_schema:name constraint_name:name unique_constraint_catalog:name unique_constraint_schema:name unique_constraint_name:name match_option:text update_rule:text delete_rule:text",
    ),
    (
        "information_schema.check_constraints",
        "constraint_catalog:name constraint_schema:name constraint_name:name check_clause:text",
    ),
    (
        "information_schema.routines",
        "specific_catalog:name specific_schema:name specific_name:name routine_catalog:name routine_schema:name routine_name:name routine_type:text data_type:text type_udt_name:name routine_definition:text external_language:text",
    ),
    (
        "information_schema.parameters",
        "specific_catalog:name specific_schema:name specific_name:name ordinal_position:int4 parameter_mode:text parameter_name:name data_type:text",
    ),
    (
        "information_schema.sequences",
        "sequence_catalog:name sequence_schema:name sequence_name:name data_type:text",
    ),
    (
        "information_schema.triggers",
        "trigger_catalog:name trigger_schema:name trigger_name:name event_manipulation:text event_object_schema:name event_object_table:name",
    ),
    (
        "information_schema.table_privileges",
        "grantor:name grantee:name table_catalog:name table_schema:name table_name:name privilege_type:text is_grantable:text with_hierarchy:text",
    ),
    (
        "information_schema.role_table_grants",
        "grantor:name grantee:name table_catalog:name table_schema:name table_name:name privilege_type:text is_grantable:text with_hierarchy:text",
    ),
    ("information_schema.enabled_roles", "role_name:name"),
    ("information_schema.applicable_roles", "grantee:name role_name:name is_grantable:text"),
    ("information_schema.information_schema_catalog_name", "catalog_name:name"),
];

/// The rows of a table.
pub(crate) fn rows(table: &str, listing: &Listing, client: &Client) -> Vec<Row> {
    let (text, int, yes) = (|text: &str| Datum::text(text), |n: i64| Datum::Int(n), Datum::Bool);
    let nulls = Vec::new();
    match table {
        "pg_namespace" => listing
            .schemas
            .iter()
            .map(|(name, oid)| {
                vec![
                    ("oid", int(*oid)),
                    ("nspname", text(name)),
                    ("nspowner", int(OWNER)),
                    ("tableoid", int(2615)),
                    ("xmin", text("1")),
                ]
            })
            .collect(),
        "pg_class" => listing.relations.iter().map(|relation| class(relation, listing, client)).collect(),
        "pg_attribute" => listing.relations.iter().flat_map(attributes).collect(),
        "pg_type" => types(listing),
        "pg_database" => vec![vec![
            ("oid", int(5)),
            ("datname", text(&client.database)),
            ("datdba", int(OWNER)),
            ("encoding", int(6)),
            ("datlocprovider", text("c")),
            ("datistemplate", yes(false)),
            ("datallowconn", yes(true)),
            ("datconnlimit", int(-1)),
            ("dattablespace", int(1663)),
            ("datcollate", text("C")),
            ("datctype", text("C")),
            ("tableoid", int(1262)),
        ]],
        "pg_roles" | "pg_authid" => vec![vec![
            ("oid", int(OWNER)),
            ("rolname", text(&client.user)),
            ("rolsuper", yes(false)),
            ("rolinherit", yes(true)),
            ("rolcreaterole", yes(false)),
            ("rolcreatedb", yes(false)),
            ("rolcanlogin", yes(true)),
            ("rolreplication", yes(false)),
            ("rolconnlimit", int(-1)),
            ("rolbypassrls", yes(false)),
        ]],
        "pg_user" => vec![vec![
            ("usename", text(&client.user)),
            ("usesysid", int(OWNER)),
            ("usecreatedb", yes(false)),
            ("usesuper", yes(false)),
            ("userepl", yes(false)),
            ("usebypassrls", yes(false)),
        ]],
        "pg_settings" => {
            let setting = |(name, value): (&String, &String)| {
                vec![
                    ("name", text(name)),
                    ("setting", text(value)),
                    ("category", text("")),
                    ("short_desc", text("")),
                    ("context", text("user")),
                    ("vartype", text("string")),
                    ("source", text("session")),
                    ("boot_val", text(value)),
                    ("reset_val", text(value)),
                    ("pending_restart", yes(false)),
                ]
            };
            client.settings.iter().map(setting).collect()
        }
        "pg_description" => {
            let told = |relation: &Relation| {
                let description = relation.description.as_deref()?;
                Some(vec![
                    ("objoid", int(relation.oid)),
                    ("classoid", int(1259)),
                    ("objsubid", int(0)),
                    ("description", text(description)),
                ])
            };
            listing.relations.iter().filter_map(told).collect()
        }
        "pg_tables" => {
            let own = |relation: &&Relation| relation.kind == "r";
            let row = |relation: &Relation| {
                vec![
                    ("schemaname", text(&relation.schema)),
                    ("tablename", text(&relation.name)),
                    ("tableowner", text(&client.user)),
                    ("hasindexes", yes(false)),
                    ("hasrules", yes(false)),
                    ("hastriggers", yes(false)),
                    ("rowsecurity", yes(false)),
                ]
            };
            listing.relations.iter().filter(own).map(row).collect()
        }
        "pg_views" => {
            let row = |relation: &Relation| {
                let definition = relation.definition.as_deref()?;
                Some(vec![
                    ("schemaname", text(&relation.schema)),
                    ("viewname", text(&relation.name)),
                    ("viewowner", text(&client.user)),
                    ("definition", text(definition)),
                ])
            };
            listing.relations.iter().filter_map(row).collect()
        }
        "pg_tablespace" => {
            vec![vec![("oid", int(1663)), ("spcname", text("pg_default")), ("spcowner", int(OWNER))]]
        }
        "pg_am" => vec![vec![("oid", int(2)), ("amname", text("heap")), ("amtype", text("t"))]],
        "pg_collation" => vec![vec![
            ("oid", int(100)),
            ("collname", text("default")),
            ("collnamespace", int(PG_CATALOG)),
            ("collowner", int(OWNER)),
            ("collprovider", text("d")),
            ("collisdeterministic", yes(true)),
            ("collencoding", int(-1)),
        ]],
        "pg_language" => vec![vec![
            ("oid", int(14)),
            ("lanname", text("sql")),
            ("lanowner", int(OWNER)),
            ("lanispl", yes(false)),
        ]],
        "pg_stat_user_tables" => {
            let row = |relation: &Relation| {
                vec![
                    ("relid", int(relation.oid)),
                    ("schemaname", text(&relation.schema)),
                    ("relname", text(&relation.name)),
                ]
            };
            listing.relations.iter().map(row).collect()
        }
        "pg_stat_activity" => vec![vec![
            ("datid", int(5)),
            ("datname", text(&client.database)),
            ("pid", int(client.process.into())),
            ("usesysid", int(OWNER)),
            ("usename", text(&client.user)),
            ("state", text("active")),
            ("backend_type", text("client backend")),
        ]],
        "information_schema.schemata" => {
            let row = |(name, _): &(String, i64)| {
                vec![
                    ("catalog_name", text(&client.database)),
                    ("schema_name", text(name)),
                    ("schema_owner", text(&client.user)),
                ]
            };
            listing.schemas.iter().map(row).collect()
        }
        "information_schema.tables" => {
            listing.relations.iter().map(|relation| table_of(relation, client)).collect()
        }
        "information_schema.views" => {
            let row = |relation: &Relation| {
                let definition = relation.definition.as_deref()?;
                let mut row = named(relation, client);
                row.extend([
                    ("view_definition", text(definition)),
                    ("check_option", text("NONE")),
                    ("is_updatable", text("NO")),
                    ("is_insertable_into", text("NO")),
                ]);
                Some(row)
            };
            listing.relations.iter().filter_map(row).collect()
        }
        "information_schema.columns" => {
            listing.relations.iter().flat_map(|relation| columns_of(relation, client)).collect()
        }
        "information_schema.table_privileges" | "information_schema.role_table_grants" => {
            let row = |relation: &Relation| {
                let mut row = named(relation, client);
                row.extend([
                    ("grantor", text(&client.user)),
                    ("grantee", text(&client.user)),
                    ("privilege_type", text("SELECT")),
                    ("is_grantable", text("NO")),
                    ("with_hierarchy", text("YES")),
                ]);
                row
            };
            listing.relations.iter().map(row).collect()
        }
        "information_schema.enabled_roles" => vec![vec![("role_name", text(&client.user))]],
        "information_schema.information_schema_catalog_name" => {
            vec![vec![("catalog_name", text(&client.database))]]
        }
        _ => nulls,
    }
}

fn class(relation: &Relation, listing: &Listing, client: &Client) -> Row {
    let zero = [
        "reloftype",
        "relfilenode",
        "reltablespace",
        "relpages",
        "relallvisible",
        "reltoastrelid",
        "relchecks",
        "relrewrite",
    ];
    let no = [
        "relhasindex",
        "relisshared",
        "relhastriggers",
        "relhassubclass",
        "relrowsecurity",
        "relforcerowsecurity",
        "relispartition",
    ];
    let mut row = vec![
        ("oid", Datum::Int(relation.oid)),
        ("relname", Datum::text(&relation.name)),
        ("relnamespace", Datum::Int(listing.schema(&relation.schema))),
        ("reltype", Datum::Int(relation.oid + 1)),
        ("relowner", Datum::Int(OWNER)),
        ("relam", Datum::Int(if relation.kind == "r" { 2 } else { 0 })),
        ("reltuples", Datum::Float(-1.0)),
        ("relpersistence", Datum::text("p")),
        ("relkind", Datum::text(relation.kind)),
        ("relnatts", Datum::Int(relation.columns.len() as i64)),
        ("relhasrules", Datum::Bool(relation.kind == "v")),
        ("relispopulated", Datum::Bool(true)),
        // Nothing but reading is granted.
        ("relacl", Datum::List(vec![Datum::Text(format!("{0}=r/{0}", client.user))])),
        ("relreplident", Datum::text("d")),
        ("tableoid", Datum::Int(1259)),
        ("xmin", Datum::text("1")),
    ];
    row.extend(zero.map(|name| (name, Datum::Int(0))));
    row.extend(no.map(|name| (name, Datum::Bool(false))));
    row
}

fn attributes(relation: &Relation) -> Vec<Row> {
    let row = |(at, column): (usize, &super::listing::Attribute)| {
        let known = super::types::by_oid(column.kind.into());
        let text = matches!(column.kind, kind::TEXT | kind::NAME);
        vec![
            ("attrelid", Datum::Int(relation.oid)),
            ("attname", Datum::text(&column.name)),
            ("atttypid", Datum::Int(column.kind.into())),
            ("attstattarget", Datum::Int(-1)),
            ("attlen", Datum::Int(known.map_or(-1, |own| own.bytes))),
            ("attnum", Datum::Int(at as i64 + 1)),
            ("attndims", Datum::Int(0)),
            ("attcacheoff", Datum::Int(-1)),
            ("atttypmod", Datum::Int(-1)),
            ("attbyval", Datum::Bool(false)),
            ("attalign", Datum::text("i")),
            ("attstorage", Datum::text("p")),
            ("attcompression", Datum::text("")),
            ("attnotnull", Datum::Bool(column.not_null)),
            ("atthasdef", Datum::Bool(false)),
            ("atthasmissing", Datum::Bool(false)),
            ("attidentity", Datum::text("")),
            ("attgenerated", Datum::text("")),
            ("attisdropped", Datum::Bool(false)),
            ("attislocal", Datum::Bool(true)),
            ("attinhcount", Datum::Int(0)),
            ("attcollation", Datum::Int(if text { 100 } else { 0 })),
            ("tableoid", Datum::Int(1249)),
        ]
    };
    relation.columns.iter().enumerate().map(row).collect()
}

fn types(listing: &Listing) -> Vec<Row> {
    let mut out = Vec::new();
    let one = |oid: i64,
               name: String,
               bytes: i64,
               category: &str,
               kind: &str,
               element: i64,
               array: i64,
               relation: i64| {
        vec![
            ("oid", Datum::Int(oid)),
            ("typname", Datum::Text(name)),
            ("typnamespace", Datum::Int(if relation == 0 { PG_CATALOG } else { 2_200 })),
            ("typowner", Datum::Int(OWNER)),
            ("typlen", Datum::Int(bytes)),
            ("typbyval", Datum::Bool(false)),
            ("typtype", Datum::text(kind)),
            ("typcategory", Datum::text(category)),
            ("typispreferred", Datum::Bool(false)),
            ("typisdefined", Datum::Bool(true)),
            ("typdelim", Datum::text(",")),
            ("typrelid", Datum::Int(relation)),
            ("typsubscript", Datum::text("-")),
            ("typelem", Datum::Int(element)),
            ("typarray", Datum::Int(array)),
            ("typinput", Datum::text(if element == 0 { "-" } else { "array_in" })),
            ("typoutput", Datum::text(if element == 0 { "-" } else { "array_out" })),
            ("typreceive", Datum::text(if element == 0 { "-" } else { "array_recv" })),
            ("typsend", Datum::text(if element == 0 { "-" } else { "array_send" })),
            ("typalign", Datum::text("i")),
            ("typstorage", Datum::text("p")),
            ("typnotnull", Datum::Bool(false)),
            ("typbasetype", Datum::Int(0)),
            ("typtypmod", Datum::Int(-1)),
            ("typndims", Datum::Int(0)),
            ("typcollation", Datum::Int(if category == "S" { 100 } else { 0 })),
            ("tableoid", Datum::Int(1247)),
        ]
    };
    for own in &TYPES {
        let oid = i64::from(own.oid);
        let kind = if own.category == "P" { "p" } else { "b" };
        out.push(one(oid, own.name.into(), own.bytes, own.category, kind, 0, own.array.into(), 0));
        if own.array != 0 {
            out.push(one(own.array.into(), format!("_{}", own.name), -1, "A", "b", oid, 0, 0));
        }
    }
    for relation in &listing.relations {
        out.push(one(relation.oid + 1, relation.name.clone(), -1, "C", "c", 0, 0, relation.oid));
    }
    out
}

fn named(relation: &Relation, client: &Client) -> Row {
    vec![
        ("table_catalog", Datum::text(&client.database)),
        ("table_schema", Datum::text(&relation.schema)),
        ("table_name", Datum::text(&relation.name)),
    ]
}

fn table_of(relation: &Relation, client: &Client) -> Row {
    let mut row = named(relation, client);
    row.extend([
        ("table_type", Datum::text(if relation.kind == "v" { "VIEW" } else { "BASE TABLE" })),
        ("is_insertable_into", Datum::text("NO")),
        ("is_typed", Datum::text("NO")),
    ]);
    row
}

fn columns_of(relation: &Relation, client: &Client) -> Vec<Row> {
    let column = |(at, column): (usize, &super::listing::Attribute)| {
        let oid = i64::from(column.kind);
        let known = super::types::by_oid(oid);
        let bits = match column.kind {
            kind::INT2 => Some((16, 2, Some(0))),
            kind::INT4 => Some((32, 2, Some(0))),
            kind::INT8 => Some((64, 2, Some(0))),
            kind::FLOAT8 => Some((53, 2, None)),
            _ => None,
        };
        let number = |n: Option<i64>| n.map_or(Datum::Null, Datum::Int);
        let udt = known.map_or_else(
            || {
                TYPES
                    .iter()
                    .find(|own| i64::from(own.array) == oid)
                    .map_or("text".into(), |own| format!("_{}", own.name))
            },
            |own| own.name.to_string(),
        );
        let mut row = named(relation, client);
        row.extend([
            ("column_name", Datum::text(&column.name)),
            ("ordinal_position", Datum::Int(at as i64 + 1)),
            ("is_nullable", Datum::text(if column.not_null { "NO" } else { "YES" })),
            ("data_type", Datum::text(if known.is_some() { shown(oid) } else { "ARRAY".into() })),
            ("numeric_precision", number(bits.map(|(bits, _, _)| bits))),
            ("numeric_precision_radix", number(bits.map(|(_, radix, _)| radix))),
            ("numeric_scale", number(bits.and_then(|(_, _, scale)| scale))),
            ("datetime_precision", number((column.kind == kind::TIMESTAMPTZ).then_some(6))),
            ("udt_catalog", Datum::text(&client.database)),
            ("udt_schema", Datum::text("pg_catalog")),
            ("udt_name", Datum::Text(udt)),
            ("dtd_identifier", Datum::Text((at + 1).to_string())),
            ("is_self_referencing", Datum::text("NO")),
            ("is_identity", Datum::text("NO")),
            ("identity_cycle", Datum::text("NO")),
            ("is_generated", Datum::text("NEVER")),
            ("is_updatable", Datum::text("NO")),
        ]);
        row
    };
    relation.columns.iter().enumerate().map(column).collect()
}

/// The table that a name means, if it is one of the catalogue: `pg_class`, `pg_catalog.pg_class`, `information_schema.tables`.
pub(crate) fn known(parts: &[String]) -> Option<&'static (&'static str, &'static str)> {
    let name = match parts {
        [.., schema, name] if schema == "information_schema" => format!("information_schema.{name}"),
        [.., schema, name] if schema == "pg_catalog" => name.clone(),
        [name] => name.clone(),
        _ => return None,
    };
    TABLES.iter().find(|(own, _)| *own == name)
}

/// The type that a column's is called.
pub(crate) fn kind_of(word: &str) -> u32 {
    match word {
        "oid" => kind::OID,
        "name" => kind::NAME,
        "char" => kind::CHAR,
        "bool" => kind::BOOL,
        "int2" => kind::INT2,
        "int4" => kind::INT4,
        "int8" => kind::INT8,
        "float8" => kind::FLOAT8,
        "timestamptz" => kind::TIMESTAMPTZ,
        "bytea" => kind::BYTEA,
        "text[]" => kind::TEXTS,
        "char[]" => kind::CHARS,
        "oid[]" => kind::OIDS,
        "int2[]" => kind::INT2S,
        _ => kind::TEXT,
    }
}
