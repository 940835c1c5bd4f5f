//! The engine's state beside the naive model's: whatever can be asked must be answered alike.

use std::borrow::Cow;

use engine::checkpoint::CheckpointStore;
use engine::fence::KeyState;
use engine::hold;
use engine::ids::{AdjustmentId, HoldId, OrderId, ProductId, Timestamp, UserId, WebhookId};
use engine::money::Money;
use engine::order::Status;
use engine::query::{OrderFilter, Page};
use engine::state::{Lookup, OrderLookup, State};
use engine::webhook::Fate;

use crate::model::Model;

/// The engine's state and the model must tell the same about everything.
pub(super) fn compare(state: &State, store: &dyn CheckpointStore, model: &Model) {
    assert_eq!(state.clock(), Timestamp(model.clock));
    for (id, expected) in (1..).map(OrderId).zip(&model.orders) {
        assert_eq!(state.order_status(id), Some(expected.status));
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

pub(super) fn compare_holds(state: &State, store: &dyn CheckpointStore, model: &Model) {
    for (id, expected) in (1..).map(HoldId).zip(&model.holds) {
        let hold = match state.hold(id) {
            Lookup::Resident(hold) => hold,
            Lookup::Stored => {
                let stored = engine::checkpoint::read_hold(store, id).expect("readable");
                Cow::Owned(stored.expect("stored"))
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

pub(super) fn compare_webhooks(state: &State, store: &dyn CheckpointStore, model: &Model) {
    for (id, expected) in (1..).map(WebhookId).zip(&model.webhooks) {
        let webhook = match state.webhook(id) {
            Lookup::Resident(webhook) => webhook,
            Lookup::Stored => {
                let stored = engine::checkpoint::read_webhook(store, id).expect("readable");
                Cow::Owned(stored.expect("stored"))
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

pub(super) fn compare_adjustments(state: &State, store: &dyn CheckpointStore, model: &Model) {
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
            (adjustment.product, adjustment.delta, adjustment.position),
            (expected.request.product, expected.delta, expected.at),
            "adjustment {id}"
        );
    }
    assert_eq!(state.adjustment(AdjustmentId(model.adjustments.len() as u64 + 1)), Lookup::Absent);
}

pub(super) fn compare_products(state: &State, model: &Model) {
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

pub(super) fn compare_schedules(state: &State, model: &Model) {
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
        .filter(|(due, _, _)| *due <= model.clock && !model.paused)
        .collect();
    due.sort_unstable();
    assert_eq!(state.payments_paused(), model.paused);
    let due: Vec<_> = due.into_iter().map(|(_, id, attempt)| (id, attempt)).collect();
    let told = state.due_payments(Timestamp(model.clock), None, usize::MAX);
    let told: Vec<_> = told.iter().map(|task| (task.order, task.attempt)).collect();
    assert_eq!(told, due);
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
