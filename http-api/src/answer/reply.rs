//! Makes replies: bodies, encoded once, with the headers of their kind.
//!
//! `service` adds the headers that every answer has.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use client::wire;
use engine::ids::Position;
use http_body_util::Full;
use hyper::body::{Frame, SizeHint};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LOCATION};
use hyper::{Response, StatusCode};
use serde::Serialize;

use crate::answer::download::{self, Download};
use crate::answer::rows;
use crate::events::stream::{self, EventStream};
use crate::freshness::Freshness;

/// A reply.
pub(crate) type Reply = Response<Body>;

/// The body of a reply.
pub(crate) enum Body {
    /// The whole body.
    Whole(Full<Bytes>),
    /// A stream of events.
    Events(EventStream),
    /// A file, in pieces.
    File(Download),
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Body {
        Body::Whole(Full::new(bytes))
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Body::Whole(body) => Pin::new(body).poll_frame(cx),
            Body::Events(stream) => Pin::new(stream).poll_frame(cx),
            Body::File(download) => Pin::new(download).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Whole(body) => body.is_end_stream(),
            Body::Events(_) => false,
            Body::File(download) => download.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Whole(body) => body.size_hint(),
            Body::Events(_) => SizeHint::default(),
            Body::File(download) => download.size_hint(),
        }
    }
}

/// Initial capacity for headers: an answer to an order has eight.
const HEADERS_USUAL: usize = 10;

/// The header with the position that an answer reflects.
pub(crate) const POSITION: HeaderName = HeaderName::from_static(wire::POSITION);

/// The header of a replay: the key of the request made this before.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static(wire::IDEMPOTENT_REPLAYED);

const CONSISTENCY: HeaderName = HeaderName::from_static(wire::CONSISTENCY);

/// The header that keeps nginx from buffering an answer.
const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");

/// A JSON reply.
pub(crate) fn of<T: Serialize>(status: u16, body: &T) -> Reply {
    sized(status, body, 1024)
}

/// A JSON reply of about `bytes` bytes.
pub(crate) fn sized<T: Serialize>(status: u16, body: &T, bytes: usize) -> Reply {
    let mut bytes = Vec::with_capacity(bytes);
    serde_json::to_writer(&mut bytes, body).expect("wire types have string keys and finite values");
    json(status, bytes)
}

/// A reply with finished JSON.
pub(crate) fn json(status: u16, text: Vec<u8>) -> Reply {
    let mut reply = Response::new(Body::from(Bytes::from(text)));
    *reply.status_mut() = StatusCode::from_u16(status).expect("a status of three digits");
    reply.headers_mut().reserve(HEADERS_USUAL);
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(wire::JSON));
    reply
}

/// A reply without a body.
pub(crate) fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(Body::from(Bytes::new()));
    *reply.status_mut() = status;
    reply
}

/// A reply with finished text.
pub(crate) fn text(body: impl Into<Bytes>, content_type: &'static str) -> Reply {
    let mut reply = Response::new(Body::from(body.into()));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}

/// A stream of events, which runs until one side ends it.
pub(crate) fn events(body: EventStream) -> Reply {
    let mut reply = Response::new(Body::Events(body));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(stream::CONTENT_TYPE));
    // A proxy that collects or packs the stream would keep each event until others follow.
    reply.with(CACHE_CONTROL, "no-store, no-transform").with(UNBUFFERED, "no")
}

/// A file as a reply.
pub(crate) fn file(body: Download) -> Reply {
    let mut reply = Response::new(Body::File(body));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(download::CONTENT_TYPE));
    reply
}

/// Builds a header value from pieces of visible ASCII with one allocation.
fn value<const N: usize>(pieces: [&str; N]) -> HeaderValue {
    let text = Bytes::from(pieces.concat());
    HeaderValue::from_maybe_shared(text).expect("visible ASCII")
}

/// Headers that handlers add.
pub(crate) trait ReplyExt {
    /// Sets the position that the answer reflects.
    fn at(self, position: Position) -> Self;
    /// Sets the version of the row as its `ETag`.
    fn version(self, version: u64) -> Self;
    /// Sets the path of the row that was made.
    fn location(self, collection: &str, id: u64) -> Self;
    /// Marks the answer as a replay.
    fn replayed(self) -> Self;
    /// Marks a stale answer. Another header has its position.
    fn fresh(self, freshness: Freshness) -> Self;
    /// Adds a header with a constant value.
    fn with(self, name: HeaderName, value: &'static str) -> Self;
}

impl ReplyExt for Reply {
    fn at(mut self, position: Position) -> Reply {
        self.headers_mut().insert(POSITION, HeaderValue::from(position.0));
        self
    }

    fn version(mut self, version: u64) -> Reply {
        let mut room = rows::Digits::default();
        let tag = value(["\"", rows::digits(version, &mut room), "\""]);
        self.headers_mut().insert(ETAG, tag);
        self
    }

    fn location(mut self, collection: &str, id: u64) -> Reply {
        let mut room = rows::Digits::default();
        let path = value(["/api/v1/", collection, "/", rows::digits(id, &mut room)]);
        self.headers_mut().insert(LOCATION, path);
        self
    }

    fn replayed(self) -> Reply {
        self.with(REPLAYED, "true")
    }

    fn fresh(self, freshness: Freshness) -> Reply {
        match freshness {
            Freshness::Linearizable => self,
            Freshness::Stale => self.with(CONSISTENCY, wire::CONSISTENCY_STALE),
        }
    }

    fn with(mut self, name: HeaderName, value: &'static str) -> Reply {
        self.headers_mut().insert(name, HeaderValue::from_static(value));
        self
    }
}
