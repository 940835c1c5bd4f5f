//! The applier's duty: applies committed entries in order, and answers this node's own requests.

use engine_model::Predicted;
use raft_node::replica::{self, Effects};

use super::*;
use crate::coverage::Coverage;
use crate::oracle::Witness;

/// Bytes of entries that are read back from the log at once; few, so that parts meet.
const READ_BACK_BYTES: u64 = 1_000;

impl Host {
    /// Takes committed entries, or up to which index the log has them.
    pub(super) fn hand_out(&mut self, sim: &mut Sim, apply: Vec<Apply>) {
        for apply in apply {
            let Some(process) = &mut self.up else { return };
            match apply {
                Apply::Entries(entries) => {
                    self.check_handed_out(sim, &entries);
                    let Some(process) = &mut self.up else { return };
                    process.committed.extend(entries.into_iter().map(Committed::Entry));
                }
                Apply::UpTo(index) => {
                    let first = process.handed_out + 1;
                    process.committed.push_back(Committed::UpTo(index));
                    match self.log.entries(first, index + 1, u64::MAX) {
                        Ok(entries) => self.check_handed_out(sim, &entries),
                        Err(error) => sim.fail(format!("node {}: {error}", self.id)),
                    }
                }
            }
        }
        self.start_apply(sim);
    }

    /// What must hold of entries when they are handed out to be applied.
    fn check_handed_out(&mut self, sim: &mut Sim, entries: &[Entry]) {
        let Some(process) = &mut self.up else { return };
        for entry in entries {
            if entry.index != process.handed_out + 1 {
                let last = process.handed_out;
                sim.fail(format!("node {}: entry {} follows {last}", self.id, entry.index));
            }
            process.handed_out = entry.index;
            let seen = sim.electorate.handed_out(entry, &mut sim.cover);
            if let Err(what) = seen {
                sim.fail(format!("node {}: {what}", self.id));
            }
            // Entries are durable here first. Otherwise a checkpoint could be ahead of the log.
            let judged = sim.bug.is_none_or(|bug| bug == Bug::OpenedWithoutSync);
            if judged && !self.log.is_synced(entry.index, entry.term) {
                sim.fail(format!(
                    "node {}: entry {} is applied before it is synced",
                    self.id, entry.index
                ));
            }
        }
        let last = process.handed_out;
        for members in process.unjudged.extract_if(.., |members| members.index <= last) {
            let judged = sim.electorate.check(&members);
            sim.check(judged.map_err(|what| format!("node {}: {what}", self.id)));
        }
    }

    /// The next entry to be applied, from memory or read back from the log.
    fn next_committed(&mut self, sim: &mut Sim) -> Option<Entry> {
        let process = self.up.as_mut()?;
        loop {
            let last = match process.committed.pop_front()? {
                Committed::Entry(entry) => return Some(entry),
                Committed::UpTo(last) => last,
            };
            let mut next = process.state.applied_index() + 1;
            if next > last {
                continue;
            }
            if sim.planted(Bug::ReadBackLoses) && next < last {
                next += 1;
            }
            let entries = match self.log.entries(next, last + 1, READ_BACK_BYTES) {
                Ok(entries) => entries,
                Err(error) => {
                    sim.fail(format!("node {}: {error}", self.id));
                    return None;
                }
            };
            sim.cover.entries_read_back += entries.len() as u64;
            process.committed.push_front(Committed::UpTo(last));
            for entry in entries.into_iter().rev() {
                process.committed.push_front(Committed::Entry(entry));
            }
        }
    }

    fn start_apply(&mut self, sim: &mut Sim) {
        let Some(process) = &mut self.up else { return };
        if !process.applying && !process.committed.is_empty() {
            process.applying = true;
            let delay = 1 + sim.random.waiting(sim.plan.apply_us);
            self.after(sim, delay, Duty::Apply);
        }
    }

    pub(super) fn apply(&mut self, sim: &mut Sim) {
        let Some(process) = &mut self.up else { return };
        process.applying = false;
        let Some(mut entry) = self.next_committed(sim) else { return };
        let Some(process) = &mut self.up else { return };
        if raft_node::members::is_change(&entry) {
            // For the state and its model such an entry is empty.
            entry.data.clear();
        }
        let mut effects = Effects::new(self.id, process.boot, false);
        let taken = self.plant_in(sim, &entry);
        let Some(process) = &mut self.up else { return };
        let mut witness = Witness::new(&mut effects);
        if let Err(error) = replica::apply(&mut process.state, &taken, &mut witness) {
            return sim.fail(format!("node {}: apply {}: {error}", self.id, entry.index));
        }
        if let Some((position, what)) = witness.undecodable() {
            return sim.fail(format!("node {}: {position} cannot be decoded: {what}", self.id));
        }
        match sim.oracle.applied(&entry, &witness, &mut process.state) {
            Ok(Some((predicted, events))) => {
                count_first(&mut sim.cover, &entry, predicted);
                count_events(&mut sim.cover, events);
            }
            Ok(None) => {}
            Err(what) => return sim.fail(format!("node {}: {what}", self.id)),
        }
        let level = process.state.level();
        self.check_level(sim, level);
        let Some(process) = &mut self.up else { return };
        process.files.schedule.grew(entry.data.len() as u64 + 48);
        sim.trace.mix(process.state.position().0);
        self.finish_apply(sim, effects);
    }

