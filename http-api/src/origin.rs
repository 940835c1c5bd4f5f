//! Keeps web pages of other origins out: the names that a `Host` may have, who may send what from
//! a browser, and the headers of CORS.
//!
//! A browser sends requests for any page that its user opens, also to private addresses, so a
//! request without credentials is believed only when it cannot come from a foreign page. A page
//! that was rebound to this address by DNS gives its own name as `Host`, which is unknown here. A
//! page of another origin shows itself by `Sec-Fetch-Site` or `Origin`, which it cannot change.
//! This API never reads cookies.

use std::net::IpAddr;
use std::str::FromStr;

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HOST,
    HeaderName, HeaderValue, ORIGIN, VARY,
};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method};

use client::wire::ErrorCode;

use crate::failure::Failure;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Headers that a page of a listed origin may send.
const SENT: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, idempotency-key, if-match, last-event-id, x-min-position, \
     x-consistency, x-trace-id, traceparent",
);
/// Headers of answers that such a page may read.
const READ: HeaderValue = HeaderValue::from_static(
    "etag, location, x-position, x-trace-id, x-consistency, idempotent-replayed, retry-after, \
     ratelimit-limit, ratelimit-remaining, ratelimit-reset",
);
/// How long a browser may remember the answer to a preflight, in seconds.
const PREFLIGHT_S: HeaderValue = HeaderValue::from_static("600");

/// Longest name of a host, in bytes (RFC 1035).
const NAME_BYTES_MAX: usize = 253;
/// Longest origin, in bytes.
const ORIGIN_BYTES_MAX: usize = 512;

/// A name or an IP address that clients give as `Host`, in lower case and without a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(Box<str>);

impl FromStr for HostName {
    type Err = String;

    /// Reads a name or an IP address. A port is allowed and ignored: port mappings change it.
    fn from_str(text: &str) -> Result<HostName, String> {
        let wrong = || format!("`{text}` is not a host: expected a name or an IP address");
        let name = name_of(text).ok_or_else(wrong)?;
        let byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        let sound = name.parse::<IpAddr>().is_ok() || name.bytes().all(byte);
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !sound {
            return Err(wrong());
        }
        Ok(HostName(name.to_ascii_lowercase().into()))
    }
}

/// An origin whose pages may use this server: `scheme://host` or `scheme://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsOrigin(HeaderValue);

impl FromStr for CorsOrigin {
    type Err = String;

    /// Reads an origin as a browser writes it.
    fn from_str(text: &str) -> Result<CorsOrigin, String> {
        let example = "expected one such as https://shop.example or http://localhost:3000";
        if text.contains('*') {
            return Err(format!("`{text}` would let pages of foreign sites in: {example}"));
        }
        let wrong = || format!("`{text}` is not the origin of a page: {example}");
        let text = text.strip_suffix('/').unwrap_or(text).to_ascii_lowercase();
        let (scheme, host) = text.split_once("://").ok_or_else(wrong)?;
        let byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        let is_sound = !scheme.is_empty() && scheme.bytes().all(byte);
        // A browser leaves the default port out, so a listed one would never match.
        let host = match scheme {
            "http" => host.strip_suffix(":80").unwrap_or(host),
            "https" => host.strip_suffix(":443").unwrap_or(host),
            _ => host,
        };
        if !is_sound || host.parse::<HostName>().is_err() || text.len() > ORIGIN_BYTES_MAX {
            return Err(wrong());
        }
        HeaderValue::try_from(format!("{scheme}://{host}")).map(CorsOrigin).map_err(|_| wrong())
    }
}

/// What a page of another origin could do with a request, if it were answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exposure {
    /// Nothing with a `GET`: browsers keep the answer from it. Other methods change something.
    Usual,
    /// Even a `GET` costs much or is long.
    Guarded,
    /// It could read the answers: browsers let every page open WebSockets.
    Socket,
}

/// The rules of one server.
#[derive(Debug)]
pub(crate) struct Origins {
    hosts: Vec<HostName>,
    allowed: Vec<CorsOrigin>,
}

