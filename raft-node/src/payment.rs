//! The payment step of orders. A worker on the leader claims due tasks, calls a gateway outside the
//! state machine, and proposes the results.
//!
//! [`worker::Worker`] decides and does no I/O; the driver, or the simulator, performs its actions.

mod breaker;
pub mod gateway;
mod refunds;
pub mod simulated;
pub mod worker;

pub use breaker::GatewayState;
pub use gateway::{
    Answer, Capabilities, Charge, Fault, NoGateway, PaymentGateway, RefundCall, Try,
};
pub use simulated::{SimulatedGateway, SimulatedSettings};

use crate::invalid::Invalid;

/// Identifies a command that the worker proposed.
pub type ProposalId = u64;

/// Settings of the worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Waits in milliseconds between unanswered tries of an attempt, and between attempts. The last
    /// one repeats.
    pub backoff_ms: Vec<u64>,
    /// Waits in milliseconds between look-ups of an attempt that the gateway has not decided. The
    /// last one repeats.
    pub look_up_waits_ms: Vec<u64>,
    /// How long a claim reserves its tasks for one worker, in milliseconds. Longer than
    /// `call_timeout_ms`.
    pub lease_ms: u64,
    /// Timeout of a call, in milliseconds. A call without an answer counts as unanswered.
    pub call_timeout_ms: u64,
    /// Most open calls.
    pub calls_max: usize,
    /// Most claims or results in one command.
    pub batch_max: usize,
    /// How often the worker looks for due tasks and proposes results, in milliseconds.
    pub poll_ms: u64,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            backoff_ms: vec![1_000, 3_000, 5_000],
            look_up_waits_ms: vec![
                10_000, 60_000, 300_000, 1_800_000, 7_200_000, 21_600_000, 86_400_000,
            ],
            lease_ms: 10_000,
            call_timeout_ms: 5_000,
            calls_max: 65_536,
            batch_max: 4_096,
            poll_ms: 5,
        }
    }
}

impl Config {
    /// The wait after `failures` unsuccessful tries, counted from 0.
    pub fn backoff(&self, failures: u32) -> u64 {
        nth_or_last(&self.backoff_ms, failures as usize)
    }

    /// The wait before the look-up after `asked` others, counted from 0.
    pub fn look_up_wait(&self, asked: u32) -> u64 {
        nth_or_last(&self.look_up_waits_ms, asked as usize)
    }

    /// Checks the bounds.
    ///
    /// # Errors
    /// Names the first invalid setting.
    pub fn validate(&self) -> Result<(), Invalid> {
        let refuse = |setting, reason: &str| Err(Invalid { setting, reason: reason.into() });
        if self.backoff_ms.is_empty() {
            return refuse("payment-backoff-ms", "needs at least one wait");
        }
        if self.look_up_waits_ms.is_empty() {
            return refuse("look_up_waits_ms", "needs at least one wait");
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

fn nth_or_last(waits_ms: &[u64], n: usize) -> u64 {
    waits_ms.get(n).or(waits_ms.last()).copied().unwrap_or(0)
}
