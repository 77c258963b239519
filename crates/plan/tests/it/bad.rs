//! Bad files: each is told what is wrong, at the right line and column, and only that.

use crate::{SHOP, parse};

/// `(find, replace, message, hint)`: in the shop, `find` becomes `replace`, in which `«` marks where the problem is to be
/// found; then a part of its message and one of its hint.
type Case = (&'static str, &'static str, &'static str, &'static str);

fn check_all(cases: &[Case]) {
    for (find, replace, message, hint) in cases {
        assert_eq!(SHOP.matches(find).count(), 1, "{find} must be in the shop once");
        check(&SHOP.replacen(find, replace, 1), message, hint);
    }
}

/// One cause, one problem: at the mark, in words and as shown. Without a mark it concerns the whole file.
fn check(marked: &str, message: &str, hint: &str) {
    let text = marked.replacen('«', "", 1);
    let at = marked.find('«').map(|at| {
        let line_start = marked[..at].rfind('\n').map_or(0, |at| at + 1);
        (marked[..at].matches('\n').count() + 1, marked[line_start..at].chars().count() + 1)
    });
    let Err(problems) = parse(&text, &[]) else { panic!("accepted:\n{text}") };
    let told: Vec<_> = problems.iter().map(|p| (problems.position(p), &p.message, &p.hint)).collect();
    assert_eq!(told.len(), 1, "{marked}\n{told:#?}");
    assert_eq!(told[0].0, at, "{marked}\n{told:#?}");
    assert!(told[0].1.contains(message), "expected {message:?}: {told:#?}");
    assert!(told[0].2.as_deref().unwrap_or("").contains(hint), "expected {hint:?}: {told:#?}");
    let shown =
        at.map_or("--> shop.toml\n".to_string(), |(line, column)| format!("--> shop.toml:{line}:{column}\n"));
    let rendered = problems.render(false);
    assert!(
        rendered.contains(&shown) || (at.is_none() && rendered.contains("--> shop.toml")),
        "{shown}{rendered}"
    );
}

#[test]
fn top_level_keys() {
    check_all(&[
        ("memory   =", "«memroy   =", "unknown key `memroy`", "did you mean `memory`?"),
        ("memory   =", "«colour =", "unknown key `colour`", "there are `accuracy`"),
        ("memory   =", "«disk =", "`disk` is not supported by this version", ""),
        ("memory   =", "«\"\" =", "unknown key ``", ""),
        ("\"64MiB\"", "«64", "`memory` must be a string", "quotes"),
        ("\"64MiB\"", "«64.5", "`memory` must be a string", "quotes"),
        ("\"64MiB\"", "«2015-09-12", "`memory` must be a string", "quotes"),
        ("\"64MiB\"", "«99999999999999999999", "`memory` must be a string", "quotes"),
        ("\"64MiB\"", "«\"64mib\"", "did you mean `64MiB`?", ""),
        ("\"64MiB\"", "«\"1KiB\"", "too small", ""),
        ("\"64MiB\"", "«\"9999999GiB\"", "too large", ""),
        ("\"2% @ 95%\"", "«\"2%\"", "not an accuracy", ""),
        ("\"2% @ 95%\"", "«\"0% @ 95%\"", "between 0.01% and 50%", ""),
        ("\"1% @ 95%\"", "«\"1% @ 9%\"", "between 50% and 99.9999%", ""),
        ("\"1% @ 95%\"", "«\"1% @ 99%\"", "confidence of a metric differs", "one confidence"),
        ("\"shop\"", "«\"my/shop\"", "not a name for a pipeline", ""),
        ("\"shop\"", "«\"\"", "not a name for a pipeline", ""),
        ("\"shop\"", "«[\"shop\"]", "`name` must be a string", ""),
        ("[metric]\n", "[«rule.ddos]\nevery = \"1s\"\n[metric]\n", "`rule` is not supported", ""),
        ("memory   =", "view = «1\nmemory   =", "`view` must be a table", ""),
        ("[metric.errors]", "[«metrics.errors]", "unknown key `metrics`", "did you mean `metric`?"),
    ]);
}

