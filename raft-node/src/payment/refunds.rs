//! The part of the worker that gives money back: which refunds to claim, which calls to make, which
//! results to propose. There are few refunds, so it works on a few at a time.

use engine::command::{ClaimRefunds, Command, RefundResult, SettleRefunds, Verdict};
use engine::ids::{NodeId, RefundId};
use engine::outcome::{ClaimedRefund, Outcome};
use engine::payment_keys::PaymentKeys;
use rustc_hash::{FxHashMap, FxHashSet};

use super::gateway::RefundCall;
use super::{Answer, Capabilities, Config, ProposalId};

/// Most open calls.
const CALLS_MAX: usize = 16;

/// See the module's documentation.
pub(super) struct RefundDesk {
    claims: FxHashMap<ProposalId, Vec<RefundId>>,
    calling: FxHashSet<RefundId>,
    results: Vec<RefundResult>,
    settling: FxHashMap<ProposalId, Vec<RefundResult>>,
}

impl RefundDesk {
    pub(super) fn new() -> RefundDesk {
        RefundDesk {
            claims: FxHashMap::default(),
            calling: FxHashSet::default(),
            results: Vec::new(),
            settling: FxHashMap::default(),
        }
    }

    /// The results to propose, if none is being proposed.
    pub(super) fn settle(&mut self, proposal: ProposalId) -> Option<Command> {
        if self.results.is_empty() || !self.settling.is_empty() {
            return None;
        }
        let results = std::mem::take(&mut self.results);
        self.settling.insert(proposal, results.clone());
        Some(Command::SettleRefunds(SettleRefunds { results }))
    }

    /// The claim to propose, if none is open, so that at most `calls_max` calls are. `due` returns
    /// at most the given number of refunds.
    pub(super) fn claim(
        &mut self,
        proposal: ProposalId,
        node: NodeId,
        lease_ms: u64,
        calls_max: Option<usize>,
        due: impl FnOnce(usize) -> Vec<RefundId>,
    ) -> Option<Command> {
        let calls_max = calls_max.map_or(CALLS_MAX, |few| few.min(CALLS_MAX));
        let room = calls_max.saturating_sub(self.calling.len());
        if room == 0 || !self.claims.is_empty() {
            return None;
        }
        // Refunds that are being called about look due when their lease has ended.
        let mut refunds = due(CALLS_MAX);
        refunds.retain(|id| !self.calling.contains(id));
        refunds.truncate(room);
        if refunds.is_empty() {
            return None;
        }
        self.claims.insert(proposal, refunds.clone());
        Some(Command::ClaimRefunds(ClaimRefunds { node, lease_ms, refunds }))
    }

    /// Takes the outcome of a command; returns the calls to make.
    pub(super) fn proposed(
        &mut self,
        proposal: ProposalId,
        outcome: Option<&Outcome>,
        call: impl Fn(&ClaimedRefund) -> RefundCall,
    ) -> Vec<RefundCall> {
        if self.claims.remove(&proposal).is_some() {
            let Some(Outcome::RefundsClaimed(claimed)) = outcome else { return Vec::new() };
            self.calling.extend(claimed.iter().map(|claimed| claimed.refund));
            return claimed.iter().map(call).collect();
        }
        if let Some(results) = self.settling.remove(&proposal)
            && !matches!(outcome, Some(Outcome::RefundsSettled(_)))
        {
            // A second proposal is harmless: it finds the refunds ended.
            self.results.extend(results);
        }
        Vec::new()
    }

    /// A call ended, with what to record.
    pub(super) fn called(&mut self, refund: RefundId, verdict: Verdict) {
        self.calling.remove(&refund);
        self.results.push(RefundResult { refund, verdict });
    }
}

/// The call for a claimed refund.
pub(super) fn call(
    claimed: &ClaimedRefund,
    cluster: &str,
    keys: &PaymentKeys,
    capabilities: Capabilities,
    margin_ms: u64,
) -> RefundCall {
    let Capabilities { looks_up, key_retention_ms, .. } = capabilities;
    let is_kept = |kept| claimed.age_ms.saturating_add(margin_ms) < kept;
    let payment = keys.prefix(cluster, claimed.order_epoch, claimed.order);
    RefundCall {
        key: keys.refund(cluster, claimed.epoch, claimed.order, claimed.refund),
        payment,
        refund: claimed.refund,
        order: claimed.order,
        unanswered: claimed.unanswered,
        amount: claimed.amount,
        trace: claimed.trace.clone(),
        look_up_first: claimed.maybe_sent && looks_up,
        may_refund: !claimed.maybe_sent || key_retention_ms.is_none_or(is_kept),
    }
}

/// What to record after an answer about a refund.
pub(super) fn verdict(config: &Config, answer: Answer, unanswered: u32) -> Verdict {
    match answer {
        Answer::Succeeded => Verdict::Succeeded,
        Answer::Declined(reason) => Verdict::Declined { reason, retry_in_ms: 0 },
        Answer::Pending { ask_in_ms: Some(ms) } => Verdict::NoAnswer { retry_in_ms: ms.max(1_000) },
        _ => Verdict::NoAnswer { retry_in_ms: config.look_up_wait(unanswered) },
    }
}
