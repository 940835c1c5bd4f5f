//! The flags that `dev` and `serve` share: the simulated gateway, the payment worker, and limits.
//!
//! They say what users may turn; what the values do is decided where they are handed to.

use std::num::{NonZeroU32, NonZeroU64};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::Args;

use crate::address;

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
}

/// The flags about what is let in.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits and checks")]
pub(crate) struct Limits {
    /// Orders that may wait for their payment at a time; beyond that new ones get 503
    #[arg(long, value_name = "N", default_value = "1000000")]
    pub(crate) open_orders_max: NonZeroU64,
    /// Space that is left free on the disk, in MiB: with less, writes get 503 `storage_full` while
    /// reads go on, until a quarter more is free again. 0 never refuses; then a full disk stops the
    /// node
    #[arg(long, value_name = "MIB", default_value = "256")]
    #[arg(value_parser = address::disk_reserve)]
    pub(crate) disk_reserve_mb: u64,
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
}

impl Payments {
    /// The longest time that an order may wait for a webhook, in milliseconds.
    pub(crate) fn deadline_ms(&self) -> u64 {
        self.payment_deadline_s.get().saturating_mul(1000)
    }
}