#[test]
fn panes() {
    check_all(&[
        ("\"1s:15m\"", "«\"1s\"", "not a level of panes", "size:keep"),
        ("\"1s:15m\"", "«\"1s:15 minutes\"", "not a length of time", ""),
        ("\"1s:15m\"", "«\"0s:15m\"", "no time at all", ""),
        ("\"1s:15m\", \"1m:2d\"", "\"1m:15m\", «\"1m:2d\"", "panes of 1m come after panes of 1m", ""),
        ("\"1s:15m\", \"1m:2d\"", "\"7s:15m\", «\"1m:2d\"", "7s does not divide 1m", "multiple of 7s"),
        ("\"1m:2d\"", "«\"1m:30s\"", "shorter than one pane", "at least 1m"),
        (
            "\"1h:35d\", \"1d",
            "«\"1h:1d\", \"1d",
            "panes of 1h are kept for 1d, those of 1m for 2d",
            "2d or more",
        ),
        ("\"1s:15m\"", "«3", "`an element of panes` must be a string", "quotes"),
        ("[\"1m:6h\", \"1h:35d\"]", "«[]", "`panes` is empty", ""),
        ("[\"1m:6h\", \"1h:35d\"]", "«\"1m:6h\"", "`panes` must be an array", ""),
        ("\"5m\"", "«\"5m\", panes = [\"1s:5m\"]", "both say how long", ""),
        ("\"forever\"", "«\"forever\", panes = [\"1s:5m\"]", "keeps only the total", ""),
        ("\"5m\"", "«\"5ms\"", "`keep` is shorter than one pane of 1s", ""),
        ("\"5m\"", "«\"always\"", "or \"forever\"", ""),
    ]);
}

#[test]
fn sources() {
    const PATHS: &str = "[\"events.ndjson\", \"more/*.jsonl.gz\"]";
    check_all(&[
        (
            "events]\nkind   = \"file\"\npath   = [\"events.ndjson\", \"more/*.jsonl.gz\"]\n",
            "«events]\n",
            "source `events` has no `kind`",
            "",
        ),
        ("\"file\"", "«\"kafka\"", "kind `kafka` is not supported", "`file`, `stdin` and `http`"),
        ("\"file\"", "«\"fiel\"", "unknown kind `fiel`", "did you mean `file`?"),
        ("\"file\"", "«\"carrier pigeon\"", "unknown kind", "there are `file`, `stdin` and `http`"),
        ("\"file\"\n", "\"stdin\"\nformat = \"csv\"\n«", "standard input has no `path`", ""),
        ("\"file\"\n", "\"http\"\n«", "over HTTP has no `path`", "kind = \"file\""),
        ("path   =", "«pth    =", "unknown key `pth`", "did you mean `path`?"),
        (PATHS, "«[]", "names no file", ""),
        (PATHS, "«\"\"\nformat = \"csv\"", "the path is empty", ""),
        (PATHS, "«7", "a string or an array of strings", "quotes"),
        ("\"more/*.jsonl.gz\"", "«\"a.csv\"", "have different formats", "make two of it"),
        ("\"more/*.jsonl.gz\"", "«\"data.log\"", "does not tell its format", "format = \"ndjson\""),
        ("\"more/*.jsonl.gz\"", "«\"-\"", "does not tell its format", "format = \"ndjson\""),
        ("\"more/*.jsonl.gz\"", "«\"events.ndjson\"", "is there twice", "counted twice"),
        ("null   =", "«delimiter = \";\"\nnull =", "`delimiter` is for `csv` and `tsv`", ""),
        ("[\"NA\", \"-\"]", "«\"NA\"", "an array of strings", ""),
        ("[\"NA\", \"-\"]", "[\"NA\", «0]", "an element of null", ""),
        ("null   =", "derive = { «\"a b\" = \"c\" }\nnull =", "not a name for a column", ""),
        ("null   =", "derive = { a = «7 }\nnull =", "must be a string", ""),
        ("null   =", "derive = { a = \"lower(b) «c\" }\nnull =", "ends before `c`", ""),
        ("null   =", "explode = { a = «\"b\" }\nnull =", "needs an expression", "string_to_array"),
        ("null   =", "explode = { a = «\"lower(b)\" }\nnull =", "needs a list", "string_to_array"),
        ("null   =", "format = «\"xml\"\nnull =", "unknown format `xml`", ""),
        ("null   =", "format = «\"avro\"\nnull =", "format `avro` is not supported", "`lines`"),
        ("null   =", "format = «\"combind\"\nnull =", "unknown format", "did you mean `combined`?"),
        ("null   =", "record_max = «\"1B\"\nnull =", "at least 16B", ""),
        ("\"quarantine\"", "«\"keep\"", "unknown bad `keep`", "`count` and `quarantine`"),
        ("\"quarantine\"", "\"count\"\nquarantine = «\"x\"", "nothing is quarantined here", ""),
        ("\"quarantine\"", "\"quarantine\"\nquarantine = «\"events.ndjson\"", "a file that is read", ""),
        ("[source.events]", "[source.«\"my events\"]", "not a name for a source", ""),
        ("[source.events]", "[source.«\"sg.events\"]", "reserved", ""),
    ]);
}

