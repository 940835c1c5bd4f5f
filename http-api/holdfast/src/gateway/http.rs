//! A payment service over HTTP: the contract of docs/GATEWAY.md.
//!
//! Its answers are read with suspicion. Only an answer in the form of the contract decides about
//! money; everything else is unknown, or a fault that an operator has to repair. Redirects are
//! never followed.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use client::secure::Secure;
use engine::money::Money;
use engine::order::PaymentMethod;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{CONTENT_TYPE, RETRY_AFTER};
use hyper::http::uri::{PathAndQuery, Scheme};
use hyper::{HeaderMap, Method, Request, StatusCode, Uri};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use raft_node::payment::gateway::Call;
use raft_node::payment::{Answer, Capabilities, Charge, Fault, PaymentGateway, RefundCall};
use rustls::{ClientConfig, RootCertStore};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::sign::{Signed, signature};
use crate::address;
use crate::exit::chain;

/// Most open calls to a service.
pub(crate) const CALLS_MAX: usize = 256;
/// The longest time of a look-up and a charge together, in milliseconds.
pub(crate) const CALL_MS_MAX: u64 = 2 * REQUEST_MS_MAX;

const REQUEST_MS_MAX: u64 = 10_000;
const CONNECT: Duration = Duration::from_secs(3);
/// Idle connections are closed before most servers close them.
const IDLE: Duration = Duration::from_secs(20);
const ANSWER_BYTES_MAX: usize = 64 * 1024;
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// The longest reason that is taken over from a service, in characters.
const REASON_CHARS_MAX: usize = 80;
/// Services keep keys at least this long: 30 days, in milliseconds.
const KEY_RETENTION_MS: u64 = 30 * 86_400_000;

/// Where a service is, and how to prove who calls.
pub(super) struct Target {
    scheme: Scheme,
    authority: String,
    /// The path before `/v1`, without a slash at its end.
    prefix: String,
    secrets: Vec<String>,
    tls: Option<Arc<ClientConfig>>,
}

impl Target {
    /// Checks the URL. `roots` are the authorities to believe, asked for only with `https`.
    pub(super) fn new(
        url: &str,
        secrets: Vec<String>,
        roots: impl FnOnce() -> Result<RootCertStore, String>,
    ) -> Result<Target, String> {
        let wrong = |what: &str| format!("--gateway-url {url}: {what}");
        let parsed: Uri = url.parse().map_err(|_| wrong("expected https://HOST[:PORT][/PATH]"))?;
        let scheme = parsed.scheme().cloned().ok_or_else(|| wrong("expected https://"))?;
        let authority = parsed.authority().ok_or_else(|| wrong("expected a host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("expected no user name or password"));
        }
        if parsed.query().is_some() {
            return Err(wrong("expected no query"));
        }
        let tls = if scheme == Scheme::HTTPS {
            Some(client::secure::of_roots(roots()?).map_err(|error| error.to_string())?)
        } else if scheme == Scheme::HTTP {
            if !address::is_loopback(authority.host()) {
                return Err(wrong("plain http is for services on this machine: use https"));
            }
            None
        } else {
            return Err(wrong("expected https"));
        };
        let prefix = parsed.path().trim_end_matches('/').to_owned();
        Ok(Target { scheme, authority: authority.to_string(), prefix, secrets, tls })
    }

    /// The secrets that sign requests.
    pub(super) fn secrets(&self) -> &[String] {
        &self.secrets
    }
}

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource {
    Payments,
    Refunds,
}

impl Resource {
    fn as_str(self) -> &'static str {
        match self {
            Resource::Payments => "payments",
            Resource::Refunds => "refunds",
        }
    }
}

/// A request to a service.
#[derive(Clone, Debug)]
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    pub(super) resource: Resource,
    pub(super) key: &'a str,
    pub(super) body: Bytes,
}

