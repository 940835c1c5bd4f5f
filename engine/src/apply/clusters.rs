//! The commands about the cluster itself: begin a new one, pause and resume payments, raise the
//! level.

use crate::apply::context::Context;
use crate::command::{BeginCluster, RaiseLevel, Rules, SetPayments};
use crate::ids::{OrderId, Timestamp, WebhookId};
use crate::keys::ShortMeanings;
use crate::outcome::Outcome;
#[cfg(feature = "planted-bugs")]
use crate::planted::{Bug, is_planted};
use crate::sessions::Sessions;
use crate::state::State;

impl State {
    /// Begins a new cluster with the rows of another one.
    pub(crate) fn begin_cluster(
        &mut self,
        cx: &mut Context<'_>,
        command: &BeginCluster,
    ) -> Outcome {
        let next_order = OrderId(self.orders.len() + 1);
        self.lineage.begin(next_order, command.pause_payments);
        // Nodes of the old cluster can send nothing here, and nodes of this one may reuse their
        // ids.
        self.sessions = Sessions::default();
        let gives_up = cx.rules >= Rules::NoParking;
        // A token of the other cluster counts for nothing here: this may be a copy for a trial.
        self.tokens.revoke_all(&mut self.hasher);
        #[cfg(feature = "planted-bugs")]
        let gives_up = gives_up && !is_planted(Bug::ParkedSurvivesRestore);
        if gives_up {
            // Bounded by the number of reports that may wait.
            let parked: Vec<WebhookId> = self.webhooks.due(Timestamp(u64::MAX)).collect();
            parked.into_iter().for_each(|id| self.forget_parked(cx, id));
        }
        Outcome::ClusterBegun
    }

    /// Pauses or resumes payments.
    pub(crate) fn set_payments(&mut self, command: &SetPayments) -> Outcome {
        self.lineage.payments_paused = command.paused;
        Outcome::PaymentsSet
    }

    /// Raises the cluster's level.
    pub(crate) fn raise_level(&mut self, command: &RaiseLevel) -> Outcome {
        let before = self.level();
        if before == 0 {
            // Attempts of these orders may be under way under the keys that they have had.
            self.key_scheme.named = self.orders.len();
        }
        self.level.raise(command.to, command.secret);
        if before == 0 && self.level() > 0 {
            let short = ShortMeanings {
                orders: self.orders.len(),
                holds: self.holds.len(),
                webhooks: self.webhooks.len(),
                adjustments: self.adjustments.len(),
                refunds: self.refunds.len(),
            };
            self.keys.raise(&self.level.secret, short);
        }
        Outcome::LevelRaised(self.level.number)
    }

    /// Whether payments are paused until [`SetPayments`] resumes them.
    pub fn payments_paused(&self) -> bool {
        self.lineage.payments_paused
    }
}
