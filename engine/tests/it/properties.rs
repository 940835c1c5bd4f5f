//! Random histories against the naive model, and random bytes against the decoders.

use engine::adjustment::Change;
use engine::checkpoint::CheckpointStore;
use engine::command::{
    AdjustStock, ArchiveProduct, CancelOrder, ClaimPayments, Command, CreateHold, CreateProduct,
    CreateUser, Envelope, ExtendHold, FenceKey, PaymentResult, PaymentWebhook, PlaceBatch,
    PlaceOrder, ReleaseHold, SettlePayments, UpdateProduct, Verdict,
};
use engine::entry::Batch;
use engine::event::{Event, EventId};
use engine::fence::KeyState;
use engine::hold;
use engine::ids::{
    AdjustmentId, HoldId, NodeId, OrderId, Position, ProductId, Quantity, RequestId, Timestamp,
    UserId, WebhookId,
};
use engine::money::Money;
use engine::order::{Line, PaymentMethod, Status};
use engine::state::{Lookup, OrderFilter, OrderLookup, Page, State, Unobserved};
use engine::store::memory::MemoryStore;
use engine::trace::TraceId;
use engine::webhook::{Fate, Report};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use crate::common::{Machine, Recorder, entry, events_after};
use crate::model::{Model, TaskModel};

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let line = (0_u64..5, 0_u32..4).prop_map(|(product, quantity)| Line {
        product: ProductId(product),
        quantity: Quantity(quantity),
    });
    let good = (1_u64..4, 1_u32..4).prop_map(|(product, quantity)| Line {
        product: ProductId(product),
        quantity: Quantity(quantity),
    });
    prop_oneof![4 => vec(good, 1..4), 1 => vec(line, 0..4)]
}

fn payment_method() -> impl Strategy<Value = PaymentMethod> {
    prop_oneof![
        3 => Just(PaymentMethod::Mock),
        1 => Just(PaymentMethod::Webhook),
        1 => Just(PaymentMethod::None),
    ]
}

prop_compose! {
    fn adjust()(
        product in 1_u64..5,
        change in prop_oneof![
            (-6_i64..8).prop_map(Change::By),
            (-1_i64..12).prop_map(Change::To),
        ],
        expected in prop::option::weighted(0.2, 0_i64..6),
        reason in prop_oneof![1 => Just(""), 9 => Just("counted")],
        key in of(0_u8..8),
    ) -> Command {
        Command::AdjustStock(AdjustStock {
            product: ProductId(product),
            change,
            expected,
            reason: reason.into(),
            key: key.map(|key| format!("key {key}").into()),
        })
    }
}

prop_compose! {
    fn webhook()(
        key in 0_u8..20,
        order in 0_u64..30,
        success in any::<bool>(),
        amount in prop::option::weighted(0.2, 0_i64..40),
        payload in of(Just("{}".into())),
        park_ms in 0_u64..400,
        parked_max in prop_oneof![1 => Just(1), 4 => Just(1000_u64)],
    ) -> PaymentWebhook {
        PaymentWebhook {
            key: format!("key {key}").into(),
            order: OrderId(order),
            report: if success { Report::Succeeded } else { Report::Failed },
            amount: amount.map(Money),
            payload,
            park_ms,
            parked_max,
        }
    }
}

prop_compose! {
    fn create_hold()(
        user in of(1_u64..4),
        lines in lines(),
        ttl_ms in 0_u64..400,
        key in of(0_u8..6),
        ttl_max_ms in prop_oneof![1 => Just(0), 9 => 100_u64..600],
        active_holds_max in prop_oneof![1 => Just(2), 4 => Just(1000_u64)],
        require_user in prop::bool::weighted(0.1),
    ) -> Command {
        Command::CreateHold(CreateHold {
            user: user.map(UserId),
            lines,
            ttl_ms,
            // The same texts as keys of orders, which are other keys all the same.
            key: key.map(|key| format!("key {key}").into()),
            ttl_max_ms,
            active_holds_max,
            require_user,
        })
    }
}

