//! Statements that change the connection and nothing else: transactions, settings, cursors.

use plan::query::postgres::{Piece, Sign};

/// A statement that is not a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    Begin,
    Commit,
    Rollback,
    Savepoint,
    Release,
    /// Back to a savepoint.
    RollbackTo,
    Set {
        name: String,
        value: Option<String>,
        local: bool,
    },
    /// Something is set that has no effect here; its tag.
    Ignored(&'static str),
    /// `None` is all.
    Reset(Option<String>),
    /// `None` is all.
    Show(Option<String>),
    DiscardAll,
    /// A prepared statement; `None` is all.
    Deallocate(Option<String>),
    /// A cursor; `None` is all.
    Close(Option<String>),
    /// A cursor over a query, which may outlive the transaction.
    Declare {
        name: String,
        query: String,
        hold: bool,
    },
    /// Rows of a cursor: as many as are left, where no number is said. They are told, or left out.
    Fetch {
        name: String,
        rows_max: Option<usize>,
        told: bool,
    },
    /// What is not there, and what to do instead.
    Unsupported(&'static str),
}

/// The command that a statement is, if it is one.
pub(crate) fn of(piece: &Piece) -> Option<Command> {
    let signs = piece.signs.as_slice();
    let (first, rest) = signs.split_first()?;
    let Sign::Word(first) = first else { return None };
    Some(match first.as_str() {
        "begin" => Command::Begin,
        "start" if is(rest, 0, "transaction") => Command::Begin,
        "commit" | "end" if !is(rest, 0, "prepared") => Command::Commit,
        "rollback" | "abort" => rollback(rest),
        "savepoint" => Command::Savepoint,
        "release" => Command::Release,
        "set" => set(rest)?,
        "reset" if is(rest, 0, "all") => Command::Reset(None),
        "reset" => Command::Reset(Some(setting(rest)?.0)),
        "show" => show(rest)?,
        "discard" if is(rest, 0, "all") => Command::DiscardAll,
        "discard" => Command::Ignored("DISCARD"),
        "deallocate" => {
            let rest = if is(rest, 0, "prepare") { &rest[1..] } else { rest };
            Command::Deallocate(name_or_all(rest)?)
        }
        "close" => Command::Close(name_or_all(rest)?),
        "declare" => declare(piece)?,
        "fetch" => fetch(rest, true)?,
        "move" => fetch(rest, false)?,
        "listen" => Command::Ignored("LISTEN"),
        "unlisten" => Command::Ignored("UNLISTEN"),
        "prepare" | "execute" => Command::Unsupported("prepare statements by the protocol, as drivers do"),
        "copy" => Command::Unsupported("ask with SELECT; `streamgauge query --format csv` writes files"),
        _ => return None,
    })
}

fn is(signs: &[Sign], at: usize, word: &str) -> bool {
    signs.get(at).is_some_and(|sign| sign.is(word))
}

fn rollback(rest: &[Sign]) -> Command {
    if rest.iter().take(3).any(|sign| sign.is("to")) { Command::RollbackTo } else { Command::Rollback }
}

/// The name of a setting, `a.b` too, and what follows it.
fn setting(signs: &[Sign]) -> Option<(String, &[Sign])> {
    let mut name = match signs.first()? {
        Sign::Word(name) | Sign::Name(name) => name.clone(),
        _ => return None,
    };
    let mut rest = &signs[1..];
    while let [Sign::Mark(dot), Sign::Word(part) | Sign::Name(part), ..] = rest
        && dot == "."
    {
        name = format!("{name}.{part}");
        rest = &rest[2..];
    }
    Some((name, rest))
}

fn set(rest: &[Sign]) -> Option<Command> {
    let local = is(rest, 0, "local");
    let rest = if local || is(rest, 0, "session") && !is(rest, 1, "=") { &rest[1..] } else { rest };
    if is(rest, 0, "characteristics") || is(rest, 0, "transaction") || is(rest, 0, "constraints") {
        return Some(Command::Ignored("SET"));
    }
    if is(rest, 0, "role") || is(rest, 0, "authorization") {
        return Some(Command::Ignored("SET"));
    }
    let (name, rest) = if is(rest, 0, "time") && is(rest, 1, "zone") {
        ("timezone".to_string(), &rest[2..])
    } else if is(rest, 0, "names") {
        ("client_encoding".to_string(), &rest[1..])
    } else {
        let (name, rest) = setting(rest)?;
        match rest.first()? {
            Sign::Mark(mark) if mark == "=" => (name, &rest[1..]),
            sign if sign.is("to") => (name, &rest[1..]),
            _ => return None,
        }
    };
    if is(rest, 0, "default") || is(rest, 0, "local") && rest.len() == 1 {
        return Some(Command::Set { name, value: None, local });
    }
    let mut value = String::new();
    for sign in rest {
        match sign {
            Sign::Mark(mark) if mark == "," => value.push_str(", "),
            sign => value.push_str(sign.text()),
        }
    }
    (!rest.is_empty()).then_some(Command::Set { name, value: Some(value), local })
}

fn show(rest: &[Sign]) -> Option<Command> {
    Some(match rest {
        [only] if only.is("all") => Command::Show(None),
        // What is measured is shown by a query.
        [only]
            if ["tables", "functions", "databases", "schemas", "views"].iter().any(|word| only.is(word)) =>
        {
            return None;
        }
        [transaction, isolation, level]
            if transaction.is("transaction") && isolation.is("isolation") && level.is("level") =>
        {
            Command::Show(Some("transaction_isolation".into()))
        }
        [time, zone] if time.is("time") && zone.is("zone") => Command::Show(Some("timezone".into())),
        [session, authorization] if session.is("session") && authorization.is("authorization") => {
            Command::Show(Some("session_authorization".into()))
        }
        rest => match setting(rest)? {
            (name, []) => Command::Show(Some(name)),
            _ => return None,
        },
    })
}

/// A name, or all of them.
fn name_or_all(signs: &[Sign]) -> Option<Option<String>> {
    match signs {
        [all] if all.is("all") => Some(None),
        [Sign::Word(name) | Sign::Name(name)] => Some(Some(name.clone())),
        _ => None,
    }
}

/// `DECLARE name ... CURSOR ... FOR query`.
fn declare(piece: &Piece) -> Option<Command> {
    let (Sign::Word(name) | Sign::Name(name)) = piece.signs.get(1)? else { return None };
    piece.signs.iter().take(12).find(|sign| sign.is("cursor"))?;
    // Nothing before it is in quotes but the name.
    let after = piece.text.to_lowercase().find("cursor")?;
    let lower = piece.text[after..].to_lowercase();
    let at = lower.split_inclusive(char::is_whitespace).scan(after, |at, word| {
        *at += word.len();
        Some((*at, word.trim() == "for"))
    });
    let (at, _) = at.into_iter().find(|(_, found)| *found)?;
    let signs = || piece.signs.iter().take_while(|sign| !sign.is("for"));
    let hold = signs().zip(signs().skip(1)).any(|(with, hold)| with.is("with") && hold.is("hold"));
    Some(Command::Declare { name: name.clone(), query: piece.text.get(at..)?.trim().to_string(), hold })
}

/// `FETCH [NEXT | FORWARD] [n | ALL] [FROM | IN] name`.
fn fetch(rest: &[Sign], told: bool) -> Option<Command> {
    let (name, mut words) = rest.split_last()?;
    let (Sign::Word(name) | Sign::Name(name)) = name else { return None };
    if let Some((last, before)) = words.split_last()
        && (last.is("from") || last.is("in"))
    {
        words = before;
    }
    if let Some((first, after)) = words.split_first()
        && (first.is("forward") || first.is("next"))
    {
        words = after;
    }
    let rows_max = match words {
        [] => Some(1),
        [all] if all.is("all") => None,
        [Sign::Word(number)] => match number.parse() {
            Ok(number) => Some(number),
            Err(_) => return Some(Command::Unsupported("a cursor goes forward alone")),
        },
        _ => return Some(Command::Unsupported("a cursor goes forward alone")),
    };
    Some(Command::Fetch { name: name.clone(), rows_max, told })
}

#[cfg(test)]
mod tests {
    use super::*;
    use plan::query::postgres::split;

    fn check(sql: &str, expected: Option<Command>) {
        let pieces = split(sql).expect("a statement");
        assert_eq!(of(&pieces[0]), expected, "{sql}");
    }

    fn set(name: &str, value: &str) -> Option<Command> {
        Some(Command::Set { name: name.into(), value: Some(value.into()), local: false })
    }

    #[test]
    fn commands_are_told_from_queries() {
        check("BEGIN READ ONLY", Some(Command::Begin));
        check("start transaction isolation level serializable", Some(Command::Begin));
        check("/* x */ COMMIT WORK", Some(Command::Commit));
        check("rollback", Some(Command::Rollback));
        check("ROLLBACK TO SAVEPOINT \"_pg3_1\"", Some(Command::RollbackTo));
        check("set extra_float_digits = 3", set("extra_float_digits", "3"));
        check("SET SESSION search_path TO public, \"$user\"", set("search_path", "public, $user"));
        check("set time zone 'UTC'", set("timezone", "UTC"));
        check("SET my.own = 'x'", set("my.own", "x"));
        check("set names 'utf8'", set("client_encoding", "utf8"));
        check("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", Some(Command::Ignored("SET")));
        check("SHOW TRANSACTION ISOLATION LEVEL", Some(Command::Show(Some("transaction_isolation".into()))));
        check("show all", Some(Command::Show(None)));
        check("show tables", None);
        check("show columns from visitors", None);
        check("deallocate all", Some(Command::Deallocate(None)));
        check("DEALLOCATE PREPARE \"_pg3_0\"", Some(Command::Deallocate(Some("_pg3_0".into()))));
        check("close \"a b\"", Some(Command::Close(Some("a b".into()))));
        check("select 1", None);
        check("insert into t values (1)", None);
    }

    #[test]
    fn cursors_are_read() {
        let declared =
            Command::Declare { name: "c".into(), query: "select 'for'\n from x".into(), hold: true };
        check("DECLARE c NO SCROLL CURSOR WITH HOLD FOR\nselect 'for'\n from x", Some(declared));
        let fetched = |rows_max| Some(Command::Fetch { name: "c".into(), rows_max, told: true });
        check("FETCH FORWARD 10 FROM c", fetched(Some(10)));
        check("fetch c", fetched(Some(1)));
        check("FETCH ALL IN \"c\"", fetched(None));
        check("fetch backward 3 from c", Some(Command::Unsupported("a cursor goes forward alone")));
    }
}
