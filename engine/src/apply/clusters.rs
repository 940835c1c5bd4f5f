//! The commands about the cluster itself: begin a new one, pause and resume payments.

use crate::command::{BeginCluster, SetPayments};
use crate::ids::OrderId;
use crate::outcome::Outcome;
use crate::sessions::Sessions;
use crate::state::State;

impl State {
    /// Begins a new cluster with the rows of another one.
    pub(crate) fn begin_cluster(&mut self, command: &BeginCluster) -> Outcome {
        let next_order = OrderId(self.orders.len() + 1);
        self.lineage.begin(next_order, command.pause_payments);
        // Nodes of the old cluster can send nothing here, and nodes of this one may reuse their
        // ids.
        self.sessions = Sessions::default();
        Outcome::ClusterBegun
    }

    /// Pauses or resumes payments.
    pub(crate) fn set_payments(&mut self, command: &SetPayments) -> Outcome {
        self.lineage.payments_paused = command.paused;
        Outcome::PaymentsSet
    }

    /// Whether payments are paused until [`SetPayments`] resumes them.
    pub fn payments_paused(&self) -> bool {
        self.lineage.payments_paused
    }
}
