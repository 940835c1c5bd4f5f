//! Validates orders and holds, and plans their effects.
//!
//! Nothing here changes the state.

use std::collections::{BTreeMap, BTreeSet};

use smallvec::SmallVec;

use crate::command::{CreateHold, PlaceOrder};
use crate::hold::{Hold, Status};
use crate::ids::{HoldId, ProductId, Quantity, Timestamp, UserId};
use crate::keys::{self, KeyHash};
use crate::money::Money;
use crate::order::{Item, Items, LINES_MAX, Line, METADATA_BYTES_MAX, PaymentMethod};
use crate::outcome::{Rejection, Shortage};
use crate::product::Product;
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
    holds: BTreeSet<HoldId>,
    /// Hashed keys, with the index of the order in the batch and the hashed meaning of its request.
    pub(crate) keys: BTreeMap<KeyHash, (usize, u64)>,
}

impl State {
    /// Adds what a planned order will take.
    pub(crate) fn stage(&self, staged: &mut Staged, order: &PlaceOrder, plan: &Plan) {
        staged.orders += 1;
        staged.unpaid += u64::from(order.payment_method == PaymentMethod::None);
        staged.holds.extend(order.hold);
        let hold = order.hold.and_then(|id| self.holds.resident(id));
        for &Demand { product, units } in &plan.demands {
            if hold.is_none() {
                *staged.units.entry(product).or_default() += units;
            }
            let row = &self.products.entry(product).expect("the plan found the product").product;
            if let Some(user) = plan.user.filter(|_| !is_counted(hold, row)) {
                staged.taken.add(product, user, units);
            }
        }
    }

    /// How many open orders count against the bound of a new one. From level 1 on orders that wait
    /// for no payment have a bound of their own, so that they never keep others out.
    fn open_like(&self, method: PaymentMethod, staged: &Staged) -> u64 {
        let open = self.orders.open() + staged.orders;
        let unpaid = self.orders.unpaid() + staged.unpaid;
        match method {
            _ if self.level() == 0 => open,
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
        if self.holds.active() >= command.active_holds_max {
            return Err(Rejection::TooManyHolds);
        }
        let items = self.price(&command.lines)?;
        let demands = demands_of(&command.lines);
        self.check_windows(&demands)?;
        self.check_limits(&demands)?;
        let staged = Staged::default();
        self.check_user_limits(command.user, None, &demands, &staged)?;
        self.check_held_limits(command.user, &demands)?;
        self.check_stock(&demands, &staged)?;
        if self.freezes_prices() && total(&items).is_none() {
            return Err(Rejection::AmountOverflow);
        }
        let unit_prices = items.iter().map(|item| item.unit_price).collect();
        Ok(HoldPlan { demands, unit_prices })
    }

    /// Whether new holds get prices.
    pub(crate) fn freezes_prices(&self) -> bool {
        self.level.number > 0
    }

    /// The hold, if an order may still consume it or somebody may extend or release it.
    pub(crate) fn usable_hold(&self, id: HoldId) -> Result<&Hold, Rejection> {
        if self.is_foreign_hold(id) {
            return Err(Rejection::HoldNotFound(id));
        }
        let status = match self.holds.resident(id) {
            Some(hold) => hold.status_at(self.clock),
            None => self.holds.status(id).ok_or(Rejection::HoldNotFound(id))?,
        };
        match status {
            Status::Active => Ok(self.holds.resident(id).expect("an active hold is resident")),
            Status::Consumed(order) => Err(Rejection::HoldConsumed { hold: id, order }),
            Status::Expired => Err(Rejection::HoldExpired(id)),
            Status::Released => Err(Rejection::HoldReleased(id)),
        }
    }

    fn check_user(&self, user: Option<UserId>, require: bool) -> Result<(), Rejection> {
        match user {
            _ if !require => Ok(()),
            None => Err(Rejection::UserRequired),
            Some(id) if self.users.get(id).is_none() => Err(Rejection::UserNotFound(id)),
            Some(_) => Ok(()),
        }
    }

    /// The lines with current prices.
    fn price(&self, lines: &[Line]) -> Result<Items, Rejection> {
        let mut items = Items::new();
        for &Line { product, quantity } in lines {
            let found = self.products.active(product).ok_or(Rejection::ProductNotFound(product))?;
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
            let Some(row) = self.products.active(product) else { continue };
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
        let mut rows = hold.lines.iter().filter_map(|line| self.products.active(line.product));
        rows.try_for_each(|row| check_closing(row, self.clock))
    }

    /// Whether each demand is within the bounds of one order.
    fn check_limits(&self, demands: &[Demand]) -> Result<(), Rejection> {
        for &Demand { product, units } in demands {
            let row = self.products.active(product);
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
            let Some(row) = self.products.active(product) else { continue };
            let Some(limit) = row.max_per_user else { continue };
            let user = user.ok_or(Rejection::UserRequired)?;
            if is_counted(hold, row) {
                continue;
            }
            let taken = self.taken.get(product, user) + staged.taken.get(product, user);
            if taken + requested > u64::from(limit) {
                return Err(Rejection::UserLimitExceeded { product, limit, requested, taken });
            }
        }
        Ok(())
    }

    /// Whether the user may have these units in holds too.
    fn check_held_limits(&self, user: Option<UserId>, demands: &[Demand]) -> Result<(), Rejection> {
        for &Demand { product, units: requested } in demands {
            let row = self.products.active(product);
            let Some(limit) = row.and_then(|row| row.sale.max_held_per_user) else { continue };
            let held = self.held.get(product, user.ok_or(Rejection::UserRequired)?);
            if held + requested > u64::from(limit) {
                return Err(Rejection::HeldLimitExceeded { product, limit, requested, held });
            }
        }
        Ok(())
    }

    fn check_stock(&self, demands: &[Demand], staged: &Staged) -> Result<(), Rejection> {
        let mut short = demands.iter().filter_map(|demand| self.shortage(*demand, staged));
        let Some(Shortage { product, requested, available }) = short.next() else { return Ok(()) };
        Err(Rejection::InsufficientStock { product, requested, available, also: short.collect() })
    }

    /// Whether fewer units are available than demanded, after the orders of the batch before.
    fn shortage(&self, demand: Demand, staged: &Staged) -> Option<Shortage> {
        let Demand { product, units: requested } = demand;
        let row = self.products.active(product);
        let ahead = staged.units.get(&product).map_or(0, |units| *units as i64);
        let available = row.map_or(0, |product| product.stock.available()) - ahead;
        let is_enough = i64::try_from(requested).is_ok_and(|units| units <= available);
        (!is_enough).then_some(Shortage { product, requested, available })
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
