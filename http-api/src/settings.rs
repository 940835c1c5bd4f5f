//! Every setting of the server, and the bounds that are checked at startup.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::auth::RootToken;
use crate::auth::jwt::CustomerKeys;
use crate::bodies::Share;
use crate::events::app::SocketApp;
use crate::log_filter::LogFilter;
use crate::origin::{CorsOrigin, HostName};
use crate::proxy::Proxies;
use crate::tls::HttpTls;

/// The most secrets at the same time: two, for a rotation.
const SECRETS_MAX: usize = 2;

/// The most networks of trusted proxies: each request is compared with all of them.
const NETWORKS_MAX: usize = 64;

/// Settings of the server. `Default` has the documented values.
///
/// Settings that affect an outcome are read by the node that takes the request and travel in the
/// command, so nodes with different settings still have equal states.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Declined payment attempts before an order fails, at least 1.
    pub payment_attempts_max: u32,
    /// How long an order that waits for a webhook may stay unpaid, in milliseconds.
    pub payment_deadline_ms: u64,
    /// The most open orders; more are refused. At least 1.
    pub open_orders_max: u64,
    /// The most open orders whose payment method is `none`; more are refused. At least 1. At level
    /// 0 all open orders count.
    pub open_unpaid_orders_max: u64,
    /// The default lifetime of a hold, in milliseconds, at least 1.
    pub hold_ttl_ms: u64,
    /// The longest lifetime of a hold with its extensions, in milliseconds, at least
    /// `hold_ttl_ms`.
    pub hold_ttl_max_ms: u64,
    /// The most active holds; more are refused. At least 1.
    pub active_holds_max: u64,
    /// Names and addresses that clients give as `Host`, beside loopback names and the address that
    /// a connection arrives at. A request with another `Host` is refused.
    pub http_hosts: Vec<HostName>,
    /// Origins whose web pages may use this server. Others may not change anything.
    pub cors_origins: Vec<CorsOrigin>,
    /// The reverse proxies that say for whom they ask.
    pub proxies: Proxies,
    /// The certificate for clients. With it, the server speaks HTTPS alone.
    pub tls: Option<Arc<HttpTls>>,
    /// The root token of this node. With it, the node always asks for credentials, unless the
    /// cluster's mode is `optional`.
    pub root_token: Option<RootToken>,
    /// The applications that say who may have a channel of a WebSocket: one, or two during a
    /// rotation. With them, a client without credentials has no channel that none of them signed.
    pub socket_apps: Vec<SocketApp>,
    /// The public keys of who signs tokens of customers.
    pub customers: Option<Arc<CustomerKeys>>,
    /// The parts of this node that are open to everybody who reaches them, for `/cluster` and the
    /// metrics.
    pub insecure: Vec<&'static str>,
    /// Flags that are only for trials, likewise.
    pub unsafe_settings: Vec<&'static str>,
    /// The filter of this process's log lines, if it can be changed while the node runs.
    pub log_filter: Option<LogFilter>,
    /// The gateway that charges for orders. All nodes should have the same one, because the leader
    /// makes the calls.
    pub gateway: Gateway,
    /// The secrets of signed payment webhooks: one, or two during a rotation.
    pub webhook_secrets: Vec<WebhookSecret>,
    /// Whether payment webhooks need no signature while there is no secret; else all are refused
    /// then. Only for trials: unsigned webhooks let anybody decide any order.
    pub webhook_unsigned: bool,
    /// Whether orders and holds must name an existing user.
    pub require_users: bool,
    /// Whether an order must have an idempotency key.
    pub require_idempotency_key: bool,
    /// Requests per minute that one client address may send to this node; 0 for no limit.
    /// Monitoring and retries with a known key are not counted. A reverse proxy that
    /// is not among `proxies` counts as one address.
    pub rate_limit_per_minute: u32,
    /// Requests per minute that one customer may send to this node, whatever token they use; 0 for
    /// no limit.
    pub rate_limit_user_per_minute: u32,
    /// Requests per minute that one token without a customer may send to this node; 0 for no limit.
    pub rate_limit_token_per_minute: u32,
    /// The time from the complete head of a request to its answer. A write that is not confirmed by
    /// then is answered 504: its outcome is unknown.
    pub request_timeout: Duration,
    /// The time for the head of a request, from its first byte.
    pub header_timeout: Duration,
    /// The time for the body of a request, after its head.
    pub body_timeout: Duration,
    /// The time from an answer to the first byte of the next request, including the time to read
    /// the answer.
    pub idle_timeout: Duration,
    /// How long a client may take no bytes of an answer.
    pub write_timeout: Duration,
    /// The largest body, in bytes.
    pub body_bytes_max: usize,
    /// The largest body of a batch, in bytes.
    pub batch_bytes_max: usize,
    /// The total size of all bodies in progress, in bytes; more are refused as overloaded. Half of
    /// it is for batches and one tenth for operators and payments, so it is at least two
    /// `batch_bytes_max` and ten `body_bytes_max`.
    pub bodies_in_flight_bytes_max: usize,
    /// The largest head of a request, in bytes; at least 8,192.
    pub header_bytes_max: usize,
    /// The most header lines of a request.
    pub headers_max: usize,
    /// The longest request target, in bytes.
    pub target_bytes_max: usize,
    /// The most open connections; more are refused.
    pub connections_max: usize,
    /// The most open connections of one address. Those of `proxies` count only towards
    /// `connections_max`.
    pub connections_per_address_max: usize,
    /// The most event subscribers, over HTTP and WebSockets together. Each is also a connection.
    pub event_subscribers_max: usize,
    /// The time between heartbeats for a subscriber without events.
    pub event_heartbeat: Duration,
    /// The most backups that clients read at the same time; more are refused. Each keeps a file
    /// open that is as large as the state.
    pub backups_max: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            payment_attempts_max: 1,
            payment_deadline_ms: 900_000,
            open_orders_max: 1_000_000,
            open_unpaid_orders_max: 1_000_000,
            hold_ttl_ms: 120_000,
            hold_ttl_max_ms: 3_600_000,
            active_holds_max: 1_000_000,
            http_hosts: Vec::new(),
            cors_origins: Vec::new(),
            proxies: Proxies::default(),
            tls: None,
            root_token: None,
            socket_apps: Vec::new(),
            customers: None,
            insecure: Vec::new(),
            unsafe_settings: Vec::new(),
            log_filter: None,
            gateway: Gateway::None,
            webhook_secrets: Vec::new(),
            webhook_unsigned: false,
            require_users: false,
            require_idempotency_key: false,
            rate_limit_per_minute: 0,
            rate_limit_user_per_minute: 0,
            rate_limit_token_per_minute: 0,
            request_timeout: Duration::from_secs(5),
            header_timeout: Duration::from_secs(5),
            body_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(10),
            body_bytes_max: 1 << 20,
            batch_bytes_max: 16 << 20,
            bodies_in_flight_bytes_max: 128 << 20,
            header_bytes_max: 16 << 10,
            headers_max: 100,
            target_bytes_max: 8 << 10,
            connections_max: 10_000,
            connections_per_address_max: 1_000,
            event_subscribers_max: 4_000,
            event_heartbeat: Duration::from_secs(15),
            backups_max: 4,
        }
    }
}

