//! Random commands, shaped so that they meet: few ids, small numbers, some of each out of range.

use engine::adjustment::Change;
use engine::audit::Action;
use engine::auth::{Mode, Scope, Scopes};
use engine::command::{
    AdjustStock, ArchiveProduct, CancelOrder, ClaimPayments, Command, CreateHold, CreateProduct,
    CreateToken, CreateUser, ExtendHold, FenceKey, Keyed, Note, OrderTerms, PaymentResult,
    PaymentWebhook, PlaceBatch, PlaceOrder, RaiseLevel, RecheckPayment, ReleaseHold, RequestRefund,
    RevokeToken, SetAuth, SetPayments, SettleOrder, SettlePayments, Settlement, UpdateProduct,
    Verdict,
};
use engine::ids::{
    HoldId, NodeId, OrderId, Position, ProductId, Quantity, Timestamp, TokenId, UserId,
};
use engine::money::Money;
use engine::order::{Line, PaymentMethod};
use engine::refund::{self, Facts};
use engine::sale::{PerWindow, Sale, SaleChange};
use engine::secret::Secret;
use engine::webhook::Report;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

pub(super) fn lines() -> impl Strategy<Value = Vec<Line>> {
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

pub(super) fn payment_method() -> impl Strategy<Value = PaymentMethod> {
    prop_oneof![
        2 => Just(PaymentMethod::Mock),
        2 => Just(PaymentMethod::Gateway),
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
        ttl_is_default in prop::bool::weighted(0.5),
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
            ttl_is_default: ttl_is_default.into(),
        })
    }
}

/// One of a few, mostly valid.
fn reference() -> impl Strategy<Value = Box<str>> {
    prop_oneof![
        12 => (0_u8..8).prop_map(|n| format!("cart {n}").into()),
        1 => Just("".into()),
        1 => Just("caf\u{e9}".into()),
        1 => Just("x".repeat(65).into()),
    ]
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
        tens in prop::option::weighted(0.1, 1_i64..6),
        reference in prop::option::weighted(0.2, reference()),
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
            terms: OrderTerms { expected_total: tens.map(|tens| Money(tens * 10)), reference }
                .into(),
        })
    }
}

prop_compose! {
    fn create_token()(
        byte in any::<u8>(),
        owner in prop_oneof![1 => Just(""), 9 => Just("shop")],
        user in of(1_u64..4),
        scopes in 0_u32..1 << Scope::ALL.len(),
        for_users in any::<bool>(),
        ttl_ms in of(0_u64..400),
    ) -> Command {
        let limit = if for_users { Scopes::OF_USERS.0 } else { u32::MAX };
        Command::CreateToken(CreateToken {
            hash: [byte; 32],
            owner: owner.into(),
            user: user.map(UserId),
            scopes: Scopes(scopes & limit),
            label: "random".into(),
            ttl_ms,
        })
    }
}

prop_compose! {
    fn refund()(
        amount in prop::option::weighted(0.5, 0_i64..40),
        lines in vec((0_u32..4, 0_u32..3, any::<bool>()), 0..3),
        blank in prop::bool::weighted(0.05),
        key in prop::option::weighted(0.5, 0_u8..8),
        refunds_open_max in prop_oneof![1 => Just(1), 6 => Just(1000_u64)],
    ) -> RequestRefund {
        let line = |(line, quantity, restock)| refund::Line {
            line,
            quantity: Quantity(quantity),
            restock,
        };
        RequestRefund {
            order: OrderId(0),
            facts: Facts {
                user: None,
                placed: Position::new(1, 0),
                payment_method: PaymentMethod::None,
                total: Money(0),
                items: Box::default(),
            },
            amount: amount.map(Money),
            lines: lines.into_iter().map(line).collect(),
            reason: if blank { "".into() } else { "returned".into() },
            actor: "ann".into(),
            key: key.map(|key| format!("key {key}").into()),
            refunds_open_max,
        }
    }
}

pub(super) fn batch() -> impl Strategy<Value = Command> {
    (any::<bool>(), vec(place(), 0..6)).prop_map(|(atomic, orders)| {
        let order = |command| match command {
            Command::PlaceOrder(order) => order,
            other => panic!("no order: {other:?}"),
        };
        let orders = orders.into_iter().map(order).collect();
        Command::PlaceBatch(PlaceBatch { atomic, orders })
    })
}

pub(super) fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        Just(Verdict::Succeeded),
        (0_u64..200).prop_map(|retry_in_ms| Verdict::Declined { reason: "no".into(), retry_in_ms }),
        (0_u64..200).prop_map(|retry_in_ms| Verdict::NoAnswer { retry_in_ms }),
    ]
}

pub(super) fn sku() -> impl Strategy<Value = Option<Box<str>>> {
    of((0_u8..4).prop_map(|sku| format!("sku {sku}").into()))
}

/// Whether a command names a version, and whether it is the row's.
#[derive(Clone, Copy, Debug)]
pub(super) enum Expect {
    Any,
    Current,
    Other,
}

#[derive(Clone, Debug)]
pub(super) enum Op {
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
    /// A refund of one of the paid orders. The facts follow from the order.
    Refund(prop::sample::Index, RequestRefund),
    /// A worker claims refunds, or reports on one that it has claimed.
    ClaimRefunds(u64),
    SettleRefund(prop::sample::Index, Verdict),
    /// An order takes one of the active holds over.
    Consume(prop::sample::Index, Command),
    /// From now on the node sends under a newer boot.
    Restart,
}

