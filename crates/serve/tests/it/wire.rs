//! The protocol of Postgres: who is let in, what is asked and answered, and what comes of bytes that are none of it.

use crate::access::certificate;
use crate::client::{listen, until};
use crate::postgres::{Pg, closed, code, error, kinds, message, open, packet, start, startup};
use serve::{Behind, Listen, Postgres, Role, ServeError, Server, Tls, Tokens};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

/// Ends within no test's patience, unless it is stopped.
const HEAVY: &str = "select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b";

fn row(values: &[&str]) -> Vec<Option<String>> {
    values.iter().map(|value| Some(value.to_string())).collect()
}

#[test]
fn what_is_measured_is_asked_in_the_simple_way() {
    let server = open();
    let mut pg = Pg::new(&server);
    // An event a second for two hours, of three devices in turn.
    let sql = "select device, value, exact from hits(by => 'device') order by device";
    let expected = ["a b&c", "android", "ios"].map(|device| row(&[device, "2400", "t"]));
    assert_eq!(pg.rows(sql), expected);
    let sql = "select start, value from hits('1h', '1h', by => '') order by start";
    let hours = [row(&["1970-01-01 00:00:00+00", "3600"]), row(&["1970-01-01 01:00:00+00", "3600"])];
    assert_eq!(pg.rows(sql), hours);
    assert_eq!(pg.kinds("select 1; select 2"), "TDCTDCZ");
    assert_eq!(pg.kinds(" ; -- nothing"), "IZ");
    assert_eq!(pg.kinds("select 1; selec; select 2"), "TDCEZ", "what follows an error is left out");
    assert_eq!(pg.rows("select value from hits(by => '') where false"), Vec::<Vec<_>>::new());
}

#[test]
fn errors_have_the_codes_that_drivers_look_at() {
    let server = open();
    let mut pg = Pg::new(&server);
    for (sql, expected) in [
        ("selec 1", "42601"),
        ("select 'open", "42601"),
        ("select nope from hits", "42703"),
        ("select * from nope", "42P01"),
        ("select nope(1)", "42883"),
        ("insert into hits values (1)", "25006"),
        ("delete from hits", "25006"),
        ("create table t (a int)", "25006"),
        ("copy hits to '/tmp/never'", "0A000"),
        ("copy (select 1) to '/tmp/never'", "0A000"),
        ("prepare p as select 1", "0A000"),
        ("show nothing", "42704"),
        ("set nothing = 1", "42704"),
        ("set client_encoding = 'LATIN1'", "22023"),
        ("fetch 1 from nothing", "34000"),
        ("deallocate nothing", "26000"),
        ("savepoint alone", "25P01"),
        ("set datafusion.execution.batch_size = 1; show datafusion.execution.batch_size; selec", "42601"),
    ] {
        let said = pg.ask(sql);
        assert_eq!(code(&said).as_deref(), Some(expected), "{sql}: {:?}", error(&said));
    }
    assert_eq!(pg.rows("select 1"), [row(&["1"])], "the connection goes on");
    let long = format!("select '{}'", "x".repeat(70_000));
    assert_eq!(code(&pg.ask(&long)).as_deref(), Some("54000"));
    let deep = format!("select {}1{}", "(".repeat(2_000), ")".repeat(2_000));
    assert_eq!(code(&pg.ask(&deep)).as_deref(), Some("54000"));
}

#[test]
fn a_doubt_is_a_warning_unless_it_is_not_wanted() {
    let server = open();
    let mut pg = Pg::new(&server);
    let sql = "select sum(value) from hits()";
    let said = pg.ask(sql);
    assert_eq!(kinds(&said), "TDNCZ");
    let notice = said.iter().find(|said| said.kind == b'N').expect("a notice");
    assert_eq!(
        (notice.field(b'S').as_deref(), notice.field(b'C').as_deref()),
        (Some("WARNING"), Some("01000"))
    );
    assert!(notice.field(b'H').is_some_and(|hint| hint.contains("grouped_by")), "{notice:?}");
    pg.ask("set client_min_messages = error");
    assert_eq!(pg.kinds(sql), "TDCZ");
}

