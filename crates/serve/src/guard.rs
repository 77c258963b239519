//! Who may ask: a token, and no web pages of others.

use crate::body::drain;
use crate::counters::Refused;
use crate::reply::Problem;
use crate::server::House;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::time::Instant;
use subtle::ConstantTimeEq;

/// What load balancers may see without a token.
const OPEN: [&str; 2] = ["/health", "/ready"];

/// Lets a request through or not, and counts what became of it.
pub(crate) async fn guard(State(house): State<Arc<House>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    // The route, and not the path: there are as many as the server has.
    let route =
        request.extensions().get::<MatchedPath>().map_or("other".into(), |path| path.as_str().to_string());
    let response = match problem(&house, &request) {
        None => next.run(request).await,
        Some(problem) => {
            let (parts, mut body) = request.into_parts();
            drain(&house, &parts.headers, &mut body).await;
            house.counters.refuse(problem.reason);
            problem.into_response()
        }
    };
    house.counters.answer(response.status());
    house.latency.note(&route, begun.elapsed());
    response
}

fn problem(house: &House, request: &Request) -> Option<Problem> {
    if OPEN.contains(&request.uri().path()) {
        return None;
    }
    match &house.listen.token {
        Some(token) if bears(request.headers(), token) => None,
        Some(_) => {
            let hint = "send the header `Authorization: Bearer TOKEN`";
            let error = "this needs the token of the server";
            Some(Problem::new(StatusCode::UNAUTHORIZED, Refused::Unauthorized, error, hint))
        }
        None if request.method() != Method::GET && foreign(request.headers()) => {
            let error = "a web page of another origin may not send events here";
            let hint = "set a `token` and let the page's own server send them";
            Some(Problem::new(StatusCode::FORBIDDEN, Refused::Unauthorized, error, hint))
        }
        None => None,
    }
}

/// Whether the one `Authorization` is this token; takes as long whatever the difference.
fn bears(headers: &HeaderMap, token: &str) -> bool {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let Some((scheme, given)) = value.as_bytes().split_first_chunk::<7>() else { return false };
    scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(given.trim_ascii().ct_eq(token.as_bytes()))
}

/// Whether a browser sends this for a page that does not come from here: without a token, any page that somebody visits
/// could otherwise reach a server on their machine.
fn foreign(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return false };
    let origin = origin.to_str().unwrap_or_default();
    let host = origin.split_once("://").map(|(_, host)| host.as_bytes());
    host.is_none() || host != headers.get(header::HOST).map(|host| host.as_bytes())
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
            assert_eq!(bears(&headers(&pairs), "secret"), expected, "{values:?}");
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
