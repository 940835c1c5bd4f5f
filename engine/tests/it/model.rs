//! A second, naive opinion on what every command does: plain lists, searched from end to end. It
//! shares no code with the engine beyond the words of the commands and their outcomes.

mod adjustments;
mod holds;
mod webhooks;

use std::collections::{BTreeMap, BTreeSet};

use engine::command::{
    ArchiveProduct, CancelOrder, ClaimPayments, Command, CreateProduct, CreateUser, Envelope,
    PlaceBatch, PlaceOrder, SettlePayments, UpdateProduct, Verdict,
};
use engine::ids::{HoldId, OrderId, Position, ProductId, UserId};
use engine::order::{Line, PaymentMethod, Status};
use engine::outcome::{ClaimedPayment, Outcome, Rejection};
use engine::query::OrderFilter;

pub(crate) use self::adjustments::AdjustmentModel;
pub(crate) use self::holds::HoldModel;
pub(crate) use self::webhooks::WebhookModel;

#[derive(Clone, Debug)]
pub(crate) struct ProductModel {
    pub(crate) price: i64,
    pub(crate) available: i64,
    pub(crate) held: i64,
    pub(crate) reserved: i64,
    pub(crate) sold: i64,
    pub(crate) sku: Option<String>,
    pub(crate) limit: Option<u32>,
    pub(crate) user_limit: Option<u32>,
    /// Where it first got a limit per user.
    pub(crate) counted_since: Option<Position>,
    pub(crate) archived: bool,
    pub(crate) version: Position,
    /// Deltas of on hand, held, reserved and sold, one per ledger row.
    pub(crate) ledger: Vec<[i64; 4]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaskModel {
    pub(crate) attempt: u32,
    pub(crate) unanswered: u32,
    pub(crate) due: u64,
    pub(crate) lease: Option<(u64, u64)>,
}

#[derive(Clone, Debug)]
pub(crate) struct OrderModel {
    pub(crate) request: PlaceOrder,
    pub(crate) user: Option<UserId>,
    pub(crate) lines: Vec<Line>,
    pub(crate) status: Status,
    pub(crate) total: i64,
    pub(crate) path: Vec<Status>,
    pub(crate) reason: Option<String>,
    pub(crate) task: Option<TaskModel>,
    pub(crate) deadline: Option<u64>,
    pub(crate) placed: Position,
    pub(crate) version: Position,
}

/// Everything, in lists; the first has id 1.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) clock: u64,
    pub(crate) products: Vec<ProductModel>,
    pub(crate) orders: Vec<OrderModel>,
    pub(crate) holds: Vec<HoldModel>,
    pub(crate) webhooks: Vec<WebhookModel>,
    pub(crate) adjustments: Vec<AdjustmentModel>,
    pub(crate) emails: Vec<String>,
    pub(crate) fenced: BTreeSet<Box<str>>,
    /// Whether payments wait.
    pub(crate) paused: bool,
    /// Whether reports of payments wait on when their order comes.
    parked_wait: bool,
    boots: BTreeMap<u64, u64>,
    seen: BTreeSet<(u64, u64, u64)>,
}

impl Model {
    pub(crate) fn begin(&mut self, index: u64, clock: u64) {
        self.clock = self.clock.max(clock);
        let at = Position(index << 20);
        let mut by_deadline: Vec<usize> = (0..self.orders.len()).collect();
        by_deadline.sort_by_key(|n| self.orders[*n].deadline);
        for n in by_deadline {
            self.expire(n, at);
        }
        self.expire_holds(at);
        self.forget_webhooks();
    }

    fn expire(&mut self, n: usize, at: Position) -> bool {
        let order = &self.orders[n];
        let due = order.deadline.is_some_and(|deadline| deadline <= self.clock);
        if order.status != Status::Pending || !due {
            return false;
        }
        self.end(n, Status::Cancelled, Some("payment deadline passed".into()), at);
        true
    }

