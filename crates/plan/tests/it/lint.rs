//! Warnings: each of them where it is due, none on what is good.

use crate::parse;
use std::path::Path;

/// The warnings of a file, as `line: message`.
fn warnings(text: &str) -> Vec<String> {
    let pipeline = parse(text, &[]).unwrap_or_else(|problems| panic!("{problems}"));
    let warnings = pipeline.warnings();
    assert!(
        warnings.iter().all(|w| w.hint.as_ref().is_some_and(|hint| !hint.is_empty())),
        "each says what to do"
    );
    let line = |w| warnings.position(w).map_or(0, |(line, _)| line);
    warnings.iter().map(|w| format!("{}: {}", line(w), w.message)).collect()
}

const TIMED: &str = "time = { field = 'ts', lateness = '2s', ahead = '1h' }";

/// One source, one metric: what is said of line `line`, or nothing.
#[track_caller]
fn check(top: &str, source: &str, metric: &str, expected: Option<(usize, &str)>) {
    let got = warnings(&format!("{top}\n[source.e]\npath = 'e.ndjson'\n{source}\n[metric]\n{metric}\n"));
    match expected {
        None => assert_eq!(got, [""; 0], "{top} {source} {metric}"),
        Some((line, part)) => {
            let is_it = |w: &String| w.starts_with(&format!("{line}: ")) && w.contains(part);
            assert!(got.iter().any(is_it), "`{part}` on line {line} is not in {got:?}");
        }
    }
}

