//! Holds in the model.

use engine::command::{CreateHold, ExtendHold};
use engine::event::HoldChange;
use engine::hold::Status;
use engine::ids::{HoldId, ProductId, Timestamp, UserId};
use engine::ledger::Cause;
use engine::outcome::{Outcome, Rejection};

use crate::model::{At, Model};
use crate::orders::wanted;
use crate::rows::{Hold, Term, Versions};

impl Model {
    pub(crate) fn create_hold(
        &mut self,
        at: &mut At<'_>,
        command: CreateHold,
    ) -> Result<Outcome, Rejection> {
        if let Some((_, id)) = command.key.as_ref().and_then(|key| self.hold_keys.get(key)) {
            let known = self.hold(*id).expect("a key leads to a hold");
            // Holds of level 0 have no prices, and do not know whether the client named their time.
            let is_named = !*command.ttl_is_default || known.prices.is_none();
            let ttl_ms = is_named.then_some(command.ttl_ms);
            let same = (known.user, &known.lines, known.named_ttl_ms())
                == (command.user, &command.lines, ttl_ms);
            return match same {
                true => Ok(Outcome::HoldReplayed(*id)),
                false => Err(Rejection::KeyReused),
            };
        }
        if command.lines.is_empty() {
            return Err(Rejection::Invalid("items"));
        }
        if command.lines.iter().any(|line| line.quantity.0 == 0) {
            return Err(Rejection::Invalid("quantity"));
        }
        if command.ttl_ms == 0 || command.ttl_max_ms == 0 {
            return Err(Rejection::Invalid("ttl_seconds"));
        }
        if self.is_foreign(command.user) {
            return Err(Rejection::OtherUser);
        }
        self.check_user(command.user, command.require_user)?;
        let active = |hold: &&Hold| hold.term.now().status == Status::Active;
        if self.holds.iter().filter(active).count() as u64 >= command.active_holds_max {
            return Err(Rejection::TooManyHolds);
        }
        let mut prices = Vec::new();
        for line in &command.lines {
            let found = self.active(line.product);
            prices.push(found.ok_or(Rejection::ProductNotFound(line.product))?.price);
        }
        let wanted = wanted(&command.lines);
        self.check_windows(&wanted)?;
        self.check_per_order(&wanted)?;
        self.check_per_user(command.user, None, &wanted)?;
        self.check_per_window(command.user, None, &wanted)?;
        self.check_held(command.user, &wanted)?;
        self.check_stock(&wanted)?;
        let id = HoldId(self.holds.len() as u64 + 1);
        if let Some(key) = &command.key {
            self.hold_keys.insert(key.clone(), (at.position, id));
        }
        let expires_at = self.clock.plus_ms(command.ttl_ms.min(command.ttl_max_ms));
        let term = Term { status: Status::Active, expires_at, updated_at: self.clock };
        self.holds.push(Hold {
            user: command.user,
            lines: command.lines,
            ttl_ms: command.ttl_ms,
            ttl_is_default: *command.ttl_is_default && self.level > 0,
            key: command.key,
            created: at.position,
            created_at: self.clock,
            trace: at.trace.clone(),
            term: Versions::new(at.position, term),
            prices: (self.level > 0).then_some(prices),
        });
        self.tell_hold(at, id, HoldChange::Created);
        for (product, units) in wanted {
            self.shift(at, product, Cause::Hold(id), |product| {
                product.available -= units as i64;
                product.held += units as i64;
            });
        }
        Ok(Outcome::HoldCreated(id))
    }

    pub(crate) fn release_hold(
        &mut self,
        at: &mut At<'_>,
        hold: HoldId,
    ) -> Result<Outcome, Rejection> {
        match self.usable_hold(hold) {
            Ok(_) => {
                self.end_hold(at, hold, Status::Released);
                Ok(Outcome::HoldReleased { hold, already: false })
            }
            Err(Rejection::HoldReleased(_)) => Ok(Outcome::HoldReleased { hold, already: true }),
            Err(rejection) => Err(rejection),
        }
    }