    pub(crate) fn apply(&mut self, at: Position, envelope: &Envelope) -> Outcome {
        let request = envelope.request;
        let newest = self.boots.entry(request.node.0).or_insert(request.boot);
        *newest = request.boot.max(*newest);
        if request.boot < *newest || !self.seen.insert((request.node.0, request.boot, request.seq))
        {
            return Outcome::Ignored;
        }
        let result = match &envelope.command {
            Command::PlaceOrder(command) => self.place(at, command),
            Command::PlaceBatch(command) => self.batch(at, command),
            Command::CancelOrder(command) => self.cancel(at, command),
            Command::ClaimPayments(command) => Ok(self.claim(at, command, envelope)),
            Command::SettlePayments(command) => Ok(self.settle(at, command)),
            Command::FenceKey(command) => Ok(self.fence(&command.key)),
            Command::PaymentWebhook(command) => self.webhook(at, command),
            Command::CreateHold(command) => self.create_hold(at, command),
            Command::ReleaseHold(command) => self.release_hold(at, command),
            Command::ExtendHold(command) => self.extend_hold(at, command),
            Command::CreateProduct(command) => self.create_product(at, command),
            Command::UpdateProduct(command) => self.update_product(at, command),
            Command::AdjustStock(command) => self.adjust(at, command),
            Command::ArchiveProduct(command) => self.archive(at, command),
            Command::CreateUser(command) => self.create_user(command),
            Command::Tick => Ok(Outcome::Ticked),
            Command::SetPayments(command) => {
                self.paused = command.paused;
                Ok(Outcome::PaymentsSet)
            }
            // Not among the random commands: it has tests of its own.
            Command::BeginCluster(_) => unreachable!(),
        };
        result.unwrap_or_else(Outcome::Rejected)
    }

    fn batch(&mut self, at: Position, command: &PlaceBatch) -> Result<Outcome, Rejection> {
        if command.orders.is_empty() || command.orders.len() > 1000 {
            return Err(Rejection::Invalid("orders"));
        }
        if command.atomic {
            let mut trial = Model { parked_wait: true, ..self.clone() };
            let mut refused = Vec::new();
            for (index, order) in command.orders.iter().enumerate() {
                let Err(mut reason) = trial.place(at, order) else { continue };
                // An order that is not there after all is nothing to be named.
                if let Rejection::HoldConsumed { hold, order } = reason
                    && order.0 > self.orders.len() as u64
                {
                    reason = Rejection::HoldNamedTwice(hold);
                }
                refused.push((index, reason));
            }
            if !refused.is_empty() {
                return Err(Rejection::BatchRefused { items: refused.into() });
            }
        }
        let place = |order| self.place(at, order).unwrap_or_else(Outcome::Rejected);
        Ok(Outcome::Batch(command.orders.iter().map(place).collect()))
    }

    fn fence(&mut self, key: &str) -> Outcome {
        match self.orders.iter().position(|order| order.request.key.as_deref() == Some(key)) {
            Some(n) => Outcome::KeyApplied(OrderId(n as u64 + 1)),
            None => Outcome::KeyFenced { already: !self.fenced.insert(key.into()) },
        }
    }

    fn product(&self, id: ProductId) -> Option<&ProductModel> {
        let known = id.0 >= 1 && id.0 <= self.products.len() as u64;
        known.then(|| &self.products[id.0 as usize - 1]).filter(|product| !product.archived)
    }

