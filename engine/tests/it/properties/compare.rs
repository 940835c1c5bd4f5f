//! Compares the engine's state with the naive model's: every query must have the same answer.

use std::borrow::Cow;

use engine::audit;
use engine::checkpoint::CheckpointStore;
use engine::fence::KeyState;
use engine::hold;
use engine::ids::{AdjustmentId, HoldId, OrderId, ProductId, RefundId, TokenId, UserId, WebhookId};
use engine::order::{PaymentMethod, Status};
use engine::query::{Listing, OrderFilter, Page};
use engine::refund;
use engine::state::{Lookup, OrderLookup, State};
use engine::webhook::Fate;
use engine_model::{Key, Model, Order, Term, counters};

/// The engine's state and the model must agree on everything.
pub(super) fn compare(state: &State, store: &dyn CheckpointStore, model: &Model) {
    assert_eq!(state.clock(), model.clock);
    for (id, expected) in (1..).map(OrderId).zip(&model.orders) {
        compare_order(state, store, id, expected);
    }
    assert_eq!(state.order(OrderId(model.orders.len() as u64 + 1)), OrderLookup::Absent);
    for (key, (_, expected)) in &model.keys {
        let expected = match expected {
            Key::Made(order) => KeyState::Applied(*order),
            Key::Fenced => KeyState::Fenced,
        };
        assert_eq!(state.key_state(key), expected, "{key}");
    }
    compare_holds(state, store, model);
    compare_reports(state, store, model);
    compare_refunds(state, store, model);
    compare_adjustments(state, store, model);
    compare_products(state, model);
    compare_schedules(state, model);
    assert_eq!(state.auth().mode(), model.auth_mode);
    assert!(state.auth().tokens(TokenId(0)).eq(model.live_tokens()));
    for kind in audit::Kind::ALL {
        assert!(state.audit(kind, 0).eq(model.audit(kind)), "{}", kind.as_str());
    }
}

fn compare_order(state: &State, store: &dyn CheckpointStore, id: OrderId, expected: &Order) {
    let progress = expected.progress.now();
    assert_eq!(state.order_status(id), Some(progress.status));
    let order = match state.order(id) {
        OrderLookup::Resident(order) => order,
        OrderLookup::Stored => {
            let stored = engine::checkpoint::read_order(store, id).expect("readable");
            Cow::Owned(stored.expect("stored"))
        }
        OrderLookup::Absent => panic!("order {id} is missing"),
    };
    assert_eq!((order.user, order.hold), (expected.user, expected.request.hold), "order {id}");
    let path: Vec<_> = order.history.iter().map(|row| row.to).collect();
    assert_eq!(path, expected.path, "order {id}");
    assert_eq!(order.total, expected.total);
    assert_eq!(order.failure_reason, progress.failure_reason);
    assert_eq!(order.version, expected.progress.changed(), "order {id}");
    assert_eq!((order.created_at, order.updated_at), (expected.created_at, progress.updated_at));
    let task = order
        .task
        .map(|task| (task.attempt, task.unanswered, task.due, task.claim.map(|claim| claim.node)));
    // A claimed attempt is due again when its lease ends.
    if let Some(claim) = order.task.and_then(|task| task.claim) {
        assert_eq!(claim.lease_until, progress.due, "order {id}");
    }
    let expected_task = (progress.attempt, progress.unanswered, progress.due, progress.claimed_by);
    assert_eq!(task, expected.has_task().then_some(expected_task), "order {id}");
    if let Some(key) = &expected.key {
        assert_eq!(state.order_by_key(key), Some(id));
    }
    assert_eq!(order.reference, expected.request.reference, "order {id}");
    if let Some(reference) = &expected.request.reference {
        assert_eq!(state.order_by_reference(reference), Some(id));
    }
}

fn compare_holds(state: &State, store: &dyn CheckpointStore, model: &Model) {
    for (id, expected) in (1..).map(HoldId).zip(&model.holds) {
        let hold = match state.hold(id) {
            Lookup::Resident(hold) => hold,
            Lookup::Stored => {
                let stored = engine::checkpoint::read_hold(store, id).expect("readable");
                Cow::Owned(stored.expect("stored"))
            }
            Lookup::Absent => panic!("hold {id} is missing"),
        };
        let term = expected.term.now();
        assert_eq!(
            (hold.status, hold.expires_at, hold.version, &hold.lines),
            (term.status, term.expires_at, expected.term.changed(), &expected.lines),
            "hold {id}"
        );
        assert_eq!(hold.unit_prices.as_deref(), expected.prices.as_deref(), "hold {id}");
    }
    assert_eq!(state.hold(HoldId(model.holds.len() as u64 + 1)), Lookup::Absent);
    assert_eq!(state.active_holds(), active_holds(model).count() as u64);
}

