//! Every route there is, with what it needs: one table, so that none is without a rule.

use crate::counters::Refused;
use crate::reply::Problem;
use crate::roles::Need;
use crate::server::House;
use crate::{answers, guard, ingest, metrics, origins, session, sql, status, stream, ui};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{MethodRouter, get, post, put};
use std::sync::{Arc, LazyLock};

type Route = (&'static str, Need, MethodRouter<Arc<House>>);

fn table() -> Vec<Route> {
    vec![
        ("/", Need::Nothing, get(ui::index)),
        ("/ui/{name}", Need::Nothing, get(ui::part)),
        ("/v1/session", Need::Token, post(session::begin).delete(session::end)),
        ("/v1/events", Need::Ingest, post(ingest::events)),
        ("/v1/events/{source}", Need::Ingest, post(ingest::events_of)),
        ("/v1/origins/{origin}/{source}/commit", Need::Ingest, post(origins::commit)),
        ("/v1/origins/{origin}/{source}/segments/{state}/{name}", Need::Ingest, put(origins::segment)),
        ("/v1/metrics", Need::Read, get(answers::list)),
        ("/v1/metrics/{name}", Need::Read, get(answers::of_metric)),
        ("/v1/stream", Need::Read, get(stream::stream)),
        ("/v1/sql", Need::Read, post(sql::sql)),
        ("/v1/status", Need::Read, get(status::status)),
        ("/health", Need::Nothing, get(metrics::health)),
        ("/ready", Need::Nothing, get(metrics::ready)),
        ("/metrics", Need::Read, get(metrics::metrics)),
    ]
}

/// What the route of this pattern needs; a token, where there is none.
pub(crate) fn need(pattern: Option<&str>, base: &str) -> Need {
    let below = |pattern| match pattern {
        "/health" | "/ready" => pattern,
        _ if pattern == base => "/",
        _ => pattern.strip_prefix(base).unwrap_or(""),
    };
    let pattern = pattern.map(below);
    let known = pattern.and_then(|pattern| NEEDS.iter().find(|(known, _)| *known == pattern));
    known.map_or(Need::Token, |(_, need)| *need)
}

/// The table without its handlers.
static NEEDS: LazyLock<Vec<(&'static str, Need)>> =
    LazyLock::new(|| table().into_iter().map(|(path, need, _)| (path, need)).collect());

/// The routes, below the base path of the server.
pub(crate) fn routes(house: &Arc<House>) -> Router {
    let base = house.listen.base.as_str();
    let route =
        |all: Router<Arc<House>>, (path, _, methods): Route| all.route(&format!("{base}{path}"), methods);
    let mut all = table().into_iter().fold(Router::new(), route);
    if !base.is_empty() {
        let home = format!("{base}/");
        all = all.route(base, get(move || async move { Redirect::permanent(&home) }));
        // Load balancers ask the program itself, without the gateway.
        all = all.route("/health", get(metrics::health)).route("/ready", get(metrics::ready));
    }
    all.fallback(no_path)
        .method_not_allowed_fallback(no_method)
        .layer(axum::middleware::from_fn_with_state(house.clone(), guard::guard))
        .with_state(house.clone())
}

async fn no_path(State(house): State<Arc<House>>) -> Response {
    house.counters.refuse(Refused::NotFound);
    let known: Vec<&str> = NEEDS.iter().map(|(path, _)| *path).collect();
    let hint = format!("there is {}, below `{}/`", known.join(", "), house.listen.base);
    Problem::new(StatusCode::NOT_FOUND, Refused::NotFound, "there is nothing here", hint).into_response()
}

async fn no_method(State(house): State<Arc<House>>) -> Response {
    house.counters.refuse(Refused::NotFound);
    let hint = "POST events to /v1/events and queries to /v1/sql; GET all else";
    let error = "this method is not for this path";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, Refused::NotFound, error, hint).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_in_the_table_needs_a_token() {
        assert_eq!(need(Some("/v1/metrics/{name}"), ""), Need::Read);
        assert_eq!(need(Some("/sg/v1/events"), "/sg"), Need::Ingest);
        assert_eq!(need(Some("/sg"), "/sg"), Need::Nothing);
        assert_eq!(need(Some("/sg/"), "/sg"), Need::Nothing);
        assert_eq!(need(Some("/elsewhere"), ""), Need::Token);
        assert_eq!(need(None, ""), Need::Token);
    }
}