#[test]
fn bodies_are_lines() {
    for format in ["csv", "tsv", "parquet"] {
        let text =
            format!("[source.s]\nkind = \"http\"\nformat = «\"{format}\"\n[metric]\nm = \"count()\"\n");
        check(&text, &format!("not `{format}`"), "post NDJSON");
    }
}

#[test]
fn serving() {
    let check = |serve: &str, message: &str, hint: &str| {
        let source = "[source.s]\nkind = \"http\"\n[metric]\nm = \"count()\"\n";
        check(&format!("[serve]\n{serve}\n{source}"), message, hint);
    };
    check("listen = «8428", "`listen` must be a string", "quotes");
    check("listen = «\"8428\"", "`8428` is no address", "");
    check("listen = «\"example.com:80\"", "is no address", "");
    check("listen = «\"127.0.0.1:99999\"", "is no address", "");
    check("listen = «\"0.0.0.0:8428\"", "would take events from anybody", "add token = { env");
    check("postgres = «\"0.0.0.0:5433\"", "would answer anybody", "add read_token = { env");
    check("postgres = «\"5433\"", "is no address", "");
    check("body_max = «\"1GiB\"", "too large", "");
    check("body_max = «\"1B\"", "too small", "");
    check("query = «5", "`query` must be a table", "as in query");
    check("query = { memory = «\"1B\" }", "too small", "");
    check("query = { timeout = «\"2h\" }", "too long: at most 1h", "");
    check("query = { rows = «0 }", "a whole number from 1", "");
    check("«lisen = \"127.0.0.1:1\"", "unknown key `lisen`", "did you mean `listen`?");
    check("«token = {}", "`token` is kept in one place", "{ file = ");
}

#[test]
fn a_token_in_the_file_is_not_shown() {
    let text = "serve = { token = \"s3cret\" }\n[source.s]\nkind = \"http\"\n[metric]\nm = \"count()\"\n";
    let problems = parse(text, &[]).unwrap_err();
    let shown = problems.render(false);
    assert!(shown.contains("never the secret itself") && !shown.contains("s3cret"), "{shown}");
}

#[test]
fn parquet_is_no_stream() {
    for source in
        ["path = [\"a.parquet\", «\"-\"]\nformat = \"parquet\"", "«kind = \"stdin\"\nformat = \"parquet\""]
    {
        let source = source.replacen("«kind", "kind", 1);
        let name = if source.starts_with("kind") { "«s" } else { "s" };
        let file = format!("[source.{name}]\n{source}\n[metric]\nm = \"count()\"\n");
        check(&file, "read from its end", "write it to a file");
    }
}

#[test]
fn a_format_with_fields_of_its_own_has_no_others() {
    let file = |format: &str, time: &str, measure: &str| {
        format!(
            "[source.s]\npath = \"a.log\"\nformat = \"{format}\"\n{time}\n[metric]\nm = \"unique({measure})\"\n"
        )
    };
    for (format, time, measure, message, hint) in [
        ("clf", "", "«referrer", "there is no field `referrer`", "there are `host`"),
        ("combined", "", "«referer", "there is no field `referer`", "did you mean `referrer`?"),
        ("combined", "", "«agent", "there is no field `agent`", "`user_agent`"),
        (
            "combined",
            "time = { field = «\"tme\" }",
            "host",
            "there is no field `tme`",
            "did you mean `time`?",
        ),
        ("lines", "", "«lin", "there is no field `lin`", "did you mean `line`?"),
        (
            "lines",
            "«header = true",
            "line",
            "`header` is for `csv` and `tsv`, this source is `lines`",
            "leave it out",
        ),
        ("lines", "", "«user", "there is no field `user`", "`explode` and `derive`"),
    ] {
        check(&file(format, time, measure), message, hint);
    }
}

