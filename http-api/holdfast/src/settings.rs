//! The flags that `dev` and `serve` share: the simulated gateway, the payment worker, and limits.
//!
//! They say what users may turn; what the values do is decided where they are handed to.

use std::convert::Infallible;
use std::fmt;
use std::io::Read as _;
use std::num::{NonZeroU32, NonZeroU64};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use http_api::WebhookSecret;

use crate::address;
use crate::exit::Failure;

/// The file with more settings.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = None::<&str>)]
pub(crate) struct File {
    /// TOML file with further settings, by the names of the flags
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// The flags about payments.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Payments")]
pub(crate) struct Payments {
    /// Share of the simulated payments that succeed; the rest is declined
    #[arg(long, value_name = "SHARE", default_value = "0.8")]
    #[arg(value_parser = address::parts_per_million)]
    pub(crate) payment_success_rate: u32,
    /// Share of the simulated calls that give no answer and are made again under the same key
    #[arg(long, value_name = "SHARE", default_value = "0")]
    #[arg(value_parser = address::parts_per_million)]
    pub(crate) payment_error_rate: u32,
    /// How long a simulated call takes, in milliseconds
    #[arg(long, value_name = "FROM-TO", default_value = "50-200")]
    #[arg(value_parser = address::milliseconds)]
    pub(crate) payment_delay_ms: RangeInclusive<u64>,
    /// Declined attempts after which an order is FAILED
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) payment_attempts: NonZeroU32,
    /// Pauses between calls that got no answer, in milliseconds; the last one repeats
    #[arg(long, value_name = "MS,…", default_value = "1000,3000,5000", value_delimiter = ',')]
    pub(crate) payment_backoff_ms: Vec<u64>,
    /// How long an order waits for its payment webhook before it is cancelled, in seconds
    #[arg(long, value_name = "S", default_value = "900")]
    pub(crate) payment_deadline_s: NonZeroU64,
    #[command(flatten)]
    pub(crate) webhooks: Webhooks,
}

/// The flags about payment webhooks.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Payments")]
pub(crate) struct Webhooks {
    /// Secret that payment webhooks must be signed with; give two while it is being changed.
    /// Without one, webhooks need no signature. Other users of the machine can see flags: better
    /// set it in the environment or a file
    #[arg(long, value_name = "SECRET", value_delimiter = ',')]
    pub(crate) webhook_secret: Vec<Secret>,
    /// File with the secrets instead, one a line
    #[arg(long, value_name = "FILE", conflicts_with = "webhook_secret")]
    pub(crate) webhook_secret_file: Option<PathBuf>,
}

/// A secret as it was given. It is checked where it is used, in words that do not repeat it.
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

/// The largest file of secrets that is read, in bytes.
const SECRETS_BYTES_MAX: u64 = 4096;

impl Webhooks {
    /// The secrets, wherever they were given.
    pub(crate) fn secrets(&self) -> Result<Vec<WebhookSecret>, Failure> {
        let Some(file) = &self.webhook_secret_file else {
            let given = self.webhook_secret.iter();
            return Ok(given.map(|secret| WebhookSecret::new(&*secret.0)).collect());
        };
        let mut text = String::new();
        let read = std::fs::File::open(file)
            .and_then(|opened| opened.take(SECRETS_BYTES_MAX).read_to_string(&mut text));
        read.map_err(|error| {
            let what = format!("cannot read --webhook-secret-file {}", file.display());
            Failure::because(what, &error)
        })?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let secrets: Vec<_> = lines.map(WebhookSecret::new).collect();
        if secrets.is_empty() {
            let text = format!("--webhook-secret-file {} has no secret in it", file.display());
            return Err(Failure::Usage(text));
        }
        Ok(secrets)
    }
}

/// The flags about holds.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Holds")]
pub(crate) struct Holds {
    /// How long a hold lives that does not say so, in seconds
    #[arg(long, value_name = "S", default_value = "120")]
    pub(crate) hold_ttl_s: NonZeroU64,
    /// How long any hold may live, its extensions included, in seconds
    #[arg(long, value_name = "S", default_value = "3600")]
    pub(crate) hold_ttl_max_s: NonZeroU64,
}

impl Holds {
    /// The usual and the longest life of a hold, in milliseconds.
    pub(crate) fn ttl_ms(&self) -> (u64, u64) {
        let ms = |seconds: NonZeroU64| seconds.get().saturating_mul(1000);
        (ms(self.hold_ttl_s), ms(self.hold_ttl_max_s))
    }
}

/// The flags about what is let in.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits and checks")]
pub(crate) struct Limits {
    /// Orders that may wait for their payment at a time; beyond that new ones get 503
    #[arg(long, value_name = "N", default_value = "1000000")]
    pub(crate) open_orders_max: NonZeroU64,
    /// How long the oldest write may have waited for its outcome, in milliseconds, before new ones
    /// get 503 `overloaded`. Waiting for a new leader does not count
    #[arg(long, value_name = "MS", default_value = "1000")]
    pub(crate) queue_ms_max: NonZeroU64,
    /// Writes by clients of this node whose outcome may be open; more get 503 `overloaded`
    #[arg(long, value_name = "N", default_value = "16384")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) queue_max: u32,
    /// Space that is left free on the disk, in MiB: with less, writes get 503 `storage_full` while
    /// reads go on, until a quarter more is free again. 0 never refuses; then a full disk stops the
    /// node
    #[arg(long, value_name = "MIB", default_value = "256")]
    #[arg(value_parser = address::disk_reserve)]
    pub(crate) disk_reserve_mb: u64,
    /// How much the log grows, in MiB, before a snapshot is taken and the log cut; with a larger
    /// state, as much as the last snapshot took
    #[arg(long, value_name = "MIB", default_value = "64")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    pub(crate) snapshot_log_mb: u64,
    /// Refuse orders that name no user, or one that is not known
    #[arg(long)]
    pub(crate) require_users: bool,
    /// Refuse orders that carry no idempotency key
    #[arg(long)]
    pub(crate) require_idempotency_key: bool,
    /// Requests that one client address may make of a node a minute; beyond that they get 429. 0 is
    /// no limit. Monitoring is not counted, nor are orders repeated under their idempotency key.
    /// All clients behind one proxy count as one
    #[arg(long, value_name = "N", default_value = "0")]
    pub(crate) rate_limit_per_minute: u32,
    /// How long events are kept for subscribers that come back, in hours
    #[arg(long, value_name = "H", default_value = "168")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=87_600))]
    pub(crate) event_retention_h: u64,
    /// How many events are kept, about; the newest few hundred always are
    #[arg(long, value_name = "N", default_value = "4194304")]
    pub(crate) event_retention_count: u64,
    #[command(flatten)]
    pub(crate) holds: Holds,
}

impl Payments {
    /// The longest time that an order may wait for a webhook, in milliseconds.
    pub(crate) fn deadline_ms(&self) -> u64 {
        self.payment_deadline_s.get().saturating_mul(1000)
    }
}