    fn finish_apply(&mut self, sim: &mut Sim, effects: Effects) {
        let Some(process) = &mut self.up else { return };
        let (index, clock) = (process.state.applied_index(), process.state.clock());
        let (level, next_deadline) = (process.state.level(), process.state.next_deadline());
        if index.is_multiple_of(64)
            && let Err(violation) = process.state.check_invariants()
        {
            sim.fail(format!("node {} at index {index}: {violation}", self.id));
        }
        let mut answered = Vec::with_capacity(effects.answers.len());
        for (seq, applied) in effects.answers {
            answered.push(seq);
            self.answer(sim, seq, applied);
        }
        self.reached(sim, index);
        self.mail(sim, Input::Applied { index, clock, level, answered });
        self.mail(sim, Input::NextDeadline(next_deadline));
        self.start_apply(sim);
    }

    /// Applies all waiting entries, for an orderly stop.
    pub(super) fn apply_all(&mut self, sim: &mut Sim) {
        while self.up.as_ref().is_some_and(|process| !process.committed.is_empty())
            && sim.failure.is_none()
        {
            self.apply(sim);
        }
    }

    /// The entry for the state: as committed, unless a bug is planted here.
    fn plant_in(&self, sim: &Sim, entry: &Entry) -> Entry {
        let mut taken = entry.clone();
        if entry.data.is_empty() {
            return taken;
        }
        let parsed = engine::entry::Entry::parse(&entry.data).expect("a committed entry is sound");
        if sim.planted(Bug::ExpireByLocalClock) {
            let mut bytes = entry.data.to_vec();
            let wall_ms = self.clock.now(sim.now).wall_ms;
            bytes[1..9].copy_from_slice(&wall_ms.to_le_bytes());
            taken.data = bytes.into();
        }
        if sim.planted(Bug::LastOfBatchDropped)
            && self.id == NodeId(2)
            && let [kept @ .., _] = &parsed.envelopes[..]
            && !kept.is_empty()
        {
            let mut builder = engine::entry::Builder::new(parsed.clock);
            kept.iter().for_each(|envelope| builder.push(envelope));
            taken.data = builder.finish().into();
        }
        taken
    }
}