/// What a service said.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Calls a payment service.
pub(super) struct HttpGateway {
    http: legacy::Client<Secure, Full<Bytes>>,
    target: Target,
}

/// The body of a charge. Tries of an attempt have equal bodies.
#[derive(Debug, Serialize)]
struct ChargeBody<'a> {
    key: &'a str,
    order_id: u64,
    attempt: u32,
    amount_minor: i64,
    trace_id: String,
}

/// The body of a refund. Calls about one refund have equal bodies.
#[derive(Debug, Serialize)]
struct RefundBody<'a> {
    key: &'a str,
    payment: &'a str,
    order_id: u64,
    refund_id: u64,
    amount_minor: i64,
    trace_id: String,
}

/// The body of an answer, in any of its forms.
#[derive(Debug, Deserialize)]
struct AnswerBody {
    status: String,
    amount_minor: Option<i64>,
    reason: Option<String>,
    retry_in_ms: Option<u64>,
}

impl HttpGateway {
    pub(super) fn new(target: Target) -> HttpGateway {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT));
        let connector = Secure::new(connector, target.tls.clone(), CONNECT);
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(CALLS_MAX)
            .http1_max_buf_size(HEAD_BYTES_MAX)
            .build(connector);
        HttpGateway { http, target }
    }

    /// The path of a key, as it is sent.
    pub(super) fn path(&self, resource: Resource, key: &str) -> String {
        format!("{}/v1/{}/{key}", self.target.prefix, resource.as_str())
    }

    /// A signature for a request that is sent now.
    pub(super) fn signature(&self, signed: Signed<'_>) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        signature(&self.target.secrets, now.as_secs(), signed)
    }

    /// Sends a request and reads its answer.
    pub(super) async fn ask(&self, ask: Ask<'_>) -> Result<Said, String> {
        let path = self.path(ask.resource, ask.key);
        let (method, key) = (ask.method.as_str(), ask.key);
        let signature = self.signature(Signed { method, path: &path, key, body: &ask.body });
        self.ask_at(&path, ask, Some(&signature)).await
    }

    /// Sends a request to this path with this signature.
    pub(super) async fn ask_at(
        &self,
        path: &str,
        ask: Ask<'_>,
        signature: Option<&str>,
    ) -> Result<Said, String> {
        let path: PathAndQuery = path.parse().map_err(|_| format!("{path} is no path"))?;
        let uri = Uri::builder()
            .scheme(self.target.scheme.clone())
            .authority(self.target.authority.as_str())
            .path_and_query(path)
            .build()
            .map_err(|error| error.to_string())?;
        let mut request = Request::builder()
            .method(ask.method)
            .uri(uri)
            .header("Idempotency-Key", ask.key)
            .header(CONTENT_TYPE, "application/json");
        if let Some(signature) = signature {
            request = request.header(client::wire::SIGNATURE, signature);
        }
        let request = request.body(Full::new(ask.body)).map_err(|error| error.to_string())?;
        let exchange = async {
            let response = self.http.request(request).await;
            let response = response.map_err(|error| chain(&error))?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| error.to_string())?.to_bytes();
            Ok(Said { status: head.status, headers: head.headers, body })
        };
        timeout(Duration::from_millis(REQUEST_MS_MAX), exchange)
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {REQUEST_MS_MAX} ms")))
    }

    /// Asks about a payment or a refund, and reads the answer as one about this amount.
    async fn settle_by(
        &self,
        method: Method,
        resource: Resource,
        key: &str,
        body: Bytes,
        amount: Money,
    ) -> Answer {
        let ask = Ask { method: method.clone(), resource, key, body };
        match self.ask(ask).await {
            Ok(said) => read(&method, &said, amount),
            Err(error) => {
                tracing::warn!(key, %error, "payment_service_silent");
                Answer::Unknown
            }
        }
    }
}