    pub(crate) fn extend_hold(
        &mut self,
        at: &mut At<'_>,
        command: &ExtendHold,
    ) -> Result<Outcome, Rejection> {
        if command.ttl_ms == 0 {
            return Err(Rejection::Invalid("ttl_seconds"));
        }
        let id = command.hold;
        let hold = self.usable_hold(id)?;
        for line in &hold.lines {
            let row = self.product(line.product).expect("a hold is of a product").now();
            let closes_at =
                row.sale.closes_at.filter(|closes| !row.archived && *closes <= self.clock);
            if let Some(closes_at) = closes_at {
                return Err(Rejection::SaleClosed { product: line.product, closes_at });
            }
        }
        let last = hold.created_at.plus_ms(command.ttl_max_ms);
        let until = self.clock.plus_ms(command.ttl_ms).min(last);
        if until > hold.term.now().expires_at {
            let (now, term) = (self.clock, &mut self.holds[id.0 as usize - 1].term);
            term.change(at.position, |term| (term.expires_at, term.updated_at) = (until, now));
            self.tell_hold(at, id, HoldChange::Extended);
        }
        Ok(Outcome::HoldExtended(id))
    }

    /// Checks limits of units in holds of one user.
    fn check_held(
        &self,
        user: Option<UserId>,
        wanted: &[(ProductId, u64)],
    ) -> Result<(), Rejection> {
        for &(product, requested) in wanted {
            let row = self.active(product).expect("it was found");
            let Some(limit) = row.sale.max_held_per_user else { continue };
            let user = user.ok_or(Rejection::UserRequired)?;
            let own = self
                .holds
                .iter()
                .filter(|hold| hold.user == Some(user) && hold.term.now().status == Status::Active);
            let lines = own.flat_map(|hold| &hold.lines).filter(|line| line.product == product);
            let held: u64 = lines.map(|line| u64::from(line.quantity.0)).sum();
            if held + requested > u64::from(limit) {
                return Err(Rejection::HeldLimitExceeded { product, limit, requested, held });
            }
        }
        Ok(())
    }

    /// Ends holds past their deadline.
    pub(crate) fn expire_holds(&mut self, at: &mut At<'_>) {
        let due = |term: &Term| term.status == Status::Active && term.expires_at <= self.clock;
        let mut late: Vec<(Timestamp, HoldId)> = (1..)
            .map(HoldId)
            .zip(&self.holds)
            .filter(|(_, hold)| due(hold.term.now()))
            .map(|(id, hold)| (hold.term.now().expires_at, id))
            .collect();
        late.sort_unstable();
        for (_, id) in late {
            self.end_hold(at, id, Status::Expired);
        }
    }

    /// The hold, if it can still be used.
    pub(crate) fn usable_hold(&self, id: HoldId) -> Result<&Hold, Rejection> {
        let hold = self.hold(id).ok_or(Rejection::HoldNotFound(id))?;
        let term = hold.term.now();
        // Customers learn from the node that answers how their hold ended.
        if self.is_foreign(hold.user) || (self.bound.is_some() && term.status != Status::Active) {
            return Err(Rejection::HoldNotFound(id));
        }
        match term.status {
            Status::Active if self.clock < term.expires_at => Ok(hold),
            Status::Active | Status::Expired => Err(Rejection::HoldExpired(id)),
            Status::Consumed(order) => Err(Rejection::HoldConsumed { hold: id, order }),
            Status::Released => Err(Rejection::HoldReleased(id)),
        }
    }

    /// Ends a hold. Its units go back unless an order takes them over.
    pub(crate) fn end_hold(&mut self, at: &mut At<'_>, id: HoldId, status: Status) {
        let (now, hold) = (self.clock, &mut self.holds[id.0 as usize - 1]);
        assert_eq!(hold.term.now().status, Status::Active, "hold {id} ended before");
        hold.term.change(at.position, |term| (term.status, term.updated_at) = (status, now));
        let lines = hold.lines.clone();
        let (change, cause) = match status {
            Status::Consumed(order) => {
                return self.tell_hold(at, id, HoldChange::Consumed(order));
            }
            Status::Expired => (HoldChange::Expired, Cause::HoldExpire(id)),
            Status::Released => (HoldChange::Released, Cause::HoldRelease(id)),
            Status::Active => unreachable!("a hold does not end in activity"),
        };
        for (product, units) in wanted(&lines) {
            self.shift(at, product, cause, |product| {
                product.held -= units as i64;
                product.available += units as i64;
            });
        }
        self.tell_hold(at, id, change);
    }
}