fn active_holds(model: &Model) -> impl Iterator<Item = &Term> {
    let terms = model.holds.iter().map(|hold| hold.term.now());
    terms.filter(|term| term.status == hold::Status::Active)
}

fn compare_reports(state: &State, store: &dyn CheckpointStore, model: &Model) {
    for (id, expected) in (1..).map(WebhookId).zip(&model.reports) {
        let report = match state.webhook(id) {
            Lookup::Resident(report) => report,
            Lookup::Stored => {
                let stored = engine::checkpoint::read_webhook(store, id).expect("readable");
                Cow::Owned(stored.expect("stored"))
            }
            Lookup::Absent => panic!("report {id} is missing"),
        };
        assert_eq!(
            (report.fate, report.order, &report.key, &report.payload),
            (*expected.fate.now(), expected.order, &expected.key, &expected.payload),
            "report {id}"
        );
    }
    assert_eq!(state.webhook(WebhookId(model.reports.len() as u64 + 1)), Lookup::Absent);
}

fn compare_refunds(state: &State, store: &dyn CheckpointStore, model: &Model) {
    for (id, expected) in (1..).map(RefundId).zip(&model.refunds) {
        let refund = match state.refund(id) {
            Lookup::Resident(refund) => refund,
            Lookup::Stored => {
                let stored = engine::checkpoint::read_refund(store, id).expect("readable");
                Cow::Owned(stored.expect("stored"))
            }
            Lookup::Absent => panic!("refund {id} is missing"),
        };
        assert_eq!(
            (refund.order, refund.amount, refund.status, &refund.lines[..], &refund.key),
            (expected.order, expected.amount, expected.status, &expected.lines[..], &expected.key),
            "refund {id}"
        );
        let task = refund.task.map(|task| (task.due, task.unanswered));
        let waits = expected.status == refund::Status::Requested;
        assert_eq!(task, waits.then_some((expected.due, expected.unanswered)), "refund {id}");
        assert!(state.refunds_of(refund.order).0.contains(&id));
    }
    assert_eq!(state.refund(RefundId(model.refunds.len() as u64 + 1)), Lookup::Absent);
}

fn compare_adjustments(state: &State, store: &dyn CheckpointStore, model: &Model) {
    for (id, expected) in (1..).map(AdjustmentId).zip(&model.adjustments) {
        let adjustment = match state.adjustment(id) {
            Lookup::Resident(adjustment) => adjustment,
            Lookup::Stored => {
                let stored = engine::checkpoint::read_adjustment(store, id).expect("readable");
                Cow::Owned(stored.expect("stored"))
            }
            Lookup::Absent => panic!("adjustment {id} is missing"),
        };
        assert_eq!(
            (adjustment.product, adjustment.change, adjustment.delta, adjustment.position),
            (expected.product, expected.change, expected.delta, expected.position),
            "adjustment {id}"
        );
    }
    assert_eq!(state.adjustment(AdjustmentId(model.adjustments.len() as u64 + 1)), Lookup::Absent);
}

fn compare_products(state: &State, model: &Model) {
    let active: Vec<_> = (1..)
        .zip(&model.products)
        .filter(|(_, product)| !product.now().archived)
        .map(|(id, _)| ProductId(id))
        .collect();
    let listed: Vec<_> = state.products(ProductId(0)).map(|product| product.id).collect();
    assert_eq!(listed, active);
    for id in active {
        let product = state.product(id).expect("active");
        let expected = model.product(id).expect("active").now();
        let stock = product.stock;
        let on_hand_to_sold = [stock.on_hand, stock.held, stock.reserved, stock.sold];
        assert_eq!(
            (on_hand_to_sold, stock.available(), product.price, product.version),
            (counters(expected), expected.available, expected.price, expected.version),
            "product {id}"
        );
        assert_eq!(product.sale, expected.sale, "product {id}");
        let ledger = &model.ledgers[id.0 as usize - 1];
        assert_eq!(product.ledger_rows, ledger.len() as u64);
        for (number, row) in state.ledger(id) {
            let number = number as usize;
            let after = [row.after.on_hand, row.after.held, row.after.reserved, row.after.sold];
            let expected = &ledger[number];
            assert_eq!(
                (row.position, row.at, row.cause, after),
                (expected.position, expected.at, expected.cause, expected.after),
                "product {id}, row {number}"
            );
            let before = number.checked_sub(1).map_or([0; 4], |before| ledger[before].after);
            let delta = [row.on_hand, row.held, row.reserved, row.sold];
            let expected = [0, 1, 2, 3].map(|n| expected.after[n] - before[n]);
            assert_eq!(delta, expected, "product {id}, row {number}");
        }
        assert_eq!(ledger.last().map(|row| row.after), Some(on_hand_to_sold));
    }
}