#[test]
fn fields_and_time() {
    const TIME: &str = "{ field = \"ts\", lateness = \"2s\", later = \"correct\", ahead = \"1h\" }";
    check_all(&[
        ("\"float64\"", "«\"double\"", "unknown type `double`", "did you mean `float64`?"),
        ("\"int64\"", "«\"int\"", "unknown type `int`", "did you mean `int64`?"),
        ("\"int64\"", "«\"date\"", "unknown type `date`", "there are"),
        ("status = \"int64\"", "status = «64", "must be a string with its type", "quotes"),
        ("status = \"int64\"", "status = \"int64\", «\"\" = \"bool\"", "name of a field is empty", ""),
        ("field = \"ts\"", "field = «\"\"", "name of a field is empty", ""),
        (TIME, "{ row = «\"0s\" }", "no time at all", ""),
        (TIME, "{ row = «1 }", "`row` must be a string", "quotes"),
        (
            TIME,
            "{ row = \"1s\", «lateness = \"2s\" }",
            "`lateness` has no meaning with `row`",
            "none is late",
        ),
        (TIME, "{ row = \"1s\", «field = \"ts\" }", "`field` has no meaning with `row`", ""),
        (TIME, "{ row = \"1s\", «idle = \"2s\" }", "`idle` has no meaning with `row`", ""),
        (TIME, "{ row = \"1s\", «lat = \"2s\" }", "unknown key `lat`", ""),
        ("field = \"ts\"", "«feild = \"ts\"", "unknown key `feild`", "did you mean `field`?"),
        ("time   = { field = \"ts\", ", "«time   = { ", "does not say which `field`", ""),
        ("lateness = \"2s\"", "idle = «\"0s\"", "no time at all", ""),
        ("lateness = \"2s\"", "lateness = «\"soon\"", "not a length of time", ""),
        ("lateness = \"2s\"", "«latenes = \"2s\"", "unknown key `latenes`", "did you mean `lateness`?"),
        ("later = \"correct\"", "later = «\"forgive\"", "unknown later `forgive`", "there are"),
        ("ahead = \"1h\"", "ahead = «\"0s\"", "no time at all", ""),
        ("ahead = \"1h\"", "agree = «0", "a whole number from 1 to 65536", ""),
        ("ahead = \"1h\"", "unit = «\"m\"", "unknown unit `m`", ""),
        ("ahead = \"1h\"", "pattern = «\"%H:%M\"", "not a pattern of times", ""),
        ("ahead = \"1h\"", "pattern = «\"%Q%Q\"", "not a pattern of times", ""),
        ("ahead = \"1h\"", "«unit = \"s\", pattern = \"%Y-%m-%d\"", "`unit` is for numbers", ""),
        ("ahead = \"1h\"", "«zone = \"UTC\"", "`zone` is for a `pattern`", "leave it out"),
        ("ahead = \"1h\"", "unit = \"s\", «zone = \"UTC\"", "`zone` is for a `pattern`", ""),
        ("ahead = \"1h\"", "pattern = \"%F %T %z\", «zone = \"UTC\"", "has an offset", "leave `zone` out"),
        ("ahead = \"1h\"", "pattern = \"%F %T %Q\", «zone = \"UTC\"", "has an offset", ""),
        ("ahead = \"1h\"", "pattern = \"%s\", «zone = \"UTC\"", "has an offset", ""),
        ("ahead = \"1h\"", "pattern = \"%F\", zone = «\"Europe/Berln\"", "did you mean `Europe/Berlin`?", ""),
        ("ahead = \"1h\"", "pattern = \"%F\", zone = «\"berlin\"", "did you mean `Europe/Berlin`?", ""),
        ("ahead = \"1h\"", "pattern = \"%F\", zone = «\"moon\"", "write an IANA name", ""),
        ("ahead = \"1h\"", "pattern = \"%F\", zone = «2", "`zone` must be a string", ""),
        ("ahead = \"1h\"", "pattern = «\"%F %T %Z\"", "not a pattern of times", ""),
        (TIME, "«\"ts\"", "`time` must be a table", "time = { field = \"ts\" }"),
        (TIME, "«\"arival\"", "`time` must be a table", "did you mean time = \"arrival\"?"),
        (TIME, "«5", "`time` must be a table", ""),
    ]);
}

