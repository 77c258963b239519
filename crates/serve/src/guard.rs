//! Who may ask: a token with a role, and no web pages of others.

use crate::body::drain;
use crate::counters::Refused;
use crate::reply::Problem;
use crate::roles::{Need, Role};
use crate::routes;
use crate::server::House;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::time::Instant;

/// The cookie that holds the token of a browser.
pub(crate) const COOKIE: &str = "streamgauge_token";

/// Lets a request through or not, and counts what became of it.
pub(crate) async fn guard(State(house): State<Arc<House>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    // The route, and not the path: there are as many as the server has.
    let pattern = request.extensions().get::<MatchedPath>().cloned();
    let pattern = pattern.as_ref().map(MatchedPath::as_str);
    let response = match problem(&house, pattern, &request) {
        None => next.run(request).await,
        Some(problem) => {
            let (parts, mut body) = request.into_parts();
            drain(&house, &parts.headers, &mut body).await;
            house.counters.refuse(problem.reason);
            problem.into_response()
        }
    };
    house.counters.answer(response.status());
    house.latency.note(pattern.unwrap_or("other"), begun.elapsed());
    response
}

fn problem(house: &House, pattern: Option<&str>, request: &Request) -> Option<Problem> {
    let (tokens, headers) = (&house.listen.tokens, request.headers());
    let need = routes::need(pattern, &house.listen.base);
    if need == Need::Nothing {
        return None;
    }
    // Without tokens whoever is on this machine may; a cookie goes with whatever a browser sends.
    let by_browser = tokens.is_empty() || headers.get(header::AUTHORIZATION).is_none();
    if by_browser && !matches!(*request.method(), Method::GET | Method::HEAD) && foreign(headers) {
        let error = "a web page of another origin may not do this";
        let hint = "let the page's own server do it, with a token";
        return Some(Problem::new(StatusCode::FORBIDDEN, Refused::Unauthorized, error, hint));
    }
    if tokens.is_empty() {
        return None;
    }
    let given = bearer(headers).or_else(|| cookie(headers));
    match given.and_then(|given| tokens.role_of(given)) {
        Some(role) if need.allows(role) => None,
        Some(role) => {
            let error = format!("this token may not do this: it is for {}", word(role));
            let hint = format!("send {}", need.what());
            Some(Problem::new(StatusCode::FORBIDDEN, Refused::Unauthorized, error, hint))
        }
        None => {
            let hint = "send the header `Authorization: Bearer TOKEN`";
            let error = "this needs the token of the server";
            Some(Problem::new(StatusCode::UNAUTHORIZED, Refused::Unauthorized, error, hint))
        }
    }
}

fn word(role: Role) -> &'static str {
    match role {
        Role::Ingest => "sending events",
        Role::Read => "asking",
        Role::Admin => "everything",
    }
}

/// The token of the one `Authorization`.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, given) = value.as_bytes().split_first_chunk::<7>()?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| given.trim_ascii())
}

/// The token that a browser keeps, where nothing else was sent.
fn cookie(headers: &HeaderMap) -> Option<&[u8]> {
    if headers.contains_key(header::AUTHORIZATION) {
        return None;
    }
    let pairs =
        headers.get_all(header::COOKIE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    let mut found = pairs.filter_map(|pair| {
        let pair = pair.trim_ascii();
        pair.strip_prefix(COOKIE.as_bytes())?.strip_prefix(b"=")
    });
    found.next()
}

/// Whether a browser sends this for a page that does not come from here: without a token, any page that somebody visits
/// could otherwise reach a server on their machine.
fn foreign(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return false };
    let origin = origin.to_str().unwrap_or_default();
    let Some((_, host)) = origin.split_once("://") else { return true };
    // A gateway says whom the browser meant; a page of others cannot say so unasked.
    let own = [headers.get("x-forwarded-host"), headers.get(header::HOST)];
    !own.into_iter().flatten().any(|own| own.as_bytes() == host.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_token_is_borne_once_and_whole() {
        let check = |values: &[&str], expected: bool| {
            let pairs: Vec<_> = values.iter().map(|value| (header::AUTHORIZATION, *value)).collect();
            assert_eq!(bearer(&headers(&pairs)) == Some(b"secret"), expected, "{values:?}");
        };
        check(&["Bearer secret"], true);
        check(&["bearer  secret"], true);
        check(&[], false);
        check(&["secret"], false);
        check(&["Bearer "], false);
        check(&["Bearer secre"], false);
        check(&["Bearer secrets"], false);
        check(&["Basic secret"], false);
        check(&["Bearer secret", "Bearer secret"], false);
    }

    #[test]
    fn a_cookie_holds_a_token_where_nothing_else_was_sent() {
        let check = |pairs: &[(header::HeaderName, &str)], expected: Option<&str>| {
            assert_eq!(cookie(&headers(pairs)), expected.map(str::as_bytes), "{pairs:?}");
        };
        check(&[(header::COOKIE, "a=b; streamgauge_token=secret; c=d")], Some("secret"));
        check(
            &[(header::COOKIE, "streamgauge_token2=x"), (header::COOKIE, "streamgauge_token=y")],
            Some("y"),
        );
        check(&[(header::COOKIE, "streamgauge_token=x"), (header::AUTHORIZATION, "Bearer y")], None);
        check(&[], None);
    }

    #[test]
    fn pages_of_other_origins_are_foreign() {
        let check = |origin: Option<&str>, expected: bool| {
            let mut pairs = vec![(header::HOST, "127.0.0.1:8428")];
            pairs.extend(origin.map(|origin| (header::ORIGIN, origin)));
            assert_eq!(foreign(&headers(&pairs)), expected, "{origin:?}");
        };
        check(None, false);
        check(Some("http://127.0.0.1:8428"), false);
        check(Some("http://127.0.0.1:80"), true);
        check(Some("https://evil.example"), true);
        check(Some("null"), true);
    }
}
