//! Reads content type and encoding, the body within its limits, and the headers with a meaning of
//! their own.

use std::borrow::Cow;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use client::wire::{self, ErrorCode};
use engine::ids::Position;
use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::body::Body;
use hyper::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, IF_MATCH};

use crate::answer::views;
use crate::bodies::Taken;
use crate::bounds::ID_MAX;
use crate::failure::Failure;
use crate::request::fields::{self, Handling};
use crate::request::json::{Object, Value};

/// Refuses callers that do not accept JSON. Errors are JSON in any case.
pub(crate) fn accepts_json(headers: &HeaderMap) -> Result<(), Failure> {
    let mut values = headers.get_all(ACCEPT).iter().peekable();
    if values.peek().is_none() {
        return Ok(());
    }
    for value in values {
        // A header that is not text accepts nothing.
        if value.to_str().unwrap_or("").split(',').any(takes_json) {
            return Ok(());
        }
    }
    Err(Failure::new(
        ErrorCode::NotAcceptable,
        "This path answers application/json only; accept it.",
    ))
}

fn takes_json(range: &str) -> bool {
    let mut parts = range.split(';').map(str::trim);
    let kind = parts.next().unwrap_or("");
    let json = ["*/*", "application/*", wire::JSON, wire::PROBLEM_JSON]
        .iter()
        .any(|known| kind.eq_ignore_ascii_case(known));
    let refused = parts.any(|parameter| {
        let (name, weight) = parameter.split_once('=').unwrap_or((parameter, ""));
        name.trim().eq_ignore_ascii_case("q") && weight.trim().parse() == Ok(0.0_f32)
    });
    json && !refused
}

/// Refuses bodies of other content types than JSON and `also`, and compressed ones.
fn check_content_type(headers: &HeaderMap, also: Option<&str>) -> Result<(), Failure> {
    let encodings = headers.get_all(CONTENT_ENCODING).iter();
    if encodings.into_iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Failure::new(
            ErrorCode::UnsupportedMediaType,
            "The body must not have a content encoding.",
        ));
    }
    let content_type = content_type(headers);
    let fits = |kind| content_type.is_some_and(|text| is_kind(text, kind));
    if fits(wire::JSON) || also.is_some_and(fits) {
        return Ok(());
    }
    let detail = match also {
        None => "The body must be sent as application/json.".to_owned(),
        Some(kind) => format!("The body must be sent as application/json or {kind}."),
    };
    Err(Failure::new(ErrorCode::UnsupportedMediaType, detail))
}

/// The content type of a request, if it has exactly one.
fn content_type(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    values.next().filter(|_| values.next().is_none())?.to_str().ok()
}

/// Whether a body is one JSON object per line.
pub(crate) fn is_ndjson(headers: &HeaderMap) -> bool {
    content_type(headers).is_some_and(|text| is_kind(text, wire::NDJSON))
}

/// Whether the type is `wanted`, with no parameter other than a UTF-8 charset.
fn is_kind(content_type: &str, wanted: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let utf8 = |parameter: &str| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        name.trim_end().eq_ignore_ascii_case("charset")
            && ["utf-8", "utf8"]
                .iter()
                .any(|name| value.trim_matches([' ', '"']).eq_ignore_ascii_case(name))
    };
    parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case(wanted))
        && parts.all(|parameter| parameter.is_empty() || utf8(parameter))
}

/// Limits on one body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimits {
    pub(crate) bytes_max: usize,
    pub(crate) timeout: Duration,
    /// A further content type that it may have.
    pub(crate) also: Option<&'static str>,
}

/// Reads a JSON body; empty if there is none. Its bytes count in `taken` as they arrive.
pub(crate) async fn json_body<B>(
    headers: &HeaderMap,
    body: B,
    limits: BodyLimits,
    taken: &mut Taken,
) -> Result<Bytes, Failure>
where
    B: Body<Data = Bytes> + Unpin,
{
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    check_content_type(headers, limits.also)?;
    // Checks the announced length before it reads a byte.
    if body.size_hint().lower() > limits.bytes_max as u64 {
        return Err(too_large(limits.bytes_max));
    }
    tokio::time::timeout(limits.timeout, read_body(body, limits.bytes_max, taken))
        .await
        .unwrap_or_else(|_| {
            let text = "The body did not arrive in time.";
            Err(Failure::new(ErrorCode::RequestTimeout, text).closing())
        })
}