#[test]
fn transactions_change_nothing_and_are_kept() {
    let server = open();
    let mut pg = Pg::new(&server);
    let mut status = |sql: &str| pg.ask(sql).last().map(|ready| char::from(ready.body[0]));
    let steps = [
        ("begin read only", 'T'),
        ("savepoint a", 'T'),
        ("select nope from hits", 'E'),
        ("select 1", 'E'),
        ("rollback to savepoint a", 'T'),
        ("release a", 'T'),
        ("select 1", 'T'),
        ("commit", 'I'),
        ("begin; selec", 'E'),
        ("commit", 'I'),
    ];
    for (sql, expected) in steps {
        assert_eq!(status(sql), Some(expected), "{sql}");
    }
    assert_eq!(code(&pg.ask("begin; selec; select 1")).as_deref(), Some("42601"));
    assert_eq!(code(&pg.ask("select 1")).as_deref(), Some("25P02"));
    assert_eq!(code(&pg.ask("fetch 1 from c")).as_deref(), Some("25P02"));
    let ended = pg.ask("commit");
    assert_eq!(ended[0].body, b"ROLLBACK\0");
}

#[test]
fn settings_are_kept_told_and_taken_back() {
    let server = open();
    let mut pg = Pg::silent(&server);
    pg.send(startup(&[("user", "me"), ("application_name", "test"), ("options", "-c statement_timeout=5s")]));
    let told = pg.until_ready();
    let parameters: Vec<String> = told
        .iter()
        .filter(|said| said.kind == b'S')
        .map(|said| String::from_utf8_lossy(&said.body).replace('\0', " "))
        .collect();
    for expected in [
        "server_version 15.0 ",
        "client_encoding UTF8 ",
        "application_name test ",
        "TimeZone UTC ",
        "integer_datetimes on ",
    ] {
        assert!(parameters.iter().any(|told| told == expected), "{expected} in {parameters:?}");
    }
    assert_eq!(pg.rows("show statement_timeout"), [row(&["5000ms"])]);
    assert_eq!(pg.kinds("set application_name to 'other'"), "SCZ");
    assert_eq!(
        pg.rows("show application_name; select current_setting('application_name')"),
        [row(&["other"]), row(&["other"])]
    );
    pg.ask("begin; set local statement_timeout = 100; commit");
    assert_eq!(pg.rows("show statement_timeout"), [row(&["5000ms"])]);
    assert_eq!(pg.kinds("set time zone 'Europe/Berlin'"), "NCZ");
    pg.ask("discard all");
    assert_eq!(pg.rows("show application_name"), [row(&["test"])]);
}

fn parse(name: &str, sql: &str, types: &[u32]) -> Vec<u8> {
    let mut body = format!("{name}\0{sql}\0").into_bytes();
    body.extend((types.len() as u16).to_be_bytes());
    types.iter().for_each(|kind| body.extend(kind.to_be_bytes()));
    message(b'P', &body)
}

fn bind(portal: &str, statement: &str, values: &[Option<&str>], binary: bool) -> Vec<u8> {
    let mut body = format!("{portal}\0{statement}\0").into_bytes();
    body.extend([0, 0]);
    body.extend((values.len() as u16).to_be_bytes());
    for value in values {
        body.extend(value.map_or(-1, |value| value.len() as i32).to_be_bytes());
        body.extend(value.unwrap_or("").bytes());
    }
    body.extend([0, 1, 0, binary.into()]);
    message(b'B', &body)
}

fn execute(portal: &str, rows: i32) -> Vec<u8> {
    message(b'E', &[portal.as_bytes(), b"\0", &rows.to_be_bytes()].concat())
}

fn describe(which: &str) -> Vec<u8> {
    message(b'D', &[which.as_bytes(), b"\0"].concat())
}

fn sync() -> Vec<u8> {
    message(b'S', b"")
}