#[test]
fn metrics() {
    const BY: &str = "by = [[], [\"device\"]]";
    check_all(&[
        ("visitors  =", "«\"sg.visitors\" =", "reserved", ""),
        ("visitors  =", "«\"the visitors\" =", "not a name for a metric", "letter"),
        ("visitors  =", "«1st =", "`1st` is not a name for a metric", ""),
        (
            "visitors  = { measure = \"unique(user_id)\", ",
            "«visitors = { ",
            "`visitors` has no `measure`",
            "",
        ),
        ("events    = \"count()\"", "events = «3", "must be a measure or a table", ""),
        (BY, "by = «\"device\"", "`by` must be an array of fields", ""),
        (BY, "by = [[], «\"device\"]", "mixes fields and lists", ""),
        (BY, "by = [[], «[]]", "grouping set is there twice", ""),
        (BY, "by = [[\"a\", \"b\"], «[\"b\", \"a\"]]", "grouping set is there twice", ""),
        (BY, "by = [\"device\", «\"device\"]", "`device` is there twice", ""),
        (BY, "by = [«\"\"]", "name of a field is empty", ""),
        (BY, "by = [«3]", "an element of by", ""),
        (BY, "by = [«\"lower(device)\"]", "`by` takes names", "derive = { name = \"lower(device)\" }"),
        (BY, "«keys = \"5 + other\"", "`keys` bounds groups", "add `by`"),
        ("\"200 + other\"", "«\"200\"", "not a bound of groups", ""),
        ("\"200 + other\"", "«\"0 + other\"", "between 1 and 1000000", ""),
        ("keys = \"200 + other\"", "«key = \"200 + other\"", "unknown key `key`", "did you mean `keys`?"),
        ("keys = \"200 + other\"", "size = «\"1M @ 1%\"", "`size` is for `seen`", "accuracy"),
        ("keys = \"200 + other\"", "«where = \"a\"", "belongs to the measure", "filter (where"),
        (
            "[metric.errors]\n",
            "[metric.errors]\nfrom = «\"event\"\n",
            "there is no source `event`",
            "`events`?",
        ),
        (
            "[metric.errors]\nmeasure  = \"sum(status)\"",
            "[metric.errors.«measures]\nx = \"sum(status)\"\n[metric.errors]",
            "`measures` is not supported",
            "",
        ),
    ]);
}

#[test]
fn measures() {
    check_all(&[
        ("\"count()\"\n", "\"«cuont()\"\n", "unknown measure `cuont`", "did you mean `count`?"),
        ("\"unique(user_id)\"", "\"unique(user_id) filter (where «user_id)\"", "no condition", "`fields`"),
        (
            "\"unique(user_id)\"",
            "\"unique(user_id) filter (where «user_id || 'a')\"",
            "no condition",
            "compare",
        ),
        ("\"unique(user_id)\"", "\"unique(«lowr(user_id))\"", "no function `lowr`", "did you mean `lower`?"),
        ("\"unique(user_id)\"", "\"unique(«max(user_id))\"", "no function `max`", "a measure stands outside"),
        ("\"unique(user_id)\"", "\"unique(«random() + 1)\"", "`random` does not give the same", ""),
        ("\"unique(user_id)\"", "\"unique(«now())\"", "does not give the same", "time it carries"),
        ("\"unique(user_id)\"", "\"unique(«string_to_array(user_id, ','))\"", "no column", "`explode`"),
        ("\"sum(status)\"", "\"sum(status) «/ 2\"", "no part of a measure", "only a filter"),
        ("\"sum(status)\"", "'sum(status +« )'", "not an SQL expression", ""),
        ("\"sum(status)\"", "\"sum(\\\"é\\\" + 1 «x)\"", "ends before", ""),
        ("\"sum(status)\"", "\"\\u0073um(status +1 = «= 2)\"", "not an SQL expression", ""),
        ("\"sum(status)\"", "\"sum(«lower(page))\"", "gives a string and no number", "cast"),
        ("\"top(page, 50)\"", "\"top(page, weight => «user_id)\"", "no whole number", "int64"),
        ("\"top(page, 50)\"", "\"top(page, weight => «latency_ms / 2)\"", "no whole number", "bigint"),
        ("\"sum(status)\"", "\"\"\"\nsum(\n  status,\n  «2)\"\"\"", "`sum` takes one field", ""),
        ("\"top(page, 50)\"", "\"top(page, «0)\"", "whole number of items, 1 to 10000", ""),
        ("\"top(page, 50)\"", "\"top«(page\"", "parenthesis of `top` is not closed", ""),
        ("\"top(page, 50)\"", "\"«top\"", "lacks its parentheses", "top(field)"),
        ("\"top(page, 50)\"", "\"«\"", "measure is empty", ""),
        ("\"quantiles(latency_ms)\"", "\"quantiles(latency_ms, «99)\"", "between 0 and 1", "0.99"),
        ("\"quantiles(latency_ms)\"", "\"histogram(latency_ms, 5, «1)\"", "not above the one before", ""),
        ("\"freq(ip)\"", "\"«funnel(ip)\"", "measure `funnel` is not supported by this version", ""),
        ("\"freq(ip)\"", "\"avg(«user_id)\"", "`user_id` is a string and no number", "float64"),
        (
            "\"freq(ip)\"",
            "\"avg(«page)\"",
            "`page` is used as a number here and as text",
            "page = \"float64\"",
        ),
        ("\"freq(ip)\"", "«5", "`measure` must be a string", ""),
    ]);
}