prop_compose! {
    fn place()(
        user in of(1_u64..4),
        hold in prop::option::weighted(0.1, 0_u64..9),
        lines in lines(),
        payment_method in payment_method(),
        key in of(0_u8..12),
        metadata in of(Just("{}".into())),
        payment_attempts_max in prop_oneof![1 => Just(0), 9 => 1_u32..3],
        payment_deadline_ms in 0_u64..300,
        open_orders_max in prop_oneof![1 => Just(4), 4 => Just(1000_u64)],
        require_user in prop::bool::weighted(0.1),
    ) -> Command {
        Command::PlaceOrder(PlaceOrder {
            user: user.map(UserId),
            hold: hold.map(HoldId),
            // Sometimes both, which is refused.
            lines: if hold.is_some_and(|hold| hold > 0) { Vec::new() } else { lines },
            payment_method,
            key: key.map(|key| format!("key {key}").into()),
            metadata,
            payment_attempts_max,
            payment_deadline_ms,
            open_orders_max,
            require_user,
        })
    }
}

fn batch() -> impl Strategy<Value = Command> {
    (any::<bool>(), vec(place(), 0..6)).prop_map(|(atomic, orders)| {
        let order = |command| match command {
            Command::PlaceOrder(order) => order,
            other => panic!("no order: {other:?}"),
        };
        let orders = orders.into_iter().map(order).collect();
        Command::PlaceBatch(PlaceBatch { atomic, orders })
    })
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        Just(Verdict::Succeeded),
        (0_u64..200).prop_map(|retry_in_ms| Verdict::Declined { reason: "no".into(), retry_in_ms }),
        (0_u64..200).prop_map(|retry_in_ms| Verdict::NoAnswer { retry_in_ms }),
    ]
}

fn sku() -> impl Strategy<Value = Option<Box<str>>> {
    of((0_u8..4).prop_map(|sku| format!("sku {sku}").into()))
}

/// Whether a command names a version, and whether it is the row's.
#[derive(Clone, Copy, Debug)]
enum Expect {
    Any,
    Current,
    Other,
}

#[derive(Clone, Debug)]
enum Op {
    Plain(Command),
    Versioned(Command, Expect),
    /// The n-th request sent so far reaches the log once more.
    Again(prop::sample::Index),
    /// The n-th command sent so far is sent once more, as a new request.
    Repeat(prop::sample::Index),
    /// A worker claims what is due.
    ClaimDue {
        node: u64,
        lease_ms: u64,
    },
    /// A worker reports on one of the attempts under way.
    Settle(prop::sample::Index, Verdict),
    /// A provider reports the right amount for one of the newest orders, or one of the next.
    Report(prop::sample::Index, PaymentWebhook),
    /// An order takes one of the active holds over.
    Consume(prop::sample::Index, Command),
    /// From now on the node sends under a newer boot.
    Restart,
}

fn update() -> impl Strategy<Value = Command> {
    let limit = of(of(0_u32..3));
    let user_limit = of(of(0_u32..5));
    let fields = (1_u64..5, of(sku()), of(-1_i64..300), of(-1_i64..12), limit, user_limit);
    fields.prop_map(|(product, sku, price, stock, max_per_order, max_per_user)| {
        Command::UpdateProduct(UpdateProduct {
            product: ProductId(product),
            expected_version: None,
            name: None,
            sku,
            price: price.map(Money),
            stock,
            max_per_order,
            max_per_user,
            low_stock: None,
        })
    })
}

