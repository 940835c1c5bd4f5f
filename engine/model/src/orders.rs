//! Orders and their payments in the model.

use engine::command::{CancelOrder, PlaceOrder};
use engine::event::{Kind, OrderChange};
use engine::hold;
use engine::ids::{OrderId, Position, ProductId, Timestamp, UserId};
use engine::ledger::Cause;
use engine::money::Money;
use engine::order::{Item, Line, PaymentMethod, Status};
use engine::outcome::{Outcome, Rejection, Shortage};

use crate::model::{At, Model};
use crate::rows::{Hold, Key, Order, Progress, Request, Versions};

/// Units of each product that lines ask for, by first mention.
pub(crate) fn wanted(lines: &[Line]) -> Vec<(ProductId, u64)> {
    let mut wanted: Vec<(ProductId, u64)> = Vec::new();
    for line in lines {
        let units = u64::from(line.quantity.0);
        match wanted.iter_mut().find(|(id, _)| *id == line.product) {
            Some((_, sum)) => *sum += units,
            None => wanted.push((line.product, units)),
        }
    }
    wanted
}

impl Model {
    /// Places an order, and applies payment reports that waited for it.
    pub(crate) fn place(
        &mut self,
        at: &mut At<'_>,
        command: PlaceOrder,
    ) -> Result<Outcome, Rejection> {
        match self.put(at, command.clone()) {
            Ok(Outcome::Placed(id)) => {
                self.drain_parked(at, id);
                Ok(Outcome::Placed(id))
            }
            Err(rejection) => {
                self.tell_refused(at, &command, &rejection);
                Err(rejection)
            }
            other => other,
        }
    }

    /// Emits an event about a lack of stock.
    pub(crate) fn tell_refused(&self, at: &mut At<'_>, order: &PlaceOrder, why: &Rejection) {
        if let Rejection::InsufficientStock { product, .. } = *why {
            self.tell(at, None, Kind::OrderRejected { product, user: order.user });
        }
    }

