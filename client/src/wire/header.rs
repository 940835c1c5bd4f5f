//! Names of the headers with a meaning of their own, in the lower case that HTTP libraries require,
//! and the content types.

/// Request header with the caller's idempotency key: 1 to 255 printable characters.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Response header, `true` when an earlier request with the same key had the effect.
pub const IDEMPOTENT_REPLAYED: &str = "idempotent-replayed";

/// Header with the trace id, in both directions; the server generates a UUID for a request without
/// one.
pub const TRACE_ID: &str = "x-trace-id";

/// Response header with the position that the answer reflects, below 2^53.
pub const POSITION: &str = "x-position";

/// Request header with the lowest position that the answer must reflect.
pub const MIN_POSITION: &str = "x-min-position";

/// Request header that says how fresh a read must be.
pub const CONSISTENCY: &str = "x-consistency";

/// Request header with the caller's preferences (RFC 7240).
pub const PREFER: &str = "prefer";

/// The value of [`PREFER`] that makes the server refuse every field whose name it does not know.
pub const HANDLING_STRICT: &str = "handling=strict";

/// The value of [`CONSISTENCY`] for a read of the node's local state.
pub const CONSISTENCY_STALE: &str = "stale";

/// Request header with the signature of a payment webhook: `t=` and the time of signing in seconds
/// since 1970, then one `v1=` per secret, separated by commas. A `v1` is the HMAC-SHA256 of that
/// number as written, a dot and the body, in hexadecimal digits.
pub const SIGNATURE: &str = "holdfast-signature";

/// Content type of every request body and of every success.
pub const JSON: &str = "application/json";

/// Content type of a batch with one JSON object per line.
pub const NDJSON: &str = "application/x-ndjson";

/// Content type of every error.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// The content type that the body of a PATCH may have instead of [`JSON`] (RFC 7396).
pub const MERGE_PATCH: &str = "application/merge-patch+json";