fn create() -> impl Strategy<Value = Command> {
    let limit = || of(prop_oneof![1 => Just(0_u32), 6 => 1_u32..6]);
    let stock = prop_oneof![1 => Just(-1_i64), 9 => 0_i64..20];
    (sku(), -1_i64..500, stock, limit(), limit(), of(0_u32..4)).prop_map(
        |(sku, price, stock, max_per_order, max_per_user, low_stock)| {
            let (name, price) = ("thing".into(), Money(price));
            let product =
                CreateProduct { name, sku, price, stock, max_per_order, max_per_user, low_stock };
            Command::CreateProduct(product)
        },
    )
}

fn operation() -> impl Strategy<Value = Op> {
    let expect = prop_oneof![
        3 => Just(Expect::Any),
        1 => Just(Expect::Current),
        1 => Just(Expect::Other),
    ];
    let order = 0_u64..24;
    let cancel = order.clone().prop_map(|order| {
        Command::CancelOrder(CancelOrder { order: OrderId(order), reason: Some("why".into()) })
    });
    let task = (order.clone(), 1_u32..3).prop_map(|(order, attempt)| (OrderId(order), attempt));
    let claim = (1_u64..3, 0_u64..300, vec(task, 1..6)).prop_map(|(node, lease_ms, tasks)| {
        Command::ClaimPayments(ClaimPayments { node: NodeId(node), lease_ms, tasks })
    });
    let result = (order, 1_u32..3, verdict()).prop_map(|(order, attempt, verdict)| PaymentResult {
        order: OrderId(order),
        attempt,
        verdict,
    });
    let settle =
        vec(result, 1..6).prop_map(|results| Command::SettlePayments(SettlePayments { results }));
    let archive = (1_u64..5).prop_map(|product| {
        Command::ArchiveProduct(ArchiveProduct {
            product: ProductId(product),
            expected_version: None,
        })
    });
    let held = 0_u64..12;
    let release =
        held.clone().prop_map(|hold| Command::ReleaseHold(ReleaseHold { hold: HoldId(hold) }));
    let extend = (held, 0_u64..400, 0_u64..800).prop_map(|(hold, ttl_ms, ttl_max_ms)| {
        Command::ExtendHold(ExtendHold { hold: HoldId(hold), ttl_ms, ttl_max_ms })
    });
    let user = (0_u8..5).prop_map(|email| {
        Command::CreateUser(CreateUser { name: "u".into(), email: format!("{email}@x").into() })
    });
    prop_oneof![
        12 => place().prop_map(Op::Plain),
        6 => batch().prop_map(Op::Plain),
        4 => cancel.prop_map(Op::Plain),
        1 => claim.prop_map(Op::Plain),
        1 => settle.prop_map(Op::Plain),
        5 => (1_u64..3, 0_u64..300).prop_map(|(node, lease_ms)| Op::ClaimDue { node, lease_ms }),
        10 => (any::<prop::sample::Index>(), verdict())
            .prop_map(|(which, verdict)| Op::Settle(which, verdict)),
        8 => create_hold().prop_map(Op::Plain),
        6 => (any::<prop::sample::Index>(), place())
            .prop_map(|(which, place)| Op::Consume(which, place)),
        2 => release.prop_map(Op::Plain),
        3 => adjust().prop_map(Op::Plain),
        1 => (0_u8..12).prop_map(|key| {
            let key = format!("key {key}").into();
            Op::Plain(Command::FenceKey(FenceKey { key }))
        }),
        3 => webhook().prop_map(|webhook| Op::Plain(Command::PaymentWebhook(webhook))),
        6 => (any::<prop::sample::Index>(), webhook())
            .prop_map(|(which, webhook)| Op::Report(which, webhook)),
        2 => extend.prop_map(Op::Plain),
        2 => create().prop_map(Op::Plain),
        1 => user.prop_map(Op::Plain),
        1 => Just(Op::Plain(Command::Tick)),
        3 => (update(), expect.clone()).prop_map(|(update, expect)| Op::Versioned(update, expect)),
        1 => (archive, expect).prop_map(|(archive, expect)| Op::Versioned(archive, expect)),
        2 => any::<prop::sample::Index>().prop_map(Op::Again),
        4 => any::<prop::sample::Index>().prop_map(Op::Repeat),
        1 => Just(Op::Restart),
    ]
}

