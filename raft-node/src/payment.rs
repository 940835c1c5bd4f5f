//! The payment step of orders: a worker on the leader claims due tasks, asks a gateway outside the
//! state machine, and proposes what it said.
//!
//! [`worker::Worker`] decides and does no I/O; the driver, or the simulator, performs its actions.

pub mod gateway;
pub mod simulated;
pub mod worker;

pub use gateway::{Answer, Charge, PaymentGateway, Try};
pub use simulated::{SimulatedGateway, SimulatedSettings};

use crate::invalid::Invalid;

/// Settings of the worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Waits between tries in milliseconds; the last repeats. Used between tries of one attempt
    /// that got no answer, and between attempts.
    pub backoff_ms: Vec<u64>,
    /// How long a claim keeps other workers away, in milliseconds. Longer than `call_timeout_ms`.
    pub lease_ms: u64,
    /// A call without an answer for so long counts as unanswered, in milliseconds.
    pub call_timeout_ms: u64,
    /// Calls under way at once.
    pub calls_max: usize,
    /// Claims or results in one command.
    pub batch_max: usize,
    /// How often the worker looks for due tasks and hands in results, in milliseconds.
    pub poll_ms: u64,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            backoff_ms: vec![1_000, 3_000, 5_000],
            lease_ms: 10_000,
            call_timeout_ms: 5_000,
            calls_max: 65_536,
            batch_max: 4_096,
            poll_ms: 5,
        }
    }
}

impl Config {
    /// The wait after `failures` tries that brought nothing, counted from 0.
    pub fn backoff(&self, failures: u32) -> u64 {
        let last = self.backoff_ms.len().saturating_sub(1);
        self.backoff_ms.get((failures as usize).min(last)).copied().unwrap_or(0)
    }

    /// Checks the bounds.
    ///
    /// # Errors
    /// Names the setting that is wrong.
    pub fn validate(&self) -> Result<(), Invalid> {
        let refuse = |setting, reason: &str| Err(Invalid { setting, reason: reason.into() });
        if self.backoff_ms.is_empty() {
            return refuse("payment-backoff-ms", "needs at least one wait");
        }
        if self.lease_ms <= self.call_timeout_ms {
            return refuse("lease_ms", "must be longer than call_timeout_ms");
        }
        if self.calls_max == 0 || self.batch_max == 0 || self.poll_ms == 0 {
            return refuse("calls_max", "bounds must be at least 1");
        }
        Ok(())
    }
}
