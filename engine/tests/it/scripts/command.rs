//! Lines of a script as commands to the engine.
//!
//! Whatever a line does not name gets a value that suits most scripts.

use std::error::Error;
use std::fmt::Display;
use std::str::FromStr;

use engine::adjustment::Change;
use engine::auth::{Mode, Scope, Scopes};
use engine::command::{
    AdjustStock, CancelOrder, ClaimPayments, Command, CreateHold, CreateProduct, CreateToken,
    CreateUser, ExtendHold, FenceKey, OrderTerms, PaymentResult, PaymentWebhook, PlaceOrder,
    RecheckPayment, ReleaseHold, RevokeToken, SetAuth, SettleOrder, SettlePayments, Settlement,
    UpdateProduct, Verdict,
};
use engine::ids::{
    HoldId, NodeId, OrderId, Position, ProductId, Quantity, Timestamp, TokenId, UserId,
};
use engine::order::{Line, PaymentMethod};
use engine::sale::{PerWindow, Sale, SaleChange};
use engine::webhook::Report;
use goldenscript::ArgumentConsumer;

use crate::common::archive;

/// What reading a line gives.
pub(super) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The arguments of one line that were not read yet.
pub(super) struct Arguments<'a>(ArgumentConsumer<'a>);

impl<'a> Arguments<'a> {
    pub(super) fn new(line: &'a goldenscript::Command) -> Arguments<'a> {
        Arguments(line.consume_args())
    }

    /// The value of `name=`, if the line has it.
    pub(super) fn find<T: FromStr<Err: Display>>(&mut self, name: &str) -> Result<Option<T>> {
        let Some(text) = self.0.take_key(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|error| format!("{name}={text}: {error}").into())
    }

    /// The value of `name=`, or `default`.
    pub(super) fn or<T: FromStr<Err: Display>>(&mut self, name: &str, default: T) -> Result<T> {
        Ok(self.find(name)?.unwrap_or(default))
    }

    /// The value of `name=`, which the line must have.
    pub(super) fn need<T: FromStr<Err: Display>>(&mut self, name: &str) -> Result<T> {
        self.find(name)?.ok_or_else(|| format!("{name}= is missing").into())
    }

    /// The next argument without a name, which the line must have.
    pub(super) fn word(&mut self) -> Result<&'a str> {
        self.0.next_pos().ok_or_else(|| "an argument is missing".into())
    }

    /// All arguments without a name as lines of an order: `1x2 3x1` is two of product 1 and one of
    /// product 3.
    fn lines(&mut self) -> Result<Vec<Line>> {
        let mut lines = Vec::new();
        while let Some(text) = self.0.next_pos() {
            let (product, quantity) = text.split_once('x').ok_or("lines read PRODUCTxQUANTITY")?;
            let (product, quantity) = (ProductId(product.parse()?), Quantity(quantity.parse()?));
            lines.push(Line { product, quantity });
        }
        Ok(lines)
    }

    fn text(&mut self, name: &str) -> Option<Box<str>> {
        self.0.take_key(name).map(Into::into)
    }

    /// Fails when an argument was not read: it is misspelt.
    pub(super) fn end(self) -> Result<()> {
        self.0.reject_next()
    }
}