/// One entry: time that passes, commands, and what happens to the store afterwards.
#[derive(Clone, Debug)]
struct Step {
    passes_ms: u64,
    operations: Vec<Op>,
    checkpoint: bool,
    reopen: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let (checkpoint, reopen) = (prop::bool::weighted(0.15), prop::bool::weighted(0.1));
    (0_u64..120, vec(operation(), 0..6), checkpoint, reopen).prop_map(
        |(passes_ms, operations, checkpoint, reopen)| Step {
            passes_ms,
            operations,
            checkpoint,
            reopen,
        },
    )
}

/// What stands before every random history: products to order, and orders that were cancelled, so
/// that chunks of orders fill up and leave memory within a short history.
fn prefix(cancelled: u64) -> Vec<Op> {
    let product = |stock, max_per_user| CreateProduct {
        name: "thing".into(),
        price: Money(10),
        stock,
        max_per_user,
        ..CreateProduct::default()
    };
    let place = crate::common::order(&[(3, 1)]);
    let create = [(20, None), (4, Some(3)), (1000, None)]
        .map(|(stock, limit)| Command::CreateProduct(product(stock, limit)));
    let orders = (1..=cancelled)
        .flat_map(|id| [Command::PlaceOrder(place.clone()), crate::common::cancel(OrderId(id))]);
    create.into_iter().chain(orders).map(Op::Plain).collect()
}

/// Moves the orders that a command names past those of the prefix, but for the two lowest.
fn past_prefix(command: &mut Command, cancelled: u64) {
    let past = |id: &mut OrderId| {
        if id.0 > 2 {
            id.0 += cancelled.saturating_sub(2);
        }
    };
    match command {
        Command::CancelOrder(cancel) => past(&mut cancel.order),
        Command::ClaimPayments(claim) => claim.tasks.iter_mut().for_each(|(id, _)| past(id)),
        Command::PaymentWebhook(webhook) => past(&mut webhook.order),
        Command::SettlePayments(settle) => {
            settle.results.iter_mut().for_each(|result| past(&mut result.order));
        }
        _ => {}
    }
}

/// The node that sends: gives every command its request id and remembers what it sent.
#[derive(Debug)]
struct Sender {
    boot: u64,
    seq: u64,
    sent: Vec<Envelope>,
}

impl Sender {
    fn envelope(&mut self, model: &Model, operation: Op) -> Option<Envelope> {
        let command = match operation {
            Op::Plain(command) => command,
            Op::Versioned(command, expect) => with_version(model, command, expect),
            Op::Again(_) if self.sent.is_empty() => return None,
            Op::Again(which) => return Some(which.get(&self.sent).clone()),
            Op::Repeat(_) if self.sent.is_empty() => return None,
            Op::Repeat(which) => which.get(&self.sent).command.clone(),
            Op::ClaimDue { node, lease_ms } => {
                let due = |task: &TaskModel| task.due <= model.clock;
                let tasks = model.tasks().filter(|(_, task)| due(task));
                let tasks = tasks.map(|(id, task)| (id, task.attempt)).collect();
                Command::ClaimPayments(ClaimPayments { node: NodeId(node), lease_ms, tasks })
            }
            Op::Settle(which, verdict) => {
                let tasks: Vec<_> = model.tasks().collect();
                let (order, task) = tasks.get(which.index(tasks.len().max(1)))?;
                let (order, attempt) = (*order, task.attempt);
                crate::common::settle(order, attempt, verdict)
            }
            Op::Report(which, mut webhook) => {
                let newest = model.orders.len() as u64 + 3;
                webhook.order = OrderId(newest - which.index(newest.min(8) as usize) as u64);
                let order = model.orders.get(webhook.order.0 as usize - 1);
                webhook.amount = webhook.amount.and(order.map(|order| Money(order.total)));
                Command::PaymentWebhook(webhook)
            }
            Op::Consume(which, mut command) => {
                let holds = (1..).map(HoldId).zip(&model.holds);
                let active = holds.filter(|(_, hold)| hold.status == hold::Status::Active);
                let holds: Vec<_> = active.map(|(id, _)| id).collect();
                let hold = *holds.get(which.index(holds.len().max(1)))?;
                if let Command::PlaceOrder(order) = &mut command {
                    (order.hold, order.lines) = (Some(hold), Vec::new());
                }
                command
            }
            Op::Restart => {
                (self.boot, self.seq) = (self.boot + 1, 0);
                return None;
            }
        };
        self.seq += 1;
        let request = RequestId { node: NodeId(1), boot: self.boot, seq: self.seq };
        let envelope = Envelope { request, trace: TraceId::Uuid([3; 16]), command };
        self.sent.push(envelope.clone());
        Some(envelope)
    }
}