impl Origins {
    /// Accepts the `hosts` beside loopback names and the address of each connection, and lets pages
    /// of the `allowed` origins in.
    pub(crate) fn new(hosts: &[HostName], allowed: &[CorsOrigin]) -> Origins {
        Origins { hosts: hosts.to_vec(), allowed: allowed.to_vec() }
    }

    /// Refuses a request that may come from a foreign page. The connection arrived at the address
    /// `own`.
    pub(crate) fn check(
        &self,
        head: &Parts,
        own: IpAddr,
        exposure: Exposure,
    ) -> Result<(), Failure> {
        let host = match head.headers.get(HOST) {
            // Only HTTP/1.0 has requests without it, which no browser sends.
            None => None,
            Some(host) => {
                let host = host.to_str().unwrap_or_default();
                self.check_host(host, own)?;
                Some(host)
            }
        };
        // Before the header, the target itself says which host is meant.
        if head.method != Method::CONNECT
            && let Some(authority) = head.uri.authority()
        {
            self.check_host(authority.as_str(), own)?;
        }
        let is_safe = [Method::GET, Method::HEAD, Method::OPTIONS].contains(&head.method);
        if is_safe && exposure == Exposure::Usual {
            return Ok(());
        }
        self.check_page(&head.headers, host, exposure)
    }

    fn check_host(&self, host: &str, own: IpAddr) -> Result<(), Failure> {
        if name_of(host).is_some_and(|name| self.is_known(name, own)) {
            return Ok(());
        }
        let shown: String = host.chars().take(100).collect();
        let detail = format!(
            "This node does not answer to the host `{shown}`. Its operator can add the name with \
             --http-host."
        );
        Err(Failure::new(ErrorCode::MisdirectedRequest, detail))
    }

    fn is_known(&self, name: &str, own: IpAddr) -> bool {
        if let Ok(address) = name.parse::<IpAddr>() {
            let address = address.to_canonical();
            if address.is_loopback() || address == own.to_canonical() {
                return true;
            }
        }
        name.eq_ignore_ascii_case("localhost")
            || self.hosts.iter().any(|host| host.0.eq_ignore_ascii_case(name))
    }

    /// Refuses what a page of a foreign origin sends.
    fn check_page(
        &self,
        headers: &HeaderMap,
        host: Option<&str>,
        exposure: Exposure,
    ) -> Result<(), Failure> {
        let origin = only(headers, &ORIGIN)?;
        if origin.is_some_and(|origin| self.is_listed(origin)) {
            return Ok(());
        }
        let is_own = origin.is_none_or(|origin| is_same(origin, host));
        let passes = match only(headers, &FETCH_SITE)?.map(HeaderValue::as_bytes) {
            Some(b"same-origin" | b"none") => exposure != Exposure::Socket || is_own,
            Some(_) => false,
            // Neither header: no browser sends this.
            None => is_own,
        };
        match passes {
            true => Ok(()),
            false => Err(foreign(origin)),
        }
    }

    fn is_listed(&self, origin: &HeaderValue) -> bool {
        self.allowed.iter().any(|allowed| allowed.0 == origin)
    }

    /// Whether the request is a browser's question whether a page may send another one.
    pub(crate) fn is_preflight(head: &Parts) -> bool {
        head.method == Method::OPTIONS
            && head.headers.contains_key(ORIGIN)
            && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
    }

    /// Answers a preflight for a path with the methods of `allow`: the headers that let the page
    /// go on. [`Origins::mark`] adds the others.
    pub(crate) fn preflight(
        &self,
        asked: &HeaderMap,
        allow: HeaderValue,
    ) -> Result<[(HeaderName, HeaderValue); 3], Failure> {
        let origin = only(asked, &ORIGIN)?;
        if !origin.is_some_and(|origin| self.is_listed(origin)) {
            return Err(foreign(origin));
        }
        Ok([
            (ACCESS_CONTROL_ALLOW_METHODS, allow),
            (ACCESS_CONTROL_ALLOW_HEADERS, SENT),
            (ACCESS_CONTROL_MAX_AGE, PREFLIGHT_S),
        ])
    }

