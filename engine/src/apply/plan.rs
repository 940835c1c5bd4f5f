//! Validates orders and holds, and plans their effects.
//!
//! Nothing here changes the state.

use std::collections::{BTreeMap, BTreeSet};

use smallvec::SmallVec;

use crate::command::{CreateHold, PlaceOrder};
use crate::hold::{Hold, Status};
use crate::ids::{HoldId, OrderId, ProductId, Quantity, Timestamp, UserId};
use crate::keys::{self, KeyHash, Scope, Used};
use crate::money::Money;
use crate::order::{Item, Items, LINES_MAX, Line, METADATA_BYTES_MAX, PaymentMethod, is_reference};
use crate::outcome::{Rejection, Shortage};
use crate::product::Product;
use crate::rolling::Origin;
use crate::state::State;
use crate::taken::Taken;

/// Units of one product, summed over the lines of an order or a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Demand {
    pub(crate) product: ProductId,
    pub(crate) units: u64,
}

impl Demand {
    /// The units as a signed number, for counters.
    pub(crate) fn signed(self) -> i64 {
        i64::try_from(self.units).expect("at most a hundred lines of a million units")
    }
}

/// The demands of an order or a hold, by first mention of the product.
pub(crate) type Demands = SmallVec<[Demand; 2]>;

/// Sums lines by product. At most 100 lines, so a linear search is faster than a map.
pub(crate) fn demands(lines: impl Iterator<Item = (ProductId, Quantity)>) -> Demands {
    let mut demands = Demands::new();
    for (product, quantity) in lines {
        let units = u64::from(quantity.0);
        match demands.iter_mut().find(|demand| demand.product == product) {
            // At most 100 lines of a million units each: far below overflow.
            Some(demand) => demand.units += units,
            None => demands.push(Demand { product, units }),
        }
    }
    demands
}

/// The demands of plain lines.
pub(crate) fn demands_of(lines: &[Line]) -> Demands {
    demands(lines.iter().map(|line| (line.product, line.quantity)))
}

/// What creating a hold will do.
pub(crate) struct HoldPlan {
    pub(crate) demands: Demands,
    /// The current price of one unit of each line.
    pub(crate) unit_prices: Box<[Money]>,
}

/// What placing an order will do.
pub(crate) struct Plan {
    /// The user of the order.
    pub(crate) user: Option<UserId>,
    pub(crate) demands: Demands,
    pub(crate) items: Items,
    pub(crate) total: Money,
}

/// What the orders of a batch that are already planned will take.
#[derive(Debug, Default)]
pub(crate) struct Staged {
    orders: u64,
    /// How many of them wait for no payment.
    unpaid: u64,
    units: BTreeMap<ProductId, u64>,
    taken: Taken,
    rolled: Taken,
    holds: BTreeSet<HoldId>,
    /// Hashed keys, with the index of the order in the batch and the hashed meaning of its request.
    pub(crate) keys: BTreeMap<KeyHash, (usize, u64)>,
    references: BTreeSet<KeyHash>,
}

/// Checks requests against a state without changing it. Apply, refusals without an entry and dry
/// runs ask the same planner, so a request is checked in one order everywhere.
#[derive(Clone, Copy)]
pub(crate) struct Planner<'s> {
    state: &'s State,
    /// The moment by which windows, holds and limits are judged: the replicated clock or later.
    clock: Timestamp,
    /// The user that the sender is limited to.
    bound: Option<UserId>,
}

impl State {
    /// Plans at the replicated clock, for the sender of the command that is executed.
    pub(crate) fn planner(&self) -> Planner<'_> {
        Planner { state: self, clock: self.clock, bound: self.bound }
    }

    /// Plans what a request would meet at `now`, for a sender that is limited to the rows of
    /// `bound`.
    pub(crate) fn planner_at(&self, now: Timestamp, bound: Option<UserId>) -> Planner<'_> {
        Planner { state: self, clock: self.clock.max(now), bound }
    }

    /// Whether new holds get prices.
    pub(crate) fn freezes_prices(&self) -> bool {
        self.level.number > 0
    }
}

