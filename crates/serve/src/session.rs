//! `/v1/session`: a browser keeps a token as a cookie, which scripts cannot read and other pages cannot use.

use crate::guard::COOKIE;
use crate::server::House;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// Whoever came here has shown a token: it is kept from now on.
pub(crate) async fn begin(State(house): State<Arc<House>>, headers: HeaderMap) -> Response {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    // With a cookie there is nothing new to keep.
    let token = bearer.and_then(|value| value.split_whitespace().nth(1));
    token.map_or(StatusCode::NO_CONTENT.into_response(), |token| cookie(&house, token, ""))
}

/// The token is forgotten.
pub(crate) async fn end(State(house): State<Arc<House>>) -> Response {
    cookie(&house, "", "; Max-Age=0")
}

fn cookie(house: &House, token: &str, more: &str) -> Response {
    let secure = if house.listen.tls.is_some() { "; Secure" } else { "" };
    let path = house.listen.base.as_str();
    let text = format!("{COOKIE}={token}; Path={path}/; HttpOnly; SameSite=Strict{secure}{more}");
    let mut response = StatusCode::NO_CONTENT.into_response();
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response
}