    fn place(&mut self, at: Position, command: &PlaceOrder) -> Result<Outcome, Rejection> {
        if let Some(key) = &command.key {
            for (n, order) in self.orders.iter().enumerate() {
                let made = &order.request;
                if made.key.as_ref() != Some(key) {
                    continue;
                }
                let meaning = |order: &PlaceOrder| {
                    let (lines, metadata) = (order.lines.clone(), order.metadata.clone());
                    (order.user, order.hold, lines, order.payment_method, metadata)
                };
                return match meaning(made) == meaning(command) {
                    true => Ok(Outcome::Replayed(OrderId(n as u64 + 1))),
                    false => Err(Rejection::KeyReused),
                };
            }
        }
        if command.key.as_ref().is_some_and(|key| self.fenced.contains(key)) {
            return Err(Rejection::KeyFenced);
        }
        if command.hold.is_some() != command.lines.is_empty() {
            return Err(Rejection::Invalid("items"));
        }
        if command.lines.iter().any(|line| line.quantity.0 == 0) {
            return Err(Rejection::Invalid("quantity"));
        }
        if command.payment_attempts_max == 0 {
            return Err(Rejection::Invalid("payment_attempts"));
        }
        let (mut user, mut lines) = (command.user, command.lines.clone());
        if let Some(hold) = command.hold {
            let request = &self.holds[self.usable_hold(hold)?].request;
            lines = request.lines.clone();
            let whose = request.user;
            if whose.is_some() && user.is_some() && whose != user {
                return Err(Rejection::HoldOfAnotherUser(hold));
            }
            user = whose.or(user);
        }
        self.check_user(user, command.require_user)?;
        if self.orders.iter().filter(|order| !order.status.is_final()).count() as u64
            >= command.open_orders_max
        {
            return Err(Rejection::TooManyOpenOrders);
        }
        let mut total = 0;
        for line in &lines {
            let product =
                self.product(line.product).ok_or(Rejection::ProductNotFound(line.product))?;
            total += product.price * i64::from(line.quantity.0);
        }
        let sums = sums(&lines);
        let id = OrderId(self.orders.len() as u64 + 1);
        if command.hold.is_none() {
            self.check_limits(&sums)?;
        }
        self.check_user_limits(user, command.hold, &sums)?;
        match command.hold {
            Some(hold) => self.consume(hold, id, at),
            None => self.check_stock(&sums)?,
        }
        for &(product, units) in &sums {
            let units = units as i64;
            let held = if command.hold.is_some() { -units } else { 0 };
            self.shift(product, at, [0, held, units, 0]);
        }
        let mock = command.payment_method == PaymentMethod::Mock;
        let webhook = command.payment_method == PaymentMethod::Webhook;
        self.orders.push(OrderModel {
            request: command.clone(),
            user,
            lines,
            status: Status::Pending,
            total,
            path: vec![Status::Pending],
            reason: None,
            task: mock.then_some(TaskModel {
                attempt: 1,
                unanswered: 0,
                due: self.clock,
                lease: None,
            }),
            deadline: webhook.then(|| self.clock + command.payment_deadline_ms),
            placed: at,
            version: at,
        });
        if !self.parked_wait {
            self.drain(id, at);
        }
        Ok(Outcome::Placed(id))
    }

    fn check_user(&self, user: Option<UserId>, require: bool) -> Result<(), Rejection> {
        if !require {
            return Ok(());
        }
        let user = user.ok_or(Rejection::UserRequired)?;
        match user.0 < 1 || user.0 > self.emails.len() as u64 {
            true => Err(Rejection::UserNotFound(user)),
            false => Ok(()),
        }
    }

    fn check_limits(&self, sums: &[(ProductId, u64)]) -> Result<(), Rejection> {
        for &(product, requested) in sums {
            let limit = self.product(product).expect("checked").limit;
            if let Some(limit) = limit.filter(|limit| u64::from(*limit) < requested) {
                return Err(Rejection::PurchaseLimitExceeded { product, limit, requested });
            }
        }
        Ok(())
    }

