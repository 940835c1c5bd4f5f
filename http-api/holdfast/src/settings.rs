//! The flags that `dev` and `serve` share: payments, holds, browsers and limits.
//!
//! This file only declares flags; `node::running` maps them to the settings of the crates below.

use std::convert::Infallible;
use std::fmt;
use std::io::{self, Read as _};
use std::num::{NonZeroU32, NonZeroU64};
use std::ops::RangeInclusive;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Args, ValueEnum};
use http_api::{CorsOrigin, HostName, Network, Proxies, ProxyHeader, WebhookSecret};
use raft_node::config::Timings;

use crate::address;
use crate::exit::CliError;

/// The flag that names the configuration file.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = None::<&str>)]
pub(crate) struct File {
    /// Read further settings from this TOML file; its keys are the names of flags
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// The flags for payments.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Payments")]
pub(crate) struct Payments {
    /// Charge orders through this gateway. With `none`, orders wait for a payment webhook, and
    /// the payment methods `gateway` and `mock` are refused. `simulated` is for trials: it takes no
    /// money and decides by chance. `http` is the payment service at --gateway-url. Give all nodes
    /// the same [default: none for serve, simulated for dev]
    #[arg(long, value_name = "GATEWAY", value_enum)]
    pub(crate) payment_gateway: Option<Gateway>,
    /// Let this share of the simulated payments succeed; the gateway declines the rest
    #[arg(long, value_name = "SHARE", default_value = "0.8")]
    #[arg(value_parser = address::parts_per_million)]
    pub(crate) payment_success_rate: u32,
    /// Let this share of the simulated calls get no answer; the node repeats them under the same
    /// key
    #[arg(long, value_name = "SHARE", default_value = "0")]
    #[arg(value_parser = address::parts_per_million)]
    pub(crate) payment_error_rate: u32,
    /// Let a simulated call take this many milliseconds
    #[arg(long, value_name = "FROM-TO", default_value = "50-200")]
    #[arg(value_parser = address::milliseconds)]
    pub(crate) payment_delay_ms: RangeInclusive<u64>,
    /// Set an order to FAILED after this many declined attempts
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) payment_attempts: NonZeroU32,
    /// Wait this many milliseconds before repeating a call without an answer; the last value
    /// repeats
    #[arg(long, value_name = "MS,…", default_value = "1000,3000,5000", value_delimiter = ',')]
    pub(crate) payment_backoff_ms: Vec<u64>,
    /// Cancel an order that gets no payment webhook within this many seconds
    #[arg(long, value_name = "S", default_value = "900")]
    pub(crate) payment_deadline_s: NonZeroU64,
    #[command(flatten)]
    pub(crate) service: ServiceFlags,
    #[command(flatten)]
    pub(crate) webhooks: Webhooks,
}

/// What `--payment-gateway` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Gateway {
    None,
    Simulated,
    Http,
}

/// The flags for a payment service over HTTP.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Payments")]
pub(crate) struct ServiceFlags {
    /// Send payments to the payment service at this URL, with `--payment-gateway http`. Plain
    /// `http` is for services on this machine only
    #[arg(long, value_name = "URL")]
    pub(crate) gateway_url: Option<String>,
    /// Sign requests to the payment service with the secrets of this file, one per line, two while
    /// you rotate them
    #[arg(long, value_name = "FILE")]
    pub(crate) gateway_secret_file: Option<PathBuf>,
    /// Believe the payment service if an authority of this file signed its certificate, instead of
    /// the authorities that the system trusts
    #[arg(long, value_name = "FILE")]
    pub(crate) gateway_ca_file: Option<PathBuf>,
}

impl ServiceFlags {
    /// Whether any of them is given.
    pub(crate) fn is_some(&self) -> bool {
        self.gateway_url.is_some()
            || self.gateway_secret_file.is_some()
            || self.gateway_ca_file.is_some()
    }
}

