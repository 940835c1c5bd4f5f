//! The settings of a client, each with its default and its bounds.

use std::fmt;
use std::time::Duration;

use hyper::Uri;
use hyper::header::HeaderValue;

use crate::endpoints::Endpoints;
use crate::retry::Backoff;
use crate::scope::Inner;
use crate::transport::{Tls, Transport};

/// The most base URLs of one client.
const BASE_URLS_MAX: usize = 64;

/// The longest base URL, in bytes.
const BASE_URL_BYTES_MAX: usize = 1024;

/// The longest token, in bytes.
const TOKEN_BYTES_MAX: usize = 4096;

/// The longest time that any setting accepts.
const TIME_MAX: Duration = Duration::from_secs(3600);

/// Builds a [`Client`](crate::Client).
#[derive(Debug, Clone)]
pub struct Builder {
    base_urls: Vec<String>,
    deadline: Duration,
    attempt_timeout: Duration,
    connect_timeout: Duration,
    attempts_max: u32,
    connections_max: usize,
    response_bytes_max: usize,
    backoff: Backoff,
    event_silence: Duration,
    token: Option<Token>,
    #[cfg(feature = "tls")]
    authorities: Option<Vec<u8>>,
}

/// A bearer token. It is never shown.
#[derive(Clone)]
struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Why a client cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// No base URL was given, or more than 64.
    #[error("a client needs 1 to {BASE_URLS_MAX} base URLs, {0} were given")]
    BaseUrlCount(usize),
    /// A base URL is not of the form `http://host[:port][/path]`.
    #[error("the base URL `{url}` is not usable: {reason}")]
    BaseUrl {
        /// The given URL.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The token cannot be sent.
    #[error("a token has 1 to 4096 visible ASCII characters")]
    Token,
    /// The authorities cannot be used.
    #[error("the authorities for https cannot be used: {0}")]
    Authorities(String),
    /// A setting is out of its bounds.
    #[error("{setting} must be {bounds}")]
    OutOfBounds {
        /// Name of the setting.
        setting: &'static str,
        /// The allowed values.
        bounds: &'static str,
    },
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            base_urls: Vec::new(),
            deadline: Duration::from_secs(15),
            attempt_timeout: Duration::from_secs(6),
            connect_timeout: Duration::from_secs(1),
            attempts_max: 8,
            connections_max: 256,
            response_bytes_max: 32 * 1024 * 1024,
            backoff: Backoff { base: Duration::from_millis(50), max: Duration::from_secs(2) },
            event_silence: Duration::from_secs(5),
            token: None,
            #[cfg(feature = "tls")]
            authorities: None,
        }
    }
}