impl<'s> Planner<'s> {
    /// Adds what a planned order will take.
    pub(crate) fn stage(&self, staged: &mut Staged, order: &PlaceOrder, plan: &Plan) {
        staged.orders += 1;
        staged.unpaid += u64::from(order.payment_method == PaymentMethod::None);
        staged.holds.extend(order.hold);
        staged.references.extend(reference_name(order));
        let hold = order.hold.and_then(|id| self.state.holds.resident(id));
        for &Demand { product, units } in &plan.demands {
            if hold.is_none() {
                *staged.units.entry(product).or_default() += units;
            }
            let row =
                &self.state.products.entry(product).expect("the plan found the product").product;
            if let Some(user) = plan.user.filter(|_| !is_counted(hold, row)) {
                staged.taken.add(product, user, units);
            }
            if let Some(user) = plan.user.filter(|_| !self.is_in_window(hold, row)) {
                staged.rolled.add(product, user, units);
            }
        }
    }

    /// How many open orders count against the bound of a new one. From level 1 on orders that wait
    /// for no payment have a bound of their own, so that they never keep others out.
    fn open_like(&self, method: PaymentMethod, staged: &Staged) -> u64 {
        let open = self.state.orders.open() + staged.orders;
        let unpaid = self.state.orders.unpaid() + staged.unpaid;
        match method {
            _ if self.state.level() == 0 => open,
            PaymentMethod::None => unpaid,
            PaymentMethod::Mock | PaymentMethod::Webhook | PaymentMethod::Gateway => open - unpaid,
        }
    }

    /// Checks everything about an order except its key, on top of the orders of its batch before
    /// it.
    pub(crate) fn plan_order(
        &self,
        command: &PlaceOrder,
        staged: &Staged,
    ) -> Result<Plan, Rejection> {
        check_order(command)?;
        self.check_bound(command.user)?;
        let hold = command.hold.map(|id| self.usable_hold(id)).transpose()?;
        if let Some(hold) = hold.filter(|hold| staged.holds.contains(&hold.id)) {
            return Err(Rejection::HoldNamedTwice(hold.id));
        }
        let user = match hold.and_then(|hold| Some((hold.id, hold.user?))) {
            None => command.user,
            Some((_, user)) if command.user.is_none_or(|named| named == user) => Some(user),
            Some((hold, _)) => return Err(Rejection::HoldOfAnotherUser(hold)),
        };
        self.check_user(user, command.require_user)?;
        if self.open_like(command.payment_method, staged) >= command.open_orders_max {
            return Err(Rejection::TooManyOpenOrders);
        }
        let lines = hold.map_or(&command.lines[..], |hold| &hold.lines);
        let items = match hold.and_then(Hold::items) {
            // Its prices are promised, also after the product was archived.
            Some(items) => items,
            None => self.price(lines)?,
        };
        let demands = demands_of(lines);
        // The hold obeyed the rules of the sale and already has its units.
        if hold.is_none() {
            self.check_windows(&demands)?;
            self.check_limits(&demands)?;
        }
        self.check_user_limits(user, hold, &demands, staged)?;
        self.check_windows_of_user(user, hold, &demands, staged)?;
        self.check_reference(command, staged)?;
        if hold.is_none() {
            self.check_stock(&demands, staged)?;
        }
        let total = total(&items).ok_or(Rejection::AmountOverflow)?;
        if let Some(expected) = command.terms.expected_total.filter(|expected| *expected != total) {
            let items = items.iter().copied().collect();
            return Err(Rejection::TotalMismatch { expected, actual: total, items });
        }
        Ok(Plan { user, demands, items, total })
    }

    /// Checks everything about a hold except its key.
    pub(crate) fn plan_hold(&self, command: &CreateHold) -> Result<HoldPlan, Rejection> {
        check_lines(&command.lines)?;
        check_key(command.key.as_deref())?;
        if command.ttl_ms == 0 || command.ttl_max_ms == 0 {
            return Err(Rejection::Invalid("ttl_seconds"));
        }
        self.check_bound(command.user)?;
        self.check_user(command.user, command.require_user)?;
        if self.state.holds.active() >= command.active_holds_max {
            return Err(Rejection::TooManyHolds);
        }
        let items = self.price(&command.lines)?;
        let demands = demands_of(&command.lines);
        self.check_windows(&demands)?;
        self.check_limits(&demands)?;
        let staged = Staged::default();
        self.check_user_limits(command.user, None, &demands, &staged)?;
        self.check_windows_of_user(command.user, None, &demands, &staged)?;
        self.check_held_limits(command.user, &demands)?;
        self.check_stock(&demands, &staged)?;
        if self.state.freezes_prices() && total(&items).is_none() {
            return Err(Rejection::AmountOverflow);
        }
        let unit_prices = items.iter().map(|item| item.unit_price).collect();
        Ok(HoldPlan { demands, unit_prices })
    }