fn with_version(model: &Model, mut command: Command, expect: Expect) -> Command {
    let (product, expected) = match &mut command {
        Command::UpdateProduct(update) => (update.product, &mut update.expected_version),
        Command::ArchiveProduct(archive) => (archive.product, &mut archive.expected_version),
        _ => unreachable!("only products have versions"),
    };
    let row = model.products.get(product.0 as usize - 1);
    *expected = match expect {
        Expect::Any => None,
        Expect::Current => row.map(|row| row.version),
        Expect::Other => Some(Position(1)),
    };
    command
}

/// The engine's state and the model must tell the same about everything.
fn compare(state: &State, store: &dyn CheckpointStore, model: &Model) {
    assert_eq!(state.clock(), Timestamp(model.clock));
    for (id, expected) in (1..).map(OrderId).zip(&model.orders) {
        assert_eq!(state.order_status(id), Some(expected.status));
        let stored;
        let order = match state.order(id) {
            OrderLookup::Resident(order) => order,
            OrderLookup::Stored => {
                stored = engine::checkpoint::read_order(store, id).expect("readable");
                stored.as_ref().expect("stored")
            }
            OrderLookup::Absent => panic!("order {id} is missing"),
        };
        assert_eq!((order.user, order.hold), (expected.user, expected.request.hold), "order {id}");
        let path: Vec<_> = order.history.iter().map(|row| row.to).collect();
        assert_eq!(path, expected.path, "order {id}");
        assert_eq!(order.total, Money(expected.total));
        assert_eq!(order.failure_reason.as_deref(), expected.reason.as_deref());
        assert_eq!(order.version, expected.version, "order {id}");
        let task = order.task.map(|task| {
            let lease = task.claim.map(|claim| (claim.node.0, claim.lease_until.0));
            (task.attempt, task.unanswered, task.due.0, lease)
        });
        let expected_task = expected
            .task
            .as_ref()
            .map(|task| (task.attempt, task.unanswered, task.due, task.lease));
        assert_eq!(task, expected_task, "order {id}");
        if let Some(key) = &expected.request.key {
            assert_eq!(state.order_by_key(key), Some(id));
        }
    }
    assert_eq!(state.order(OrderId(model.orders.len() as u64 + 1)), OrderLookup::Absent);
    for key in &model.fenced {
        assert_eq!(state.key_state(key), KeyState::Fenced);
    }
    compare_holds(state, store, model);
    compare_webhooks(state, store, model);
    compare_adjustments(state, store, model);
    compare_products(state, model);
    compare_schedules(state, model);
}

