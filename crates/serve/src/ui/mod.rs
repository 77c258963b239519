//! The dashboard: one page, made from what is measured, that works without anything from elsewhere.
//!
//! No build step: the browser reads the modules as they stand here. Charts are by uPlot (MIT, `vendor/`).

use crate::cache::digest;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Nothing but what this server sends, and nobody may put the page into a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const INDEX: &str = include_str!("index.html");

/// Name, type and text of what the page is made of.
const FILES: [(&str, &str, &str); 9] = [
    ("app.js", SCRIPT, include_str!("app.js")),
    ("api.js", SCRIPT, include_str!("api.js")),
    ("cards.js", SCRIPT, include_str!("cards.js")),
    ("charts.js", SCRIPT, include_str!("charts.js")),
    ("words.js", SCRIPT, include_str!("words.js")),
    ("style.css", STYLE, include_str!("style.css")),
    ("icon.svg", "image/svg+xml", include_str!("icon.svg")),
    ("uPlot.iife.min.js", SCRIPT, include_str!("vendor/uPlot.iife.min.js")),
    ("uPlot.min.css", STYLE, include_str!("vendor/uPlot.min.css")),
];

/// `GET /`.
pub(crate) async fn index(headers: HeaderMap) -> Response {
    file(&headers, HTML, INDEX)
}

/// `GET /ui/NAME`.
pub(crate) async fn part(Path(name): Path<String>, headers: HeaderMap) -> Response {
    match FILES.iter().find(|(file, _, _)| *file == name) {
        Some((_, kind, text)) => file(&headers, kind, text),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A file that changes only with the program: asked for again, it is not sent again.
fn file(headers: &HeaderMap, kind: &'static str, text: &'static str) -> Response {
    let tag = format!("\"{}-{:x}\"", env!("CARGO_PKG_VERSION"), digest(text.as_bytes()));
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == tag.as_bytes());
    let mut response = if known { StatusCode::NOT_MODIFIED.into_response() } else { text.into_response() };
    let fixed: [(HeaderName, &'static str); 5] = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    let headers = response.headers_mut();
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.extend(HeaderValue::from_str(&tag).ok().map(|tag| (header::ETAG, tag)));
    response
}
