//! Compresses large answers for clients that accept it.
//!
//! Streams and files are never compressed: an event must go out at once, and a backup is compressed
//! already.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING, ETAG, HeaderValue, VARY};

use crate::answer::reply::{Body, Reply};
use crate::parse::{LARGE_BYTES, Parser};

/// Answers below this size, in bytes, go out as they are: they fit into two packets.
const COMPRESSED_FROM: usize = 2048;

/// The level of gzip: most of the gain at a third of the usual time.
const GZIP_LEVEL: u32 = 3;

/// The level of zstd, its default.
const ZSTD_LEVEL: i32 = 3;

/// How an answer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Zstd,
    Gzip,
}

impl Coding {
    /// In the order in which we prefer them.
    const ALL: [Coding; 2] = [Coding::Zstd, Coding::Gzip];

    fn name(self) -> &'static str {
        match self {
            Coding::Zstd => "zstd",
            Coding::Gzip => "gzip",
        }
    }

    fn compress(self, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
        match self {
            Coding::Zstd => zstd::bulk::compress(bytes, ZSTD_LEVEL),
            Coding::Gzip => {
                let out = Vec::with_capacity(bytes.len() / 4);
                let mut encoder = GzEncoder::new(out, Compression::new(GZIP_LEVEL));
                encoder.write_all(bytes)?;
                encoder.finish()
            }
        }
    }
}

/// The coding that the client likes best among ours, unless it likes none better.
fn accepted(headers: &HeaderMap) -> Option<Coding> {
    let texts = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let offers: Vec<(&str, f32)> = texts.flat_map(|text| text.split(',')).map(offer).collect();
    let weight = |names: &[&str]| {
        let named = |(name, _): &&(&str, f32)| names.iter().any(|it| it.eq_ignore_ascii_case(name));
        offers.iter().find(named).map(|(_, weight)| *weight)
    };
    let any = weight(&["*"]).unwrap_or(0.0);
    let mut best = (None, weight(&["identity"]).unwrap_or(0.0));
    for coding in Coding::ALL {
        let names: &[&str] = if coding == Coding::Gzip { &["gzip", "x-gzip"] } else { &["zstd"] };
        let weight = weight(names).unwrap_or(any);
        // Where the client has no preference, a smaller answer is better.
        let is_better = weight > best.1 || (best.0.is_none() && weight == best.1);
        if weight > 0.0 && is_better {
            best = (Some(coding), weight);
        }
    }
    best.0
}

/// One coding of the header, with its weight. A weight that is not a number counts as 0.
fn offer(text: &str) -> (&str, f32) {
    let (name, parameters) = text.split_once(';').unwrap_or((text, ""));
    let weight = match parameters.trim().split_once('=') {
        None => 1.0,
        Some((_, weight)) => weight.trim().parse().unwrap_or(0.0),
    };
    (name.trim(), weight)
}

