//! The document of the API tells of every route what the server does there.

use crate::client::{Client, listen};
use serve::{Behind, Listen, Role, Server, Tokens};

const METHODS: [&str; 5] = ["get", "post", "put", "delete", "patch"];

#[test]
fn the_methods_and_roles_that_are_told_are_those_there_are() {
    let tokens = Tokens::none().with("send", Role::Ingest).with("ask", Role::Read);
    let server = Server::start(Listen { tokens, ..listen() }, Behind::default()).expect("a server");
    let document = Client::new(&server).get("/openapi.json", &[]).json();
    let paths = document["paths"].as_object().expect("paths");
    assert!(paths.len() >= 16, "{document}");
    let status = |method: &str, path: &str, token: &str| {
        let mut client = Client::new(&server);
        let token =
            if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
        let method = method.to_uppercase();
        let head = "Host: x\r\nConnection: close\r\nContent-Length: 0\r\n";
        client.send(format!("{method} {path} HTTP/1.1\r\n{head}{token}\r\n"));
        client.reply().expect("an answer").status
    };
    for (path, item) in paths {
        let real = path
            .replace("{name}", "x")
            .replace("{source}", "x")
            .replace("{origin}", "x")
            .replace("{state}", "x");
        for method in METHODS {
            let told = &item[method];
            let needs = told["x-streamgauge-needs"].as_str();
            let nobody = status(method, &real, "");
            match needs {
                Some("nothing") => assert!(nobody != 401 && nobody != 405, "{method} {path}: {nobody}"),
                Some(_) => assert_eq!(nobody, 401, "{method} {path}"),
                None => assert!([401, 405].contains(&nobody), "{method} {path}: {nobody}"),
            }
            for (token, role) in [("send", "ingest"), ("ask", "read")] {
                let status = status(method, &real, token);
                let may = matches!(needs, Some(word) if word == role || word == "token" || word == "nothing");
                if needs.is_some() {
                    assert_eq!(status != 403, may, "{method} {path} as {role}: {status}");
                }
                assert_eq!(status == 405, needs.is_none() && status != 403, "{method} {path}: {status}");
            }
        }
    }
}
