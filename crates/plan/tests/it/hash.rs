//! `hash` and `hash_key`: what they mean, what is wrong with them, and that no secret is shown.

use crate::{SHOP, parse};
use plan::{Override, Pipeline, Problems, SecretAt};
use sketch::hash::{Hashing, Key};
use std::cell::RefCell;

const SECRET: &str = "correct horse battery staple";

/// The shop with these lines above it, and a place where secrets are.
fn fetched(lines: &str, set: &[&str]) -> Result<Pipeline, Problems> {
    let set: Vec<_> = set.iter().map(|s| Override::parse(s).expect("a readable override")).collect();
    Pipeline::parse_with("shop.toml", &format!("{lines}\n{SHOP}"), &set, &|at| match at {
        SecretAt::Env(name) if name == "SECRET" => Ok(SECRET.into()),
        SecretAt::Env(name) if name == "SHORT" => Ok(b"0123456789abcde\n".to_vec()),
        SecretAt::File(path) if path == "keys/shop" => Ok(format!("{SECRET}\r\n").into()),
        SecretAt::Env(_) => Err("is not set".into()),
        SecretAt::File(_) => Err("cannot be read: gone".into()),
    })
}

fn hashing(lines: &str, set: &[&str]) -> Hashing {
    let pipeline = fetched(lines, set).unwrap_or_else(|problems| panic!("{lines}: {problems}"));
    pipeline.spec.sources[0].hashing.clone()
}

#[test]
fn the_words_and_the_places_of_secrets() {
    let keyed = Hashing::Keyed(Key::of_secret(SECRET.as_bytes()).expect("long enough"));
    assert_eq!(hashing("", &[]), Hashing::Interchange);
    assert_eq!(hashing("hash = 'interchange'", &[]), Hashing::Interchange);
    assert_eq!(hashing("hash = 'fast'", &[]), Hashing::Fast);
    assert_eq!(hashing("", &["hash=fast"]), Hashing::Fast);
    assert_eq!(hashing("hash = 'keyed'\nhash_key = { env = 'SECRET' }", &[]), keyed);
    // Without the end of its line.
    assert_eq!(hashing("hash = 'keyed'\nhash_key.file = 'keys/shop'", &[]), keyed);
    assert_eq!(hashing("", &["hash=keyed", "hash_key.env=SECRET"]), keyed);
    assert_eq!(
        hashing("hash = 'keyed'\nhash_key.env = 'ELSEWHERE'", &["hash_key={ file = 'keys/shop' }"]),
        keyed
    );

    let pipeline = fetched("hash = 'keyed'\nhash_key = { env = 'SECRET' }", &[]).expect("a pipeline");
    assert_eq!(pipeline.hash(), "keyed");
    let id = Key::of_secret(SECRET.as_bytes()).expect("long enough").id().to_string();
    assert_eq!(pipeline.hash_key_id(), Some(id));
    assert!(!format!("{pipeline:?}").contains("horse"), "a pipeline shows no secret");
    let plain = fetched("hash = 'fast'", &[]).expect("a pipeline");
    assert_eq!((plain.hash(), plain.hash_key_id()), ("fast", None));
}

#[test]
fn a_secret_is_asked_for_once_and_only_when_it_is_named() {
    let asked = RefCell::new(Vec::new());
    let ask = |lines: &str| {
        let _ = Pipeline::parse_with("shop.toml", &format!("{lines}\n{SHOP}"), &[], &|at| {
            asked.borrow_mut().push(at.to_string());
            Ok(SECRET.into())
        });
    };
    ask("");
    ask("hash = 'fast'");
    ask("hash = 'fast'\nhash_key.env = 'A'");
    assert_eq!(*asked.borrow(), [""; 0]);
    ask("hash = 'keyed'\nhash_key.env = 'B'");
    ask("hash = 'keyed'\nhash_key.file = 'c/d'");
    assert_eq!(*asked.borrow(), ["environment variable `B`", "file `c/d`"]);
}