#[test]
fn a_statement_is_prepared_described_and_executed_in_parts() {
    let server = open();
    let mut pg = Pg::new(&server);
    let sql = "select value, start from hits($1, $2, by => $3) where value > $4 order by start";
    pg.send([parse("s", sql, &[]), describe("Ss"), sync()].concat());
    let said = pg.until_ready();
    assert_eq!(kinds(&said), "1tTZ", "{:?}", error(&said));
    let types: Vec<u32> =
        said[1].body[2..].chunks(4).map(|kind| u32::from_be_bytes(kind.try_into().expect("four"))).collect();
    assert_eq!(types, [25, 25, 25, 20]);

    let values = [Some("1m"), Some("1m"), Some(""), Some("59")];
    pg.send(
        [
            bind("p", "s", &values, false),
            describe("Pp"),
            execute("p", 50),
            execute("p", 50),
            execute("p", 50),
            sync(),
        ]
        .concat(),
    );
    let said = pg.until_ready();
    let expected = format!("2T{0}s{0}s{1}CZ", "D".repeat(50), "D".repeat(20));
    assert_eq!(kinds(&said), expected, "{:?}", error(&said));
    assert_eq!(
        said.iter().find(|said| said.kind == b'D').map(|row| row.values()),
        Some(row(&["60", "1970-01-01 00:00:00+00"]))
    );
    assert_eq!(said[said.len() - 2].body, b"SELECT 20\0");

    // Outside a transaction a portal ends with what is in one message after the other; inside it stays.
    pg.send([execute("p", 1), sync()].concat());
    assert_eq!(code(&pg.until_ready()).as_deref(), Some("34000"));
    pg.ask("begin");
    pg.send([bind("p", "s", &values, false), execute("p", 1), sync()].concat());
    assert_eq!(kinds(&pg.until_ready()), "2DsZ");
    pg.send([execute("p", 1), message(b'C', b"Pp\0"), message(b'C', b"Sgone\0"), sync()].concat());
    assert_eq!(kinds(&pg.until_ready()), "Ds33Z");
}

#[test]
fn values_travel_in_their_binary_form() {
    let server = open();
    let mut pg = Pg::new(&server);
    let sql =
        "select value, start, exact, grouped_by, sketch, 0.5 from hits('1h', '1h', by => '') order by start";
    pg.send([parse("", sql, &[]), bind("", "", &[], true), execute("", 0), sync()].concat());
    let said = pg.until_ready();
    assert_eq!(kinds(&said), "12DDCZ", "{:?}", error(&said));
    let mut expected = vec![0, 6];
    // 3,600; 1970 in microseconds since 2000; true; no text; null; a half.
    for value in [&3_600i64.to_be_bytes()[..], &(-946_684_800_000_000i64).to_be_bytes(), &[1], b""] {
        expected.extend((value.len() as u32).to_be_bytes());
        expected.extend(value);
    }
    expected.extend((-1i32).to_be_bytes());
    expected.extend(8u32.to_be_bytes());
    expected.extend(0.5f64.to_be_bytes());
    assert_eq!(said[2].body, expected);
}

#[test]
fn after_an_error_nothing_is_done_until_the_client_has_noticed() {
    let server = open();
    let mut pg = Pg::new(&server);
    pg.send(
        [parse("", "select nope from hits", &[]), bind("", "", &[], false), execute("", 0), sync()].concat(),
    );
    assert_eq!(kinds(&pg.until_ready()), "EZ");
    for (sent, expected) in [
        (parse("", "select 1; select 2", &[]), "42601"),
        (bind("", "nothing", &[], false), "26000"),
        (execute("nothing", 0), "34000"),
        ([parse("", "select $1::int8", &[]), bind("", "", &[], false)].concat(), "08P01"),
        ([parse("", "select $1::int8", &[20]), bind("", "", &[Some("many")], false)].concat(), "22P02"),
        ([parse("twice", "select 1", &[]), parse("twice", "select 1", &[])].concat(), "42P05"),
    ] {
        pg.send([sent, sync()].concat());
        let said = pg.until_ready();
        assert_eq!(code(&said).as_deref(), Some(expected), "{:?}", error(&said));
        assert_eq!(said.last().map(|ready| ready.kind), Some(b'Z'));
    }
    pg.send(message(b'F', b"\0\0\0\0"));
    assert_eq!(code(&pg.until_ready()).as_deref(), Some("0A000"));
    assert_eq!(pg.rows("select 1"), [row(&["1"])]);
}

#[test]
fn cursors_are_fetched_from() {
    let server = open();
    let mut pg = Pg::new(&server);
    let sql = "begin; declare c no scroll cursor for select value from hits('1m', '1m', by => '')";
    assert_eq!(pg.kinds(sql), "CCZ");
    assert_eq!(pg.rows("fetch 2 from c").len(), 2);
    assert_eq!(pg.kinds("move 100 in c"), "CZ");
    assert_eq!(pg.rows("fetch all from c").len(), 120 - 102);
    assert_eq!(code(&pg.ask("fetch backward 1 from c")).as_deref(), Some("0A000"));
    pg.ask("rollback");
    assert_eq!(code(&pg.ask("fetch 1 from c")).as_deref(), Some("34000"));
}

