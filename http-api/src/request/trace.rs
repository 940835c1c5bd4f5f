//! The trace id of a request: the caller's, or a new one.

use client::wire;
use engine::trace::TraceId;
use hyper::HeaderMap;

/// `X-Trace-Id`, else the trace id of a W3C `traceparent`, else a new UUID. Invalid ids are
/// ignored: a broken trace header must not cost a sale.
pub(crate) fn of(headers: &HeaderMap) -> TraceId {
    let own = headers.get(wire::TRACE_ID).and_then(|value| value.to_str().ok());
    if let Some(trace) = own.and_then(TraceId::parse) {
        return trace;
    }
    let parent = headers.get("traceparent").and_then(|value| value.to_str().ok());
    parent.and_then(from_traceparent).unwrap_or_else(new)
}

/// A new random id.
pub(crate) fn new() -> TraceId {
    let random = uuid::Builder::from_random_bytes(rand::random());
    TraceId::Uuid(random.into_uuid().into_bytes())
}

/// The second field of `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`.
fn from_traceparent(text: &str) -> Option<TraceId> {
    let mut fields = text.split('-');
    let (version, trace, parent, flags) =
        (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let lower_hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let sound = lower_hex(version, 2)
        && version != "ff"
        && lower_hex(trace, 32)
        && lower_hex(parent, 16)
        && lower_hex(flags, 2)
        && trace.bytes().any(|byte| byte != b'0')
        // Only later versions may add fields.
        && (version != "00" || fields.next().is_none());
    if sound { TraceId::parse(trace) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_pairs(pairs: &[(&'static str, &str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        of(&headers).to_string()
    }

    #[test]
    fn the_callers_id_comes_first() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(of_pairs(&[("x-trace-id", "mine"), ("traceparent", parent)]), "mine");
        assert_eq!(of_pairs(&[("traceparent", parent)]), trace);
        assert_eq!(of_pairs(&[("x-trace-id", "a b"), ("traceparent", parent)]), trace);
        for broken in [
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf9",
        ] {
            assert_ne!(of_pairs(&[("traceparent", broken)]), trace);
        }
    }

    #[test]
    fn a_new_id_is_a_uuid_of_version_four() {
        let (one, other) = (of_pairs(&[]), of_pairs(&[]));
        assert_ne!(one, other);
        assert_eq!(one.len(), 36);
        assert_eq!(&one[14..15], "4");
    }
}