/// One problem, where `«` stands (without it, of the whole file), with a part of its message and of its hint.
fn check(marked: &str, message: &str, hint: &str) {
    let at = marked.find('«').map(|at| {
        let line = marked[..at].rfind('\n').map_or(0, |newline| newline + 1);
        (marked[..at].matches('\n').count() + 1, marked[line..at].chars().count() + 1)
    });
    let Err(problems) = fetched(&marked.replacen('«', "", 1), &[]) else { panic!("accepted: {marked}") };
    let told: Vec<_> = problems.iter().map(|p| (problems.position(p), &p.message, &p.hint)).collect();
    assert_eq!(told.len(), 1, "{marked}: {told:#?}");
    assert_eq!(told[0].0, at, "{marked}: {told:#?}");
    assert!(told[0].1.contains(message), "{marked}: {told:#?}");
    assert!(told[0].2.as_deref().unwrap_or("").contains(hint), "{marked}: {told:#?}");
}

#[test]
fn what_is_wrong_is_told_where_it_stands() {
    let how = "hash_key = { env = \"NAME\" }";
    check("hash = «'fats'", "unknown hash `fats`", "`fast`");
    check("hash = «'sha'\nhash_key.env = 'SECRET'", "unknown hash `sha`", "`interchange`");
    check("hash = «true", "`hash` must be a string", "");
    check("hash = «'keyed'", "a keyed hash needs a key", how);
    check("«hash_key.env = 'SECRET'", "no meaning without hash = \"keyed\"", "leave it out");
    check("hash = 'fast'\n«hash_key = { env = 'SECRET' }", "no meaning without hash = \"keyed\"", "");
    let keyed = |rest: &str| format!("hash = 'keyed'\n{rest}");
    check(&keyed("hash_key = «1"), "`hash_key` must be a table", how);
    check(&keyed("«hash_key = {}"), "kept in one place", how);
    check(&keyed("«hash_key = { env = 'SECRET', file = 'keys/shop' }"), "kept in one place", how);
    check(&keyed("hash_key.env = «''"), "no environment variable has such a name", "");
    check(&keyed("hash_key.env = «'A=B'"), "no environment variable has such a name", "");
    check(&keyed("hash_key.file = «''"), "the name of a file is empty", "");
    check(&keyed("hash_key.env = «'UNSET'"), "environment variable `UNSET` is not set", "/dev/urandom");
    check(&keyed("hash_key.file = «'nowhere'"), "file `nowhere` cannot be read: gone", "/dev/urandom");
    check(&keyed("hash_key.env = «'SHORT'"), "`SHORT` holds 15 bytes, and a secret has at least 16", "");
}

#[test]
fn a_secret_in_the_file_is_refused_and_not_shown() {
    for line in [
        format!("hash_key = '{SECRET}'"),
        format!("hash_key = {{ key = '{SECRET}' }}"),
        format!("hash_key = {{ env = 'SECRET', value = '{SECRET}' }}"),
    ] {
        let text = format!("hash = 'keyed'\n{line}");
        check(&text, "never the secret itself", "{ env = \"NAME\" }");
        let rendered = fetched(&text, &[]).expect_err("a secret").render(false);
        assert!(!rendered.contains("horse"), "{rendered}");
    }
    let overridden = fetched("hash = 'keyed'", &[&format!("hash_key={SECRET}")]).expect_err("a secret");
    assert!(!overridden.render(false).contains("horse"));
}

#[test]
fn where_no_secrets_are_read_a_keyed_file_is_an_error_and_never_unkeyed() {
    let text = format!("hash = 'keyed'\nhash_key.env = 'SECRET'\n{SHOP}");
    let problems = parse(&text, &[]).expect_err("no way to fetch");
    assert!(problems.to_string().contains("environment variable `SECRET` is not read here"), "{problems}");
}