    /// Places an order, without the reports that wait for it.
    pub(crate) fn put(
        &mut self,
        at: &mut At<'_>,
        command: PlaceOrder,
    ) -> Result<Outcome, Rejection> {
        let request = Request {
            user: command.user,
            hold: command.hold,
            lines: command.lines,
            method: command.payment_method,
            metadata: command.metadata,
            reference: command.terms.reference.clone(),
        };
        match command.key.as_ref().and_then(|key| self.keys.get(key)) {
            None => {}
            Some((_, Key::Fenced)) => return Err(Rejection::KeyFenced),
            Some((_, Key::Made(id))) if self.orders[id.0 as usize - 1].request == request => {
                return Ok(Outcome::Replayed(*id));
            }
            Some((_, Key::Made(_))) => return Err(Rejection::KeyReused),
        }
        if request.hold.is_some() != request.lines.is_empty() {
            return Err(Rejection::Invalid("items"));
        }
        if request.lines.iter().any(|line| line.quantity.0 == 0) {
            return Err(Rejection::Invalid("quantity"));
        }
        if request.reference.as_ref().is_some_and(|text| {
            text.is_empty() || text.len() > 64 || !text.chars().all(|c| (' '..='~').contains(&c))
        }) {
            return Err(Rejection::Invalid("client_reference"));
        }
        if command.payment_attempts_max == 0 {
            return Err(Rejection::Invalid("payment_attempts"));
        }
        if self.is_foreign(request.user) {
            return Err(Rejection::OtherUser);
        }
        let hold = command.hold.map(|id| self.usable_hold(id).cloned()).transpose()?;
        let user = match hold.as_ref().and_then(|hold| hold.user) {
            None => request.user,
            Some(user) if request.user.is_none_or(|named| named == user) => Some(user),
            Some(_) => return Err(Rejection::HoldOfAnotherUser(request.hold.expect("a hold"))),
        };
        self.check_user(user, command.require_user)?;
        let waits = |method| method != PaymentMethod::None;
        let open = |order: &&Order| {
            let counts = self.level == 0 || waits(order.request.method) == waits(request.method);
            counts && !order.progress.now().status.is_final()
        };
        if self.orders.iter().filter(open).count() as u64 >= command.open_orders_max {
            return Err(Rejection::TooManyOpenOrders);
        }
        let lines = hold.as_ref().map_or(&request.lines, |hold| &hold.lines).clone();
        let mut total = Money(0);
        let mut prices = Vec::new();
        let mut items = Vec::new();
        for (n, &Line { product, quantity }) in lines.iter().enumerate() {
            let price = match hold.as_ref().and_then(|hold| hold.prices.as_ref()) {
                Some(promised) => promised[n],
                None => self.active(product).ok_or(Rejection::ProductNotFound(product))?.price,
            };
            total = Money(total.0 + price.0 * i64::from(quantity.0));
            prices.push(price);
            items.push(Item { product, quantity, unit_price: price });
        }
        let now = |item: &Item| self.product(item.product).map(|row| row.now().price);
        let at_frozen_prices = items.iter().any(|item| now(item) != Some(item.unit_price));
        let wanted = wanted(&lines);
        if hold.is_none() {
            self.check_windows(&wanted)?;
            self.check_per_order(&wanted)?;
        }
        self.check_per_user(user, hold.as_ref(), &wanted)?;
        self.check_per_window(user, hold.as_ref(), &wanted)?;
        if let Some(taken) = self.with_reference(request.reference.as_deref()) {
            let owner = self.order(taken).expect("it has the reference").user;
            let order = Some(taken).filter(|_| !self.is_foreign(owner));
            return Err(Rejection::ReferenceTaken { order });
        }
        if hold.is_none() {
            self.check_stock(&wanted)?;
        }
        if let Some(expected) = command.terms.expected_total.filter(|expected| *expected != total) {
            let items = items.into();
            return Err(Rejection::TotalMismatch { expected, actual: total, items });
        }
        at.predicted.at_frozen_prices += u64::from(at_frozen_prices);
        let id = OrderId(self.orders.len() as u64 + 1);
        if let Some(hold) = command.hold {
            self.end_hold(at, hold, hold::Status::Consumed(id));
        }
        if let Some(key) = &command.key {
            self.keys.insert(key.clone(), (at.position, Key::Made(id)));
        }
        let progress = Progress {
            status: Status::Pending,
            attempt: 1,
            unanswered: 0,
            due: self.clock,
            claimed_by: None,
            first_claimed_at: None,
            failure_reason: None,
            updated_at: self.clock,
        };
        let waits = request.method == PaymentMethod::Webhook;
        self.orders.push(Order {
            request,
            user,
            lines,
            total,
            prices,
            key: command.key,
            attempts_max: command.payment_attempts_max,
            placed: at.position,
            created_at: self.clock,
            settled_by_operator: false,
            reported: false,
            deadline: waits.then(|| self.clock.plus_ms(command.payment_deadline_ms)),
            trace: at.trace.clone(),
            path: vec![Status::Pending],
            progress: Versions::new(at.position, progress),
        });
        self.tell_order(at, id, OrderChange::Placed);
        let cause = match hold {
            Some(_) => Cause::HoldConsume(id),
            None => Cause::Order(id),
        };
        for (product, units) in wanted {
            self.shift(at, product, cause, |product| {
                match hold {
                    Some(_) => product.held -= units as i64,
                    None => product.available -= units as i64,
                }
                product.reserved += units as i64;
            });
        }
        Ok(Outcome::Placed(id))
    }

    /// The order with a reference.
    pub fn with_reference(&self, reference: Option<&str>) -> Option<OrderId> {
        let reference = reference?;
        let has = |order: &Order| order.request.reference.as_deref() == Some(reference);
        let at = self.orders.iter().position(has)?;
        Some(OrderId(at as u64 + 1))
    }

    pub(crate) fn cancel(
        &mut self,
        at: &mut At<'_>,
        command: &CancelOrder,
    ) -> Result<Outcome, Rejection> {
        let order = command.order;
        let found = self.order(order).ok_or(Rejection::OrderNotFound)?;
        if self.is_foreign(found.user) {
            return Err(Rejection::OrderNotFound);
        }
        match found.progress.now().status {
            Status::Pending => {
                let already = self.expire_if_due(at, order);
                if !already {
                    let reason = command.reason.clone();
                    self.advance(at, order, OrderChange::Cancelled { reason });
                }
                Ok(Outcome::Cancelled { order, already })
            }
            Status::Cancelled => Ok(Outcome::Cancelled { order, already: true }),
            status => Err(Rejection::NotCancellable { order, status }),
        }
    }

    /// Fences a key that has made nothing.
    pub(crate) fn fence(&mut self, at: &At<'_>, key: Box<str>) -> Outcome {
        match self.keys.get(&key) {
            Some((_, Key::Made(order))) => Outcome::KeyApplied(*order),
            Some((_, Key::Fenced)) => Outcome::KeyFenced { already: true },
            None => {
                self.keys.insert(key, (at.position, Key::Fenced));
                Outcome::KeyFenced { already: false }
            }
        }
    }