#[test]
fn verdicts() {
    let with = |line: &str| {
        format!("source.events = {{ path = \"e.ndjson\", time = {{ field = \"ts\" }} }}\n[metric]\n{line}\n")
    };
    for (line, message, hint) in [
        ("«again = \"seen(id)\"", "does not say its `size`", "1M @ 1%"),
        (
            "«id = { measure = \"seen(id)\", size = \"1k @ 1%\" }",
            "both the verdict and what it is about",
            "another name",
        ),
        ("again = { measure = \"seen(id)\", size = «\"1M\" }", "not a size", "as in"),
        ("again = { measure = \"seen(id)\", size = «\"1Q @ 1%\" }", "not a size", "as in"),
        ("again = { measure = \"seen(id)\", size = «\"0 @ 1%\" }", "keys", ""),
        ("again = { measure = \"seen(id)\", size = «\"9000M @ 1%\" }", "", ""),
        (
            "again = { measure = \"seen(id)\", size = \"1k @ 1%\", «by = [\"a\"] }",
            "without `by`",
            "group what uses it",
        ),
        (
            "again = { measure = \"seen(id)\", size = \"1k @ 1%\", «panes = [\"1m:1h\"] }",
            "without `panes`",
            "",
        ),
        (
            "«a = { measure = \"seen(x) filter (where b)\", size = \"1k @ 1%\" }\nb = { measure = \"seen(y) filter (where a)\", size = \"1k @ 1%\" }",
            "by way of itself: a of b of a",
            "circle",
        ),
    ] {
        check(&with(line), message, if hint == "as in" { "" } else { hint });
    }
    let derived = "source.events = { path = \"e.ndjson\", derive = { «a = \"b + 1\", b = \"a + 1\" } }\nmetric.n = \"sum(a)\"\n";
    check(derived, "`a` is defined by way of itself: a of b of a", "circle");
    let twice = "source.events = { path = \"e.ndjson\", derive = { again = \"lower(a)\" } }\n\
                 metric.«again = { measure = \"seen(user)\", size = \"1k @ 1%\" }\n";
    check(twice, "`again` is a column of `derive` already, and a `seen` metric here", "another name");
    let late = "source.events = { path = \"e.ndjson\", time = { field = «\"t\" }, derive = { t = \"case when again then x else y end\" } }\n\
                metric.again = { measure = \"seen(x)\", size = \"1k @ 1%\" }\n";
    check(late, "depends on a verdict", "the record alone");
    let forgets = |time: &str, keys: &str, keep: &str| {
        format!(
            "source.events = {{ path = \"e.ndjson\"{time} }}\n\
             metric.again = {{ measure = \"seen(x)\", size = {keys} @ 1%\", keep = {keep}\" }}\n"
        )
    };
    let untimed = forgets("", "\"1k", "«\"5m");
    check(&untimed, "has no `time`, so nothing says how long ago a key came", "keep = \"forever\"");
    let late = ", time = { field = \"t\", lateness = \"10m\" }";
    check(&forgets(late, "«\"100M", "\"10s"), "too much for one filter", "within `keep`");
    check(&forgets(late, "\"1M", "«\"0s"), "", "");
}

