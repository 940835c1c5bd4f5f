//! The sequential model: what API.md says that commands do, one after the other.
//!
//! It is written apart from the engine and shares only its vocabulary (commands, outcomes, ids):
//! plain lists and maps, no indexes, no checkpoints. It keeps every version of every row, so that
//! what a node showed at any position can be compared. It also keeps the books of API.md section 4
//! by itself.

use std::collections::{BTreeMap, BTreeSet};

use engine::command::{
    CancelOrder, ClaimPayments, Command, CreateProduct, Envelope, PaymentResult, PlaceOrder,
    UpdateProduct, Verdict,
};
use engine::entry::Batch;
use engine::ids::{NodeId, OrderId, Position, ProductId, RequestId, Timestamp, UserId};
use engine::money::Money;
use engine::order::{Line, PaymentMethod, Status};
use engine::outcome::{ClaimedPayment, Outcome, Rejection};
use engine::trace::TraceId;

/// All values that something ever had, with the position at which it got each.
#[derive(Clone, Debug)]
pub(super) struct Versions<T>(Vec<(Position, T)>);

impl<T: Clone> Versions<T> {
    fn new(at: Position, value: T) -> Versions<T> {
        Versions(vec![(at, value)])
    }

    /// The value after the command at `at`, or `None` before it existed.
    pub(super) fn at(&self, at: Position) -> Option<&T> {
        let after = self.0.partition_point(|(position, _)| *position <= at);
        after.checked_sub(1).map(|before| &self.0[before].1)
    }

    /// The newest value.
    pub(super) fn now(&self) -> &T {
        &self.0.last().expect("there is always a first version").1
    }

    /// Changes the newest value at a position.
    fn change(&mut self, at: Position, change: impl FnOnce(&mut T)) {
        let (last, value) = self.0.last_mut().expect("there is always a first version");
        if *last == at {
            return change(value);
        }
        let mut next = value.clone();
        change(&mut next);
        self.0.push((at, next));
    }
}

#[derive(Clone, Debug)]
pub(super) struct Product {
    pub(super) sku: Option<Box<str>>,
    pub(super) price: Money,
    pub(super) max_per_order: Option<u32>,
    /// What can be sold, what open orders hold back, what was sold.
    pub(super) available: i64,
    pub(super) reserved: i64,
    pub(super) sold: i64,
    /// Units that its creation and adjustments brought in.
    pub(super) brought_in: i64,
    pub(super) archived: bool,
    pub(super) version: Position,
}

#[derive(Clone, Debug)]
pub(super) struct Progress {
    pub(super) status: Status,
    /// The payment attempt, tries of it without an answer, when it is due, and whose it is till
    /// then.
    pub(super) attempt: u32,
    pub(super) unanswered: u32,
    pub(super) due: Timestamp,
    pub(super) claimed_by: Option<NodeId>,
}

#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) request: Request,
    pub(super) total: Money,
    pub(super) prices: Vec<Money>,
    pub(super) key: Option<Box<str>>,
    pub(super) attempts_max: u32,
    pub(super) deadline: Option<Timestamp>,
    pub(super) trace: TraceId,
    pub(super) progress: Versions<Progress>,
}

/// What makes two requests the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) user: Option<UserId>,
    pub(super) lines: Vec<Line>,
    pub(super) method: PaymentMethod,
    pub(super) metadata: Option<Box<str>>,
}

/// What an entry does by the model.
#[derive(Clone, Debug, Default)]
pub(super) struct Predicted {
    pub(super) outcomes: Vec<(RequestId, Outcome)>,
    /// Orders with the status that each got, in order.
    pub(super) moves: Vec<(OrderId, Status)>,
    /// Claims of a task that another node had claimed before.
    pub(super) takeovers: u64,
    /// Results for attempts that were over.
    pub(super) stale_results: u64,
    pub(super) timed_out: u64,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) clock: Timestamp,
    pub(super) products: Vec<Versions<Product>>,
    pub(super) orders: Vec<Order>,
    pub(super) keys: BTreeMap<Box<str>, (Position, OrderId)>,
    emails: BTreeSet<Box<str>>,
    /// Per node its newest boot and the numbers of it that were applied.
    sessions: BTreeMap<NodeId, (u64, BTreeSet<u64>)>,
    /// Rows that the last command touched, for the books.
    touched: Vec<ProductId>,
}

/// A command on its way through the model.
struct At<'a> {
    position: Position,
    trace: &'a TraceId,
    predicted: &'a mut Predicted,
}