#[test]
fn the_catalogue_tells_what_there_is() {
    let server = open();
    let mut pg = Pg::new(&server);
    let tables = "select n.nspname, c.relname, c.relkind from pg_catalog.pg_class c \
                  left join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
                  where n.nspname = 'public' and pg_catalog.pg_table_is_visible(c.oid) order by 1, 2";
    assert_eq!(pg.rows(tables), [row(&["public", "hits", "r"])]);
    let columns = "select attname, format_type(atttypid, atttypmod) from pg_attribute \
                   where attrelid = 'public.hits'::regclass and attnum > 0 order by attnum limit 4";
    let expected = [
        row(&["start", "timestamp with time zone"]),
        row(&["end", "timestamp with time zone"]),
        row(&["device", "text"]),
        row(&["value", "bigint"]),
    ];
    assert_eq!(pg.rows(columns), expected);
    let version = pg.rows("select version(), current_user, current_database()");
    assert!(version[0][0].as_deref().is_some_and(|text| text.starts_with("PostgreSQL 15")), "{version:?}");
    assert_eq!(version[0][1..], row(&["me", "streamgauge"])[..]);
    // What is measured and the catalogue do not mix, and what takes too much work is stopped.
    assert_eq!(code(&pg.ask("select * from hits, pg_class")).as_deref(), Some("42P01"));
    let heavy = "select count(*) from pg_am, generate_series(1, 100000) a, generate_series(1, 100000) b";
    assert_eq!(code(&pg.ask(heavy)).as_deref(), Some("54000"));
    let long = "x".repeat(50_000);
    for large in [
        format!("select replace('{0}', 'x', '{0}'), version()", &long[..30_000]),
        format!("select a, version() from (select '{long}' as a) b, generate_series(1, 100000) c"),
        format!("select string_agg('x', '{long}'), version() from generate_series(1, 10000)"),
        format!(
            "select version() || a || a from (select string_agg('{long}', '') as a from generate_series(1, 10000)) b"
        ),
    ] {
        assert_eq!(code(&pg.ask(&large)).as_deref(), Some("53200"), "{}", &large[..60]);
    }
}

#[test]
fn a_statement_is_cancelled_by_who_knows_its_secret() {
    let server = open();
    let mut pg = Pg::new(&server);
    pg.send(message(b'Q', &[HEAVY.as_bytes(), b"\0"].concat()));
    let cancel = |key: &[u8]| {
        let mut other = Pg::silent(&server);
        other.send(packet(1234 << 16 | 5678, key));
        assert!(other.rest().is_empty(), "nobody is told what came of it");
    };
    let mut wrong = pg.process.clone();
    wrong[7] ^= 1;
    cancel(&wrong);
    pg.stream.set_read_timeout(Some(Duration::from_millis(300))).expect("a socket");
    let mut byte = [0];
    assert!(pg.stream.peek(&mut byte).is_err(), "it goes on");
    pg.stream.set_read_timeout(Some(crate::client::PATIENCE)).expect("a socket");
    // One that comes before the statement has begun is for nothing, as anywhere.
    let process = pg.process.clone();
    let said = std::thread::scope(|scope| {
        let said = scope.spawn(|| pg.until_ready());
        until("it is cancelled", || {
            cancel(&process);
            said.is_finished()
        });
        said.join().expect("an answer")
    });
    assert_eq!(code(&said).as_deref(), Some("57014"));
    assert_eq!(pg.rows("select 1"), [row(&["1"])], "the connection goes on");
}

#[test]
fn a_statement_ends_when_its_time_is_over_or_its_client_is_gone() {
    let server = open();
    let mut pg = Pg::new(&server);
    let said = pg.ask(&format!("set statement_timeout = 200; {HEAVY}"));
    assert_eq!(code(&said).as_deref(), Some("57014"));
    // Two run at a time. If those of clients that have gone went on, nobody else would be answered in time.
    for _ in 0..4 {
        let mut gone = Pg::new(&server);
        gone.send(message(b'Q', &[HEAVY.as_bytes(), b"\0"].concat()));
    }
    until("others are answered", || {
        let said = pg.ask("set statement_timeout = '2s'; select value from hits(by => '')");
        code(&said).is_none()
    });
}