    /// Units that a user has, or had when nothing gave them back.
    fn taken(&self, product: ProductId, user: UserId) -> u64 {
        let Some(since) = self.products[product.0 as usize - 1].counted_since else { return 0 };
        let of = |lines: &[Line]| -> u64 {
            let lines = lines.iter().filter(|line| line.product == product);
            lines.map(|line| u64::from(line.quantity.0)).sum()
        };
        let kept = |order: &&OrderModel| {
            let back = matches!(order.status, Status::Cancelled | Status::Failed);
            order.user == Some(user) && order.placed >= since && !back
        };
        let active = |hold: &&HoldModel| {
            let active = hold.status == engine::hold::Status::Active;
            hold.request.user == Some(user) && hold.made >= since && active
        };
        let ordered: u64 = self.orders.iter().filter(kept).map(|order| of(&order.lines)).sum();
        let held: u64 = self.holds.iter().filter(active).map(|hold| of(&hold.request.lines)).sum();
        ordered + held
    }

    fn check_user_limits(
        &self,
        user: Option<UserId>,
        from: Option<HoldId>,
        sums: &[(ProductId, u64)],
    ) -> Result<(), Rejection> {
        let from = from.map(|hold| &self.holds[hold.0 as usize - 1]);
        for &(product, requested) in sums {
            let row = self.product(product).expect("checked");
            let Some(limit) = row.user_limit else { continue };
            let user = user.ok_or(Rejection::UserRequired)?;
            let since = row.counted_since.expect("a limit counts");
            if from.is_some_and(|hold| hold.request.user.is_some() && hold.made >= since) {
                continue;
            }
            let taken = self.taken(product, user);
            if taken + requested > u64::from(limit) {
                return Err(Rejection::UserLimitExceeded { product, limit, requested, taken });
            }
        }
        Ok(())
    }

    fn check_stock(&self, sums: &[(ProductId, u64)]) -> Result<(), Rejection> {
        for &(product, requested) in sums {
            let available = self.product(product).expect("checked").available;
            if available < requested as i64 {
                return Err(Rejection::InsufficientStock { product, requested, available });
            }
        }
        Ok(())
    }

    /// Moves units: deltas of on hand, held, reserved and sold.
    fn shift(&mut self, id: ProductId, at: Position, delta: [i64; 4]) {
        let product = &mut self.products[id.0 as usize - 1];
        let [on_hand, held, reserved, sold] = delta;
        product.available += on_hand - held - reserved;
        product.held += held;
        product.reserved += reserved;
        product.sold += sold;
        product.version = at;
        product.ledger.push(delta);
    }

    fn end(&mut self, n: usize, status: Status, reason: Option<String>, at: Position) {
        let order = &mut self.orders[n];
        order.status = status;
        order.path.push(status);
        order.reason = reason;
        order.task = None;
        order.version = at;
        for (product, units) in sums(&order.lines.clone()) {
            let units = units as i64;
            match status {
                Status::Paid => self.shift(product, at, [-units, 0, -units, units]),
                _ => self.shift(product, at, [0, 0, -units, 0]),
            }
        }
    }

    fn cancel(&mut self, at: Position, command: &CancelOrder) -> Result<Outcome, Rejection> {
        let order = command.order;
        if order.0 < 1 || order.0 > self.orders.len() as u64 {
            return Err(Rejection::OrderNotFound);
        }
        let n = order.0 as usize - 1;
        match self.orders[n].status {
            Status::Cancelled => Ok(Outcome::Cancelled { order, already: true }),
            Status::Pending => {
                let already = self.expire(n, at);
                if !already {
                    let reason = command.reason.as_deref().map(str::to_owned);
                    self.end(n, Status::Cancelled, reason, at);
                }
                Ok(Outcome::Cancelled { order, already })
            }
            status => Err(Rejection::NotCancellable { order, status }),
        }
    }