/// What charges for orders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gateway {
    /// Nothing: orders wait for a webhook, and `gateway` and `mock` are refused.
    #[default]
    None,
    /// The simulated gateway, which takes no money.
    Simulated,
    /// A payment service over HTTP.
    Http,
}

/// A secret that a payment provider signs its webhooks with. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(Box<str>);

impl WebhookSecret {
    /// The shortest secret, in bytes: someone who has seen a signed request could try all shorter
    /// ones.
    pub const BYTES_MIN: usize = 16;
    /// The longest secret, in bytes.
    pub const BYTES_MAX: usize = 255;

    /// The secret that was agreed on with the provider. [`crate::Settings::validate`] checks it.
    pub fn new(text: impl Into<Box<str>>) -> WebhookSecret {
        WebhookSecret(text.into())
    }

    /// The bytes that signatures are keyed with.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Whether its length is in bounds, and it is visible ASCII without spaces, so that both sides
    /// use the same bytes.
    fn is_sound(&self) -> bool {
        (Self::BYTES_MIN..=Self::BYTES_MAX).contains(&self.0.len())
            && self.0.bytes().all(|byte| byte.is_ascii_graphic())
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(…)")
    }
}

/// A setting that is out of its bounds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the setting {name} must be {bound}")]
pub struct Invalid {
    /// The field of [`Settings`].
    pub name: &'static str,
    /// What it must be.
    pub bound: &'static str,
}