fn compare_holds(state: &State, store: &dyn CheckpointStore, model: &Model) {
    for (id, expected) in (1..).map(HoldId).zip(&model.holds) {
        let stored;
        let hold = match state.hold(id) {
            Lookup::Resident(hold) => hold,
            Lookup::Stored => {
                stored = engine::checkpoint::read_hold(store, id).expect("readable");
                stored.as_ref().expect("stored")
            }
            Lookup::Absent => panic!("hold {id} is missing"),
        };
        assert_eq!(
            (hold.status, hold.expires_at.0, hold.version, &hold.lines),
            (expected.status, expected.deadline, expected.version, &expected.request.lines),
            "hold {id}"
        );
    }
    assert_eq!(state.hold(HoldId(model.holds.len() as u64 + 1)), Lookup::Absent);
    assert_eq!(state.active_holds(), model.active_holds());
}

fn compare_webhooks(state: &State, store: &dyn CheckpointStore, model: &Model) {
    for (id, expected) in (1..).map(WebhookId).zip(&model.webhooks) {
        let stored;
        let webhook = match state.webhook(id) {
            Lookup::Resident(webhook) => webhook,
            Lookup::Stored => {
                stored = engine::checkpoint::read_webhook(store, id).expect("readable");
                stored.as_ref().expect("stored")
            }
            Lookup::Absent => panic!("report {id} is missing"),
        };
        let request = &expected.request;
        assert_eq!(
            (webhook.fate, webhook.order, &webhook.key, &webhook.payload),
            (expected.fate, request.order, &request.key, &request.payload),
            "report {id}"
        );
    }
    assert_eq!(state.webhook(WebhookId(model.webhooks.len() as u64 + 1)), Lookup::Absent);
}

fn compare_adjustments(state: &State, store: &dyn CheckpointStore, model: &Model) {
    for (id, expected) in (1..).map(AdjustmentId).zip(&model.adjustments) {
        let stored;
        let adjustment = match state.adjustment(id) {
            Lookup::Resident(adjustment) => adjustment,
            Lookup::Stored => {
                stored = engine::checkpoint::read_adjustment(store, id).expect("readable");
                stored.as_ref().expect("stored")
            }
            Lookup::Absent => panic!("adjustment {id} is missing"),
        };
        assert_eq!(
            (adjustment.product, adjustment.delta, adjustment.position),
            (expected.request.product, expected.delta, expected.at),
            "adjustment {id}"
        );
    }
    assert_eq!(state.adjustment(AdjustmentId(model.adjustments.len() as u64 + 1)), Lookup::Absent);
}

fn compare_products(state: &State, model: &Model) {
    let active: Vec<_> = (1..)
        .zip(&model.products)
        .filter(|(_, product)| !product.archived)
        .map(|(id, _)| ProductId(id))
        .collect();
    let listed: Vec<_> = state.products(ProductId(0)).map(|product| product.id).collect();
    assert_eq!(listed, active);
    for id in active {
        let product = state.product(id).expect("active");
        let expected = &model.products[id.0 as usize - 1];
        let stock = product.stock;
        assert_eq!(
            (
                [stock.available(), stock.held, stock.reserved, stock.sold],
                product.price.0,
                product.version
            ),
            (
                [expected.available, expected.held, expected.reserved, expected.sold],
                expected.price,
                expected.version
            ),
            "product {id}"
        );
        assert_eq!(product.ledger_rows, expected.ledger.len() as u64);
        for (number, row) in state.ledger(id) {
            let delta = [row.on_hand, row.held, row.reserved, row.sold];
            assert_eq!(delta, expected.ledger[number as usize], "product {id}, row {number}");
        }
        let sum = [0, 1, 2, 3].map(|n| expected.ledger.iter().map(|delta| delta[n]).sum::<i64>());
        let counters = [stock.on_hand, stock.held, stock.reserved, stock.sold];
        assert_eq!(sum, counters, "the ledger adds up");
    }
}

