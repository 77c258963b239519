//! What routes do, as `/openapi.json` tells it: beside the table of routes, and not in it, so that both can be read.

use crate::openapi::{Gives, Operation, Param, header, json_of, media_of, word};

/// An operation that reads no body and knows no words.
const fn plain(method: &'static str, says: &'static str, gives: &'static [Gives]) -> Operation {
    Operation { method, says, takes: &[], body: &[], gives }
}

pub(crate) const PAGE: &[Operation] = &[plain("get", "The dashboard.", &[media_of("A page.", "text/html")])];
pub(crate) const PART: &[Operation] =
    &[plain("get", "What the dashboard is made of.", &[media_of("A file.", "text/plain")])];
pub(crate) const OPENAPI: &[Operation] =
    &[plain("get", "This document.", &[json_of("OpenAPI 3.1.", "OpenApi")])];

const KEPT: Gives = Gives { status: 204, says: "Done; a cookie says so.", media: "", schema: "" };
pub(crate) const SESSION: &[Operation] = &[
    plain("post", "A browser keeps its token as a cookie.", &[KEPT]),
    plain("delete", "The cookie is forgotten.", &[KEPT]),
];

pub(crate) const EVENTS: &[Operation] = &[Operation {
    method: "post",
    says: "Events as NDJSON become durable.",
    takes: &[
        word(
            "reply",
            "Names of `seen` metrics and fields: the answer tells of each event what was found, in order.",
        ),
        header(
            "Streamgauge-Producer",
            "Who sends, so that a retry counts once; 1 to 128 visible ASCII characters.",
        ),
        header("Streamgauge-Sequence", "The number of the body, ascending."),
        header("Content-Encoding", "gzip or zstd."),
    ],
    body: &["application/x-ndjson"],
    gives: &[
        json_of("It is on disk, and will be counted.", "Accepted"),
        Gives {
            status: 202,
            says: "So it is, but what was found of its events is not told.",
            media: "application/json",
            schema: "Accepted",
        },
    ],
}];
pub(crate) const COMMIT: &[Operation] = &[Operation {
    method: "post",
    says: "Another node offers a commit of its state, as the bytes of a manifest.",
    takes: &[],
    body: &["application/octet-stream"],
    gives: &[json_of("Taken, known, or which segments are lacking.", "Offered")],
}];
pub(crate) const SEGMENT: &[Operation] = &[Operation {
    method: "put",
    says: "A segment that an offered commit needs.",
    takes: &[],
    body: &["application/octet-stream"],
    gives: &[json_of("It is on disk.", "Segment")],
}];

pub(crate) const MERGE: &[Operation] = &[Operation {
    method: "post",
    says: "A saved state (run --save) is all that there is of an origin from now on.",
    takes: &[
        word("origin", "Whose it is; required."),
        word(
            "revision",
            "Which of its states, ascending; required. One that is not newer than what is known changes nothing.",
        ),
        header("Content-Encoding", "gzip or zstd."),
    ],
    body: &["application/octet-stream"],
    gives: &[json_of("Taken, or known already.", "Replaced")],
}];

pub(crate) const METRICS: &[Operation] =
    &[plain("get", "What is measured.", &[json_of("Every metric.", "Metrics")])];
const ASKED: &[Param] = &[
    word("window", "The newest window of this length, as 24h; with `every`, the length of all windows."),
    word("every", "Distance between the starts of windows."),
    word("from", "Where one window begins, RFC 3339."),
    word("to", "Where it ends."),
    word("zone", "The time zone whose days windows are made of."),
    word("panes", "Every pane that is kept."),
    word("since", "Of many windows those that begin within the newest stretch of this length."),
    word("by", "Names of dimensions with commas; empty is the total over all groups."),
    word("where", "A dimension, a colon and a value; may be repeated."),
    word("limit", "Most rows."),
    header("If-None-Match", "The ETag of the answer that is known."),
];
pub(crate) const METRIC: &[Operation] = &[Operation {
    method: "get",
    says: "What one metric comes to, with bounds.",
    takes: ASKED,
    body: &[],
    gives: &[
        json_of("Rows.", "Answer"),
        Gives { status: 304, says: "It is what is known.", media: "", schema: "" },
    ],
}];
pub(crate) const STREAM: &[Operation] = &[Operation {
    method: "get",
    says: "Answers that keep coming as they change: server-sent events.",
    takes: &[
        word("ask", "What would stand behind /v1/metrics/; up to 64 of them."),
        word("every", "Time between two looks, 1s without it."),
    ],
    body: &[],
    gives: &[media_of("Events `answer`, `problem` and `end`.", "text/event-stream")],
}];
pub(crate) const SQL: &[Operation] = &[Operation {
    method: "post",
    says: "A query in SQL over what is measured.",
    takes: &[],
    body: &["application/json", "text/plain"],
    gives: &[json_of("Columns and rows, with what is doubtful.", "Table")],
}];
pub(crate) const STATUS: &[Operation] =
    &[plain("get", "How the run is going.", &[json_of("Counters, watermarks and memory.", "Status")])];
pub(crate) const HEALTH: &[Operation] =
    &[plain("get", "Whether there is anybody.", &[json_of("As long as it answers.", "Health")])];
pub(crate) const READY: &[Operation] = &[plain(
    "get",
    "Whether events should be sent here.",
    &[
        json_of("They should.", "Ready"),
        Gives { status: 503, says: "Not now.", media: "application/json", schema: "Ready" },
    ],
)];
pub(crate) const PROMETHEUS: &[Operation] = &[Operation {
    method: "get",
    says: "Everything that is counted and measured, for Prometheus.",
    takes: &[word("window", "Also the newest window of this length.")],
    body: &[],
    gives: &[media_of("Text format 0.0.4.", "text/plain")],
}];