impl Builder {
    /// Adds the URL of one node, `http://host[:port][/path]` or `https://…`; 1 to 64 in all.
    ///
    /// The client asks the first one, and the others when it fails.
    #[must_use]
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_urls.push(url.into());
        self
    }

    /// Adds the URLs of several nodes.
    #[must_use]
    pub fn base_urls<U: Into<String>>(mut self, urls: impl IntoIterator<Item = U>) -> Self {
        self.base_urls.extend(urls.into_iter().map(Into::into));
        self
    }

    /// Believes servers whose certificate one of these authorities signed, given as certificates in
    /// PEM form, for base URLs with `https`. There are no others: authorities of the system do not
    /// count.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn authorities(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authorities = Some(pem.into());
        self
    }

    /// Proves with this token who sends the requests: a token of the cluster, or the root token of
    /// its nodes. Over `http` others on the way can read it.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(Token(token.into()));
        self
    }

    /// Time for a whole call with all its attempts and waits: 15 s by default, 1 ms to 1 h.
    #[must_use]
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Time for one attempt, connecting included: 6 s by default, 1 ms to 1 h.
    ///
    /// It should be longer than the servers' own commit timeout: a 504 says more than a timeout.
    #[must_use]
    pub const fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = timeout;
        self
    }

    /// Time for connecting: 1 s by default, 1 ms to 1 h.
    #[must_use]
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// The most attempts of one call, the first included: 8 by default, 1 to 100. With 1 the client
    /// never retries.
    #[must_use]
    pub const fn attempts_max(mut self, attempts: u32) -> Self {
        self.attempts_max = attempts;
        self
    }

    /// The most concurrent requests, and so the most connections in use: 256 by default, 1 to
    /// 10,000.
    ///
    /// A call above the bound waits for another one to end, within its deadline.
    #[must_use]
    pub const fn connections_max(mut self, connections: usize) -> Self {
        self.connections_max = connections;
        self
    }

    /// The longest body of an answer: 32 MiB by default, 1 KiB to 1 GiB.
    #[must_use]
    pub const fn response_bytes_max(mut self, bytes: usize) -> Self {
        self.response_bytes_max = bytes;
        self
    }

    /// Waits between attempts: the first up to `base` (50 ms by default), each further one up to
    /// twice as long, never more than `max` (2 s by default). Both are 1 ms to 1 h, `base` at most
    /// `max`.
    #[must_use]
    pub const fn backoff(mut self, base: Duration, max: Duration) -> Self {
        self.backoff = Backoff { base, max };
        self
    }

    /// How long a stream of events may send nothing until the client asks the next node for it: 5 s
    /// by default, 3 s to 3 min.
    ///
    /// The client has nodes send heartbeats three times as often.
    #[must_use]
    pub const fn event_silence(mut self, silence: Duration) -> Self {
        self.event_silence = silence;
        self
    }

    /// Checks the settings and makes what all clones of the client share.
    pub(crate) fn into_inner(self) -> Result<Inner, BuildError> {
        self.check_bounds()?;
        if self.base_urls.is_empty() || self.base_urls.len() > BASE_URLS_MAX {
            return Err(BuildError::BaseUrlCount(self.base_urls.len()));
        }
        #[cfg(feature = "tls")]
        let tls: Tls = match &self.authorities {
            Some(pem) => Some(
                crate::secure::config(pem)
                    .map_err(|error| BuildError::Authorities(error.to_string()))?,
            ),
            None => None,
        };
        #[cfg(feature = "tls")]
        let has_tls = tls.is_some();
        #[cfg(not(feature = "tls"))]
        let (tls, has_tls): (Tls, bool) = ((), false);
        let authorization = self.token.as_ref().map(authorization).transpose()?;
        let urls = self.base_urls.iter().map(|url| base_url(url, has_tls));
        let urls = urls.collect::<Result<Vec<_>, _>>()?;
        Ok(Inner {
            authorization,
            endpoints: Endpoints::new(urls),
            transport: Transport::new(
                self.connections_max,
                self.connect_timeout,
                self.response_bytes_max,
                tls,
            ),
            deadline: self.deadline,
            attempt_timeout: self.attempt_timeout,
            attempts_max: self.attempts_max,
            backoff: self.backoff,
            event_silence: self.event_silence,
        })
    }

    fn check_bounds(&self) -> Result<(), BuildError> {
        let time = |time: Duration| (Duration::from_millis(1)..=TIME_MAX).contains(&time);
        let checks = [
            ("deadline", time(self.deadline), "1 ms to 1 h"),
            ("attempt_timeout", time(self.attempt_timeout), "1 ms to 1 h"),
            ("connect_timeout", time(self.connect_timeout), "1 ms to 1 h"),
            ("backoff base", time(self.backoff.base), "1 ms to 1 h"),
            ("backoff max", time(self.backoff.max), "1 ms to 1 h"),
            ("backoff base", self.backoff.base <= self.backoff.max, "at most the backoff max"),
            (
                "event_silence",
                (Duration::from_secs(3)..=Duration::from_secs(180)).contains(&self.event_silence),
                "3 s to 3 min",
            ),
            ("attempts_max", (1..=100).contains(&self.attempts_max), "1 to 100"),
            ("connections_max", (1..=10_000).contains(&self.connections_max), "1 to 10,000"),
            (
                "response_bytes_max",
                (1024..=1024 * 1024 * 1024).contains(&self.response_bytes_max),
                "1 KiB to 1 GiB",
            ),
        ];
        match checks.into_iter().find(|(_, within, _)| !within) {
            Some((setting, _, bounds)) => Err(BuildError::OutOfBounds { setting, bounds }),
            None => Ok(()),
        }
    }
}