/// The command of a line. Reads the arguments that it knows.
pub(super) fn command(name: &str, args: &mut Arguments<'_>) -> Result<Command> {
    Ok(match name {
        "order" => Command::PlaceOrder(place_order(args)?),
        "cancel" => Command::CancelOrder(CancelOrder {
            order: OrderId(args.need("order")?),
            reason: args.text("reason"),
        }),
        "claim" => Command::ClaimPayments(ClaimPayments {
            node: NodeId(args.or("node", 1)?),
            lease_ms: args.or("lease", 10_000)?,
            tasks: vec![(OrderId(args.need("order")?), args.need("attempt")?)],
        }),
        "settle" => Command::SettlePayments(SettlePayments {
            results: vec![PaymentResult {
                order: OrderId(args.need("order")?),
                attempt: args.need("attempt")?,
                verdict: verdict(args)?,
            }],
        }),
        "operator" => Command::SettleOrder(SettleOrder {
            order: OrderId(args.need("order")?),
            attempt: args.need("attempt")?,
            outcome: match args.text("reference") {
                Some(reference) => Settlement::Paid { reference },
                None => Settlement::Failed,
            },
            reason: args.text("reason").unwrap_or_else(|| "looked at the provider".into()),
            actor: args.text("actor").unwrap_or_else(|| "ann".into()),
        }),
        "recheck" => Command::RecheckPayment(RecheckPayment {
            order: OrderId(args.need("order")?),
            attempt: args.find("attempt")?,
        }),
        "fence" => Command::FenceKey(FenceKey { key: args.need::<String>("key")?.into() }),
        "webhook" => Command::PaymentWebhook(PaymentWebhook {
            key: args.need::<String>("key")?.into(),
            order: OrderId(args.need("order")?),
            report: match args.text("report").as_deref() {
                None => Report::Succeeded,
                Some("failure") => Report::Failed,
                Some(other) => return Err(format!("no report is called {other}").into()),
            },
            amount: args.find("amount")?,
            payload: args.text("payload"),
            park_ms: args.or("park", 1_000)?,
            parked_max: args.or("max", 10)?,
        }),
        "hold" => Command::CreateHold(CreateHold {
            lines: args.lines()?,
            user: args.find("user")?.map(UserId),
            ttl_ms: args.or("ttl", 100)?,
            key: args.text("key"),
            ttl_max_ms: args.or("max", 1_000)?,
            active_holds_max: args.or("active", 1_000)?,
            require_user: args.or("strict", false)?,
            ttl_is_default: args.or("default", false)?.into(),
        }),
        "release" => Command::ReleaseHold(ReleaseHold { hold: HoldId(args.need("hold")?) }),
        "extend" => Command::ExtendHold(ExtendHold {
            hold: HoldId(args.need("hold")?),
            ttl_ms: args.need("ttl")?,
            ttl_max_ms: args.or("max", 1_000)?,
        }),
        "auth" => {
            let word = args.word()?;
            let mode = Mode::ALL.into_iter().find(|mode| mode.as_str() == word);
            Command::SetAuth(SetAuth { mode: mode.ok_or("no such mode")? })
        }
        "token" => Command::CreateToken(CreateToken {
            hash: [args.or("hash", 7)?; 32],
            owner: args.text("owner").unwrap_or_else(|| "shop".into()),
            user: args.find("user")?.map(UserId),
            scopes: scopes(args)?,
            label: args.text("label").unwrap_or_default(),
            ttl_ms: args.find("ttl")?,
        }),
        "revoke" => Command::RevokeToken(RevokeToken { token: TokenId(args.need("token")?) }),
        "product" => Command::CreateProduct(CreateProduct {
            name: args.text("name").unwrap_or_else(|| "thing".into()),
            sku: args.text("sku"),
            price: args.or("price", "1".parse()?)?,
            stock: args.need("stock")?,
            max_per_order: args.find("limit")?,
            max_per_user: args.find("per-user")?,
            low_stock: args.find("low")?,
            sale: Sale {
                opens_at: args.find("opens")?.map(Timestamp),
                closes_at: args.find("closes")?.map(Timestamp),
                min_per_order: args.find("min")?,
                max_held_per_user: args.find("held")?,
                per_window: per_window(args)?,
            }
            .into(),
        }),
        "set" => Command::UpdateProduct(UpdateProduct {
            product: ProductId(args.need("product")?),
            expected_version: args.text("version").map(|text| position(&text)).transpose()?,
            price: args.find("price")?,
            stock: args.find("stock")?,
            max_per_user: args.find("per-user")?.map(Some),
            low_stock: args.find("low")?.map(Some),
            sale: SaleChange {
                opens_at: args.find("opens")?.map(Timestamp).map(Some),
                closes_at: args.find("closes")?.map(Timestamp).map(Some),
                min_per_order: args.find("min")?.map(Some),
                max_held_per_user: args.find("held")?.map(Some),
                per_window: per_window(args)?.map(Some),
            }
            .into(),
            ..UpdateProduct::default()
        }),
        "adjust" => Command::AdjustStock(AdjustStock {
            product: ProductId(args.need("product")?),
            change: match args.find("by")? {
                Some(delta) => Change::By(delta),
                None => Change::To(args.need("to")?),
            },
            expected: args.find("expected")?,
            reason: args.text("reason").unwrap_or_else(|| "counted".into()),
            key: args.text("key"),
        }),
        "archive" => archive(ProductId(args.need("product")?)),
        "user" => Command::CreateUser(CreateUser {
            name: "someone".into(),
            email: args.need::<String>("email")?.into(),
        }),
        "raise" => crate::level::raise(args.need("to")?),
        "tick" => Command::Tick,
        other => return Err(format!("no command is called {other}").into()),
    })
}