#[test]
fn sessions() {
    let check_metric = |source: &str, metric: &str, message: &str, hint: &str| {
        let text = format!("source.e = {{ path = \"a.ndjson\"{source} }}\n[metric]\n{metric}\n");
        check(&text, message, hint);
    };
    let timed = ", time = { field = \"ts\" }";
    let cases = [
        ("visits = \"«session(user)\"", "does not say its `gap`", "gap => '30m'"),
        ("visits = \"session(user, «gap => 30m)\"", "in quotes", "gap => '30m'"),
        ("visits = \"session(user, gap => '30m', «open => 'x')\"", "held at once", "1M"),
        (
            "visits = { measure = \"session(user, gap => '30m')\", «by = [\"device\"] }",
            "`session` takes no `by`",
            "filter (where",
        ),
        (
            "visits = { measure = \"session(user, gap => '30m')\", size = «\"1k @ 1%\" }",
            "`size` is for `seen`",
            "open => '1M'",
        ),
        ("visits = \"«sessions(user)\"", "unknown measure", "did you mean `session`?"),
    ];
    for (metric, message, hint) in cases {
        check_metric(timed, metric, message, hint);
    }
    let visits = "[metric]\nvisits = \"session(user, gap => '30m')\"";
    let leaving = "[sink.out]\nkind = \"stdout\"\nmetrics = [«\"visits\"]";
    let text = format!("source.e = {{ path = \"a.ndjson\"{timed} }}\n{visits}\n{leaving}\n");
    check(&text, "is of sessions", "leave it out");
    let no_time = "visits = \"session(«user, gap => '30m')\"";
    check_metric("", no_time, "source `e` has no `time`", "add time =");
}

#[test]
fn syntax_errors_are_told_alone() {
    for (text, message) in [
        ("name = \"a«", "invalid basic string"),
        ("name = «", "quoted"),
        ("a = 1\nb = [1, 2«\n", "unclosed array"),
        ("a = 1\n«a = 2", "duplicate key"),
        ("a = 1\n\nb «c = 3", ""),
        ("a.b = 1\n«a = 2", "duplicate key"),
        ("[metric«\nx = 1", "unclosed table"),
        ("a = 1\nb = «01", ""),
    ] {
        check(text, message, "");
    }
}

/// Small files, because these problems concern more than one table.
#[test]
fn whole_files() {
    let file = "[source.s]\nkind = \"file\"\npath = \"a.csv\"\n";
    let count = "[metric]\nm = \"count()\"\n";
    let csv = format!("{file}header = false\ncolumns = [\"user\", \"page\"]\n");
    for (text, message, hint) in [
        (count.to_string(), "there is no source", "add [source.events]"),
        (format!("[source]\n{count}"), "there is no source", "add [source.events]"),
        (file.to_string(), "there is no metric", "visitors"),
        (format!("{file}[metric]"), "there is no metric", "visitors"),
        (format!("source = «1\n{count}"), "`source` must be a table", ""),
        (format!("source.s = «1\n{count}"), "`s` must be a table", "[source.s]"),
        (format!("metric = «[1]\n{file}"), "`metric` must be a table", ""),
        (format!("[source.«s]\nkind = \"file\"\n{count}"), "has no `path`", ""),
        (
            format!("[source.«s]\nkind = \"stdin\"\n{count}"),
            "standard input does not tell its format",
            "ndjson",
        ),
        (
            format!("{file}[source.t]\nkind = \"file\"\npath = \"b.csv\"\n[metric]\n«m = \"count()\""),
            "which source it reads",
            "`s` and `t`",
        ),
        (
            format!("panes = [\"1m:1h\"]\n{file}{count}").replace("panes", "«panes"),
            "no source has `time`",
            "",
        ),
        (
            format!("{file}[metric]\nm = {{ measure = \"count()\", keep = «\"5m\" }}"),
            "so there are no panes",
            "",
        ),
        (
            format!("{file}[metric]\nm = {{ measure = \"count()\", «panes = [\"1m:5m\"] }}"),
            "so there are no panes",
            "",
        ),
        (format!("{file}header = «false\n{count}"), "the columns have no names", "columns ="),
        (format!("{file}«columns = [\"a\"]\n{count}"), "only where there is no header", ""),
        (format!("{file}header = false\ncolumns = «[]\n{count}"), "names no column", ""),
        (
            format!("{file}header = false\ncolumns = [\"a\", «\"a\"]\n{count}"),
            "column `a` is there twice",
            "",
        ),
        (format!("{csv}[metric]\nm = \"top(«pgae)\""), "there is no column `pgae`", "did you mean `page`?"),
        (
            format!("{csv}[metric]\nm = {{ measure = \"count()\", by = [«\"usr\"] }}"),
            "there is no column `usr`",
            "`user`?",
        ),
        (
            format!("{csv}time = {{ field = «\"ts\" }}\n[metric]\nm = \"top(page)\""),
            "there is no column `ts`",
            "",
        ),
        (format!("{file}delimiter = «\";;\"\n{count}"), "one ASCII character", ""),
        (format!("{file}delimiter = «'\"'\n{count}"), "cannot be a quote", ""),
        (format!("{file}quote = «\"no\"\n{count}"), "true or false", ""),
        (
            format!("{file}fields = {{ a.b = \"bool\", «\"a.b\" = \"bool\" }}\n{count}"),
            "field `a.b` is declared twice",
            "",
        ),
        (
            format!("{file}[metric]\nm = \"avg(x)\"\nn = {{ measure = \"count()\", by = [«\"x\"] }}"),
            "used as text here",
            "fields",
        ),
        (format!("{file}«bda = \"count\"\n{count}"), "unknown key `bda`", "did you mean `bad`?"),
    ] {
        check(&text, message, hint);
    }
}

