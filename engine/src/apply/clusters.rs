//! The commands about the cluster itself: it begins anew, and its payments wait or go on.

use crate::command::{BeginCluster, SetPayments};
use crate::ids::OrderId;
use crate::outcome::Outcome;
use crate::sessions::Sessions;
use crate::state::State;

impl State {
    /// Begins a cluster of its own with the rows of another.
    pub(crate) fn begin_cluster(&mut self, command: &BeginCluster) -> Outcome {
        let next_order = OrderId(self.orders.len() + 1);
        self.lineage.begin(next_order, command.pause_payments);
        // Nobody of the cluster before can send anything here, and the nodes of this one may have
        // the ids of others that were there.
        self.sessions = Sessions::default();
        Outcome::ClusterBegun
    }

    /// Lets payments wait, or go on.
    pub(crate) fn set_payments(&mut self, command: &SetPayments) -> Outcome {
        self.lineage.payments_paused = command.paused;
        Outcome::PaymentsSet
    }

    /// Whether no payment is asked for until [`SetPayments`] says so.
    pub fn payments_paused(&self) -> bool {
        self.lineage.payments_paused
    }
}