async fn read_body<B>(mut body: B, bytes_max: usize, taken: &mut Taken) -> Result<Bytes, Failure>
where
    B: Body<Data = Bytes> + Unpin,
{
    // Most bodies arrive in one piece, which needs no copy.
    let first = next_piece(&mut body).await?.unwrap_or_default();
    if first.len() > bytes_max {
        return Err(too_large(bytes_max));
    }
    taken.add(first.len())?;
    if body.is_end_stream() {
        return Ok(first);
    }
    let mut whole = BytesMut::from(first);
    while let Some(piece) = next_piece(&mut body).await? {
        if whole.len() + piece.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        taken.add(piece.len())?;
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

/// The next bytes of the body; trailers are ignored.
async fn next_piece<B>(body: &mut B) -> Result<Option<Bytes>, Failure>
where
    B: Body<Data = Bytes> + Unpin,
{
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| {
            Failure::malformed("The body is incomplete, or its chunks are malformed.").closing()
        })?;
        if let Ok(bytes) = frame.into_data() {
            return Ok(Some(bytes));
        }
    }
    Ok(None)
}

fn too_large(bytes_max: usize) -> Failure {
    let detail = format!("The body is larger than {bytes_max} bytes.");
    Failure::new(ErrorCode::PayloadTooLarge, detail).closing()
}

/// A header that may occur once.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, ()> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() { Err(()) } else { Ok(first) }
}

/// The valid idempotency key of a request, if it has one; other parts of the request may still be
/// invalid.
pub(crate) fn any_key(headers: &HeaderMap, body: Option<&Object<'_>>) -> Option<String> {
    let field = body.and_then(|body| match body.get("idempotency_key") {
        Some(Value::Text(text)) => Some(text.as_ref()),
        _ => None,
    });
    let header = idempotency_key(headers).ok()?;
    fields::idempotency_key(header.as_deref(), field).ok()?.map(str::to_owned)
}

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static(wire::IDEMPOTENCY_KEY);
const MIN_POSITION: HeaderName = HeaderName::from_static(wire::MIN_POSITION);
const PREFER: HeaderName = HeaderName::from_static(wire::PREFER);
const CONSISTENCY: HeaderName = HeaderName::from_static(wire::CONSISTENCY);

/// The text of the `Idempotency-Key` header; [`fields::idempotency_key`] validates it. A string in
/// quotes, as in the IETF draft, is the same key as its text without them.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<Cow<'_, str>>, Failure> {
    let invalid = |detail| Failure::new(ErrorCode::IdempotencyKeyInvalid, detail);
    let value = single(headers, &IDEMPOTENCY_KEY)
        .map_err(|()| invalid("The Idempotency-Key header must be given once."))?;
    let text = value.map(|value| std::str::from_utf8(value.as_bytes())).transpose();
    let text = text.map_err(|_| invalid("The Idempotency-Key header is not valid UTF-8."))?;
    Ok(text.map(|text| quoted_string(text).unwrap_or(Cow::Borrowed(text))))
}

/// The content of a string in quotes (RFC 8941, 3.3.3), or `None` if the text is not one.
fn quoted_string(text: &str) -> Option<Cow<'_, str>> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains(['"', '\\']) {
        return Some(Cow::Borrowed(inner));
    }
    let mut plain = String::with_capacity(inner.len());
    let mut rest = inner.chars();
    while let Some(next) = rest.next() {
        match next {
            '"' => return None,
            '\\' => plain.push(rest.next().filter(|escaped| matches!(escaped, '"' | '\\'))?),
            other => plain.push(other),
        }
    }
    Some(Cow::Owned(plain))
}

