//! Who may do what: every route with every kind of token, cookies, TLS, and a path of a gateway.

use crate::client::{Client, PATIENCE, start};
use serve::{Listen, Role, Tls, Tokens};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

const PATHS: [(&str, &str, &str); 12] = [
    ("GET", "/", "nothing"),
    ("GET", "/ui/app.js", "nothing"),
    ("GET", "/health", "nothing"),
    ("GET", "/ready", "nothing"),
    ("POST", "/v1/session", "token"),
    ("POST", "/v1/events", "ingest"),
    ("POST", "/v1/events/events", "ingest"),
    ("POST", "/v1/origins/a/b/commit", "ingest"),
    ("GET", "/v1/metrics", "read"),
    ("GET", "/v1/metrics/hits", "read"),
    ("GET", "/metrics", "read"),
    ("GET", "/v1/nothing", "token"),
];

fn listen() -> Listen {
    let tokens = Tokens::none()
        .with("all", Role::Admin)
        .with("ask", Role::Read)
        .with("send", Role::Ingest)
        .with("send-2", Role::Ingest);
    Listen { tokens, ..crate::client::listen() }
}

fn status(client: &mut Client, method: &str, path: &str, headers: &str) -> u16 {
    client.send(format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n{headers}\r\n"));
    client.reply().expect("an answer").status
}

#[test]
fn every_route_asks_for_its_role() {
    let (server, _) = start(listen());
    let roles = [
        (None, ""),
        (Some("all"), "ingest read token"),
        (Some("ask"), "read token"),
        (Some("send"), "ingest token"),
    ];
    let roles =
        roles.into_iter().chain([(Some("send-2"), "ingest token"), (Some("sen"), ""), (Some("ALL"), "")]);
    for (token, may) in roles {
        let header = token.map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
        for (method, path, need) in PATHS {
            let found = status(&mut Client::new(&server), method, path, &header);
            let allowed = need == "nothing" || may.contains(need);
            assert_eq!(!matches!(found, 401 | 403), allowed, "{method} {path} with {token:?}: {found}");
            if !allowed {
                assert_eq!(found, if may.is_empty() { 401 } else { 403 }, "{method} {path} with {token:?}");
            }
        }
    }
}

#[test]
fn a_browser_keeps_its_token_and_other_pages_cannot_use_it() {
    let (server, inbox) = start(listen());
    let mut client = Client::new(&server);
    client.send(
        "POST /v1/session HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nAuthorization: Bearer all\r\n\r\n",
    );
    let reply = client.reply().expect("an answer");
    assert_eq!(
        (reply.status, reply.header("set-cookie")),
        (204, Some("streamgauge_token=all; Path=/; HttpOnly; SameSite=Strict"))
    );
    let cookie = "Cookie: streamgauge_token=all\r\n";
    assert_eq!(status(&mut client, "GET", "/metrics", cookie), 200);
    assert_eq!(status(&mut client, "POST", "/v1/events", &format!("{cookie}Origin: http://x\r\n")), 200);
    assert_eq!(
        status(&mut client, "POST", "/v1/events", &format!("{cookie}Origin: https://evil.example\r\n")),
        403
    );
    let gateway = format!("{cookie}Origin: https://gauge.example\r\nX-Forwarded-Host: gauge.example\r\n");
    assert_eq!(status(&mut client, "POST", "/v1/events", &gateway), 200);
    assert_eq!(inbox.bodies().len(), 2);
    client.send("DELETE /v1/session HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nCookie: streamgauge_token=all\r\n\r\n");
    let forgotten = client.reply().expect("an answer");
    assert!(
        forgotten.header("set-cookie").is_some_and(|cookie| cookie.contains("Max-Age=0")),
        "{forgotten:?}"
    );
}

#[test]
fn below_a_base_everything_is_there_and_nothing_outside() {
    let (server, _) = start(Listen { base: "/gauge".into(), ..listen() });
    let mut client = Client::new(&server);
    let all = "Authorization: Bearer all\r\n";
    let mut check = |path: &str, headers: &str, expected: u16| {
        assert_eq!(status(&mut client, "GET", path, headers), expected, "{path}");
    };
    check("/gauge", "", 308);
    check("/gauge/", "", 200);
    check("/gauge/ui/app.js", "", 200);
    check("/gauge/metrics", "", 401);
    check("/gauge/metrics", all, 200);
    check("/gauge/health", "", 200);
    check("/health", "", 200);
    check("/metrics", all, 404);
    check("/metrics", "", 401);
}

/// A certificate for localhost by openssl, if there is one.
pub(crate) fn certificate() -> Option<(Vec<u8>, Vec<u8>)> {
    let directory = std::env::temp_dir().join(format!("streamgauge-tls-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let (certificate, key) = (directory.join("cert.pem"), directory.join("key.pem"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ])
        .args([
            "-subj",
            "/CN=localhost",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-keyout",
        ])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output();
    let bytes = made
        .ok()
        .filter(|made| made.status.success())
        .map(|_| (std::fs::read(&certificate).expect("a certificate"), std::fs::read(&key).expect("a key")));
    std::fs::remove_dir_all(&directory).expect("it is ours");
    bytes
}

#[test]
fn with_a_certificate_nothing_is_said_in_the_clear() {
    let Some((certificate, key)) = certificate() else {
        assert!(std::env::var_os("CI").is_none(), "CI has openssl");
        eprintln!("SKIPPED: there is no openssl");
        return;
    };
    assert!(Tls::new(b"", &key).unwrap_err().contains("holds none"));
    assert!(Tls::new(&certificate, b"no key").unwrap_err().contains("no private key"));
    let (_, other) = certificate_again();
    assert!(Tls::new(&certificate, &other).unwrap_err().contains("do not serve"));
    let tls = Tls::new(&certificate, &key).expect("they go together");
    let (server, _) = start(Listen { tls: Some(tls), ..listen() });

    let mut plain = TcpStream::connect(server.address()).expect("somebody listens");
    plain.set_read_timeout(Some(PATIENCE)).expect("a socket");
    plain.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").expect("it is sent");
    let mut said = Vec::new();
    let _ = plain.read_to_end(&mut said);
    assert!(!said.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&said));

    let mut roots = rustls::RootCertStore::empty();
    use rustls::pki_types::pem::PemObject;
    roots.add(rustls::pki_types::CertificateDer::from_pem_slice(&certificate).expect("PEM")).expect("a root");
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().expect("a name");
    let mut session = rustls::ClientConnection::new(std::sync::Arc::new(config), name).expect("a session");
    let mut socket = TcpStream::connect(server.address()).expect("somebody listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut stream = rustls::Stream::new(&mut session, &mut socket);
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("it is sent");
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    assert!(said.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&said));
}

fn certificate_again() -> (Vec<u8>, Vec<u8>) {
    certificate().expect("it was made before")
}
