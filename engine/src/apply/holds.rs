//! Creating, extending and ending holds.
//!
//! A hold is usable while the replicated clock is before its deadline and never after, whether or
//! not it was swept. Its units count as held until it is swept, at the beginning of an entry.

use crate::apply::context::Context;
use crate::apply::plan::{Demands, HoldPlan, demands_of};
use crate::command::{CreateHold, ExtendHold, ReleaseHold};
use crate::event::{HoldChange, Kind};
use crate::hold::{Hold, Status};
use crate::ids::{HoldId, OrderId, Timestamp};
use crate::keys::{self, KeyHash, Meaning, Scope};
use crate::ledger::{self, Delta};
use crate::outcome::{Outcome, Rejection};
use crate::rolling::{Origin, Source};
use crate::state::State;

impl State {
    /// Checks, sets the units aside and creates the hold, all or nothing.
    pub(crate) fn create_hold(&mut self, cx: &mut Context<'_>, command: CreateHold) -> Outcome {
        // Refused holds have a counter of their own.
        self.try_hold(cx, command).unwrap_or_else(|rejection| {
            self.totals.holds_rejected += 1;
            Outcome::Rejected(rejection)
        })
    }

    fn try_hold(
        &mut self,
        cx: &mut Context<'_>,
        command: CreateHold,
    ) -> Result<Outcome, Rejection> {
        let key = command.key.as_deref().map(|key| KeyHash::of(Scope::Hold, key));
        if let Some(used) = key.and_then(|key| self.keys.get(key)) {
            let meaning = self.meaning_of_hold(&command, used.id);
            if !self.keys.is_same(Scope::Hold, used, &meaning) {
                return Err(Rejection::KeyReused);
            }
            self.totals.holds_replayed += 1;
            return Ok(Outcome::HoldReplayed(HoldId(used.id)));
        }
        let HoldPlan { demands, unit_prices } = self.planner().plan_hold(&command)?;
        let id = HoldId(self.holds.len() + 1);
        if let Some(key) = key {
            let used = self.keys.used(Scope::Hold, id.0, &self.meaning_of_hold(&command, id.0));
            let new = self.keys.insert(key, used);
            assert!(new, "an unused key was looked up before");
        }
        self.holds.push(Hold {
            id,
            user: command.user,
            lines: command.lines,
            status: Status::Active,
            key: command.key,
            ttl_ms: command.ttl_ms,
            ttl_is_default: *command.ttl_is_default && self.level() > 0,
            expires_at: cx.at.plus_ms(command.ttl_ms.min(command.ttl_max_ms)),
            trace: cx.trace.clone(),
            created: cx.position,
            created_at: cx.at,
            updated_at: cx.at,
            version: cx.position,
            unit_prices: self.freezes_prices().then_some(unit_prices),
        });
        self.totals.holds_created += 1;
        self.tell_hold(cx, id, HoldChange::Created);
        for demand in demands {
            if let Some(user) = command.user {
                self.held.add(demand.product, user, demand.units);
            }
            let source = Source::Hold(id);
            let origin = Origin { at: cx.at, position: cx.position, source };
            self.take(command.user, origin, demand);
            let delta = Delta { held: demand.signed(), ..Delta::default() };
            self.shift(cx, demand.product, delta, ledger::Cause::Hold(id));
        }
        Ok(Outcome::HoldCreated(id))
    }

    /// The meaning of a request, to be compared with that of a hold. Holds that are older than
    /// level 1 do not know whether the client named their time to live.
    pub(crate) fn meaning_of_hold(&self, command: &CreateHold, hold: u64) -> Meaning {
        let is_named = !*command.ttl_is_default || self.keys.rule().is_short(Scope::Hold, hold);
        keys::of_hold(command.user, &command.lines, is_named.then_some(command.ttl_ms))
    }

    /// Why this hold, created now, would be refused, if that needs no entry; like
    /// [`State::refusal_of_order`].
    pub fn refusal_of_hold(&self, command: &CreateHold, now: Timestamp) -> Option<Rejection> {
        let reason = self.planner_at(now, None).plan_hold(command).err()?;
        let key = command.key.as_deref();
        (self.needs_no_entry(&reason, now) && !self.is_known(Scope::Hold, key)).then_some(reason)
    }