/// The body of a charge.
pub(super) fn charge_body(charge: &Charge) -> Bytes {
    let body = ChargeBody {
        key: &charge.key,
        order_id: charge.order.0,
        attempt: charge.attempt,
        amount_minor: charge.amount.0,
        trace_id: charge.trace.to_string(),
    };
    serde_json::to_vec(&body).expect("numbers and texts have a JSON form").into()
}

/// The body of a refund.
pub(super) fn refund_body(refund: &RefundCall) -> Bytes {
    let body = RefundBody {
        key: &refund.key,
        payment: &refund.payment,
        order_id: refund.order.0,
        refund_id: refund.refund.0,
        amount_minor: refund.amount.0,
        trace_id: refund.trace.to_string(),
    };
    serde_json::to_vec(&body).expect("numbers and texts have a JSON form").into()
}

/// A fault of the service as a whole.
fn misconfigured(reason: String) -> Answer {
    Answer::Faulty(Fault { reason: reason.into(), is_of_payment: false })
}

/// A fault of one payment.
fn refused(reason: String) -> Answer {
    Answer::Faulty(Fault { reason: reason.into(), is_of_payment: true })
}

/// What an answer means for a payment of this amount.
pub(super) fn read(method: &Method, said: &Said, amount: Money) -> Answer {
    let status = said.status;
    let body: Option<AnswerBody> = serde_json::from_slice(&said.body).ok();
    match status.as_u16() {
        200..=202 => match body {
            Some(body) => read_body(body, amount),
            None => Answer::Unknown,
        },
        404 if method == Method::GET => match body {
            Some(body) if body.status == "unseen" => Answer::Unseen,
            // A proxy or a wrong path says 404 too, and must not look like an unseen key.
            _ => misconfigured(
                "GET answered 404 without {\"status\": \"unseen\"}: check --gateway-url".to_owned(),
            ),
        },
        429 | 503 => Answer::Busy { retry_in_ms: retry_after(&said.headers) },
        401 | 403 => misconfigured(format!(
            "the payment service answered {status}: check the secret of --gateway-secret-file and \
             the clocks of both machines"
        )),
        300..=399 | 404 | 405 => misconfigured(format!(
            "the payment service answered {method} with {status}: check --gateway-url"
        )),
        400..=499 => refused(format!("the payment service refused the request with {status}")),
        _ => Answer::Unknown,
    }
}

fn read_body(body: AnswerBody, amount: Money) -> Answer {
    match body.status.as_str() {
        "succeeded" if body.amount_minor == Some(amount.0) => Answer::Succeeded,
        "succeeded" => refused(match body.amount_minor {
            Some(other) => format!("charged {other} minor units instead of {}", amount.0),
            None => "the payment service did not say which amount it has charged".to_owned(),
        }),
        "declined" => {
            let reason = body.reason.unwrap_or_else(|| "payment declined".to_owned());
            let printable = reason.chars().filter(|character| !character.is_control());
            Answer::Declined(printable.take(REASON_CHARS_MAX).collect::<String>().into())
        }
        "pending" => Answer::Pending { ask_in_ms: body.retry_in_ms },
        _ => Answer::Unknown,
    }
}

/// The wait that the header asks for, if it is a number of seconds.
fn retry_after(headers: &HeaderMap) -> Option<u64> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(seconds.saturating_mul(1_000))
}

impl PaymentGateway for HttpGateway {
    fn method(&self) -> PaymentMethod {
        PaymentMethod::Gateway
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { looks_up: true, is_remote: true, key_retention_ms: Some(KEY_RETENTION_MS) }
    }