/// Compresses an answer that is large enough, if the client accepts that. Large ones are compressed
/// on the thread of `parser`; when that is busy, they go out as they are.
pub(crate) async fn compress(parser: &Parser, request: &HeaderMap, mut reply: Reply) -> Reply {
    let Body::Whole(body) = reply.body() else { return reply };
    let size = hyper::body::Body::size_hint(body).lower();
    if size < COMPRESSED_FROM as u64 || reply.headers().contains_key(CONTENT_ENCODING) {
        return reply;
    }
    reply.headers_mut().append(VARY, HeaderValue::from_static("accept-encoding"));
    let Some(coding) = accepted(request) else { return reply };
    let whole = std::mem::replace(reply.body_mut(), Body::from(Bytes::new()));
    // All of it is there, so this waits for nothing.
    let Ok(whole) = whole.collect().await.map(http_body_util::Collected::to_bytes);
    let compressed = if whole.len() > LARGE_BYTES {
        let bytes = whole.clone();
        let work = async move { coding.compress(&bytes) };
        parser.run(work).await.ok().and_then(Result::ok)
    } else {
        coding.compress(&whole).ok()
    };
    let Some(compressed) = compressed.filter(|bytes| bytes.len() < whole.len()) else {
        *reply.body_mut() = Body::from(whole);
        return reply;
    };
    *reply.body_mut() = Body::from(Bytes::from(compressed));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    // The tag is that of the plain bytes, so it is a weak one here.
    let weak = headers.get(ETAG).and_then(|tag| tag.to_str().ok()).map(|tag| format!("W/{tag}"));
    if let Some(weak) = weak.and_then(|tag| HeaderValue::try_from(tag).ok()) {
        headers.insert(ETAG, weak);
    }
    reply
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::answer::reply::{self, ReplyExt};

    fn headers(values: &[&str]) -> HeaderMap {
        let values = values.iter().map(|value| (ACCEPT_ENCODING, value.parse().unwrap()));
        values.collect()
    }

    #[test]
    fn the_client_chooses_and_small_answers_win_ties() {
        for (values, coding) in [
            (&[][..], None),
            (&[""], None),
            (&["identity"], None),
            (&["br, deflate"], None),
            (&["gzip"], Some(Coding::Gzip)),
            (&["X-GZIP"], Some(Coding::Gzip)),
            (&["gzip, zstd"], Some(Coding::Zstd)),
            (&["gzip", "zstd"], Some(Coding::Zstd)),
            (&["gzip, deflate, br, zstd"], Some(Coding::Zstd)),
            (&["gzip;q=1.0, zstd;q=0.5"], Some(Coding::Gzip)),
            (&["gzip; q=0"], None),
            (&["gzip;q=0, *"], Some(Coding::Zstd)),
            (&["*"], Some(Coding::Zstd)),
            (&["*;q=0"], None),
            (&["identity;q=1, gzip;q=0.5"], None),
            (&["identity;q=0.5, gzip"], Some(Coding::Gzip)),
            (&["identity, gzip"], Some(Coding::Gzip)),
            (&["gzip;q=x"], None),
            (&["gzip;q=NaN"], None),
        ] {
            assert_eq!(accepted(&headers(values)), coding, "{values:?}");
        }
    }

    #[tokio::test]
    async fn large_answers_are_compressed_and_come_back() {
        let parser = Parser::start().unwrap();
        for (size, name) in [
            (COMPRESSED_FROM - 1, None),
            (COMPRESSED_FROM, Some("gzip")),
            (COMPRESSED_FROM, Some("zstd")),
            (LARGE_BYTES + 1, Some("gzip")),
            (LARGE_BYTES + 1, Some("zstd")),
        ] {
            let text: Vec<u8> = (0..size).map(|n| b'a' + (n / 7 % 5) as u8).collect();
            let plain = reply::json(200, text.clone()).version(7);
            let accept = headers(&[name.unwrap_or("gzip")]);
            let packed = compress(&parser, &accept, plain).await;
            let encoding = packed.headers().get(CONTENT_ENCODING).map(|it| it.to_str().unwrap());
            assert_eq!(encoding, name, "{size}");
            let vary = packed.headers().contains_key(VARY);
            assert_eq!(vary, size >= COMPRESSED_FROM);
            let tag = packed.headers()[ETAG].to_str().unwrap().to_owned();
            assert_eq!(tag, if name.is_some() { "W/\"7\"" } else { "\"7\"" });
            let bytes = packed.into_body().collect().await.unwrap().to_bytes();
            let mut read = Vec::new();
            match name {
                Some("gzip") => {
                    flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut read).unwrap();
                }
                Some(_) => read = zstd::decode_all(&bytes[..]).unwrap(),
                None => read = bytes.to_vec(),
            }
            assert_eq!(read, text);
        }
        let noise: Vec<u8> =
            (0..4096_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let kept = compress(&parser, &headers(&["gzip"]), reply::json(200, noise.clone())).await;
        let is_packed = kept.headers().contains_key(CONTENT_ENCODING);
        let bytes = kept.into_body().collect().await.unwrap().to_bytes();
        assert!(bytes.len() <= noise.len());
        assert_eq!(is_packed, bytes != noise);
    }
}