    /// Releases an active hold.
    pub(crate) fn release_hold(
        &mut self,
        cx: &mut Context<'_>,
        command: &ReleaseHold,
    ) -> Result<Outcome, Rejection> {
        let id = command.hold;
        match self.planner().usable_hold(id) {
            Ok(_) => {
                self.give_back(cx, id, Status::Released);
                Ok(Outcome::HoldReleased { hold: id, already: false })
            }
            Err(Rejection::HoldReleased(_)) => {
                Ok(Outcome::HoldReleased { hold: id, already: true })
            }
            Err(rejection) => Err(rejection),
        }
    }

    /// Moves the deadline of an active hold, never to an earlier moment.
    pub(crate) fn extend_hold(
        &mut self,
        cx: &mut Context<'_>,
        command: &ExtendHold,
    ) -> Result<Outcome, Rejection> {
        let id = command.hold;
        if command.ttl_ms == 0 {
            return Err(Rejection::Invalid("ttl_seconds"));
        }
        let planner = self.planner();
        let hold = planner.usable_hold(id)?;
        planner.check_extension(hold)?;
        let last = hold.created_at.plus_ms(command.ttl_max_ms);
        let expires_at = cx.at.plus_ms(command.ttl_ms).min(last);
        if expires_at > hold.expires_at {
            let hold = self.holds.extend(id, expires_at);
            (hold.updated_at, hold.version) = (cx.at, cx.position);
            self.tell_hold(cx, id, HoldChange::Extended);
        }
        Ok(Outcome::HoldExtended(id))
    }

    /// Ends a hold whose deadline passed.
    pub(crate) fn expire_hold(&mut self, cx: &mut Context<'_>, id: HoldId) {
        self.give_back(cx, id, Status::Expired);
    }

    /// Ends a hold that an order consumes. The order moves the units.
    pub(crate) fn consume_hold(&mut self, cx: &mut Context<'_>, id: HoldId, order: OrderId) {
        self.end_hold(cx, id, Status::Consumed(order));
        self.totals.holds_consumed += 1;
        self.tell_hold(cx, id, HoldChange::Consumed(order));
    }

    /// Ends a hold and makes its units available again.
    fn give_back(&mut self, cx: &mut Context<'_>, id: HoldId, status: Status) {
        let demands = self.end_hold(cx, id, status);
        let (change, cause) = match status {
            Status::Released => {
                self.totals.holds_released += 1;
                (HoldChange::Released, ledger::Cause::HoldRelease(id))
            }
            Status::Expired => {
                self.totals.holds_expired += 1;
                (HoldChange::Expired, ledger::Cause::HoldExpire(id))
            }
            Status::Active | Status::Consumed(_) => unreachable!("{status} gives nothing back"),
        };
        for demand in demands {
            let delta = Delta { held: -demand.signed(), ..Delta::default() };
            self.shift(cx, demand.product, delta, cause);
        }
        self.tell_hold(cx, id, change);
    }

    /// Ends a hold; its units no longer count for its user. The caller moves them.
    fn end_hold(&mut self, cx: &Context<'_>, id: HoldId, status: Status) -> Demands {
        let hold = self.holds.end(id, status);
        (hold.updated_at, hold.version) = (cx.at, cx.position);
        let (user, created, demands) = (hold.user, hold.created, demands_of(&hold.lines));
        for demand in &demands {
            if let Some(user) = user {
                self.held.give_back(demand.product, user, demand.units);
            }
            self.untake(user, Source::Hold(id), created, *demand);
        }
        demands
    }

    /// Emits an event about a hold in memory, under the hold's trace id.
    fn tell_hold(&mut self, cx: &mut Context<'_>, id: HoldId, change: HoldChange) {
        let hold = self.holds.resident(id).expect("a hold that changes is resident");
        let (user, expires_at) = (hold.user, hold.expires_at);
        let lines = hold.lines.as_slice().into();
        let kind = Kind::Hold { hold: id, user, lines, expires_at, change };
        let trace = hold.trace.clone();
        self.tell_for(cx, trace, kind);
    }
}