impl Settings {
    /// Checks every bound.
    ///
    /// # Errors
    /// The first setting that is out of its bounds.
    pub fn validate(&self) -> Result<(), Invalid> {
        let positive = "more than zero";
        let rules = [
            ("payment_attempts_max", self.payment_attempts_max > 0, positive),
            ("open_orders_max", self.open_orders_max > 0, positive),
            ("open_unpaid_orders_max", self.open_unpaid_orders_max > 0, positive),
            ("hold_ttl_ms", self.hold_ttl_ms > 0, positive),
            ("hold_ttl_max_ms", self.hold_ttl_max_ms >= self.hold_ttl_ms, "at least hold_ttl_ms"),
            ("active_holds_max", self.active_holds_max > 0, positive),
            ("webhook_secrets", self.webhook_secrets.len() <= SECRETS_MAX, "two at most"),
            (
                "webhook_secrets",
                self.webhook_secrets.iter().all(WebhookSecret::is_sound),
                "of 16 to 255 visible ASCII characters each",
            ),
            ("socket_apps", self.socket_apps.len() <= SECRETS_MAX, "two at most"),
            ("proxies", self.proxies.trusted.len() <= NETWORKS_MAX, "64 networks at most"),
            ("request_timeout", !self.request_timeout.is_zero(), positive),
            ("header_timeout", !self.header_timeout.is_zero(), positive),
            ("body_timeout", !self.body_timeout.is_zero(), positive),
            ("idle_timeout", !self.idle_timeout.is_zero(), positive),
            ("write_timeout", !self.write_timeout.is_zero(), positive),
            ("body_bytes_max", self.body_bytes_max > 0, positive),
            ("batch_bytes_max", self.batch_bytes_max > 0, positive),
            (
                "bodies_in_flight_bytes_max",
                Share::Batches.of(self.bodies_in_flight_bytes_max) >= self.batch_bytes_max
                    && Share::Operators.of(self.bodies_in_flight_bytes_max) >= self.body_bytes_max,
                "at least two batch_bytes_max, and at least ten body_bytes_max",
            ),
            // The smallest buffer that the HTTP library works with.
            ("header_bytes_max", self.header_bytes_max >= 8192, "at least 8192"),
            ("headers_max", self.headers_max > 0, positive),
            ("target_bytes_max", self.target_bytes_max > 0, positive),
            ("connections_max", self.connections_max > 0, positive),
            ("connections_per_address_max", self.connections_per_address_max > 0, positive),
            ("event_subscribers_max", self.event_subscribers_max > 0, positive),
            ("event_heartbeat", !self.event_heartbeat.is_zero(), positive),
            ("backups_max", (1..=64).contains(&self.backups_max), "from 1 to 64"),
        ];
        match rules.into_iter().find(|(_, holds, _)| !holds) {
            Some((name, _, bound)) => Err(Invalid { name, bound }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_bounds_are_named() {
        assert_eq!(Settings::default().validate(), Ok(()));
        let settings = Settings { header_bytes_max: 100, ..Settings::default() };
        assert_eq!(
            settings.validate().unwrap_err().to_string(),
            "the setting header_bytes_max must be at least 8192"
        );
        let settings = Settings { payment_attempts_max: 0, ..Settings::default() };
        assert_eq!(settings.validate().unwrap_err().name, "payment_attempts_max");
        let settings = Settings { hold_ttl_max_ms: 1, ..Settings::default() };
        assert_eq!(settings.validate().unwrap_err().name, "hold_ttl_max_ms");
        let secret = |length| WebhookSecret::new("x".repeat(length));
        for (secrets, sound) in [
            (vec![secret(16)], true),
            (vec![secret(16), secret(255)], true),
            (vec![secret(16); 3], false),
            (vec![secret(15)], false),
            (vec![secret(16), secret(256)], false),
        ] {
            let settings = Settings { webhook_secrets: secrets, ..Settings::default() };
            assert_eq!(settings.validate().is_ok(), sound);
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let secret = WebhookSecret::new("secret of the provider");
        assert_eq!(format!("{secret:?}"), "WebhookSecret(…)");
        assert!(!secret.is_sound(), "it has spaces");
        assert!(!WebhookSecret::new("x".repeat(15)).is_sound());
        assert!(WebhookSecret::new("x".repeat(16)).is_sound());
    }
}
