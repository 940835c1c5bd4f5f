//! The answer of a node, with the checks that every answer must pass.

use bytes::Bytes;
use hyper::HeaderMap;
use serde_json::Value;

/// Positions stay below 2^53, so that every JSON reader keeps them exact.
const POSITION_MAX: u64 = 1 << 53;

/// A whole HTTP answer, and the request that it belongs to.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Method, path and node of the request, for messages.
    pub asked: String,
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The answer itself, after checking its status.
    ///
    /// # Panics
    /// When the status differs; prints the body.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}: {}", self.asked, self.text());
        self
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When the body is not JSON.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{}: {error} in {}", self.asked, self.text()))
    }

    /// The `data` of a success, after checking the envelope.
    ///
    /// # Panics
    /// When the body is not a success.
    #[must_use]
    #[track_caller]
    pub fn data(&self) -> Value {
        let mut body = self.json();
        assert_eq!(body["success"], true, "{}: {}", self.asked, self.text());
        assert_eq!(self.header("content-type"), Some("application/json"), "{}", self.asked);
        body["data"].take()
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The value of `X-Position`.
    ///
    /// # Panics
    /// When it is missing or no position.
    #[must_use]
    #[track_caller]
    pub fn position(&self) -> u64 {
        let text = self.header("x-position");
        let text = text.unwrap_or_else(|| panic!("{}: no X-Position", self.asked));
        let position = text.parse().unwrap_or_else(|_| panic!("{}: {text}", self.asked));
        assert!(position < POSITION_MAX, "{}: {position}", self.asked);
        position
    }

    /// Checks that this is an error in the one documented shape, with this status and code, and
    /// returns its body.
    ///
    /// # Panics
    /// When anything about it differs.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}: {}", self.asked, self.text());
        let body = self.problem_of_any_kind();
        assert_eq!(body["error"], code, "{}: {body}", self.asked);
        body
    }

    /// Checks that this is an error in the one documented shape, whatever its code, and returns
    /// its body.
    ///
    /// # Panics
    /// When anything about it differs.
    #[track_caller]
    pub fn problem_of_any_kind(&self) -> Value {
        let asked = &self.asked;
        assert!(self.status >= 400, "{asked}: {} {}", self.status, self.text());
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{asked}: {} {}",
            self.status,
            self.text()
        );
        let body = self.json();
        assert_shape(asked, self.status, &body);
        assert_eq!(
            body["trace_id"].as_str(),
            self.header("x-trace-id"),
            "{asked}: the trace id of body and header"
        );
        body
    }
}

/// Checks every field of a problem against the status and against the others.
#[track_caller]
fn assert_shape(asked: &str, status: u16, body: &Value) {
    let text = |field: &str| {
        let value = body[field].as_str();
        value.unwrap_or_else(|| panic!("{asked}: no text in `{field}`: {body}")).to_owned()
    };
    let code = text("error");
    assert_eq!(text("type"), format!("/problems/{}", code.replace('_', "-")), "{asked}");
    let upper = if code == "order_not_cancellable" {
        "INVALID_TRANSITION".to_owned()
    } else {
        code.to_uppercase()
    };
    assert_eq!(text("error_code"), upper, "{asked}");
    assert!(!text("title").is_empty(), "{asked}: {body}");
    assert!(!text("detail").is_empty(), "{asked}: {body}");
    assert_eq!(text("message"), text("detail"), "{asked}");
    assert!(!text("trace_id").is_empty(), "{asked}: {body}");
    assert_eq!(body["status"], status, "{asked}: {body}");
    assert_eq!(body["success"], false, "{asked}: {body}");
    let outcome = match status {
        504 => "unknown",
        408 | 429 | 500 | 503 => "not_applied",
        _ => "rejected",
    };
    // The server may say that it refused before writing to the log; clients treat both alike.
    let said = text("outcome");
    assert!(
        said == outcome || (outcome == "rejected" && said == "not_applied"),
        "{asked}: outcome of {body}"
    );
    assert!(body["retryable"].is_boolean(), "{asked}: {body}");
    assert!(body.get("errors").is_some(), "{asked}: {body}");
    if code == "validation_error" {
        let errors = body["errors"].as_object();
        let errors = errors.unwrap_or_else(|| panic!("{asked}: no `errors` in {body}"));
        assert!(!errors.is_empty(), "{asked}: {body}");
        for texts in errors.values() {
            let texts = texts.as_array();
            let texts = texts.unwrap_or_else(|| panic!("{asked}: no list of texts in {body}"));
            assert!(!texts.is_empty() && texts.iter().all(Value::is_string), "{asked}: {body}");
        }
    } else {
        assert!(body["errors"].is_null(), "{asked}: {body}");
    }
    assert!(!body.to_string().contains("panicked"), "{asked}: {body}");
}