/// The value of `Authorization`.
fn authorization(Token(token): &Token) -> Result<HeaderValue, BuildError> {
    let sound = (1..=TOKEN_BYTES_MAX).contains(&token.len())
        && token.bytes().all(|byte| byte.is_ascii_graphic());
    let value = HeaderValue::try_from(format!("Bearer {token}")).ok().filter(|_| sound);
    let mut value = value.ok_or(BuildError::Token)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Checks a base URL and removes a slash at its end.
fn base_url(url: &str, has_tls: bool) -> Result<String, BuildError> {
    let refuse = |reason| Err(BuildError::BaseUrl { url: url.to_owned(), reason });
    // The URI type silently drops a fragment, so check before parsing.
    if url.contains(['#', '?']) {
        return refuse("it may have a path but no query and no fragment");
    }
    if url.len() > BASE_URL_BYTES_MAX {
        return refuse("it is longer than 1 KiB");
    }
    let Ok(uri) = url.parse::<Uri>() else {
        return refuse("it is not a URL");
    };
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") if has_tls => {}
        Some("https") => {
            return refuse(
                "https needs the certificates of its authorities: `--ca-file`, in Rust `authorities`",
            );
        }
        _ => return refuse("it must begin with http:// or https://"),
    }
    match uri.authority() {
        Some(authority) if authority.as_str().contains('@') => {
            return refuse("it may not carry credentials");
        }
        Some(authority) if !authority.host().is_empty() => {}
        _ => return refuse("it names no host"),
    }
    Ok(url.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Client;

    fn build(url: &str) -> Result<Vec<String>, BuildError> {
        let client = Client::builder().base_url(url).build()?;
        Ok(client.base_urls().to_vec())
    }

    #[tokio::test]
    async fn a_slash_at_the_end_of_a_base_url_is_removed() {
        for url in ["http://127.0.0.1:8080", "http://127.0.0.1:8080/", "http://127.0.0.1:8080//"] {
            assert_eq!(build(url), Ok(vec!["http://127.0.0.1:8080".to_owned()]));
        }
        assert_eq!(build("http://[::1]:1/shop/"), Ok(vec!["http://[::1]:1/shop".to_owned()]));
    }

    #[tokio::test]
    async fn an_error_names_the_unusable_base_url() {
        for url in [
            "",
            "127.0.0.1:8080",
            "/orders",
            "https://127.0.0.1",
            "ftp://127.0.0.1",
            "http://",
            "http://user:secret@127.0.0.1",
            "http://127.0.0.1/?x=1",
            "http://127.0.0.1/#x",
            "http://127.0.0.1 /",
        ] {
            let error = build(url).expect_err(url);
            assert!(matches!(error, BuildError::BaseUrl { .. }), "{url}: {error}");
        }
        assert_eq!(Client::builder().build().err(), Some(BuildError::BaseUrlCount(0)));
        let many = Client::builder().base_urls(["http://127.0.0.1"; 65]).build();
        assert_eq!(many.err(), Some(BuildError::BaseUrlCount(65)));
    }

    #[tokio::test]
    async fn a_token_is_checked_and_not_shown() {
        let with = |token: &str| Client::builder().base_url("http://127.0.0.1:1").token(token);
        assert!(with("hft_secret").build().is_ok());
        for wrong in ["", "two words", "line\n", "ü", &"x".repeat(4097)] {
            assert_eq!(with(wrong).build().err(), Some(BuildError::Token), "{wrong}");
        }
        let shown = format!("{:?} {:?}", with("hft_secret"), with("hft_secret").build());
        assert!(!shown.contains("secret"), "{shown}");
    }

    #[tokio::test]
    async fn every_setting_has_bounds() {
        let zero = Duration::ZERO;
        let long = TIME_MAX + Duration::from_millis(1);
        let usable = || Client::builder().base_url("http://127.0.0.1:1");
        assert!(usable().build().is_ok());
        for builder in [
            usable().deadline(zero),
            usable().deadline(long),
            usable().attempt_timeout(zero),
            usable().connect_timeout(long),
            usable().event_silence(Duration::from_millis(2999)),
            usable().event_silence(Duration::from_secs(181)),
            usable().attempts_max(0),
            usable().attempts_max(101),
            usable().connections_max(0),
            usable().connections_max(10_001),
            usable().response_bytes_max(1023),
            usable().response_bytes_max(usize::MAX),
            usable().backoff(zero, TIME_MAX),
            usable().backoff(Duration::from_secs(2), Duration::from_secs(1)),
        ] {
            let error = builder.clone().build().err();
            assert!(matches!(error, Some(BuildError::OutOfBounds { .. })), "{builder:?}");
        }
    }
}
