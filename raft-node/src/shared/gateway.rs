//! The gateway of this node, and what the payment worker knows of it, for health and metrics.

use parking_lot::Mutex;

use crate::counters::Counter;
use crate::payment::{Answer, Fault, GatewayState};

/// Answers by kind, the breaker's state, and the last fault.
#[derive(Debug, Default)]
pub(crate) struct GatewayView {
    state: Mutex<GatewayState>,
    fault: Mutex<Option<Box<str>>>,
    counts: [Counter; KINDS.len()],
}

/// The kinds of answers, as metrics name them.
const KINDS: [&str; 7] =
    ["succeeded", "declined", "pending", "unseen", "unknown", "busy", "faulty"];

fn kind_of(answer: &Answer) -> usize {
    match answer {
        Answer::Succeeded => 0,
        Answer::Declined(_) => 1,
        Answer::Pending { .. } => 2,
        Answer::Unseen => 3,
        Answer::Unknown => 4,
        Answer::Busy { .. } => 5,
        Answer::Faulty(_) => 6,
    }
}

impl GatewayView {
    pub(crate) fn count(&self, answer: &Answer) {
        self.counts[kind_of(answer)].add(1);
    }

    /// Records a fault that concerns all calls.
    pub(crate) fn found(&self, fault: &Fault) {
        if !fault.is_of_payment {
            *self.fault.lock() = Some(fault.reason.clone());
        }
    }

    pub(crate) fn show(&self, state: GatewayState) {
        *self.state.lock() = state;
        if state == GatewayState::Closed {
            *self.fault.lock() = None;
        }
    }

    pub(crate) fn state(&self) -> GatewayState {
        *self.state.lock()
    }

    pub(crate) fn fault(&self) -> Option<Box<str>> {
        self.fault.lock().clone()
    }

    /// The number of answers of each kind.
    pub(crate) fn answers(&self) -> Vec<(&'static str, u64)> {
        KINDS.into_iter().zip(self.counts.iter().map(Counter::get)).collect()
    }
}