#[test]
fn what_is_doubtful_is_told_where_it_stands_and_its_neighbour_is_not() {
    let n = "n = 'count()'";
    // Accuracy.
    check("accuracy = '0.1% @ 95%'", "", "u = 'unique(a)'", Some((6, "`u` asks for 0.1 %, and hll/18")));
    check("accuracy = '0.1% @ 95%'", "", n, None);
    check("accuracy = '0.5% @ 95%'", "", "u = 'unique(a)'", None);
    check("accuracy = '10% @ 95%'", "", "u = 'unique(a)'", Some((6, "off by up to")));
    check("accuracy = '10% @ 95%'", "", "q = 'quantiles(a)'\nt = 'top(b)'", None);
    // Names.
    check(
        "",
        "fields = { a = 'int64', lost = 'string' }",
        "s = 'sum(a)'",
        Some((4, "nothing reads field `lost`")),
    );
    check("", "fields = { a = 'int64' }", "s = 'sum(a)'", None);
    check("", "derive = { d = 'lower(a)' }", n, Some((4, "nothing uses column `d`")));
    check("", "derive = { d = 'lower(a)', e = 'upper(d)' }", "u = 'unique(e)'", None);
    check("", "derive = { d = 'lower(a)', e = 'upper(d)' }", "u = 'unique(a)'", Some((4, "`e`")));
    check("", "derive = { d = 'lower(a)' }", "any = 'sample(5)'", None);
    check("", "derive = { d = 'lower(a)' }", "x = 'count() filter (where length(d) > 2)'", None);
    check("", "derive = { t = 'a' }\ntime = { field = 't' }", n, None);
    // Sessions.
    let visits = |key: &str| format!("v = \"session({key}, gap => '30m')\"");
    check("", TIMED, &visits("user_id"), None);
    check("", TIMED, &visits("session_id"), Some((6, "tells sessions apart already")));
    check("panes = ['1m:10m']", TIMED, &visits("user_id"), Some((6, "longer than its panes are kept")));
    // Time.
    check("", "time = { field = 'ts', later = 'drop' }", n, Some((4, "from the future")));
    check("", "time = { field = 'ts', later = 'drop', ahead = '1h' }", n, None);
    check("", "time = { row = '1s' }", n, None);
    check(
        "panes = ['1m:1h']",
        "time = { field = 'ts', lateness = '2h' }",
        n,
        Some((4, "longer than any pane is kept")),
    );
    check("panes = ['1m:1h']", "time = { field = 'ts', lateness = '1h' }", n, None);
    // Panes.
    check("panes = ['7m:1d']", TIMED, n, Some((6, "panes of 7m do not make up windows of 1h")));
    check("panes = ['5h:1d']", TIMED, n, Some((6, "windows of 1d")));
    check("panes = ['5m:1d', '35m:2d', '7d:30d']".replace("'35m:2d', ", "").as_str(), TIMED, n, None);
    check("panes = ['1s:400d']", TIMED, n, Some((6, "34,5")));
    check("panes = ['1s:15m', '1m:2d', '1h:35d', '1d:400d']", TIMED, n, None);
    // Groups.
    check(
        "",
        "",
        "g = { measure = 'count()', by = ['user_id'] }",
        Some((6, "every event or person had its own")),
    );
    check("", "", "g = { measure = 'count()', by = ['user_id'], keys = '500 + other' }", None);
    check("", "", "g = { measure = 'count()', by = ['campaign_id'] }", None);
    check(
        "",
        "fields = { x = 'float64' }",
        "g = { measure = 'count()', by = ['x'] }",
        Some((6, "a float64")),
    );
    check("", "fields = { x = 'int64' }", "g = { measure = 'count()', by = ['x'] }", None);
    check(
        "",
        "",
        "g = { measure = 'unique(a)', by = ['b'], keys = '100000 + other' }",
        Some((6, "groups of `g` take")),
    );
    check("", "", "g = { measure = 'count()', by = ['b'], keys = '100000 + other' }", None);
    // The same twice.
    check("", "", "a = 'unique(x)'\nb = 'unique(x)'", Some((7, "`a` and `b` both measure unique(x)")));
    check("", "", "a = 'unique(x)'\nb = 'unique(x) filter (where y)'", None);
    // Filters.
    check("", "", "k = { measure = 'seen(a)', size = '1M @ 5%' }", Some((6, "takes up to 5 % for known")));
    check("", "", "k = { measure = 'seen(a)', size = '1M @ 1%' }", None);
    check(
        "memory = '3MiB'",
        "",
        "k = { measure = 'seen(a)', size = '1M @ 1%' }",
        Some((6, "no room to grow")),
    );
    // One that forgets does not grow; buckets that lateness makes long are told.
    let recent = |keep| format!("k = {{ measure = 'seen(a)', size = '1M @ 1%', keep = '{keep}' }}");
    let late = |by| TIMED.replace("2s", by);
    check("memory = '5MiB'", &late("1m"), &recent("5m"), None);
    check("", &late("1h"), &recent("45s"), Some((6, "may remember a key for 2m, because `lateness`")));
}

#[test]
fn the_examples_give_no_reason_to_warn() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut seen = 0;
    for entry in std::fs::read_dir(examples).expect("the examples") {
        let path = entry.expect("an example").path();
        if path.extension().is_none_or(|end| end != "toml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("text");
        let mut warnings = warnings(&text);
        if path.ends_with("sshd.toml") {
            // True: were there a line in each minute of the 40 days, windows of a minute would not all be kept.
            warnings.retain(|warning| !warning.contains("panes of 1m take"));
        }
        assert_eq!(warnings, [""; 0], "{}", path.display());
        let pipeline = parse(&text, &[]).expect("a good file");
        for index in 0..pipeline.spec.sources.len() {
            for (_, kept) in pipeline.questions(index) {
                assert!(pipeline.must_fit(index, &kept, 8).is_ok(), "{}", path.display());
            }
        }
        seen += 1;
    }
    assert!(seen >= 12, "{seen} examples");
}

#[test]
fn warnings_look_like_warnings() {
    let text = "source.e = { path = 'e.ndjson', fields = { lost = 'string' } }\nmetric.n = 'count()'\n";
    let warnings = parse(text, &[]).expect("a good file").warnings();
    let shown = warnings.render(false);
    assert!(shown.starts_with("warning: nothing reads field `lost`"), "{shown}");
    assert!(shown.contains("--> shop.toml:1:44") && shown.contains("= help:"), "{shown}");
}