    fn charge(&self, charge: Charge) -> Call<'_> {
        Box::pin(async move {
            let body = charge_body(&charge);
            self.settle_by(Method::PUT, Resource::Payments, &charge.key, body, charge.amount).await
        })
    }

    fn look_up<'a>(&'a self, charge: &'a Charge) -> Call<'a> {
        let (key, resource) = (&charge.key, Resource::Payments);
        Box::pin(self.settle_by(Method::GET, resource, key, Bytes::new(), charge.amount))
    }

    fn cancel<'a>(&'a self, charge: &'a Charge) -> Call<'a> {
        let (key, resource) = (&charge.key, Resource::Payments);
        Box::pin(self.settle_by(Method::DELETE, resource, key, Bytes::new(), charge.amount))
    }

    fn refund(&self, refund: RefundCall) -> Call<'_> {
        Box::pin(async move {
            let (key, body) = (&refund.key, refund_body(&refund));
            self.settle_by(Method::PUT, Resource::Refunds, key, body, refund.amount).await
        })
    }

    fn look_up_refund<'a>(&'a self, refund: &'a RefundCall) -> Call<'a> {
        let (key, resource) = (&refund.key, Resource::Refunds);
        Box::pin(self.settle_by(Method::GET, resource, key, Bytes::new(), refund.amount))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(method: &Method, status: u16, body: &str) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, "7".parse().unwrap());
        let status = StatusCode::from_u16(status).unwrap();
        let said = Said { status, headers, body: Bytes::copy_from_slice(body.as_bytes()) };
        read(method, &said, Money(1999))
    }

    #[test]
    fn only_answers_in_the_form_of_the_contract_decide() {
        let put = |status, body: &str| answer(&Method::PUT, status, body);
        assert_eq!(put(200, r#"{"status":"succeeded","amount_minor":1999}"#), Answer::Succeeded);
        let declined = Answer::Declined("no funds".into());
        assert_eq!(put(200, r#"{"status":"declined","reason":"no\n funds"}"#), declined);
        let pending = Answer::Pending { ask_in_ms: Some(5) };
        assert_eq!(put(202, r#"{"status":"pending","retry_in_ms":5}"#), pending);
        for (status, body) in [(200, "{}"), (200, "ok"), (200, r#"{"status":"paid"}"#), (500, "")] {
            assert_eq!(put(status, body), Answer::Unknown, "{status} {body}");
        }
        assert_eq!(put(503, ""), Answer::Busy { retry_in_ms: Some(7_000) });
    }

    #[test]
    fn faults_of_the_service_are_told_from_faults_of_a_payment() {
        let is_of_payment = |method: &Method, status, body: &str| match answer(method, status, body)
        {
            Answer::Faulty(fault) => fault.is_of_payment,
            other => panic!("{status}: {other:?}"),
        };
        for status in [301, 401, 403, 404, 405] {
            assert!(!is_of_payment(&Method::PUT, status, ""), "{status}");
        }
        for status in [400, 409, 422] {
            assert!(is_of_payment(&Method::PUT, status, ""), "{status}");
        }
        assert!(is_of_payment(&Method::GET, 200, r#"{"status":"succeeded","amount_minor":1}"#));
        assert!(is_of_payment(&Method::GET, 200, r#"{"status":"succeeded"}"#));
        let unseen = answer(&Method::GET, 404, r#"{"status":"unseen"}"#);
        assert_eq!(unseen, Answer::Unseen);
        assert!(!is_of_payment(&Method::GET, 404, "<html>not here</html>"));
    }

    #[test]
    fn plain_http_is_for_loopback_and_urls_have_no_credentials() {
        let target = |url: &str| Target::new(url, Vec::new(), || Ok(RootCertStore::empty()));
        for url in ["http://127.0.0.1:9", "http://localhost:9/pay/", "http://[::1]:9"] {
            assert!(target(url).is_ok(), "{url}");
        }
        let https = target("https://pay.example/shop/").unwrap();
        let gateway = HttpGateway::new(https);
        assert_eq!(gateway.path(Resource::Payments, "k"), "/shop/v1/payments/k");
        for url in [
            "http://pay.example",
            "ftp://127.0.0.1",
            "https://user:word@pay.example",
            "https://pay.example/?a=1",
            "pay.example",
        ] {
            assert!(target(url).is_err(), "{url}");
        }
    }
}