/// Counts the effects of an entry, when the first node applies it.
fn count_first(cover: &mut Coverage, entry: &Entry, predicted: &Predicted) {
    use engine::outcome::{Outcome, Rejection};
    use engine::webhook::Fate;
    cover.entries_committed += 1;
    cover.entries_batched += u64::from(predicted.outcomes.len() > 1);
    cover.clock_ticks += u64::from(predicted.outcomes.is_empty() && !entry.data.is_empty());
    cover.leases_taken_over += predicted.takeovers;
    cover.claims_put_off += predicted.claims_put_off;
    cover.payment_results_stale += predicted.stale_results;
    cover.webhook_timeouts += predicted.timed_out;
    for (_, outcome) in &predicted.outcomes {
        match outcome {
            Outcome::Ignored => cover.commands_ignored += 1,
            Outcome::Replayed(_) => cover.replays += 1,
            Outcome::Batch(placed) => {
                let refused = placed.iter().any(|one| matches!(one, Outcome::Rejected(_)));
                let some = placed.iter().any(|one| !matches!(one, Outcome::Rejected(_)));
                cover.batches_placed += u64::from(!refused);
                cover.batches_in_part += u64::from(refused && some);
            }
            Outcome::Rejected(Rejection::BatchRefused { .. }) => cover.batches_refused += 1,
            Outcome::LevelRaised(_) => cover.levels_raised += 1,
            Outcome::Rejected(Rejection::OtherUser) => cover.rejected_other_user += 1,
            Outcome::Rejected(Rejection::Unauthorized) => cover.rejected_unauthorized += 1,
            Outcome::Repeated(_) => cover.keyed_repeated += 1,
            Outcome::AuthSet { already: false, .. } => cover.auth_set += 1,
            Outcome::TokenCreated(_) => cover.tokens_created += 1,
            Outcome::TokenRevoked { already: false, .. } => cover.tokens_revoked += 1,
            Outcome::Noted => cover.noted += 1,
            Outcome::PaymentsSet => cover.payments_set += 1,
            Outcome::OrderSettled { already: false, .. } => cover.orders_settled_by_operator += 1,
            Outcome::PaymentRechecked(_) => cover.payments_rechecked += 1,
            Outcome::RefundRequested(_) => cover.refunds_requested += 1,
            Outcome::RefundReplayed(_) => cover.refunds_replayed += 1,
            Outcome::Rejected(
                Rejection::RefundExceedsPaid { .. } | Rejection::ReturnExceedsSold { .. },
            ) => cover.rejected_refund += 1,
            Outcome::Rejected(Rejection::PaymentInFlight(_)) => cover.rejected_in_flight += 1,
            Outcome::ProductArchived(_) => cover.products_archived += 1,
            Outcome::Rejected(Rejection::InsufficientStock { .. }) => cover.rejected_stock += 1,
            Outcome::KeyFenced { already: false } => cover.keys_fenced += 1,
            Outcome::Rejected(Rejection::KeyFenced) => cover.rejected_key_fenced += 1,
            Outcome::StockAdjusted { .. } => cover.stock_adjusted += 1,
            Outcome::AdjustmentReplayed { .. } => cover.adjustments_replayed += 1,
            Outcome::Rejected(
                Rejection::StockMismatch { .. } | Rejection::StockBelowZero { .. },
            ) => cover.rejected_adjustment += 1,
            Outcome::Rejected(Rejection::UserLimitExceeded { .. }) => {
                cover.rejected_user_limit += 1;
            }
            Outcome::Rejected(Rejection::SaleNotOpen { .. }) => cover.rejected_not_open += 1,
            Outcome::Rejected(Rejection::SaleClosed { .. }) => cover.rejected_closed += 1,
            Outcome::Rejected(Rejection::MinimumNotMet { .. }) => cover.rejected_minimum += 1,
            Outcome::Rejected(Rejection::HeldLimitExceeded { .. }) => {
                cover.rejected_held_limit += 1;
            }
            Outcome::Rejected(Rejection::TotalMismatch { .. }) => cover.rejected_total += 1,
            Outcome::Rejected(Rejection::WindowLimitExceeded { .. }) => cover.rejected_window += 1,
            Outcome::Rejected(Rejection::ReferenceTaken { .. }) => cover.rejected_reference += 1,
            Outcome::Reported { duplicate: true, .. } => cover.reports_repeated += 1,
            Outcome::Reported { fate: Fate::Applied, .. } => cover.reports_applied += 1,
            Outcome::Reported { fate: Fate::Parked, .. } => cover.reports_parked += 1,
            Outcome::Reported { fate: Fate::Unmatched, .. } => cover.reports_refused += 1,
            Outcome::Reported { fate: Fate::Conflict(_), .. } => cover.reports_in_conflict += 1,
            Outcome::HoldReplayed(_) => cover.holds_replayed += 1,
            Outcome::Rejected(
                Rejection::HoldExpired(_)
                | Rejection::HoldConsumed { .. }
                | Rejection::HoldReleased(_),
            ) => cover.rejected_hold_over += 1,
            Outcome::Rejected(Rejection::TooManyHolds) => cover.rejected_holds_max += 1,
            Outcome::Rejected(Rejection::KeyReused) => cover.rejected_key += 1,
            Outcome::Rejected(Rejection::TooManyOpenOrders) => cover.rejected_open_orders += 1,
            _ => {}
        }
    }
    cover.reports_unmatched += predicted.unmatched;
    cover.orders_at_frozen_prices += predicted.at_frozen_prices;
    cover.reports_matched += predicted.matched;
}

/// Counts the events of an entry, when the first node applies it.
fn count_events(cover: &mut Coverage, events: &[engine::event::Event]) {
    use engine::event::{HoldChange, Kind, OrderChange, RefundChange};
    cover.events_told += events.len() as u64;
    for event in events {
        let counter = match &event.kind {
            Kind::Order { change: OrderChange::Placed, .. } => &mut cover.orders_placed,
            Kind::Order { change: OrderChange::Paid, .. } => &mut cover.orders_paid,
            Kind::Order { change: OrderChange::Failed { .. }, .. } => &mut cover.orders_failed,
            Kind::Order { change: OrderChange::Cancelled { .. }, .. } => {
                &mut cover.orders_cancelled
            }
            Kind::Hold { change: HoldChange::Created, .. } => &mut cover.holds_created,
            Kind::Hold { change: HoldChange::Extended, .. } => &mut cover.holds_extended,
            Kind::Hold { change: HoldChange::Consumed(_), .. } => &mut cover.holds_consumed,
            Kind::Hold { change: HoldChange::Expired, .. } => &mut cover.holds_expired,
            Kind::Hold { change: HoldChange::Released, .. } => &mut cover.holds_released,
            Kind::SoldOut(_) => &mut cover.sold_out,
            Kind::Refund { change: RefundChange::Failed { .. }, .. } => &mut cover.refunds_failed,
            Kind::LowStock { .. } => &mut cover.stock_low,
            _ => continue,
        };
        *counter += 1;
    }
}