#[test]
fn sources_do_not_share_what_only_one_can_have() {
    let stdin = "kind = \"stdin\"\nformat = \"csv\"\nbad = \"quarantine\"\nquarantine = \"q\"\n";
    let other = "kind = \"file\"\nformat = \"csv\"\nbad = \"quarantine\"\n";
    let metric = "[metric]\nm = { measure = \"count()\", from = \"s\" }";
    let both = format!("[source.s]\n{stdin}[source.«t]\n{other}path = \"-\"\n{metric}");
    check(&both, "reads standard input, and so does another", "only one");
    let same = format!("[source.s]\n{stdin}[source.t]\n{other}path = \"a\"\nquarantine = «\"q\"\n{metric}");
    check(&same, "another source has the same quarantine file", "another path");
}

#[test]
fn all_problems_are_told_in_the_order_of_the_file() {
    let text = SHOP
        .replace("memory ", "memroy ")
        .replace("count()\"\n", "cuont()\"\n")
        .replace("\"file\"", "\"fiel\"");
    let problems = parse(&format!("{text}[rule]\n"), &[]).unwrap_err();
    let told: Vec<_> =
        problems.iter().map(|p| (problems.position(p).unwrap().0, p.message.as_str())).collect();
    let expected = [
        (3, "unknown key `memroy`"),
        (8, "unknown kind `fiel`"),
        (21, "unknown measure `cuont`"),
        (26, "`rule` is not supported by this version"),
    ];
    assert_eq!(told, expected);
}

#[test]
fn overrides_are_named_instead_of_a_line() {
    for (set, column, message) in [
        ("source.events.kind=kafak", 20, "unknown kind `kafak`"),
        ("source.events.knid=file", 15, "unknown key `knid`"),
        ("metric.x=unique(a b)", 19, "ends before `b`"),
        ("metric.x=\"unique(a b)\"", 20, "ends before `b`"),
        ("name=7", 6, "`name` must be a string"),
        ("metric.events.keep=forever", 8, "`events` is a string in the file, not a table"),
        ("panes=[\"1m\"]", 8, "not a level"),
    ] {
        let problems = parse(SHOP, &[set]).expect_err(set);
        let told: Vec<_> =
            problems.iter().map(|p| (problems.position(p).unwrap(), p.message.clone())).collect();
        assert_eq!(told.len(), 1, "{set}: {told:?}");
        assert_eq!(told[0].0, (1, column), "{set}: {told:?}");
        assert!(told[0].1.contains(message), "{set}: {told:?}");
        let rendered = problems.render(false);
        assert!(
            rendered.contains(&format!("--> --set:1:{column}\n")) && rendered.contains(set),
            "{rendered}"
        );
    }
}