fn place_order(args: &mut Arguments<'_>) -> Result<PlaceOrder> {
    Ok(PlaceOrder {
        lines: args.lines()?,
        user: args.find("user")?.map(UserId),
        hold: args.find("hold")?.map(HoldId),
        payment_method: match args.text("payment").as_deref() {
            None | Some("none") => PaymentMethod::None,
            Some("mock") => PaymentMethod::Mock,
            Some("gateway") => PaymentMethod::Gateway,
            Some("webhook") => PaymentMethod::Webhook,
            Some(other) => return Err(format!("no payment method is called {other}").into()),
        },
        key: args.text("key"),
        metadata: args.text("metadata"),
        payment_attempts_max: args.or("attempts", 1)?,
        payment_deadline_ms: args.or("deadline", 60_000)?,
        open_orders_max: args.or("open", 1_000_000)?,
        require_user: args.or("strict", false)?,
        terms: OrderTerms {
            expected_total: args.find("total")?,
            reference: args.text("reference"),
        }
        .into(),
    })
}

/// `window=2/500`: two units in 500 ms.
fn per_window(args: &mut Arguments<'_>) -> Result<Option<PerWindow>> {
    let Some(text) = args.text("window") else { return Ok(None) };
    let (units, ms) = text.split_once('/').ok_or("a window reads UNITS/MS")?;
    Ok(Some(PerWindow { units: units.parse()?, ms: ms.parse()? }))
}

fn verdict(args: &mut Arguments<'_>) -> Result<Verdict> {
    let retry_in_ms = args.or("retry", 0)?;
    match args.need::<String>("verdict")?.as_str() {
        "paid" => Ok(Verdict::Succeeded),
        "silent" => Ok(Verdict::NoAnswer { retry_in_ms }),
        "declined" => Ok(Verdict::Declined { reason: "card refused".into(), retry_in_ms }),
        other => Err(format!("no verdict is called {other}").into()),
    }
}

/// `2.1`: the second command of entry 2.
pub(super) fn position(text: &str) -> Result<Position> {
    let (index, command) = text.split_once('.').ok_or("positions read INDEX.COMMAND")?;
    Ok(Position::new(index.parse()?, command.parse()?))
}

/// All arguments without a name as scopes, with a dot for their colon.
fn scopes(args: &mut Arguments<'_>) -> Result<Scopes> {
    let mut scopes = Scopes::default();
    while let Some(text) = args.0.next_pos() {
        let scope = Scope::ALL.iter().find(|scope| scope.as_str() == text.replace('.', ":"));
        scopes = scopes.with(*scope.ok_or_else(|| format!("no scope is called {text}"))?);
    }
    Ok(scopes)
}