/// The flags for payment webhooks.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Payments")]
pub(crate) struct Webhooks {
    /// Require payment webhooks to be signed with this secret; give two while you rotate it.
    /// Without a secret, `serve` refuses all webhooks. Other users of the machine can see flags, so
    /// set it in the environment or in a file
    #[arg(long, value_name = "SECRET", value_delimiter = ',')]
    pub(crate) webhook_secret: Vec<Secret>,
    /// Read the secrets from this file, one per line
    #[arg(long, value_name = "FILE", conflicts_with = "webhook_secret")]
    pub(crate) webhook_secret_file: Option<PathBuf>,
    /// Whether webhooks need no signature while there is no secret. Only `dev` can set it.
    #[arg(skip)]
    pub(crate) unsigned: bool,
}

/// A secret as typed. It is checked later, by an error that does not quote it.
#[derive(Clone)]
pub(crate) struct Secret(String);

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Secret, Infallible> {
        Ok(Secret(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Largest file of secrets, in bytes.
const SECRETS_BYTES_MAX: u64 = 4096;

impl Webhooks {
    /// Collects the secrets from the flags or the file.
    pub(crate) fn secrets(&self) -> Result<Vec<WebhookSecret>, CliError> {
        let Some(file) = &self.webhook_secret_file else {
            let given = self.webhook_secret.iter();
            return Ok(given.map(|secret| WebhookSecret::new(&*secret.0)).collect());
        };
        let secrets = secrets_of(file, "--webhook-secret-file")?;
        Ok(secrets.into_iter().map(WebhookSecret::new).collect())
    }
}

/// Reads a file of secrets, one per line, that `flag` names. Other users must not be able to.
pub(crate) fn secrets_of(file: &Path, flag: &str) -> Result<Vec<String>, CliError> {
    let mut text = String::new();
    let read = std::fs::File::open(file).and_then(|opened| {
        let is_exposed = is_exposed(&opened)?;
        opened.take(SECRETS_BYTES_MAX).read_to_string(&mut text)?;
        Ok(is_exposed)
    });
    let file = file.display();
    let is_exposed =
        read.map_err(|error| CliError::because(format!("cannot read {flag} {file}"), &error))?;
    if is_exposed {
        return Err(CliError::Usage(format!(
            "every user of this machine can read {flag} {file}: `chmod o= {file}`"
        )));
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let secrets: Vec<String> = lines.map(str::to_owned).collect();
    if secrets.is_empty() {
        let text = format!("{flag} {file} holds no secret: expected one per line");
        return Err(CliError::Usage(text));
    }
    Ok(secrets)
}

/// Whether users can read an open file who are neither its owner nor in its group. The group is
/// the operator's choice: Kubernetes gives secrets to a container by their group.
pub(crate) fn is_exposed(file: &std::fs::File) -> io::Result<bool> {
    Ok(file.metadata()?.permissions().mode() & 0o004 != 0)
}

/// The flags for holds.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Holds")]
pub(crate) struct Holds {
    /// Expire a hold after this many seconds unless its request says otherwise
    #[arg(long, value_name = "S", default_value = "120")]
    pub(crate) hold_ttl_s: NonZeroU64,
    /// Expire any hold after this many seconds, extensions included
    #[arg(long, value_name = "S", default_value = "3600")]
    pub(crate) hold_ttl_max_s: NonZeroU64,
}

impl Holds {
    /// The default and the longest time to live of a hold, in milliseconds.
    pub(crate) fn ttl_ms(&self) -> (u64, u64) {
        let ms = |seconds: NonZeroU64| seconds.get().saturating_mul(1000);
        (ms(self.hold_ttl_s), ms(self.hold_ttl_max_s))
    }
}

/// The flags for who may reach the HTTP port.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Clients and browsers")]
pub(crate) struct Clients {
    /// Answer requests whose `Host` has this name or address, beside loopback names, the address
    /// that a connection arrives at and the advertised one; separate several by commas. Other
    /// names get 421, so that no web page can reach the node under a name of its own
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) http_host: Vec<HostName>,
    /// Let web pages of this origin use the API, such as `https://shop.example`; separate several
    /// by commas. Pages of other origins cannot change anything or subscribe to events
    #[arg(long, value_name = "ORIGIN", value_delimiter = ',')]
    pub(crate) cors_origin: Vec<CorsOrigin>,
    /// Believe the reverse proxy at this address, or those of this network such as `10.0.0.0/8`,
    /// for whom it asks; separate several by commas. Limits per address then count its clients,
    /// and its own connections count only towards --connections-max
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    pub(crate) trusted_proxy: Vec<Network>,
    /// Read the client's address from this header, which every trusted proxy must set
    #[arg(long, value_name = "HEADER", value_enum, default_value = "x-forwarded-for")]
    pub(crate) proxy_header: HeaderOfProxies,
    /// Serve clients of other machines although requests need no credentials: everybody who
    /// reaches the port can do everything
    #[arg(long)]
    pub(crate) insecure_http: bool,
}

/// What `--proxy-header` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HeaderOfProxies {
    XForwardedFor,
    Forwarded,
}

impl Clients {
    /// The proxies that are believed.
    pub(crate) fn proxies(&self) -> Proxies {
        let header = match self.proxy_header {
            HeaderOfProxies::XForwardedFor => ProxyHeader::XForwardedFor,
            HeaderOfProxies::Forwarded => ProxyHeader::Forwarded,
        };
        Proxies { trusted: self.trusted_proxy.clone(), header }
    }
}

/// The flags for the timing of the cluster.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Timing")]
pub(crate) struct Timing {
    /// Send heartbeats every this many milliseconds while leading: about the longest round trip
    /// between two nodes. Give all nodes the same
    #[arg(long, value_name = "MS", default_value = "100")]
    heartbeat_ms: u64,
    /// Start an election after hearing no leader for one to two times this many milliseconds: about
    /// ten round trips, at least four heartbeats. Give all nodes the same
    #[arg(long, value_name = "MS", default_value = "500")]
    election_ms: u64,
}

impl Timing {
    /// The timings, if they are in bounds and fit each other.
    pub(crate) fn timings(&self) -> Result<Timings, CliError> {
        let timings = Timings { heartbeat_ms: self.heartbeat_ms, election_ms: self.election_ms };
        timings.validate().map_err(|error| CliError::Usage(format!("--{error}")))?;
        Ok(timings)
    }
}

/// The flags for limits and checks.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits and checks")]
pub(crate) struct Limits {
    /// Refuse new orders with 503 while this many wait for their payment
    #[arg(long, value_name = "N", default_value = "1000000")]
    pub(crate) open_orders_max: NonZeroU64,
    /// Refuse new orders of payment method `none` with 503 while this many of them are open
    #[arg(long, value_name = "N", default_value = "1000000")]
    pub(crate) open_unpaid_orders_max: NonZeroU64,
    /// Refuse new writes with 503 `overloaded` while the oldest one has waited this many
    /// milliseconds for its outcome. Waiting for a new leader does not count
    #[arg(long, value_name = "MS", default_value = "1000")]
    pub(crate) queue_ms_max: NonZeroU64,
    /// Refuse new writes with 503 `overloaded` while this many of this node wait for their outcome.
    /// Orders and other writes that add rows leave one in 16 places to payments, cancels and
    /// operators
    #[arg(long, value_name = "N", default_value = "16384")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) queue_max: u32,
    /// Refuse orders, holds and other writes that add rows with 503 `memory_full` while the process
    /// uses this many MiB of memory, until it uses a twentieth less. 0 never refuses. Default: four
    /// fifths of the memory of the machine, or of the container if it may use less
    #[arg(long, value_name = "MIB", value_parser = address::memory_max)]
    pub(crate) memory_max_mb: Option<u64>,
    /// Refuse writes with 503 `storage_full` while less than this many MiB of disk are free, until
    /// a quarter more is free again; reads go on. With 0 the node never refuses, and a full disk
    /// stops it
    #[arg(long, value_name = "MIB", default_value = "256")]
    #[arg(value_parser = address::disk_reserve)]
    pub(crate) disk_reserve_mb: u64,
    /// End the node when its disk has not answered for this many seconds; 0 never does. After one
    /// second it already refuses writes and transfers leadership
    #[arg(long, value_name = "S", default_value = "30")]
    #[arg(value_parser = address::disk_stall_exit)]
    pub(crate) disk_stall_exit_s: u64,
    /// Take a snapshot and truncate the log when it has grown by this many MiB, or by the size of
    /// the last snapshot if that is more
    #[arg(long, value_name = "MIB", default_value = "64")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    pub(crate) snapshot_log_mb: u64,
    /// Refuse orders without a user, or with an unknown one
    #[arg(long)]
    pub(crate) require_users: bool,
    /// Refuse orders without an idempotency key
    #[arg(long)]
    pub(crate) require_idempotency_key: bool,
    /// Refuse requests with 429 after this many per minute from one client address; 0 sets no
    /// limit. Monitoring and orders repeated under their idempotency key do not count. All clients
    /// behind one proxy count as one, unless it is a --trusted-proxy
    #[arg(long, value_name = "N", default_value = "0")]
    pub(crate) rate_limit_per_minute: u32,
    /// Refuse requests with 429 after this many per minute from one customer, whatever token they
    /// use; 0 sets no limit
    #[arg(long, value_name = "N", default_value = "0")]
    pub(crate) rate_limit_user_per_minute: u32,
    /// Refuse requests with 429 after this many per minute under one token that is limited to no
    /// customer; 0 sets no limit
    #[arg(long, value_name = "N", default_value = "0")]
    pub(crate) rate_limit_token_per_minute: u32,
    /// Serve at most this many connections of clients at a time, fewer if the limit of open files
    /// allows only that
    #[arg(long, value_name = "N", default_value = "10000")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) connections_max: u32,
    /// Serve at most this many connections from one client address at a time. All clients behind
    /// one proxy count as one, unless it is a --trusted-proxy
    #[arg(long, value_name = "N", default_value = "1000")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) connections_per_address_max: u32,
    /// Keep at most this many MiB of request bodies in memory at a time, and refuse more with 503
    /// `overloaded`. Half is for batches, a tenth for operators and payment webhooks
    #[arg(long, value_name = "MIB", default_value = "128")]
    #[arg(value_parser = clap::value_parser!(u32).range(32..=1_048_576))]
    pub(crate) bodies_in_flight_mb: u32,
    /// Let at most this many clients read a backup at a time; each keeps a file open that is as
    /// large as the state
    #[arg(long, value_name = "N", default_value = "4")]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) backups_max: u8,
    /// Keep events for this many hours, for subscribers that reconnect
    #[arg(long, value_name = "H", default_value = "168")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=87_600))]
    pub(crate) event_retention_h: u64,
    /// Keep about this many events; the newest few hundred always stay
    #[arg(long, value_name = "N", default_value = "4194304")]
    pub(crate) event_retention_count: u64,
    #[command(flatten)]
    pub(crate) clients: Clients,
    #[command(flatten)]
    pub(crate) holds: Holds,
}

impl Payments {
    /// The gateway, which is none unless one was named.
    pub(crate) fn gateway(&self) -> http_api::Gateway {
        match self.payment_gateway {
            None | Some(Gateway::None) => http_api::Gateway::None,
            Some(Gateway::Simulated) => http_api::Gateway::Simulated,
            Some(Gateway::Http) => http_api::Gateway::Http,
        }
    }

    /// The longest time that an order may wait for a webhook, in milliseconds.
    pub(crate) fn deadline_ms(&self) -> u64 {
        self.payment_deadline_s.get().saturating_mul(1000)
    }
}