    fn claim(&mut self, at: Position, command: &ClaimPayments, envelope: &Envelope) -> Outcome {
        let mut claimed = Vec::new();
        let tasks = if self.paused { &[][..] } else { &command.tasks };
        for &(order, attempt) in tasks {
            let Some(row) = self.orders.get_mut(order.0.wrapping_sub(1) as usize) else { continue };
            let (status, total, clock) = (row.status, row.total, self.clock);
            let Some(task) = row.task.as_mut() else { continue };
            let leased = task.lease.is_some_and(|(_, until)| until > clock);
            if task.attempt != attempt || task.due > clock || leased {
                continue;
            }
            task.lease = Some((command.node.0, clock + command.lease_ms));
            task.due = clock + command.lease_ms;
            let unanswered = task.unanswered;
            row.version = at;
            if status == Status::Pending {
                row.status = Status::Processing;
                row.path.push(Status::Processing);
            }
            claimed.push(ClaimedPayment {
                order,
                attempt,
                epoch: 0,
                unanswered,
                amount: engine::money::Money(total),
                trace: envelope.trace.clone(),
            });
        }
        Outcome::Claimed(claimed)
    }

    fn settle(&mut self, at: Position, command: &SettlePayments) -> Outcome {
        let mut settled = 0;
        for result in &command.results {
            let n = result.order.0.wrapping_sub(1) as usize;
            let clock = self.clock;
            let Some(row) = self.orders.get_mut(n) else { continue };
            let attempts_max = row.request.payment_attempts_max;
            let processing = row.status == Status::Processing;
            let Some(task) = row.task.as_mut().filter(|task| task.attempt == result.attempt) else {
                continue;
            };
            if !processing {
                continue;
            }
            settled += 1;
            row.version = at;
            match &result.verdict {
                Verdict::Succeeded => self.end(n, Status::Paid, None, at),
                Verdict::Declined { retry_in_ms, .. } if task.attempt < attempts_max => {
                    let (attempt, due) = (task.attempt + 1, clock + retry_in_ms);
                    *task = TaskModel { attempt, unanswered: 0, due, lease: None };
                }
                Verdict::Declined { reason, .. } => {
                    self.end(n, Status::Failed, Some(reason.to_string()), at);
                }
                Verdict::NoAnswer { retry_in_ms } => {
                    task.unanswered += 1;
                    task.due = clock + retry_in_ms;
                    task.lease = None;
                }
            }
        }
        Outcome::Settled(settled)
    }

    fn sku_taken(&self, but: Option<ProductId>, sku: &Option<Box<str>>) -> bool {
        (1..).zip(&self.products).any(|(id, product)| {
            Some(ProductId(id)) != but
                && !product.archived
                && sku.is_some()
                && product.sku.as_deref() == sku.as_deref()
        })
    }

    fn create_product(
        &mut self,
        at: Position,
        command: &CreateProduct,
    ) -> Result<Outcome, Rejection> {
        if command.price.0 < 0 {
            return Err(Rejection::Invalid("price"));
        }
        if command.stock < 0 {
            return Err(Rejection::Invalid("stock"));
        }
        if command.max_per_order == Some(0) {
            return Err(Rejection::Invalid("max_per_order"));
        }
        if command.max_per_user == Some(0) {
            return Err(Rejection::Invalid("max_per_user"));
        }
        if self.sku_taken(None, &command.sku) {
            return Err(Rejection::SkuTaken);
        }
        self.products.push(ProductModel {
            price: command.price.0,
            available: command.stock,
            held: 0,
            reserved: 0,
            sold: 0,
            sku: command.sku.as_deref().map(str::to_owned),
            limit: command.max_per_order,
            user_limit: command.max_per_user,
            counted_since: command.max_per_user.map(|_| at),
            archived: false,
            version: at,
            ledger: vec![[command.stock, 0, 0, 0]],
        });
        Ok(Outcome::ProductCreated(ProductId(self.products.len() as u64)))
    }