    /// Refuses a user without a row, if users are required.
    pub(crate) fn check_user(&self, user: Option<UserId>, require: bool) -> Result<(), Rejection> {
        if !require {
            return Ok(());
        }
        let user = user.ok_or(Rejection::UserRequired)?;
        match (1..=self.users.len() as u64).contains(&user.0) {
            true => Ok(()),
            false => Err(Rejection::UserNotFound(user)),
        }
    }

    /// Checks that the sale of every product is open.
    pub(crate) fn check_windows(&self, wanted: &[(ProductId, u64)]) -> Result<(), Rejection> {
        let clock = self.clock;
        for &(product, _) in wanted {
            let sale = self.active(product).expect("it was found").sale;
            match (sale.opens_at, sale.closes_at) {
                (Some(opens_at), _) if opens_at > clock => {
                    return Err(Rejection::SaleNotOpen { product, opens_at, clock });
                }
                (_, Some(closes_at)) if clock >= closes_at => {
                    return Err(Rejection::SaleClosed { product, closes_at });
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(crate) fn check_per_order(&self, wanted: &[(ProductId, u64)]) -> Result<(), Rejection> {
        for &(product, requested) in wanted {
            let minimum = self.active(product).and_then(|found| found.sale.min_per_order);
            if let Some(minimum) = minimum.filter(|minimum| requested < u64::from(*minimum)) {
                return Err(Rejection::MinimumNotMet { product, minimum, requested });
            }
            let limit = self.active(product).and_then(|found| found.max_per_order);
            if let Some(limit) = limit.filter(|limit| requested > u64::from(*limit)) {
                return Err(Rejection::PurchaseLimitExceeded { product, limit, requested });
            }
        }
        Ok(())
    }

    /// Checks limits per user, over holds, open orders and paid ones since the limit first existed.
    pub(crate) fn check_per_user(
        &self,
        user: Option<UserId>,
        hold: Option<&Hold>,
        wanted: &[(ProductId, u64)],
    ) -> Result<(), Rejection> {
        for &(product, requested) in wanted {
            let Some(row) = self.active(product) else { continue };
            let Some(limit) = row.max_per_user else { continue };
            let user = user.ok_or(Rejection::UserRequired)?;
            let since = row.counted_since.expect("a limit is counted from when it was set");
            if hold.is_some_and(|hold| hold.user.is_some() && since <= hold.created) {
                continue;
            }
            let taken = self.taken(product, user, since);
            if taken + requested > u64::from(limit) {
                return Err(Rejection::UserLimitExceeded { product, limit, requested, taken });
            }
        }
        Ok(())
    }

    /// Checks limits per user and window, over holds, open orders and paid ones.
    pub(crate) fn check_per_window(
        &self,
        user: Option<UserId>,
        hold: Option<&Hold>,
        wanted: &[(ProductId, u64)],
    ) -> Result<(), Rejection> {
        for &(product, requested) in wanted {
            let Some(row) = self.active(product) else { continue };
            let Some(limit) = row.sale.per_window else { continue };
            let user = user.ok_or(Rejection::UserRequired)?;
            let (since, from) = row.window.expect("a limit counts from when it was set");
            let counts = |position: Position, at: Timestamp| {
                position >= since && at >= from && at.0 + limit.ms > self.clock.0
            };
            if hold.is_some_and(|it| it.user.is_some() && counts(it.created, it.created_at)) {
                continue;
            }
            let mut takes = self.takes(product, user);
            takes.retain(|(at, position, _)| counts(*position, *at));
            takes.sort_unstable();
            let taken: u64 = takes.iter().map(|(.., units)| units).sum();
            let mut over = (taken + requested).saturating_sub(u64::from(limit.units));
            if over == 0 {
                continue;
            }
            let mut allowed_at = None;
            for (at, _, units) in takes {
                if over > 0 {
                    over = over.saturating_sub(units);
                    allowed_at = (over == 0).then_some(Timestamp(at.0 + limit.ms));
                }
            }
            let allowed_at = allowed_at.filter(|_| requested <= u64::from(limit.units));
            return Err(Rejection::WindowLimitExceeded {
                product,
                limit,
                requested,
                taken,
                allowed_at,
            });
        }
        Ok(())
    }

    /// When, where and how many units of a product a user took that did not come back.
    fn takes(&self, product: ProductId, user: UserId) -> Vec<(Timestamp, Position, u64)> {
        let units = |lines: &[Line]| -> u64 {
            let lines = lines.iter().filter(|line| line.product == product);
            lines.map(|line| u64::from(line.quantity.0)).sum()
        };
        let orders = (1..).map(OrderId).zip(&self.orders).filter(|(_, order)| {
            let status = order.progress.now().status;
            order.user == Some(user) && !matches!(status, Status::Failed | Status::Cancelled)
        });
        let orders = orders.map(|(id, order)| {
            let left = units(&order.lines) - self.returned(id, product);
            (order.created_at, order.placed, left)
        });
        let holds = self.holds.iter().filter(|hold| {
            hold.user == Some(user) && hold.term.now().status == hold::Status::Active
        });
        let holds = holds.map(|hold| (hold.created_at, hold.created, units(&hold.lines)));
        orders.chain(holds).filter(|(.., units)| *units > 0).collect()
    }

    fn taken(&self, product: ProductId, user: UserId, since: Position) -> u64 {
        let units = |lines: &[Line]| -> u64 {
            let lines = lines.iter().filter(|line| line.product == product);
            lines.map(|line| u64::from(line.quantity.0)).sum()
        };
        let orders = self.orders.iter().filter(|order| {
            let status = order.progress.now().status;
            order.user == Some(user)
                && since <= order.placed
                && !matches!(status, Status::Failed | Status::Cancelled)
        });
        let holds = self.holds.iter().filter(|hold| {
            hold.user == Some(user)
                && since <= hold.created
                && hold.term.now().status == hold::Status::Active
        });
        let in_orders: u64 = orders.map(|order| units(&order.lines)).sum();
        // Units that came back do not count.
        let back = (1..)
            .map(OrderId)
            .zip(&self.orders)
            .filter(|(_, order)| order.user == Some(user) && since <= order.placed);
        let back: u64 = back.map(|(id, _)| self.returned(id, product)).sum();
        let in_orders = in_orders - back;
        in_orders + holds.map(|hold| units(&hold.lines)).sum::<u64>()
    }

    pub(crate) fn check_stock(&self, wanted: &[(ProductId, u64)]) -> Result<(), Rejection> {
        let mut short = Vec::new();
        for &(product, requested) in wanted {
            let available = self.active(product).map_or(0, |found| found.available);
            if available < requested as i64 {
                short.push(Shortage { product, requested, available });
            }
        }
        if short.is_empty() {
            return Ok(());
        }
        let Shortage { product, requested, available } = short.remove(0);
        Err(Rejection::InsufficientStock { product, requested, available, also: short.into() })
    }

    /// Moves an order along one of the four legal transitions, and its units with it.
    pub(crate) fn advance(&mut self, at: &mut At<'_>, id: OrderId, change: OrderChange) {
        let (now, order) = (self.clock, &mut self.orders[id.0 as usize - 1]);
        let from = order.progress.now().status;
        let (to, reason) = match &change {
            OrderChange::Placed => unreachable!("an order is placed once"),
            OrderChange::Processing => (Status::Processing, None),
            OrderChange::Paid => (Status::Paid, None),
            OrderChange::Failed { reason } => (Status::Failed, Some(reason.clone())),
            OrderChange::Cancelled { reason } => (Status::Cancelled, reason.clone()),
        };
        let legal = match from {
            Status::Pending => matches!(to, Status::Processing | Status::Cancelled),
            Status::Processing => matches!(to, Status::Paid | Status::Failed),
            Status::Paid | Status::Failed | Status::Cancelled => false,
        };
        assert!(legal, "the model moved order {id} from {from} to {to}");
        order.path.push(to);
        order.progress.change(at.position, |progress| {
            (progress.status, progress.updated_at) = (to, now);
            progress.failure_reason = reason;
        });
        for (product, units) in wanted(&order.lines.clone()) {
            let units = units as i64;
            let cause = match to {
                Status::Paid => Cause::Sale(id),
                Status::Failed => Cause::Release(id),
                Status::Cancelled => Cause::Cancel(id),
                Status::Pending | Status::Processing => break,
            };
            self.shift(at, product, cause, |product| {
                product.reserved -= units;
                match to {
                    Status::Paid => product.sold += units,
                    _ => product.available += units,
                }
            });
        }
        self.tell_order(at, id, change);
    }
}
