//! Answers that say no: a status, a reason to be counted by, a sentence, and what to do (RFC 9457).

use crate::counters::Refused;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine::inbox::Refusal;
use serde_json::json;

/// A request that is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub status: StatusCode,
    pub reason: Refused,
    pub error: String,
    pub hint: String,
    /// After how many seconds it may be tried again.
    pub retry_after_s: Option<u32>,
}

impl Problem {
    pub fn new(
        status: StatusCode,
        reason: Refused,
        error: impl Into<String>,
        hint: impl Into<String>,
    ) -> Problem {
        Problem { status, reason, error: error.into(), hint: hint.into(), retry_after_s: None }
    }

    pub fn bad(error: impl Into<String>, hint: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, Refused::Bad, error, hint)
    }

    pub fn too_long(bytes_max: usize) -> Problem {
        let error = format!("the body has more than {bytes_max} bytes, as it came or decompressed");
        let hint = "send it in several requests, or raise `body_max`";
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, Refused::TooLong, error, hint)
    }

    pub fn busy(error: impl Into<String>) -> Problem {
        let hint = "send the same body again after the seconds of Retry-After";
        Problem::new(StatusCode::TOO_MANY_REQUESTS, Refused::Busy, error, hint).after(1)
    }

    pub fn stopping() -> Problem {
        let hint = "send the same body again; nothing of it was kept";
        let error = Refusal::Stopping.to_string();
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, Refused::Stopping, error, hint).after(5)
    }

    pub fn after(self, seconds: u32) -> Problem {
        Problem { retry_after_s: Some(seconds), ..self }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        let error = refusal.to_string();
        match refusal {
            Refusal::Busy => Problem::busy(error),
            Refusal::Behind => {
                let problem = Problem { reason: Refused::Behind, ..Problem::busy(error) };
                problem.after(5)
            }
            Refusal::Stopping => Problem::stopping(),
            Refusal::TooLong { bytes_max } => Problem::too_long(bytes_max),
            Refusal::NoSpace | Refusal::Failed(_) => {
                let hint = "make room on the disk of the state directory; send the same body again, with the same sequence";
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, Refused::Disk, error, hint).after(10)
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("refused"),
            "status": self.status.as_u16(),
            "reason": self.reason.word(),
            "detail": self.error,
            "hint": self.hint,
        });
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        match self.status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, zstd"));
            }
            _ => {}
        }
        response
    }
}