impl Model {
    /// Carries out an entry.
    ///
    /// # Errors
    /// When its bytes make no sense, or the books do not balance after it.
    pub(super) fn apply(&mut self, index: u64, payload: &[u8]) -> Result<Predicted, String> {
        let mut predicted = Predicted::default();
        if payload.is_empty() {
            return Ok(predicted);
        }
        let batch = Batch::parse(payload).map_err(|error| format!("entry {index}: {error}"))?;
        self.clock = self.clock.max(batch.clock);
        let none = TraceId::NONE;
        let start = Position::new(index, 0);
        self.expire(&mut At { position: start, trace: &none, predicted: &mut predicted });
        for (n, bytes) in (0..).zip(batch.commands) {
            let position = Position::new(index, n);
            let envelope = Envelope::decode(bytes).map_err(|e| format!("{position}: {e}"))?;
            let mut at = At { position, trace: &envelope.trace, predicted: &mut predicted };
            let outcome = match self.admit(envelope.request) {
                true => self.carry_out(&mut at, envelope.command),
                false => Outcome::Ignored,
            };
            predicted.outcomes.push((envelope.request, outcome));
        }
        self.balance()?;
        Ok(predicted)
    }

    fn admit(&mut self, request: RequestId) -> bool {
        let (boot, seen) = self.sessions.entry(request.node).or_default();
        if request.boot > *boot {
            (*boot, *seen) = (request.boot, BTreeSet::new());
        }
        request.boot == *boot && seen.insert(request.seq)
    }

    fn carry_out(&mut self, at: &mut At<'_>, command: Command) -> Outcome {
        let result = match command {
            Command::PlaceOrder(command) => self.place(at, command),
            Command::CancelOrder(command) => self.cancel(at, &command),
            Command::ClaimPayments(command) => Ok(self.claim(at, &command)),
            Command::SettlePayments(command) => Ok(self.settle(at, command.results)),
            Command::CreateProduct(command) => self.create_product(at, command),
            Command::UpdateProduct(command) => self.update_product(at, &command),
            Command::ArchiveProduct(command) => {
                self.archive(at, command.product, command.expected_version)
            }
            Command::CreateUser(command) => match self.emails.insert(command.email) {
                true => Ok(Outcome::UserCreated(UserId(self.emails.len() as u64))),
                false => Err(Rejection::EmailTaken),
            },
            Command::Tick => Ok(Outcome::Ticked),
            other => unreachable!("the clients of the simulation do not send {other:?}"),
        };
        result.unwrap_or_else(Outcome::Rejected)
    }

    fn place(&mut self, at: &mut At<'_>, command: PlaceOrder) -> Result<Outcome, Rejection> {
        let request = Request {
            user: command.user,
            lines: command.lines,
            method: command.payment_method,
            metadata: command.metadata,
        };
        if let Some((_, id)) = command.key.as_ref().and_then(|key| self.keys.get(key)) {
            return match self.orders[id.0 as usize - 1].request == request {
                true => Ok(Outcome::Replayed(*id)),
                false => Err(Rejection::KeyReused),
            };
        }
        let open = |order: &&Order| !order.progress.now().status.is_final();
        if self.orders.iter().filter(open).count() as u64 >= command.open_orders_max {
            return Err(Rejection::TooManyOpenOrders);
        }
        let mut wanted: Vec<(ProductId, u64)> = Vec::new();
        let mut total = Money(0);
        let mut prices = Vec::new();
        for line in &request.lines {
            let product =
                self.active(line.product).ok_or(Rejection::ProductNotFound(line.product))?;
            let price = product.price;
            let units = u64::from(line.quantity.0);
            total = Money(total.0 + price.0 * units as i64);
            prices.push(price);
            match wanted.iter_mut().find(|(id, _)| *id == line.product) {
                Some((_, sum)) => *sum += units,
                None => wanted.push((line.product, units)),
            }
        }
        for (product, requested) in wanted.iter().copied() {
            let limit = self.active(product).and_then(|found| found.max_per_order);
            if let Some(limit) = limit.filter(|limit| requested > u64::from(*limit)) {
                return Err(Rejection::PurchaseLimitExceeded { product, limit, requested });
            }
        }
        for (product, requested) in wanted.iter().copied() {
            let available = self.active(product).map_or(0, |found| found.available);
            if available < requested as i64 {
                return Err(Rejection::InsufficientStock { product, requested, available });
            }
        }
        let id = OrderId(self.orders.len() as u64 + 1);
        for (product, units) in wanted {
            self.shift(at, product, |product| {
                product.available -= units as i64;
                product.reserved += units as i64;
            });
        }
        if let Some(key) = &command.key {
            self.keys.insert(key.clone(), (at.position, id));
        }
        let progress = Progress {
            status: Status::Pending,
            attempt: 1,
            unanswered: 0,
            due: self.clock,
            claimed_by: None,
        };
        let waits = request.method == PaymentMethod::Webhook;
        self.orders.push(Order {
            request,
            total,
            prices,
            key: command.key,
            attempts_max: command.payment_attempts_max,
            deadline: waits.then(|| self.clock.plus_ms(command.payment_deadline_ms)),
            trace: at.trace.clone(),
            progress: Versions::new(at.position, progress),
        });
        at.predicted.moves.push((id, Status::Pending));
        Ok(Outcome::Placed(id))
    }