    /// The hold, if an order may still consume it or somebody may extend or release it.
    pub(crate) fn usable_hold(&self, id: HoldId) -> Result<&'s Hold, Rejection> {
        if self.is_foreign_hold(id) {
            return Err(Rejection::HoldNotFound(id));
        }
        let status = match self.state.holds.resident(id) {
            Some(hold) => hold.status_at(self.clock),
            None => self.state.holds.status(id).ok_or(Rejection::HoldNotFound(id))?,
        };
        match status {
            Status::Active => {
                Ok(self.state.holds.resident(id).expect("an active hold is resident"))
            }
            Status::Consumed(order) => Err(Rejection::HoldConsumed { hold: id, order }),
            Status::Expired => Err(Rejection::HoldExpired(id)),
            Status::Released => Err(Rejection::HoldReleased(id)),
        }
    }

    fn check_user(&self, user: Option<UserId>, require: bool) -> Result<(), Rejection> {
        match user {
            _ if !require => Ok(()),
            None => Err(Rejection::UserRequired),
            Some(id) if self.state.users.get(id).is_none() => Err(Rejection::UserNotFound(id)),
            Some(_) => Ok(()),
        }
    }

    /// The lines with current prices.
    fn price(&self, lines: &[Line]) -> Result<Items, Rejection> {
        let mut items = Items::new();
        for &Line { product, quantity } in lines {
            let found =
                self.state.products.active(product).ok_or(Rejection::ProductNotFound(product))?;
            items.push(Item { product, quantity, unit_price: found.price });
        }
        Ok(items)
    }

    /// Whether the sales of all products are open.
    fn check_windows(&self, demands: &[Demand]) -> Result<(), Rejection> {
        let clock = self.clock;
        #[cfg(feature = "planted-bugs")]
        let late_ms = match crate::planted::is_planted(crate::planted::Bug::SaleOpensLate) {
            true => crate::planted::SALE_LATE_MS,
            false => 0,
        };
        for &Demand { product, .. } in demands {
            let Some(row) = self.state.products.active(product) else { continue };
            let opens_at = row.sale.opens_at;
            #[cfg(feature = "planted-bugs")]
            let opens_at = opens_at.map(|opens_at| opens_at.plus_ms(late_ms));
            if let Some(opens_at) = opens_at.filter(|opens_at| clock < *opens_at) {
                #[cfg(feature = "planted-bugs")]
                let opens_at = Timestamp(opens_at.0 - late_ms);
                return Err(Rejection::SaleNotOpen { product, opens_at, clock });
            }
            check_closing(row, clock)?;
        }
        Ok(())
    }

    /// Whether no product of a hold is closed, so that it may be extended.
    pub(crate) fn check_extension(&self, hold: &Hold) -> Result<(), Rejection> {
        let mut rows =
            hold.lines.iter().filter_map(|line| self.state.products.active(line.product));
        rows.try_for_each(|row| check_closing(row, self.clock))
    }

    /// Whether each demand is within the bounds of one order.
    fn check_limits(&self, demands: &[Demand]) -> Result<(), Rejection> {
        for &Demand { product, units } in demands {
            let row = self.state.products.active(product);
            let minimum = row.and_then(|row| row.sale.min_per_order);
            if let Some(minimum) = minimum.filter(|minimum| units < u64::from(*minimum)) {
                return Err(Rejection::MinimumNotMet { product, minimum, requested: units });
            }
            let limit = row.and_then(|row| row.max_per_order);
            if let Some(limit) = limit.filter(|limit| units > u64::from(*limit)) {
                return Err(Rejection::PurchaseLimitExceeded { product, limit, requested: units });
            }
        }
        Ok(())
    }

    /// Whether the user may have these units too. Units that count for the hold are already
    /// counted, and were within the limit at that time.
    fn check_user_limits(
        &self,
        user: Option<UserId>,
        hold: Option<&Hold>,
        demands: &[Demand],
        staged: &Staged,
    ) -> Result<(), Rejection> {
        for &Demand { product, units: requested } in demands {
            let Some(row) = self.state.products.active(product) else { continue };
            let Some(limit) = row.max_per_user else { continue };
            let user = user.ok_or(Rejection::UserRequired)?;
            if is_counted(hold, row) {
                continue;
            }
            let taken = self.state.taken.get(product, user) + staged.taken.get(product, user);
            if taken + requested > u64::from(limit) {
                return Err(Rejection::UserLimitExceeded { product, limit, requested, taken });
            }
        }
        Ok(())
    }

    /// Whether the user may take these units too, within the windows of the limits that roll.
    fn check_windows_of_user(
        &self,
        user: Option<UserId>,
        hold: Option<&Hold>,
        demands: &[Demand],
        staged: &Staged,
    ) -> Result<(), Rejection> {
        for &Demand { product, units: requested } in demands {
            let Some(row) = self.state.products.active(product) else { continue };
            let Some(limit) = row.sale.per_window else { continue };
            let user = user.ok_or(Rejection::UserRequired)?;
            if self.is_in_window(hold, row) {
                continue;
            }
            let counts = |it: &Origin| row.window_counts(it.position, it.at, self.clock);
            let rolling = &self.state.rolling;
            let taken = rolling.taken(product, user, counts) + staged.rolled.get(product, user);
            let units = u64::from(limit.units);
            if taken + requested > units {
                let last = rolling.last_of(product, user, taken + requested - units, counts);
                // Earlier orders of the batch are taken now.
                let at = last.map_or(self.clock, |origin| origin.at);
                let allowed_at = (requested <= units).then(|| at.plus_ms(limit.ms));
                return Err(Rejection::WindowLimitExceeded {
                    product,
                    limit,
                    requested,
                    taken,
                    allowed_at,
                });
            }
        }
        Ok(())
    }

    /// Whether the units of a hold already count towards the limit per window.
    fn is_in_window(&self, hold: Option<&Hold>, row: &Product) -> bool {
        hold.is_some_and(|hold| {
            hold.user.is_some() && row.window_counts(hold.created, hold.created_at, self.clock)
        })
    }

    /// Whether the user may have these units in holds too.
    fn check_held_limits(&self, user: Option<UserId>, demands: &[Demand]) -> Result<(), Rejection> {
        for &Demand { product, units: requested } in demands {
            let row = self.state.products.active(product);
            let Some(limit) = row.and_then(|row| row.sale.max_held_per_user) else { continue };
            let held = self.state.held.get(product, user.ok_or(Rejection::UserRequired)?);
            if held + requested > u64::from(limit) {
                return Err(Rejection::HeldLimitExceeded { product, limit, requested, held });
            }
        }
        Ok(())
    }

    /// Whether no other order has the reference.
    fn check_reference(&self, order: &PlaceOrder, staged: &Staged) -> Result<(), Rejection> {
        let Some(name) = reference_name(order) else { return Ok(()) };
        if staged.references.contains(&name) {
            return Err(Rejection::ReferenceTaken { order: None });
        }
        let Some(taken) = self.state.keys.get(name).and_then(Used::order) else { return Ok(()) };
        // A customer does not learn the orders of others.
        let is_own =
            |user| self.state.users.orders(user).is_some_and(|orders| orders.contains(taken.0));
        let order = Some(taken).filter(|_| self.bound.is_none_or(is_own));
        Err(Rejection::ReferenceTaken { order })
    }

    fn check_stock(&self, demands: &[Demand], staged: &Staged) -> Result<(), Rejection> {
        let mut short = demands.iter().filter_map(|demand| self.shortage(*demand, staged));
        let Some(Shortage { product, requested, available }) = short.next() else { return Ok(()) };
        Err(Rejection::InsufficientStock { product, requested, available, also: short.collect() })
    }

    /// Whether fewer units are available than demanded, after the orders of the batch before.
    fn shortage(&self, demand: Demand, staged: &Staged) -> Option<Shortage> {
        let Demand { product, units: requested } = demand;
        let row = self.state.products.active(product);
        let ahead = staged.units.get(&product).map_or(0, |units| *units as i64);
        let available = row.map_or(0, |product| product.stock.available()) - ahead;
        let is_enough = i64::try_from(requested).is_ok_and(|units| units <= available);
        (!is_enough).then_some(Shortage { product, requested, available })
    }

    /// Refuses to act for another user than the one that the sender is limited to.
    fn check_bound(&self, user: Option<UserId>) -> Result<(), Rejection> {
        match self.bound {
            Some(bound) if user != Some(bound) => Err(Rejection::OtherUser),
            _ => Ok(()),
        }
    }

    /// Whether the sender must not learn that the order exists.
    pub(crate) fn is_foreign_order(&self, id: OrderId) -> bool {
        #[cfg(feature = "planted-bugs")]
        if crate::planted::is_planted(crate::planted::Bug::OwnerIgnored) {
            return false;
        }
        self.bound.is_some_and(|user| !self.state.users.has_order(user, id))
    }

    /// Whether the sender must not learn that the hold exists. The users of holds that have ended
    /// need not be in memory, so those count as foreign; the node that answers knows better.
    fn is_foreign_hold(&self, id: HoldId) -> bool {
        #[cfg(feature = "planted-bugs")]
        if crate::planted::is_planted(crate::planted::Bug::OwnerIgnored) {
            return false;
        }
        let holds = &self.state.holds;
        self.bound.is_some_and(|user| {
            let active = holds.status(id) == Some(Status::Active);
            !active || holds.resident(id).is_none_or(|hold| hold.user != Some(user))
        })
    }
}