fn compare_schedules(state: &State, model: &Model) {
    let tasks: Vec<_> = super::tasks(model).collect();
    let next = tasks.iter().map(|(_, task)| task.due).min();
    assert_eq!(state.next_payment_due(), next);
    let status = |order: &Order| order.progress.now().status;
    let pending = model.orders.iter().filter(|order| status(order) == Status::Pending);
    let deadlines = active_holds(model).map(|term| term.expires_at);
    let deadlines = deadlines.chain(pending.filter_map(|order| order.deadline));
    let parked = model.reports.iter().filter(|report| *report.fate.now() == Fate::Parked);
    let deadlines = deadlines.chain(parked.map(|report| report.parked_until));
    assert_eq!(state.next_deadline(), deadlines.min());
    let open = model.orders.iter().filter(|order| !status(order).is_final()).count();
    assert_eq!(state.open_orders(), open as u64);
    let mut due: Vec<_> = tasks
        .iter()
        .map(|(id, task)| (task.due, *id, task.attempt))
        .filter(|(due, _, _)| *due <= model.clock && !model.payments_paused)
        .collect();
    due.sort_unstable();
    assert_eq!(state.payments_paused(), model.payments_paused);
    for method in [PaymentMethod::Mock, PaymentMethod::Gateway] {
        let of = |id: OrderId| model.orders[id.0 as usize - 1].request.method == method;
        let due = due.iter().filter(|(_, id, _)| of(*id));
        let due: Vec<_> = due.map(|(_, id, attempt)| (*id, *attempt)).collect();
        let found = state.due_payments(method, model.clock, None, usize::MAX);
        let found: Vec<_> = found.iter().map(|task| (task.order, task.attempt)).collect();
        assert_eq!(found, due);
    }
}

/// The ids of the matching orders, newest first.
fn list(model: &Model, filter: &OrderFilter) -> Vec<OrderId> {
    let matches = |order: &Order| {
        filter.user.is_none_or(|user| order.user == Some(user))
            && filter.status.is_none_or(|status| order.progress.now().status == status)
            && filter
                .product
                .is_none_or(|product| order.lines.iter().any(|line| line.product == product))
    };
    let ids = filter.first.map_or(0, |id| id.0)..filter.below.map_or(u64::MAX, |id| id.0);
    let all = (1..).map(OrderId).zip(&model.orders);
    let all = all.filter(|(id, order)| ids.contains(&id.0) && matches(order));
    let mut ids: Vec<_> = all.map(|(id, _)| id).collect();
    ids.reverse();
    ids
}

/// Every filter, at a few pages.
pub(super) fn compare_lists(state: &State, model: &Model, per_page: u64, before: u64) {
    let users = [None, Some(UserId(1)), Some(UserId(2)), Some(UserId(9))];
    let products = [None, Some(ProductId(1)), Some(ProductId(2)), Some(ProductId(99))];
    let statuses = Status::ALL.map(Some).into_iter().chain([None]);
    for status in statuses {
        for (user, product) in
            users.iter().flat_map(|user| products.map(|product| (*user, product)))
        {
            let range = match product {
                Some(ProductId(2)) => (Some(OrderId(before / 2)), Some(OrderId(before + 5))),
                _ => (None, None),
            };
            let filter = OrderFilter { user, status, product, first: range.0, below: range.1 };
            let all = list(model, &filter);
            for number in 1..4 {
                let page = state.list_orders(&filter, Page::Number { page: number, per_page });
                let mut steps = Listing::new(filter, Page::Number { page: number, per_page });
                while !state.list_some(&mut steps, 1) {}
                assert_eq!(steps.into_page(), page, "{filter:?} page {number}, step by step");
                let skip = ((number - 1) * per_page) as usize;
                let ids: Vec<_> = all.iter().copied().skip(skip).take(per_page as usize).collect();
                assert_eq!(page.ids, ids, "{filter:?} page {number}");
                assert_eq!(page.total, Some(all.len() as u64));
                assert_eq!(page.has_more, skip + ids.len() < all.len());
            }
            let id = Some(OrderId(before));
            let page = state.list_orders(&filter, Page::Before { id, limit: per_page });
            let older: Vec<_> = all.iter().copied().filter(|id| id.0 < before).collect();
            let ids: Vec<_> = older.iter().copied().take(per_page as usize).collect();
            assert_eq!((&page.ids, page.total), (&ids, None), "{filter:?} {before}");
            assert_eq!(page.has_more, ids.len() < older.len());
        }
    }
}