    fn cancel(&mut self, at: &mut At<'_>, command: &CancelOrder) -> Result<Outcome, Rejection> {
        let order = command.order;
        let found = self.order(order).ok_or(Rejection::OrderNotFound)?;
        match found.progress.now().status {
            Status::Pending => {
                self.advance(at, order, Status::Cancelled);
                Ok(Outcome::Cancelled { order, already: false })
            }
            Status::Cancelled => Ok(Outcome::Cancelled { order, already: true }),
            status => Err(Rejection::NotCancellable { order, status }),
        }
    }

    fn expire(&mut self, at: &mut At<'_>) {
        let due = |order: &Order| {
            order.progress.now().status == Status::Pending
                && order.deadline.is_some_and(|deadline| deadline <= self.clock)
        };
        let mut late: Vec<_> = (1..)
            .map(OrderId)
            .zip(&self.orders)
            .filter(|(_, order)| due(order))
            .map(|(id, order)| (order.deadline, id))
            .collect();
        late.sort_unstable();
        for (_, id) in late {
            at.predicted.timed_out += 1;
            self.advance(at, id, Status::Cancelled);
        }
    }

    fn claim(&mut self, at: &mut At<'_>, command: &ClaimPayments) -> Outcome {
        let mut claimed = Vec::new();
        for &(id, attempt) in &command.tasks {
            let now = self.clock;
            let Some(order) = self.order(id) else { continue };
            let before = order.progress.now().clone();
            let waits = order.request.method == PaymentMethod::Mock && !before.status.is_final();
            if !waits || before.attempt != attempt || before.due > now {
                continue;
            }
            at.predicted.takeovers +=
                u64::from(before.claimed_by.is_some_and(|node| node != command.node));
            if before.status == Status::Pending {
                self.advance(at, id, Status::Processing);
            }
            let order = &mut self.orders[id.0 as usize - 1];
            order.progress.change(at.position, |progress| {
                progress.due = now.plus_ms(command.lease_ms);
                progress.claimed_by = Some(command.node);
            });
            claimed.push(ClaimedPayment {
                order: id,
                attempt,
                unanswered: before.unanswered,
                amount: order.total,
                trace: order.trace.clone(),
            });
        }
        Outcome::Claimed(claimed)
    }

    fn settle(&mut self, at: &mut At<'_>, results: Vec<PaymentResult>) -> Outcome {
        let mut settled = 0;
        for PaymentResult { order: id, attempt, verdict } in results {
            let now = self.clock;
            let current = self.order(id).filter(|order| {
                let progress = order.progress.now();
                progress.status == Status::Processing && progress.attempt == attempt
            });
            let Some(order) = current else {
                at.predicted.stale_results += 1;
                continue;
            };
            settled += 1;
            let last = attempt >= order.attempts_max;
            match verdict {
                Verdict::Succeeded => self.advance(at, id, Status::Paid),
                Verdict::Declined { .. } if last => self.advance(at, id, Status::Failed),
                Verdict::Declined { retry_in_ms, .. } => self.retry(at, id, |progress| {
                    progress.attempt += 1;
                    progress.unanswered = 0;
                    progress.due = now.plus_ms(retry_in_ms);
                }),
                Verdict::NoAnswer { retry_in_ms } => self.retry(at, id, |progress| {
                    progress.unanswered += 1;
                    progress.due = now.plus_ms(retry_in_ms);
                }),
            }
        }
        Outcome::Settled(settled)
    }

    fn retry(&mut self, at: &At<'_>, id: OrderId, change: impl FnOnce(&mut Progress)) {
        self.orders[id.0 as usize - 1].progress.change(at.position, |progress| {
            progress.claimed_by = None;
            change(progress);
        });
    }