    fn update_product(
        &mut self,
        at: Position,
        command: &UpdateProduct,
    ) -> Result<Outcome, Rejection> {
        let id = command.product;
        let product = self.product(id).ok_or(Rejection::ProductNotFound(id))?.clone();
        if command.expected_version.is_some_and(|expected| expected != product.version) {
            return Err(Rejection::VersionMismatch { current: product.version });
        }
        if command.price.is_some_and(|price| price.0 < 0) {
            return Err(Rejection::Invalid("price"));
        }
        if command.max_per_order == Some(Some(0)) {
            return Err(Rejection::Invalid("max_per_order"));
        }
        if command.max_per_user == Some(Some(0)) {
            return Err(Rejection::Invalid("max_per_user"));
        }
        if command.sku.as_ref().is_some_and(|sku| self.sku_taken(Some(id), sku)) {
            return Err(Rejection::SkuTaken);
        }
        if command.stock.is_some_and(|stock| stock < 0) {
            return Err(Rejection::Invalid("stock"));
        }
        let row = &mut self.products[id.0 as usize - 1];
        row.version = at;
        row.price = command.price.map_or(row.price, |price| price.0);
        if let Some(sku) = &command.sku {
            row.sku = sku.as_deref().map(str::to_owned);
        }
        if let Some(limit) = command.max_per_order {
            row.limit = limit;
        }
        if let Some(limit) = command.max_per_user {
            row.user_limit = limit;
            row.counted_since = row.counted_since.or(limit.map(|_| at));
        }
        let change = command.stock.unwrap_or(product.available) - product.available;
        if change != 0 {
            self.shift(id, at, [change, 0, 0, 0]);
        }
        Ok(Outcome::ProductUpdated(id))
    }

    fn archive(&mut self, at: Position, command: &ArchiveProduct) -> Result<Outcome, Rejection> {
        let id = command.product;
        if id.0 < 1 || id.0 > self.products.len() as u64 {
            return Err(Rejection::ProductNotFound(id));
        }
        let product = &mut self.products[id.0 as usize - 1];
        if product.archived {
            return Ok(Outcome::ProductArchived(id));
        }
        if command.expected_version.is_some_and(|expected| expected != product.version) {
            return Err(Rejection::VersionMismatch { current: product.version });
        }
        product.archived = true;
        product.version = at;
        Ok(Outcome::ProductArchived(id))
    }

    fn create_user(&mut self, command: &CreateUser) -> Result<Outcome, Rejection> {
        if self.emails.iter().any(|email| **email == *command.email) {
            return Err(Rejection::EmailTaken);
        }
        self.emails.push(command.email.to_string());
        Ok(Outcome::UserCreated(UserId(self.emails.len() as u64)))
    }

    /// The payment tasks that there are, by order.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = (OrderId, &TaskModel)> {
        let orders = (1..).map(OrderId).zip(&self.orders);
        orders.filter_map(|(id, order)| Some((id, order.task.as_ref()?)))
    }

    /// The ids that match, newest first.
    pub(crate) fn list(&self, filter: &OrderFilter) -> Vec<OrderId> {
        let matches = |order: &OrderModel| {
            filter.user.is_none_or(|user| order.user == Some(user))
                && filter.status.is_none_or(|status| order.status == status)
                && filter
                    .product
                    .is_none_or(|product| order.lines.iter().any(|line| line.product == product))
        };
        let all = (1..).zip(&self.orders).filter(|(_, order)| matches(order));
        let mut ids: Vec<_> = all.map(|(id, _)| OrderId(id)).collect();
        ids.reverse();
        ids
    }
}

/// Units per product, by first mention.
fn sums(lines: &[Line]) -> Vec<(ProductId, u64)> {
    let mut sums: Vec<(ProductId, u64)> = Vec::new();
    for line in lines {
        match sums.iter().position(|(product, _)| *product == line.product) {
            Some(at) => sums[at].1 += u64::from(line.quantity.0),
            None => sums.push((line.product, u64::from(line.quantity.0))),
        }
    }
    sums
}