/// Windows that open and close within a history, and small limits.
fn sale() -> impl Strategy<Value = Sale> {
    let instant = || prop::option::weighted(0.2, (0_u64..2_000).prop_map(Timestamp));
    let limit = || prop::option::weighted(0.2, 0_u32..4);
    let window = (0_u32..5, 0_u64..600).prop_map(|(units, ms)| PerWindow { units, ms });
    (instant(), instant(), limit(), limit(), prop::option::weighted(0.3, window)).prop_map(
        |(opens_at, closes_at, min_per_order, max_held_per_user, per_window)| Sale {
            opens_at,
            closes_at,
            min_per_order,
            max_held_per_user,
            per_window,
        },
    )
}

fn sale_change() -> impl Strategy<Value = SaleChange> {
    (sale(), any::<[bool; 5]>()).prop_map(|(sale, [opens, closes, minimum, held, window])| {
        SaleChange {
            per_window: window.then_some(sale.per_window),
            opens_at: opens.then_some(sale.opens_at),
            closes_at: closes.then_some(sale.closes_at),
            min_per_order: minimum.then_some(sale.min_per_order),
            max_held_per_user: held.then_some(sale.max_held_per_user),
        }
    })
}

pub(super) fn update() -> impl Strategy<Value = Command> {
    let limit = of(of(0_u32..3));
    let user_limit = of(of(0_u32..5));
    let sale = prop_oneof![2 => Just(SaleChange::default()), 1 => sale_change()];
    let fields = (1_u64..5, of(sku()), of(-1_i64..300), of(-1_i64..12), limit, user_limit, sale);
    fields.prop_map(|(product, sku, price, stock, max_per_order, max_per_user, sale)| {
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
            sale: sale.into(),
        })
    })
}

pub(super) fn create() -> impl Strategy<Value = Command> {
    let limit = || of(prop_oneof![1 => Just(0_u32), 6 => 1_u32..6]);
    let stock = prop_oneof![1 => Just(-1_i64), 9 => 0_i64..20];
    let sale = prop_oneof![2 => Just(Sale::default()), 1 => sale()];
    (sku(), -1_i64..500, stock, limit(), limit(), of(0_u32..4), sale).prop_map(
        |(sku, price, stock, max_per_order, max_per_user, low_stock, sale)| {
            Command::CreateProduct(CreateProduct {
                name: "thing".into(),
                sku,
                price: Money(price),
                stock,
                max_per_order,
                max_per_user,
                low_stock,
                sale: sale.into(),
            })
        },
    )
}

pub(super) fn operation() -> impl Strategy<Value = Op> {
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
    let of_order = (0_u64..24, 1_u32..3, any::<bool>());
    let operator = of_order.clone().prop_map(|(order, attempt, is_paid)| {
        Command::SettleOrder(SettleOrder {
            order: OrderId(order),
            attempt,
            outcome: match is_paid {
                true => Settlement::Paid { reference: "p-1".into() },
                false => Settlement::Failed,
            },
            reason: "looked at the provider".into(),
            actor: "ann".into(),
        })
    });
    let recheck = of_order.prop_map(|(order, attempt, any)| {
        let attempt = (!any).then_some(attempt);
        Command::RecheckPayment(RecheckPayment { order: OrderId(order), attempt })
    });
    let keyed = prop_oneof![
        create(),
        update(),
        archive.clone(),
        user.clone(),
        cancel.clone(),
        release.clone(),
        extend.clone(),
        operator.clone(),
        recheck.clone(),
    ];
    let keyed = (0_u128..40, 0_u128..2, keyed).prop_map(|(name, meaning, command)| {
        let command = command.try_into().expect("it may have a key");
        Command::Keyed(Keyed { name, meaning, command })
    });
    prop_oneof![
        5 => keyed.prop_map(Op::Plain),
        12 => place().prop_map(Op::Plain),
        3 => operator.prop_map(Op::Plain),
        8 => (any::<prop::sample::Index>(), refund())
            .prop_map(|(which, refund)| Op::Refund(which, refund)),
        2 => (1_u64..3).prop_map(Op::ClaimRefunds),
        3 => (any::<prop::sample::Index>(), verdict())
            .prop_map(|(which, verdict)| Op::SettleRefund(which, verdict)),
        2 => recheck.prop_map(Op::Plain),
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
        // Mostly they go on, so that most orders are paid.
        1 => (0_u8..4).prop_map(|n| {
            Op::Plain(Command::SetPayments(SetPayments { paused: n == 0 }))
        }),
        1 => any::<[u8; 32]>().prop_map(|bytes| {
            Op::Plain(Command::RaiseLevel(RaiseLevel { to: 1, secret: Secret(bytes) }))
        }),
        // Rarely required, because most commands have no token.
        1 => prop::sample::select(vec![Mode::Off, Mode::Off, Mode::Optional, Mode::Required])
            .prop_map(|mode| Op::Plain(Command::SetAuth(SetAuth { mode }))),
        2 => create_token().prop_map(Op::Plain),
        1 => (prop::sample::select(Action::ALL), of(0_u64..4)).prop_map(
            |(action, target)| Op::Plain(Command::Note(Note { action, target }))
        ),
        2 => (0_u64..6).prop_map(|id| {
            Op::Plain(Command::RevokeToken(RevokeToken { token: TokenId(id) }))
        }),
        3 => (update(), expect.clone()).prop_map(|(update, expect)| Op::Versioned(update, expect)),
        1 => (archive, expect).prop_map(|(archive, expect)| Op::Versioned(archive, expect)),
        2 => any::<prop::sample::Index>().prop_map(Op::Again),
        4 => any::<prop::sample::Index>().prop_map(Op::Repeat),
        1 => Just(Op::Restart),
    ]
}
