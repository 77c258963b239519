//! Views of the pipeline file.

use super::*;

const VIEWS: &str = r#"
[view]
phones = "select start, value from views where grouped_by = 'device' and device = 'phone'"
busy   = "select count(*) as n from phones where value > 20"
"#;

#[test]
fn a_view_stands_where_a_table_does() {
    let file = format!("{FILE}{VIEWS}");
    let pipeline = Pipeline::parse("shop.toml", &file, &[]).unwrap_or_else(|problems| panic!("{problems}"));
    let options = Options { views: pipeline.views, ..Options::default() };
    let shop = Database::new(measured(&file, &events()), options);
    assert_eq!(told(&shop, "select n from busy").number(), 180.0);
    assert_eq!(told(&shop, "select sum(p.value) from phones p").number(), (EVENTS / 2) as f64);
    assert_eq!(told(&shop, "select view from sg.views order by 1").rows, [["busy"], ["phones"]]);
    assert_eq!(told(&shop, "describe phones").rows.len(), 2);
    let listed = told(&shop, "select table_type from information_schema.tables where table_name = 'busy'");
    assert_eq!(listed.only(), "VIEW");
    // A name of the statement stands before one of the file.
    assert_eq!(told(&shop, "with busy as (select 1 as n) select n from busy").number(), 1.0);
    assert!(refused(&shop, "select * from busy('1h')").to_string().contains("takes no arguments"));
}

#[track_caller]
fn check(view: &str, why: &str) {
    let problems = Pipeline::parse("shop.toml", &format!("{FILE}[view]\n{view}\n"), &[]).unwrap_err();
    let text = problems.to_string();
    assert!(text.contains(why) && text.contains(view.split(' ').next().unwrap()), "{view}: {text}");
}

#[test]
fn what_is_wrong_with_a_view_is_told_with_the_file() {
    check("now = \"select * from visitor\"", "did you mean `visitors`?");
    check("now = \"select valu from visitors\"", "did you mean `value`?");
    check("now = \"select * from\"", "not a statement of SQL");
    check("now = \"drop table visitors\"", "only statements that read");
    check("now = \"show tables\"", "a view is a SELECT");
    check("now = \"select * from now\"", "uses itself");
    check("a = \"select * from b\"\nb = \"select * from a\"", "uses itself");
    check("now = \"select * from visitors('90s','90s')\"", "not made of its panes");
    check("now = 5", "must be a string");
    check("visitors = \"select 1\"", "is a metric already");
    check("\"a b\" = \"select 1\"", "not a name for a view");
}