fn compare_schedules(state: &State, model: &Model) {
    let tasks = model.orders.iter().filter_map(|order| order.task.as_ref());
    assert_eq!(state.next_payment_due().map(|due| due.0), tasks.map(|task| task.due).min());
    let pending = model.orders.iter().filter(|order| order.status == Status::Pending);
    let active = model.holds.iter().filter(|hold| hold.status == hold::Status::Active);
    let deadlines = active.map(|hold| hold.deadline);
    let deadlines = deadlines.chain(pending.filter_map(|order| order.deadline));
    let parked = model.webhooks.iter().filter(|webhook| webhook.fate == Fate::Parked);
    let deadlines = deadlines.chain(parked.map(|webhook| webhook.until));
    assert_eq!(state.next_deadline().map(|due| due.0), deadlines.min());
    let open = model.orders.iter().filter(|order| !order.status.is_final()).count();
    assert_eq!(state.open_orders(), open as u64);
    let mut due: Vec<_> = (1..)
        .map(OrderId)
        .zip(&model.orders)
        .filter_map(|(id, order)| order.task.as_ref().map(|task| (task.due, id, task.attempt)))
        .filter(|(due, _, _)| *due <= model.clock)
        .collect();
    due.sort_unstable();
    let due: Vec<_> = due.into_iter().map(|(_, id, attempt)| (id, attempt)).collect();
    assert_eq!(state.due_payments(Timestamp(model.clock), usize::MAX), due);
}

/// Every filter, at a few pages.
fn compare_lists(state: &State, model: &Model, per_page: u64, before: u64) {
    let users = [None, Some(UserId(1)), Some(UserId(2)), Some(UserId(9))];
    let products = [None, Some(ProductId(1)), Some(ProductId(2)), Some(ProductId(99))];
    let statuses = Status::ALL.map(Some).into_iter().chain([None]);
    for status in statuses {
        for (user, product) in
            users.iter().flat_map(|user| products.map(|product| (*user, product)))
        {
            let filter = OrderFilter { user, status, product };
            let all = model.list(&filter);
            for number in 1..4 {
                let page = state.list_orders(&filter, Page::Number { page: number, per_page });
                let skip = ((number - 1) * per_page) as usize;
                let ids: Vec<_> = all.iter().copied().skip(skip).take(per_page as usize).collect();
                assert_eq!(page.ids, ids, "{filter:?} page {number}");
                assert_eq!(page.total, all.len() as u64);
                assert_eq!(page.has_more, skip + ids.len() < all.len());
            }
            let id = Some(OrderId(before));
            let page = state.list_orders(&filter, Page::Before { id, limit: per_page });
            let older: Vec<_> = all.iter().copied().filter(|id| id.0 < before).collect();
            let ids: Vec<_> = older.iter().copied().take(per_page as usize).collect();
            assert_eq!((&page.ids, page.total), (&ids, all.len() as u64), "{filter:?} {before}");
            assert_eq!(page.has_more, ids.len() < older.len());
        }
    }
}