/// The client's side of SCRAM, by its RFC, and not by the server's code.
mod scram {
    use super::Pg;
    use crate::postgres::message;
    use ring::{digest, hmac, pbkdf2};
    use std::num::NonZeroU32;

    fn base64(bytes: &[u8]) -> String {
        let signs = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
        let sign = |six: &[u8]| {
            let six = format!("{:0<6}", String::from_utf8_lossy(six));
            char::from(signs[usize::from_str_radix(&six, 2).expect("bits")])
        };
        let text: String = bits.as_bytes().chunks(6).map(sign).collect();
        format!("{text}{}", "=".repeat((4 - text.len() % 4) % 4))
    }

    fn unbase64(text: &str) -> Vec<u8> {
        let signs = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let bits: String = text
            .trim_end_matches('=')
            .chars()
            .map(|sign| format!("{:06b}", signs.find(sign).expect("a sign")))
            .collect();
        bits.as_bytes()
            .chunks_exact(8)
            .map(|byte| u8::from_str_radix(&String::from_utf8_lossy(byte), 2).expect("bits"))
            .collect()
    }

    /// Proves a token; what the server says then. True when the server has proved it too.
    pub fn prove(pg: &mut Pg, token: &str) -> bool {
        let bare = "n=,r=clientnonce";
        let first = format!("n,,{bare}");
        let initial =
            [b"SCRAM-SHA-256\0", &(first.len() as u32).to_be_bytes()[..], first.as_bytes()].concat();
        pg.send(message(b'p', &initial));
        let said = pg.next().expect("a challenge");
        let challenge = String::from_utf8_lossy(&said.body[4..]).into_owned();
        let part = |name: &str| {
            challenge.split(',').find_map(|part| part.strip_prefix(name)).expect("a part").to_string()
        };
        let (nonce, salt, iterations) =
            (part("r="), unbase64(&part("s=")), part("i=").parse().expect("a number"));
        let mut salted = [0; 32];
        let iterations = NonZeroU32::new(iterations).expect("some");
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, token.as_bytes(), &mut salted);
        let by = |key: &[u8], text: &[u8]| {
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec()
        };
        let client = by(&salted, b"Client Key");
        let stored = digest::digest(&digest::SHA256, &client);
        let without = format!("c=biws,r={nonce}");
        let signed = format!("{bare},{challenge},{without}");
        let signature = by(stored.as_ref(), signed.as_bytes());
        let proof: Vec<u8> = client.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        pg.send(message(b'p', format!("{without},p={}", base64(&proof)).as_bytes()));
        let Some(said) = pg.next() else { return false };
        let expected = format!("v={}", base64(&by(&by(&salted, b"Server Key"), signed.as_bytes())));
        if said.kind == b'E' {
            pg.process = said.field(b'C').expect("a code").into_bytes();
        }
        said.kind == b'R' && said.body[4..] == *expected.as_bytes()
    }
}

#[test]
fn a_token_is_proved_and_never_said() {
    let server = closed();
    for (token, refused) in
        [("ask", None), ("all", None), ("send", Some("28000")), ("ASK", Some("28P01")), ("", Some("28P01"))]
    {
        let mut pg = Pg::silent(&server);
        pg.send(startup(&[("user", "anybody")]));
        let said = pg.next().expect("a question");
        assert_eq!((said.kind, said.body.as_slice()), (b'R', &b"\0\0\0\x0aSCRAM-SHA-256\0\0"[..]));
        let proved = scram::prove(&mut pg, token);
        assert_eq!(proved, refused.is_none(), "{token}");
        match refused {
            None => {
                assert_eq!(pg.until_ready().first().map(|said| said.body.clone()), Some(vec![0; 4]));
                assert_eq!(pg.rows("select value from hits(by => '')"), [row(&["7200"])]);
            }
            Some(code) => {
                assert_eq!(String::from_utf8_lossy(&pg.process), code, "{token}");
                assert!(pg.next().is_none(), "and nothing more");
            }
        }
    }
    // Who proves nothing gets nothing.
    for said in
        [message(b'Q', b"select 1\0"), message(b'p', b"ask\0"), message(b'p', b"SCRAM-SHA-256\0\0\0\0\x01n")]
    {
        let mut pg = Pg::silent(&server);
        pg.send([startup(&[("user", "me")]), said].concat());
        assert_eq!(kinds(&pg.rest()), "RE");
    }
}

