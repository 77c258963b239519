//! Every route there is, with what it needs: one table, so that none is without a rule.

use crate::counters::Refused;
use crate::openapi::Operation;
use crate::reply::Problem;
use crate::roles::Need;
use crate::server::House;
use crate::{answers, guard, ingest, metrics, openapi, origins, said, session, sql, status, stream, ui};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{MethodRouter, get, post, put};
use std::sync::{Arc, LazyLock};

/// A route with what handles it.
struct Route {
    told: Told,
    methods: MethodRouter<Arc<House>>,
}

/// A route as others know it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told {
    /// Below the base path of the server.
    pub path: &'static str,
    pub need: Need,
    /// By method.
    pub does: &'static [Operation],
}

fn route(
    path: &'static str,
    need: Need,
    methods: MethodRouter<Arc<House>>,
    does: &'static [Operation],
) -> Route {
    Route { told: Told { path, need, does }, methods }
}

fn table() -> Vec<Route> {
    vec![
        route("/", Need::Nothing, get(ui::index), said::PAGE),
        route("/ui/{name}", Need::Nothing, get(ui::part), said::PART),
        route("/openapi.json", Need::Nothing, get(openapi::openapi), said::OPENAPI),
        route("/v1/session", Need::Token, post(session::begin).delete(session::end), said::SESSION),
        route("/v1/events", Need::Ingest, post(ingest::events), said::EVENTS),
        route("/v1/events/{source}", Need::Ingest, post(ingest::events_of), said::EVENTS),
        route("/v1/origins/{origin}/{source}/commit", Need::Ingest, post(origins::commit), said::COMMIT),
        route(
            "/v1/origins/{origin}/{source}/segments/{state}/{name}",
            Need::Ingest,
            put(origins::segment),
            said::SEGMENT,
        ),
        route("/v1/merge", Need::Ingest, post(origins::merge), said::MERGE),
        route("/v1/metrics", Need::Read, get(answers::list), said::METRICS),
        route("/v1/metrics/{name}", Need::Read, get(answers::of_metric), said::METRIC),
        route("/v1/stream", Need::Read, get(stream::stream), said::STREAM),
        route("/v1/sql", Need::Read, post(sql::sql), said::SQL),
        route("/v1/status", Need::Read, get(status::status), said::STATUS),
        route("/health", Need::Nothing, get(metrics::health), said::HEALTH),
        route("/ready", Need::Nothing, get(metrics::ready), said::READY),
        route("/metrics", Need::Read, get(metrics::metrics), said::PROMETHEUS),
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
    let known = pattern.and_then(|pattern| told().iter().find(|known| known.path == pattern));
    known.map_or(Need::Token, |known| known.need)
}

/// The table without its handlers.
pub(crate) fn told() -> &'static [Told] {
    static TOLD: LazyLock<Vec<Told>> =
        LazyLock::new(|| table().into_iter().map(|route| route.told).collect());
    &TOLD
}

/// The routes, below the base path of the server.
pub(crate) fn routes(house: &Arc<House>) -> Router {
    let base = house.listen.base.as_str();
    let add = |all: Router<Arc<House>>, Route { told, methods }: Route| {
        all.route(&format!("{base}{}", told.path), methods)
    };
    let mut all = table().into_iter().fold(Router::new(), add);
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
    let known: Vec<&str> = told().iter().map(|route| route.path).collect();
    let hint = format!("there is {}, below `{}/`", known.join(", "), house.listen.base);
    Problem::new(StatusCode::NOT_FOUND, Refused::NotFound, "there is nothing here", hint).into_response()
}

async fn no_method(State(house): State<Arc<House>>) -> Response {
    house.counters.refuse(Refused::NotFound);
    let hint = "POST events to /v1/events, queries to /v1/sql and saved states to /v1/merge; GET all else";
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