    /// Moves an order along one of the four legal ways and its units with it.
    fn advance(&mut self, at: &mut At<'_>, id: OrderId, to: Status) {
        let order = &mut self.orders[id.0 as usize - 1];
        let from = order.progress.now().status;
        let legal = match from {
            Status::Pending => matches!(to, Status::Processing | Status::Cancelled),
            Status::Processing => matches!(to, Status::Paid | Status::Failed),
            Status::Paid | Status::Failed | Status::Cancelled => false,
        };
        assert!(legal, "the model moved order {id} from {from} to {to}");
        order.progress.change(at.position, |progress| progress.status = to);
        at.predicted.moves.push((id, to));
        let lines = order.request.lines.clone();
        for Line { product, quantity } in lines {
            let units = i64::from(quantity.0);
            match to {
                Status::Paid => self.shift(at, product, |product| {
                    product.reserved -= units;
                    product.sold += units;
                }),
                Status::Failed | Status::Cancelled => self.shift(at, product, |product| {
                    product.reserved -= units;
                    product.available += units;
                }),
                Status::Pending | Status::Processing => {}
            }
        }
    }

    fn shift(&mut self, at: &At<'_>, id: ProductId, change: impl FnOnce(&mut Product)) {
        self.touched.push(id);
        self.products[id.0 as usize - 1].change(at.position, |product| {
            change(product);
            product.version = at.position;
        });
    }

    /// The books of API.md section 4 for all that was touched.
    fn balance(&mut self) -> Result<(), String> {
        self.touched.sort_unstable();
        self.touched.dedup();
        for id in std::mem::take(&mut self.touched) {
            let product = self.products[id.0 as usize - 1].now();
            let reserved: i64 = self
                .orders
                .iter()
                .filter(|order| !order.progress.now().status.is_final())
                .flat_map(|order| &order.request.lines)
                .filter(|line| line.product == id)
                .map(|line| i64::from(line.quantity.0))
                .sum();
            let counted = product.available + product.reserved + product.sold;
            if product.available < 0
                || product.reserved != reserved
                || counted != product.brought_in
            {
                return Err(format!(
                    "product {id} does not balance: {product:?}, open orders hold {reserved}"
                ));
            }
        }
        Ok(())
    }

    pub(super) fn order(&self, id: OrderId) -> Option<&Order> {
        self.orders.get(usize::try_from(id.0.checked_sub(1)?).ok()?)
    }

    pub(super) fn product(&self, id: ProductId) -> Option<&Versions<Product>> {
        self.products.get(usize::try_from(id.0.checked_sub(1)?).ok()?)
    }

    fn active(&self, id: ProductId) -> Option<&Product> {
        self.product(id).map(Versions::now).filter(|product| !product.archived)
    }

    fn sku_is_free(&self, sku: &Option<Box<str>>, own: Option<ProductId>) -> bool {
        sku.is_none()
            || (1..).map(ProductId).zip(&self.products).all(|(id, product)| {
                let product = product.now();
                Some(id) == own || product.archived || product.sku != *sku
            })
    }

    fn create_product(
        &mut self,
        at: &At<'_>,
        command: CreateProduct,
    ) -> Result<Outcome, Rejection> {
        if !self.sku_is_free(&command.sku, None) {
            return Err(Rejection::SkuTaken);
        }
        let product = Product {
            sku: command.sku,
            price: command.price,
            max_per_order: command.max_per_order,
            available: command.stock,
            reserved: 0,
            sold: 0,
            brought_in: command.stock,
            archived: false,
            version: at.position,
        };
        self.products.push(Versions::new(at.position, product));
        Ok(Outcome::ProductCreated(ProductId(self.products.len() as u64)))
    }

    fn update_product(
        &mut self,
        at: &At<'_>,
        command: &UpdateProduct,
    ) -> Result<Outcome, Rejection> {
        let id = command.product;
        let product = self.active(id).ok_or(Rejection::ProductNotFound(id))?;
        let current = product.version;
        if command.expected_version.is_some_and(|version| version != current) {
            return Err(Rejection::VersionMismatch { current });
        }
        if command.sku.as_ref().is_some_and(|sku| !self.sku_is_free(sku, Some(id))) {
            return Err(Rejection::SkuTaken);
        }
        self.shift(at, id, |product| {
            product.price = command.price.unwrap_or(product.price);
            product.max_per_order = command.max_per_order.unwrap_or(product.max_per_order);
            if let Some(sku) = &command.sku {
                product.sku = sku.clone();
            }
            if let Some(stock) = command.stock {
                product.brought_in += stock - product.available;
                product.available = stock;
            }
        });
        Ok(Outcome::ProductUpdated(id))
    }

    fn archive(
        &mut self,
        at: &At<'_>,
        id: ProductId,
        expected: Option<Position>,
    ) -> Result<Outcome, Rejection> {
        let product = self.product(id).ok_or(Rejection::ProductNotFound(id))?.now();
        if product.archived {
            return Ok(Outcome::ProductArchived(id));
        }
        let current = product.version;
        if expected.is_some_and(|version| version != current) {
            return Err(Rejection::VersionMismatch { current });
        }
        self.shift(at, id, |product| product.archived = true);
        Ok(Outcome::ProductArchived(id))
    }
}