#[test]
fn with_a_certificate_nothing_is_answered_in_the_clear() {
    let Some((certificate, key)) = certificate() else {
        assert!(std::env::var_os("CI").is_none(), "CI has openssl");
        eprintln!("SKIPPED: there is no openssl");
        return;
    };
    let tls = Some(Tls::new(&certificate, &key).expect("they go together"));
    let server = start(Listen { tls, ..listen() }, |_| ());
    let mut pg = Pg::silent(&server);
    pg.send(startup(&[("user", "me")]));
    let said = pg.rest();
    assert_eq!((kinds(&said).as_str(), code(&said).as_deref()), ("E", Some("28000")));

    let mut roots = rustls::RootCertStore::empty();
    use rustls::pki_types::pem::PemObject;
    roots.add(rustls::pki_types::CertificateDer::from_pem_slice(&certificate).expect("PEM")).expect("a root");
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let config = std::sync::Arc::new(config);
    // By asking first, and at once.
    for asks in [true, false] {
        let mut pg = Pg::silent(&server);
        if asks {
            pg.send(packet(1234 << 16 | 5679, b""));
            let mut yes = [0];
            pg.stream.read_exact(&mut yes).expect("an answer");
            assert_eq!(yes, *b"S");
        }
        let name = "localhost".try_into().expect("a name");
        let mut session = rustls::ClientConnection::new(config.clone(), name).expect("a session");
        let mut stream = rustls::Stream::new(&mut session, &mut pg.stream);
        let text = b"select value from hits(by => '')\0";
        stream
            .write_all(&[startup(&[("user", "me")]), message(b'Q', text), message(b'X', b"")].concat())
            .expect("it is sent");
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        assert!(said.windows(4).any(|four| four == b"7200"), "{}", String::from_utf8_lossy(&said));
    }
    // What was smuggled in before the encryption is not taken for what was said within.
    let mut pg = Pg::silent(&server);
    pg.send(
        [packet(1234 << 16 | 5679, b""), startup(&[("user", "me")]), message(b'Q', b"select 1\0")].concat(),
    );
    let mut said = Vec::new();
    let _ = pg.stream.read_to_end(&mut said);
    assert!(!said.windows(2).any(|two| two == b"D\0"), "{}", String::from_utf8_lossy(&said));
    // Without a certificate the answer is no, and the client may go on.
    let server = open();
    let mut pg = Pg::silent(&server);
    pg.send([packet(1234 << 16 | 5680, b""), packet(1234 << 16 | 5679, b"")].concat());
    let mut no = [0; 2];
    pg.stream.read_exact(&mut no).expect("an answer");
    assert_eq!(no, *b"NN");
    pg.send(startup(&[("user", "me")]));
    assert_eq!(pg.until_ready().last().map(|ready| ready.kind), Some(b'Z'));
}

#[test]
fn bytes_that_are_no_beginning_are_refused() {
    let server = open();
    let huge = [&u32::MAX.to_be_bytes()[..], &[0; 4]].concat();
    let large = [&100_000_000u32.to_be_bytes()[..], &(3u32 << 16).to_be_bytes()].concat();
    let beginnings: [(Vec<u8>, Option<&str>); 9] = [
        (huge, Some("08P01")),
        (large, Some("08P01")),
        (vec![0, 0, 0, 4, 0, 0, 0, 0], Some("08P01")),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), Some("08P01")),
        (packet(2 << 16, b"\0"), Some("0A000")),
        (packet(3 << 16, b"user\0me"), Some("08P01")),
        (startup(&[("database", "x")]), Some("28000")),
        (startup(&[("user", "me"), ("client_encoding", "LATIN1")]), Some("22023")),
        (startup(&[("user", "me"), ("replication", "true")]), Some("0A000")),
    ];
    for (bytes, expected) in beginnings {
        let mut pg = Pg::silent(&server);
        pg.send(&bytes);
        let said = pg.rest();
        assert_eq!(code(&said).as_deref(), expected, "{bytes:?}: {said:?}");
        assert_eq!(said[0].field(b'S').as_deref(), Some("FATAL"));
    }
    // A newer client is told what there is, and goes on.
    let mut pg = Pg::silent(&server);
    pg.send(packet(3 << 16 | 2, b"user\0me\0_pq_.some\0x\0\0"));
    let said = pg.until_ready();
    assert!(kinds(&said).starts_with("vR"), "{said:?}");
    assert_eq!(said[0].body, [&(3u32 << 16).to_be_bytes()[..], &1u32.to_be_bytes(), b"_pq_.some\0"].concat());
}

