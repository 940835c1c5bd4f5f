//! Names of the headers that carry meaning, in the lower case that HTTP libraries want, and the
//! two content types.

/// Request header with the caller's idempotency key: 1 to 255 printable characters.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Response header, `true` when the answer repeats the effect of an earlier request with the
/// same key.
pub const IDEMPOTENT_REPLAYED: &str = "idempotent-replayed";

/// Header with the trace id, in both directions; a request without one is given a new UUID.
pub const TRACE_ID: &str = "x-trace-id";

/// Response header with the position that the answer reflects, below 2^53.
pub const POSITION: &str = "x-position";

/// Request header with the lowest position that the answer must reflect.
pub const MIN_POSITION: &str = "x-min-position";

/// Request header that chooses how fresh a read must be.
pub const CONSISTENCY: &str = "x-consistency";

/// The value of [`CONSISTENCY`] that asks for the node's local state at once.
pub const CONSISTENCY_STALE: &str = "stale";

/// Request header with the signature of a payment webhook: `t=`, the moment of signing in seconds
/// since 1970, then one `v1=` for each secret, all separated by commas. A `v1` is the HMAC-SHA256,
/// in hexadecimal digits, of that number as it stands there, a dot and the body.
pub const SIGNATURE: &str = "holdfast-signature";

/// Content type of every request body and of every success.
pub const JSON: &str = "application/json";

/// Content type of a batch that is one JSON object a line.
pub const NDJSON: &str = "application/x-ndjson";

/// Content type of every error.
pub const PROBLEM_JSON: &str = "application/problem+json";