    /// Lets pages of a listed origin read the answer, whether it is a success or an error.
    pub(crate) fn mark(&self, origin: Option<&HeaderValue>, answer: &mut HeaderMap) {
        if self.allowed.is_empty() {
            return;
        }
        // A cache must not give one origin's answer to another.
        answer.append(VARY, HeaderValue::from_static("origin"));
        if let Some(origin) = origin.filter(|origin| self.is_listed(origin)) {
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, READ);
        }
    }
}

fn foreign(origin: Option<&HeaderValue>) -> Failure {
    let origin = origin.and_then(|origin| origin.to_str().ok()).unwrap_or("another origin");
    let shown: String = origin.chars().take(100).collect();
    let detail = format!(
        "This request comes from a web page of {shown}, which may not send it. The operator can \
         let an origin in with --cors-origin."
    );
    Failure::new(ErrorCode::Forbidden, detail)
}

/// The only value of a header. No browser sends two.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h HeaderValue>, Failure> {
    let mut values = headers.get_all(name).into_iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => Err(foreign(None)),
    }
}

/// Whether an origin has the host and port of the request. The scheme is unknown here: a proxy may
/// have taken TLS off.
fn is_same(origin: &HeaderValue, host: Option<&str>) -> bool {
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    match (origin, host) {
        (Some((_, authority)), Some(host)) => authority.eq_ignore_ascii_case(host),
        _ => false,
    }
}