#[test]
fn messages_that_are_none_end_the_connection_and_no_other() {
    let server = open();
    let mut healthy = Pg::new(&server);
    let huge = [&b"Q"[..], &i32::MAX.to_be_bytes()].concat();
    let negative = [&b"Q"[..], &(-5i32).to_be_bytes()].concat();
    let wrong = [
        huge,
        negative,
        message(b'Z', b""),
        message(b'Q', b"no end"),
        message(b'P', b"a"),
        message(b'p', b"x"),
        message(b'B', b"\0\0\xff\xff"),
    ];
    for bytes in wrong {
        let mut pg = Pg::new(&server);
        pg.send(&bytes);
        let said = pg.rest();
        assert_eq!(code(&said).as_deref(), Some("08P01"), "{bytes:?}");
    }
    let mut pg = Pg::new(&server);
    pg.send(message(b'Q', b"\xff\xfe\0"));
    assert_eq!(code(&pg.rest()).as_deref(), Some("22021"));
    // Half a message, and then nobody.
    let mut pg = Pg::new(&server);
    pg.send(&message(b'Q', b"select 1\0")[..7]);
    drop(pg);
    // A byte at a time is a message too.
    let mut pg = Pg::new(&server);
    for byte in message(b'Q', b"select 1\0") {
        pg.send([byte]);
    }
    assert_eq!(kinds(&pg.until_ready()), "TDCZ");
    assert_eq!(healthy.rows("select 1"), [row(&["1"])]);
}

#[test]
fn who_says_nothing_is_not_waited_for() {
    let server = start(listen(), |postgres| {
        postgres.startup_timeout = Duration::from_millis(100);
        postgres.idle_timeout = Duration::from_millis(300);
    });
    for begun in [&b""[..], b"\0\0", &startup(&[("user", "me")])[..12]] {
        let mut pg = Pg::silent(&server);
        pg.send(begun);
        assert!(pg.rest().is_empty(), "{begun:?}");
    }
    let mut pg = Pg::new(&server);
    assert_eq!(code(&pg.rest()).as_deref(), Some("57P05"));
}

#[test]
fn there_is_room_for_so_many_and_cancelling() {
    let server = start(listen(), |postgres| postgres.connections_max = 1);
    let mut first = Pg::new(&server);
    first.send(message(b'Q', &[HEAVY.as_bytes(), b"\0"].concat()));
    let mut second = Pg::silent(&server);
    second.send(startup(&[("user", "me")]));
    assert_eq!(code(&second.rest()).as_deref(), Some("53300"));
    let key = first.process.clone();
    let said = std::thread::scope(|scope| {
        let said = scope.spawn(|| first.until_ready());
        until("it is cancelled", || {
            let mut other = Pg::silent(&server);
            other.send(packet(1234 << 16 | 5678, &key));
            other.rest();
            said.is_finished()
        });
        said.join().expect("an answer")
    });
    assert_eq!(code(&said).as_deref(), Some("57014"));
    drop(first);
    until("there is room again", || {
        let mut next = Pg::silent(&server);
        next.send(startup(&[("user", "me")]));
        next.until_ready().last().is_some_and(|said| said.kind == b'Z')
    });
}

#[test]
fn a_server_that_stops_says_so() {
    let server = open();
    let (mut idle, mut busy) = (Pg::new(&server), Pg::new(&server));
    busy.send(message(b'Q', &[HEAVY.as_bytes(), b"\0"].concat()));
    server.stop();
    assert_eq!(code(&idle.rest()).as_deref(), Some("57P01"));
    assert_eq!(code(&busy.rest()).as_deref(), Some("57P01"));
}

#[test]
fn nobody_listens_to_everybody_without_a_token() {
    let anywhere = Postgres::at(SocketAddr::from(([0, 0, 0, 0], 0)));
    let listen = Listen { postgres: Some(anywhere.clone()), ..listen() };
    let error = Server::start(listen.clone(), Behind::default()).err();
    assert!(matches!(error, Some(ServeError::OpenPostgres(_))), "{error:?}");
    let tokens = Tokens::none().with("ask", Role::Read);
    let error = Server::start(Listen { tokens, ..listen }, Behind::default()).err();
    assert!(matches!(error, Some(ServeError::NoSql)), "{error:?}");
}