/// Whether the sale of a product is not over.
fn check_closing(row: &Product, clock: Timestamp) -> Result<(), Rejection> {
    match row.sale.closes_at {
        Some(closes_at) if closes_at <= clock => {
            Err(Rejection::SaleClosed { product: row.id, closes_at })
        }
        _ => Ok(()),
    }
}

/// The hashed reference of an order.
fn reference_name(order: &PlaceOrder) -> Option<KeyHash> {
    order.terms.reference.as_deref().map(|text| KeyHash::of(Scope::Reference, text))
}

/// Whether the units of a hold already count for its user.
fn is_counted(hold: Option<&Hold>, product: &Product) -> bool {
    hold.is_some_and(|hold| hold.user.is_some() && product.counts(hold.created))
}

/// Checks the bounds of an order, which the edge should have checked.
fn check_order(command: &PlaceOrder) -> Result<(), Rejection> {
    match command.hold {
        None => check_lines(&command.lines)?,
        Some(_) if command.lines.is_empty() => {}
        Some(_) => return Err(Rejection::Invalid("items")),
    }
    check_key(command.key.as_deref())?;
    if command.metadata.as_ref().is_some_and(|text| text.len() > METADATA_BYTES_MAX) {
        return Err(Rejection::Invalid("metadata"));
    }
    if command.terms.reference.as_deref().is_some_and(|text| !is_reference(text)) {
        return Err(Rejection::Invalid("client_reference"));
    }
    if command.payment_attempts_max == 0 {
        return Err(Rejection::Invalid("payment_attempts"));
    }
    Ok(())
}