/// The name of `NAME`, `NAME:PORT`, `[ADDRESS]` or `[ADDRESS]:PORT`.
fn name_of(host: &str) -> Option<&str> {
    let is_port = |port: &str| port.parse::<u16>().is_ok() && !port.starts_with('+');
    if let Some(rest) = host.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        let port = rest.strip_prefix(':');
        return (rest.is_empty() || port.is_some_and(is_port)).then_some(address);
    }
    match host.split_once(':') {
        None => Some(host),
        Some((name, port)) if is_port(port) => Some(name),
        // A bare IPv6 address, which only settings have.
        Some(_) => host.parse::<IpAddr>().is_ok().then_some(host),
    }
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    const OWN: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    fn rules(hosts: &[&str], allowed: &[&str]) -> Origins {
        let hosts: Vec<HostName> = hosts.iter().map(|text| text.parse().unwrap()).collect();
        let allowed: Vec<CorsOrigin> = allowed.iter().map(|text| text.parse().unwrap()).collect();
        Origins::new(&hosts, &allowed)
    }

    fn head(method: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri("/api/v1/orders");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn code(checked: Result<(), Failure>) -> u16 {
        checked.map_or_else(|failure| failure.code().status(), |()| 200)
    }

    #[test]
    fn a_host_is_a_loopback_name_an_own_address_or_a_listed_name() {
        let rules = rules(&["Shop-1:8080", "2001:db8::1"], &[]);
        for (host, known) in [
            ("localhost", true),
            ("LOCALHOST:8080", true),
            ("127.0.0.1:1", true),
            ("127.9.9.9", true),
            ("[::1]:8080", true),
            ("192.0.2.7:8080", true),
            ("[::ffff:192.0.2.7]", true),
            ("shop-1", true),
            ("shop-1:9", true),
            ("[2001:db8::1]:8080", true),
            ("192.0.2.8", false),
            ("[2001:db8::2]", false),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("localhost.", false),
            ("shop-1.evil.example", false),
            ("evil.example:80@localhost", false),
            ("localhost:80:80", false),
            ("[::1", false),
            ("[::1]x", false),
            ("localhost:", false),
            ("", false),
        ] {
            let checked = rules.check(&head("GET", &[("host", host)]), OWN, Exposure::Usual);
            assert_eq!(code(checked), if known { 200 } else { 421 }, "{host}");
        }
        let whole = Request::builder().uri("http://evil.example/").header("host", "localhost");
        let whole = whole.body(()).unwrap().into_parts().0;
        assert_eq!(code(rules.check(&whole, OWN, Exposure::Usual)), 421);
        assert_eq!(code(rules.check(&head("GET", &[]), OWN, Exposure::Usual)), 200);
    }

    #[test]
    fn only_pages_of_the_same_or_of_a_listed_origin_may_change_something() {
        let rules = rules(&[], &["https://shop.example"]);
        let (here, there) = ("http://localhost:8080", "https://evil.example");
        for (headers, passes, opens_socket) in [
            (&[][..], true, true),
            (&[("origin", here)], true, true),
            (&[("origin", "HTTP://LocalHost:8080")], true, true),
            (&[("origin", there)], false, false),
            (&[("origin", "http://localhost:3000")], false, false),
            (&[("origin", "null")], false, false),
            (&[("origin", "https://shop.example")], true, true),
            (&[("origin", "http://shop.example")], false, false),
            (&[("origin", "https://shop.example.evil.example")], false, false),
            (&[("sec-fetch-site", "same-origin")], true, true),
            (&[("sec-fetch-site", "none")], true, true),
            (&[("sec-fetch-site", "same-site")], false, false),
            (&[("sec-fetch-site", "cross-site")], false, false),
            (&[("sec-fetch-site", "made-up")], false, false),
            (&[("sec-fetch-site", "cross-site"), ("origin", here)], false, false),
            (&[("sec-fetch-site", "cross-site"), ("origin", "https://shop.example")], true, true),
            // A proxy may change the host, so the browser's own verdict counts, but not for
            // sockets, whose answers any page could read.
            (&[("sec-fetch-site", "same-origin"), ("origin", there)], true, false),
            (&[("origin", here), ("origin", here)], false, false),
            (&[("sec-fetch-site", "none"), ("sec-fetch-site", "none")], false, false),
        ] {
            let all = [&[("host", "localhost:8080")], headers].concat();
            let check =
                |method: &str, exposure| code(rules.check(&head(method, &all), OWN, exposure));
            let expected = if passes { 200 } else { 403 };
            for method in ["POST", "PUT", "PATCH", "DELETE", "BREW"] {
                assert_eq!(check(method, Exposure::Usual), expected, "{method} {headers:?}");
            }
            for method in ["GET", "HEAD", "OPTIONS"] {
                assert_eq!(check(method, Exposure::Usual), 200, "{method} {headers:?}");
                assert_eq!(check(method, Exposure::Guarded), expected, "{method} {headers:?}");
            }
            let expected = if opens_socket { 200 } else { 403 };
            assert_eq!(check("GET", Exposure::Socket), expected, "{headers:?}");
        }
    }

    #[test]
    fn origins_are_listed_exactly() {
        for (text, value) in [
            ("https://shop.example", "https://shop.example"),
            ("https://Shop.Example/", "https://shop.example"),
            ("https://shop.example:443", "https://shop.example"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("capacitor://localhost", "capacitor://localhost"),
        ] {
            assert_eq!(text.parse::<CorsOrigin>().unwrap().0, value, "{text}");
        }
        for text in [
            "",
            "*",
            "https://*.shop.example",
            "null",
            "shop.example",
            "https://",
            "https://shop.example/page",
            "https://u@shop.example",
            "https://shop.example:x",
            "https://a,https://b",
        ] {
            assert!(text.parse::<CorsOrigin>().is_err(), "{text}");
        }
        assert!("*".parse::<CorsOrigin>().unwrap_err().contains("foreign"));
        for text in ["", "a b", "*.example", "http://a", "a/b", "[::1"] {
            assert!(text.parse::<HostName>().is_err(), "{text}");
        }
    }

    #[test]
    fn answers_are_marked_for_listed_origins_only() {
        let marked = |allowed: &[&str], origin: &str| {
            let mut headers = HeaderMap::new();
            let origin = HeaderValue::try_from(origin).unwrap();
            rules(&[], allowed).mark(Some(&origin), &mut headers);
            headers
        };
        assert!(marked(&[], "https://shop.example").is_empty());
        let foreign = marked(&["https://shop.example"], "https://evil.example");
        assert_eq!((foreign.len(), &foreign[VARY]), (1, &HeaderValue::from_static("origin")));
        let listed = marked(&["https://shop.example"], "https://shop.example");
        assert_eq!(listed[ACCESS_CONTROL_ALLOW_ORIGIN], "https://shop.example");
        assert_eq!(listed[ACCESS_CONTROL_EXPOSE_HEADERS], READ);
        assert!(!listed.contains_key("access-control-allow-credentials"));
    }
}