/// The position that an answer must reflect at least.
pub(crate) fn min_position(headers: &HeaderMap) -> Result<Option<Position>, Failure> {
    let bad = || Failure::malformed("X-Min-Position must be one integer below 2^53.");
    let Some(value) = single(headers, &MIN_POSITION).map_err(|()| bad())? else {
        return Ok(None);
    };
    let digits = value.to_str().ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    let number = digits.and_then(|text| text.parse().ok()).filter(|number| *number <= ID_MAX);
    number.map(|number| Some(Position(number))).ok_or_else(bad)
}

/// How the caller wants unknown fields handled. Of several `handling` preferences the first counts
/// (RFC 7240, 2); other preferences and values are ignored.
pub(crate) fn handling(headers: &HeaderMap) -> Handling {
    let texts = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    let preferences = texts.flat_map(|text| text.split(','));
    let mut values = preferences.filter_map(|preference| {
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        let value = value.trim().trim_matches('"');
        name.trim().eq_ignore_ascii_case("handling").then_some(value)
    });
    let is_strict = values.next().is_some_and(|value| value.eq_ignore_ascii_case("strict"));
    if is_strict { Handling::Strict } else { Handling::Lenient }
}

/// The text of the `X-Consistency` header.
pub(crate) fn consistency(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get(CONSISTENCY).map(HeaderValue::as_bytes)
}

/// The condition of `If-Match`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum IfMatch {
    /// Any version.
    Any,
    /// One of these versions, without tags that this API never produces: they match nothing.
    Versions(Vec<Position>),
}

/// The most tags in one `If-Match`.
const TAGS_MAX: usize = 16;

/// The versions that the caller expects the row to have.
pub(crate) fn if_match(headers: &HeaderMap) -> Result<IfMatch, Failure> {
    let mut versions = Vec::new();
    let mut tags = 0;
    let mut any = true;
    for value in headers.get_all(IF_MATCH) {
        let bad = || Failure::malformed("If-Match must be *, or at most 16 tags in quotes.");
        let text = value.to_str().map_err(|_| bad())?.trim();
        if text == "*" {
            continue;
        }
        any = false;
        let mut rest = text;
        loop {
            let (tag, more) = next_tag(rest).ok_or_else(bad)?;
            tags += 1;
            if tags > TAGS_MAX {
                return Err(bad());
            }
            // Proxies that compress answers make our tags weak. A version names one state of the
            // row in any encoding, so the weak form of a tag is as good.
            versions.extend(views::version_of_tag(tag));
            match more {
                Some(more) => rest = more,
                None => break,
            }
        }
    }
    Ok(if any { IfMatch::Any } else { IfMatch::Versions(versions) })
}

/// The first tag of a list, and the rest after its comma. A tag may contain commas in its quotes.
fn next_tag(list: &str) -> Option<(&str, Option<&str>)> {
    let list = list.trim_start();
    let opaque = list.strip_prefix("W/").unwrap_or(list).strip_prefix('"')?;
    let (tag, rest) = list.split_at(list.len() - opaque.len() + opaque.find('"')? + 1);
    let rest = rest.trim_start();
    if rest.is_empty() { Some((tag, None)) } else { Some((tag, Some(rest.strip_prefix(',')?))) }
}

#[cfg(test)]
mod tests {
    use crate::bodies::{Bodies, Share};
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use http_body_util::Full;
    use hyper::body::Frame;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn the_first_handling_that_is_preferred_counts() {
        let of = |values: &[&str]| {
            handling(&headers(&values.iter().map(|value| ("prefer", *value)).collect::<Vec<_>>()))
        };
        for strict in [
            &["handling=strict"][..],
            &["Handling=Strict"],
            &["handling=\"strict\""],
            &["respond-async, handling = strict; x=1"],
            &["return=minimal", "handling=strict"],
            &["handling=strict, handling=lenient"],
        ] {
            assert_eq!(of(strict), Handling::Strict, "{strict:?}");
        }
        for lenient in [
            &[][..],
            &["handling=lenient"],
            &["handling=lenient", "handling=strict"],
            &["handling"],
            &["strict"],
            &["handling=stricter"],
            &["wait=5; handling=strict"],
            &["x-handling=strict"],
        ] {
            assert_eq!(of(lenient), Handling::Lenient, "{lenient:?}");
        }
    }

