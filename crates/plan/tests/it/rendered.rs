//! How problems look on a terminal.

use crate::{SHOP, parse};
use plan::About;

fn check(text: &str, set: &[&str], expected: &str) {
    let problems = parse(text, set).expect_err("a bad file");
    assert_eq!(problems.render(false), expected, "\n{}", problems.render(false));
    assert!(problems.render(true).contains("\u{1b}["), "colour is there when asked for");
}

#[test]
fn several_problems_are_shown_one_after_the_other() {
    let text = r#"memroy = "1MiB"
[source.events]
kind   = "file"
path   = "events.ndjson"
fields = { latency_ms = "float64" }

[metric]
latency  = "quantiles(latency_ms, 99)"
visitors = { measure = "unique(lowr(user_id))" }
"#;
    let expected = r#"error: unknown key `memroy`
 --> shop.toml:1:1
  |
1 | memroy = "1MiB"
  | ^^^^^^ not a key of the file
  |
  = help: did you mean `memory`?

error: a quantile lies between 0 and 1
 --> shop.toml:8:35
  |
8 | latency  = "quantiles(latency_ms, 99)"
  |                                   ^^
  |
  = help: write 0.99 for the 99th percentile

error: there is no function `lowr`
 --> shop.toml:9:32
  |
9 | visitors = { measure = "unique(lowr(user_id))" }
  |                                ^^^^^^^^^^^^^
  |
  = help: did you mean `lower`?

3 problems in shop.toml
"#;
    check(text, &[], expected);
}

#[test]
fn an_override_is_shown_instead_of_a_line() {
    let expected = "error: `soon` is not a length of time: write a number and a unit, as in 30s, 5m, 1h, 2d
 --> --set:1:29
  |
1 | source.events.time.lateness=soon
  |                             ^^^^ `lateness` of `time`
";
    check(SHOP, &["name=shop", "source.events.time.lateness=soon"], expected);
}

#[test]
fn a_problem_of_the_whole_file_names_the_file() {
    let expected = r#"error: there is no metric
--> shop.toml
 = help: add [metric] with visitors = "unique(user_id)"
"#;
    check("[source.s]\nkind = \"stdin\"\nformat = \"csv\"\n", &[], expected);
}

#[test]
fn syntax_errors_look_the_same() {
    let expected = "error: missing comma between array elements, expected `,`
 --> shop.toml:3:1
  |
3 | [source.s]
  | ^ not TOML from here on
  |
  = help: if this line looks right, a bracket or quote before it is not closed
";
    check("name = \"shop\"\npanes = [\"1m:2d\"\n[source.s]\n", &[], expected);
}

#[test]
fn tabs_line_ends_and_umlauts_do_not_shift_the_mark() {
    let lines =
        ["[source.s]", "kind = \"stdin\"", "format = \"csv\"", "[metric]", "\tm = \"top(größe, 0)\"", ""];
    let expected = r#"error: `top` needs a whole number of items, 1 to 10000
 --> shop.toml:5:18
  |
5 |     m = "top(größe, 0)"
  |                     ^
  |
  = help: as in `top(page, 50)`
"#;
    check(&lines.join("\r\n"), &[], expected);
}

#[test]
fn what_the_data_shows_points_at_the_words_of_the_file() {
    let pipeline =
        parse(SHOP, &["source.events.path=today.ndjson"]).unwrap_or_else(|problems| panic!("{problems}"));
    let fields = &pipeline.spec.sources[0].fields;
    let device = fields.iter().position(|f| f.path == "device").expect("a field of the file");
    let shown = |source, about| {
        pipeline.problem(source, about, "no such thing", Some("look again".into())).to_string()
    };
    let expected = r#"error: no such thing
  --> shop.toml:16:55
   |
16 | visitors  = { measure = "unique(user_id)", by = [[], ["device"]] }
   |                                                       ^^^^^^^^
   |
   = help: look again
"#;
    assert_eq!(shown(0, About::Field(device)), expected);
    for (about, at) in [
        (About::Source, "--> shop.toml:7:9"),
        (About::Time, "--> shop.toml:10:20"),
        (About::Path, "--> --set:1:20"),
        (About::Field(99), "--> shop.toml:7:9"),
    ] {
        let shown = shown(0, about);
        assert!(shown.contains(at), "{about:?}: {shown}");
    }
    assert!(shown(99, About::Path).starts_with("error: no such thing"));
}