proptest! {
    /// The engine, a twin that is closed and reopened at will, and the model stay one.
    #[test]
    fn any_history_is_told_alike(
        cancelled in prop_oneof![Just(0_u64), 40_u64..140],
        steps in vec(step(), 1..40),
        per_page in 1_u64..8,
        before in 0_u64..20,
    ) {
        let mut state = State::new();
        let mut twin = State::new();
        twin.set_resident_chunks_max(0);
        let store = MemoryStore::new();
        let mut model = Model::default();
        let mut sender = Sender { boot: 1, seq: 0, sent: Vec::new() };
        let mut log: Vec<Vec<u8>> = Vec::new();
        let mut told: Vec<Event> = Vec::new();
        let mut now = 0;
        let first =
            Step { passes_ms: 1, operations: prefix(cancelled), checkpoint: false, reopen: false };
        for (number, step) in std::iter::once(first).chain(steps).enumerate() {
            now += step.passes_ms;
            let index = log.len() as u64 + 1;
            model.begin(index, now);
            let mut envelopes = Vec::new();
            let mut expected = Vec::new();
            for operation in step.operations {
                let operation = match operation {
                    Op::Plain(mut command) if number > 0 => {
                        past_prefix(&mut command, cancelled);
                        Op::Plain(command)
                    }
                    other => other,
                };
                let Some(envelope) = sender.envelope(&model, operation) else { continue };
                let position = Position::new(index, envelopes.len() as u64);
                expected.push(model.apply(position, &envelope));
                envelopes.push(envelope);
            }
            log.push(entry(now, &envelopes));
            let payload = log.last().expect("just pushed");
            let mut recorder = Recorder::default();
            state.apply(index, 1, payload, &mut recorder).expect("well formed");
            let outcomes: Vec<_> =
                recorder.outcomes.into_iter().map(|(_, _, outcome)| outcome).collect();
            prop_assert_eq!(outcomes, expected, "at entry {}", index);
            told.extend(recorder.events);
            state.check_invariants().expect("sound");
            twin.apply(index, 1, payload, &mut Unobserved).expect("well formed");
            prop_assert_eq!(state.digest(), twin.digest());
            if step.checkpoint {
                let written = twin.freeze().write(&store).expect("written");
                twin.release(&written);
            }
            if step.reopen {
                twin = State::open(&store).expect("opened");
                twin.set_resident_chunks_max(0);
                for (index, payload) in (1..).zip(&log) {
                    if index > twin.applied_index() {
                        twin.apply(index, 1, payload, &mut Unobserved).expect("well formed");
                    }
                }
                prop_assert_eq!(state.digest(), twin.digest(), "reopened at {}", index);
            }
            // Rows change rarely between two looks, and each outcome was compared.
            if step.checkpoint || step.reopen {
                compare(&twin, &store, &model);
            }
        }
        compare(&twin, &store, &model);
        compare(&state, &store, &model);
        for state in [&state, &twin] {
            let kept = events_after(state, &store, EventId::default(), per_page as usize * 9);
            prop_assert!(kept == told, "the events are kept as they were told");
        }
        compare_lists(&twin, &model, per_page, before);
    }

    #[test]
    fn random_bytes_are_no_entry_and_no_command(bytes in vec(any::<u8>(), 0..400)) {
        drop(Batch::parse(&bytes));
        drop(Envelope::decode(&bytes));
        // The same behind a good version byte, so that the decoder gets past it.
        let versioned: Vec<u8> = std::iter::once(1).chain(bytes).collect();
        drop(Batch::parse(&versioned));
        drop(Envelope::decode(&versioned));
        drop(State::new().apply(1, 1, &versioned, &mut Unobserved));
    }

    /// A mutated entry is either refused or applied; it never panics, and a state that took it is
    /// sound.
    #[test]
    fn mutated_entries_never_panic(
        operations in vec(operation(), 1..6),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in of(any::<prop::sample::Index>()),
    ) {
        let mut machine = Machine::default();
        machine.product("1.00", 9);
        machine.place(crate::common::mock_order(&[(1, 1)]));
        let mut sender = Sender { boot: 2, seq: 0, sent: Vec::new() };
        let envelopes: Vec<_> = operations
            .into_iter()
            .filter_map(|operation| sender.envelope(&Model::default(), operation))
            .collect();
        let mut payload = entry(1, &envelopes);
        for (at, byte) in changes {
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        if let Some(cut) = cut {
            payload.truncate(cut.index(payload.len()));
        }
        let index = machine.log.len() as u64 + 1;
        if machine.state.apply(index, 1, &payload, &mut machine.recorder).is_ok() {
            machine.state.check_invariants().expect("sound");
        }
    }

    #[test]
    fn commands_survive_the_round_trip(operation in operation()) {
        let mut sender = Sender { boot: 1, seq: 0, sent: Vec::new() };
        if let Some(envelope) = sender.envelope(&Model::default(), operation) {
            prop_assert_eq!(Envelope::decode(&envelope.encode()), Ok(envelope));
        }
    }
}