    #[test]
    fn callers_that_do_not_accept_json_are_refused() {
        for accept in [
            "*/*",
            "application/json",
            "text/html, application/*;q=0.1",
            "APPLICATION/JSON",
            "application/problem+json",
        ] {
            assert!(accepts_json(&headers(&[("accept", accept)])).is_ok(), "{accept}");
        }
        for accept in [
            "text/html",
            "application/xml",
            "application/json;q=0",
            "application/json; q=0.000",
            "",
            "json",
        ] {
            assert!(accepts_json(&headers(&[("accept", accept)])).is_err(), "{accept}");
        }
        assert!(accepts_json(&headers(&[])).is_ok());
        assert!(accepts_json(&headers(&[("accept", "text/html"), ("accept", "*/*")])).is_ok());
    }

    #[test]
    fn a_further_content_type_is_read_where_it_is_allowed() {
        let patch = headers(&[("content-type", "application/merge-patch+json; charset=UTF-8")]);
        assert!(check_content_type(&patch, Some(wire::MERGE_PATCH)).is_ok());
        let failure = check_content_type(&patch, Some(wire::NDJSON)).unwrap_err();
        assert_eq!(failure.code(), ErrorCode::UnsupportedMediaType);
    }

    #[test]
    fn a_key_in_quotes_is_the_same_key() {
        for (header, key) in [
            ("q-1", "q-1"),
            ("\"q-1\"", "q-1"),
            ("\"\"", ""),
            ("\"a b\"", "a b"),
            (r#""a\"b\\c""#, r#"a"b\c"#),
            // No strings in quotes: the text is the key.
            ("\"", "\""),
            ("\"q-1", "\"q-1"),
            ("q-1\"", "q-1\""),
            ("\"a\"b\"", "\"a\"b\""),
            (r#""a\b""#, r#""a\b""#),
            (r#""a\""#, r#""a\""#),
        ] {
            let headers = headers(&[("idempotency-key", header)]);
            let read = idempotency_key(&headers).unwrap();
            assert_eq!(read.as_deref(), Some(key), "{header}");
        }
        let twice = headers(&[("idempotency-key", "a"), ("idempotency-key", "\"a\"")]);
        assert_eq!(idempotency_key(&twice).unwrap_err().code(), ErrorCode::IdempotencyKeyInvalid);
    }

    #[test]
    fn only_plain_json_is_read() {
        for kind in [
            "application/json",
            "application/json; charset=utf-8",
            "Application/JSON;charset=\"UTF-8\"",
            "application/json; charset=utf8",
            "application/json;charset=\"UTF8\"",
            "application/json;",
        ] {
            assert!(
                check_content_type(&headers(&[("content-type", kind)]), None).is_ok(),
                "{kind}"
            );
        }
        for kind in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/json; charset=latin1",
            "application/json; charset=utf-16",
            "application/json; charset=utf88",
            "application/merge-patch+json",
            "application/jsonx",
            "application/json; x=y",
            "",
        ] {
            let failure =
                check_content_type(&headers(&[("content-type", kind)]), None).unwrap_err();
            assert_eq!(failure.code().status(), 415, "{kind}");
        }
        assert!(check_content_type(&headers(&[]), None).is_err());
        let packed = headers(&[("content-type", "application/json"), ("content-encoding", "gzip")]);
        assert_eq!(
            check_content_type(&packed, Some(wire::NDJSON)).unwrap_err().code().status(),
            415
        );
        let plain =
            headers(&[("content-type", "application/json"), ("content-encoding", "identity")]);
        assert!(check_content_type(&plain, None).is_ok());
        let lines = headers(&[("content-type", "application/x-ndjson; charset=UTF-8")]);
        assert!(is_ndjson(&lines) && check_content_type(&lines, Some(wire::NDJSON)).is_ok());
        assert_eq!(check_content_type(&lines, None).unwrap_err().code().status(), 415);
    }

    #[test]
    fn headers_with_a_meaning_are_checked() {
        assert_eq!(min_position(&headers(&[])).unwrap(), None);
        assert_eq!(
            min_position(&headers(&[("x-min-position", "42")])).unwrap(),
            Some(Position(42))
        );
        for text in ["", "-1", "abc", "1.0", "9007199254740992", "99999999999999999999"] {
            assert!(min_position(&headers(&[("x-min-position", text)])).is_err(), "{text}");
        }
        let named = headers(&[("idempotency-key", "ü")]);
        assert_eq!(idempotency_key(&named).unwrap().as_deref(), Some("ü"));
        let two = headers(&[("idempotency-key", "a"), ("idempotency-key", "a")]);
        assert_eq!(idempotency_key(&two).unwrap_err().code(), ErrorCode::IdempotencyKeyInvalid);
    }

    #[test]
    fn if_match_names_versions() {
        let read = |text: &str| if_match(&headers(&[("if-match", text)]));
        assert_eq!(if_match(&headers(&[])).unwrap(), IfMatch::Any);
        assert_eq!(read("*").unwrap(), IfMatch::Any);
        assert_eq!(read("\"7\"").unwrap(), IfMatch::Versions(vec![Position(7)]));
        let both = IfMatch::Versions(vec![Position(7), Position(9)]);
        assert_eq!(read("\"7\", \"9\"").unwrap(), both);
        assert_eq!(read("W/\"7\"").unwrap(), IfMatch::Versions(vec![Position(7)]));
        assert_eq!(read("W/\"x\"").unwrap(), IfMatch::Versions(vec![]));
        assert_eq!(read("\"abc\"").unwrap(), IfMatch::Versions(vec![]));
        let odd = read("\"a,b\" ,W/\"\",  \"7\"").unwrap();
        assert_eq!(odd, IfMatch::Versions(vec![Position(7)]));
        let seventeen = ["\"1\""; 17].join(",");
        for text in ["7", "\"", "\"7\",", "", "\"7\" \"8\"", "W/7", ",\"7\"", &seventeen] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    /// A body in pieces, without a length, that may never end.
    struct Pieces(Vec<Bytes>, bool);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match self.0.pop() {
                Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
                None if self.1 => Poll::Pending,
                None => Poll::Ready(None),
            }
        }
    }

    #[tokio::test]
    async fn bodies_are_bounded_in_size_and_time() {
        let json = headers(&[("content-type", "application/json")]);
        let limits = BodyLimits { bytes_max: 8, timeout: Duration::from_millis(20), also: None };
        let mut taken = Bodies::new(1_000).begin(Share::Clients);
        let piece = || Bytes::from_static(b"1234");
        let whole =
            json_body(&json, Full::new(Bytes::from_static(b"12345678")), limits, &mut taken).await;
        assert_eq!(whole.unwrap(), "12345678");
        let pieces =
            json_body(&json, Pieces(vec![piece(), piece()], false), limits, &mut taken).await;
        assert_eq!(pieces.unwrap(), "12341234");
        let none = json_body(&HeaderMap::new(), Full::new(Bytes::new()), limits, &mut taken).await;
        assert_eq!(none.unwrap(), "");
        let announced =
            json_body(&json, Full::new(Bytes::from_static(b"123456789")), limits, &mut taken).await;
        assert_eq!(announced.unwrap_err().code(), ErrorCode::PayloadTooLarge);
        let grown = json_body(&json, Pieces(vec![piece(); 3], true), limits, &mut taken).await;
        assert_eq!(grown.unwrap_err().code(), ErrorCode::PayloadTooLarge);
        let stuck = json_body(&json, Pieces(vec![piece()], true), limits, &mut taken).await;
        assert_eq!(stuck.unwrap_err().code(), ErrorCode::RequestTimeout);
    }
}
