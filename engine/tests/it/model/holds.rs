//! What holds do, by the model.

use engine::command::{CreateHold, ExtendHold, ReleaseHold};
use engine::hold::Status;
use engine::ids::{HoldId, OrderId, Position};
use engine::outcome::{Outcome, Rejection};

use super::{Model, sums};

#[derive(Clone, Debug)]
pub(crate) struct HoldModel {
    pub(crate) request: CreateHold,
    pub(crate) status: Status,
    pub(crate) made_at: u64,
    pub(crate) made: Position,
    pub(crate) deadline: u64,
    pub(crate) version: Position,
}

impl Model {
    pub(super) fn expire_holds(&mut self, at: Position) {
        let mut by_deadline: Vec<usize> = (0..self.holds.len()).collect();
        by_deadline.sort_by_key(|n| self.holds[*n].deadline);
        for n in by_deadline {
            if self.holds[n].status == Status::Active && self.holds[n].deadline <= self.clock {
                self.give_back(n, Status::Expired, at);
            }
        }
    }

    fn give_back(&mut self, n: usize, status: Status, at: Position) {
        (self.holds[n].status, self.holds[n].version) = (status, at);
        for (product, units) in sums(&self.holds[n].request.lines.clone()) {
            self.shift(product, at, [0, -(units as i64), 0, 0]);
        }
    }

    /// The place of a hold that is active and whose deadline did not pass.
    pub(super) fn usable_hold(&self, hold: HoldId) -> Result<usize, Rejection> {
        let n = hold.0.wrapping_sub(1) as usize;
        let found = self.holds.get(n).ok_or(Rejection::HoldNotFound(hold))?;
        match found.status {
            Status::Active if self.clock < found.deadline => Ok(n),
            Status::Active | Status::Expired => Err(Rejection::HoldExpired(hold)),
            Status::Released => Err(Rejection::HoldReleased(hold)),
            Status::Consumed(order) => Err(Rejection::HoldConsumed { hold, order }),
        }
    }

    /// Makes a usable hold an order's, which moves the units.
    pub(super) fn consume(&mut self, hold: HoldId, order: OrderId, at: Position) {
        let hold = &mut self.holds[hold.0 as usize - 1];
        (hold.status, hold.version) = (Status::Consumed(order), at);
    }

    pub(super) fn create_hold(
        &mut self,
        at: Position,
        command: &CreateHold,
    ) -> Result<Outcome, Rejection> {
        let same_key = |hold: &HoldModel| hold.request.key == command.key;
        if let Some(n) = self.holds.iter().position(same_key).filter(|_| command.key.is_some()) {
            let made = &self.holds[n].request;
            let same = made.user == command.user
                && made.lines == command.lines
                && made.ttl_ms == command.ttl_ms;
            return match same {
                true => Ok(Outcome::HoldReplayed(HoldId(n as u64 + 1))),
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
        self.check_user(command.user, command.require_user)?;
        if self.active_holds() >= command.active_holds_max {
            return Err(Rejection::TooManyHolds);
        }
        for line in &command.lines {
            self.product(line.product).ok_or(Rejection::ProductNotFound(line.product))?;
        }
        let sums = sums(&command.lines);
        self.check_limits(&sums)?;
        self.check_user_limits(command.user, None, &sums)?;
        self.check_stock(&sums)?;
        for (product, units) in sums {
            self.shift(product, at, [0, units as i64, 0, 0]);
        }
        self.holds.push(HoldModel {
            request: command.clone(),
            status: Status::Active,
            made_at: self.clock,
            made: at,
            deadline: self.clock + command.ttl_ms.min(command.ttl_max_ms),
            version: at,
        });
        Ok(Outcome::HoldCreated(HoldId(self.holds.len() as u64)))
    }

    pub(super) fn release_hold(
        &mut self,
        at: Position,
        command: &ReleaseHold,
    ) -> Result<Outcome, Rejection> {
        let hold = command.hold;
        match self.usable_hold(hold) {
            Ok(n) => {
                self.give_back(n, Status::Released, at);
                Ok(Outcome::HoldReleased { hold, already: false })
            }
            Err(Rejection::HoldReleased(_)) => Ok(Outcome::HoldReleased { hold, already: true }),
            Err(refusal) => Err(refusal),
        }
    }

    pub(super) fn extend_hold(
        &mut self,
        at: Position,
        command: &ExtendHold,
    ) -> Result<Outcome, Rejection> {
        if command.ttl_ms == 0 {
            return Err(Rejection::Invalid("ttl_seconds"));
        }
        let n = self.usable_hold(command.hold)?;
        let hold = &mut self.holds[n];
        let wanted = (self.clock + command.ttl_ms).min(hold.made_at + command.ttl_max_ms);
        if wanted > hold.deadline {
            (hold.deadline, hold.version) = (wanted, at);
        }
        Ok(Outcome::HoldExtended(command.hold))
    }

    /// How many holds are active.
    pub(crate) fn active_holds(&self) -> u64 {
        self.holds.iter().filter(|hold| hold.status == Status::Active).count() as u64
    }
}