fn check_lines(lines: &[Line]) -> Result<(), Rejection> {
    if lines.is_empty() || lines.len() > LINES_MAX {
        return Err(Rejection::Invalid("items"));
    }
    match lines.iter().all(|line| (Quantity(1)..=Quantity::MAX).contains(&line.quantity)) {
        true => Ok(()),
        false => Err(Rejection::Invalid("quantity")),
    }
}

pub(crate) fn check_key(key: Option<&str>) -> Result<(), Rejection> {
    match key.is_none_or(keys::is_key) {
        true => Ok(()),
        false => Err(Rejection::Invalid("idempotency_key")),
    }
}

/// The exact sum, or `None` on overflow.
fn total(items: &[Item]) -> Option<Money> {
    items.iter().try_fold(Money(0), |sum, item| sum.plus(item.unit_price.times(item.quantity)?))
}

/// Lines with their prices, and the sum unless it is too large.
pub(crate) fn priced(lines: &[Line], unit_prices: &[Money]) -> (Items, Option<Money>) {
    let mut items = Items::new();
    for (&Line { product, quantity }, &unit_price) in lines.iter().zip(unit_prices) {
        items.push(Item { product, quantity, unit_price });
    }
    let total = total(&items);
    (items, total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_is_exact_or_refused() {
        let item = |price, quantity| Item {
            product: ProductId(1),
            quantity: Quantity(quantity),
            unit_price: Money(price),
        };
        assert_eq!(total(&[item(10, 3)]), Some(Money(30)));
        assert_eq!(total(&[item(i64::MAX, 1), item(1, 1)]), None);
        assert_eq!(total(&[item(i64::MAX / 2, 3)]), None);
        let largest = [item(Money::PRICE_MAX.0, Quantity::MAX.0); LINES_MAX];
        assert_eq!(total(&largest), Some(Money(999_999_999_900_000_000)));
    }
}
