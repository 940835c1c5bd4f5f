//! Creating, changing and archiving products.

use crate::apply::context::Context;
use crate::command::{ArchiveProduct, CreateProduct, UpdateProduct};
use crate::event::Kind;
use crate::ids::{Position, ProductId};
use crate::ledger;
use crate::money::Money;
use crate::outcome::{Outcome, Rejection};
use crate::product::{Counted, Counters, NAME_BYTES_MAX, Product, SKU_BYTES_MAX, STOCK_MAX};
use crate::sale::{DAY_MS, Sale, WINDOW_DAYS_MAX};
use crate::state::State;

impl State {
    /// Creates a product with its initial stock.
    pub(crate) fn create_product(
        &mut self,
        cx: &mut Context<'_>,
        command: CreateProduct,
    ) -> Result<Outcome, Rejection> {
        check_name(&command.name)?;
        check_price(command.price)?;
        check_stock(command.stock)?;
        check_limit("max_per_order", command.max_per_order)?;
        check_limit("max_per_user", command.max_per_user)?;
        check_sale(&command.sale, command.max_per_order, command.max_per_user)?;
        let id = ProductId(self.products.len() as u64 + 1);
        self.check_sku(id, command.sku.as_deref())?;
        self.products.create(Product {
            id,
            name: command.name,
            sku: command.sku,
            price: command.price,
            max_per_order: command.max_per_order,
            max_per_user: command.max_per_user,
            counted_since: command.max_per_user.map(|_| cx.position),
            low_stock: command.low_stock,
            stock: Counters::default(),
            brought_in: 0,
            ledger_rows: 0,
            archived: false,
            created_at: cx.at,
            updated_at: cx.at,
            version: cx.position,
            sale: command.sale.0,
            window: command.sale.per_window.map(|_| Counted { since: cx.position, from: cx.at }),
        });
        let cause = ledger::Cause::Created;
        self.products.adjust(id, command.stock, cause, cx.position, cx.at);
        self.totals.products_created += 1;
        self.tell(cx, Kind::ProductCreated(id));
        Ok(Outcome::ProductCreated(id))
    }

    /// Changes a product, all fields or none.
    pub(crate) fn update_product(
        &mut self,
        cx: &mut Context<'_>,
        command: UpdateProduct,
    ) -> Result<Outcome, Rejection> {
        let id = command.product;
        let product = self.products.active(id).ok_or(Rejection::ProductNotFound(id))?;
        check_version(product, command.expected_version)?;
        if let Some(name) = &command.name {
            check_name(name)?;
        }
        if let Some(price) = command.price {
            check_price(price)?;
        }
        if let Some(limit) = command.max_per_order {
            check_limit("max_per_order", limit)?;
        }
        if let Some(limit) = command.max_per_user {
            check_limit("max_per_user", limit)?;
        }
        let sale = product.sale.with(command.sale.0);
        let max_per_order = command.max_per_order.unwrap_or(product.max_per_order);
        let max_per_user = command.max_per_user.unwrap_or(product.max_per_user);
        check_sale(&sale, max_per_order, max_per_user)?;
        if let Some(sku) = &command.sku {
            self.check_sku(id, sku.as_deref())?;
        }
        let change = match command.stock {
            Some(available) => stock_change(product, available)?,
            None => 0,
        };
        let before = product.stock.available();
        self.products.change(id, cx.position, cx.at, |product| {
            product.name = command.name.unwrap_or_else(|| std::mem::take(&mut product.name));
            product.price = command.price.unwrap_or(product.price);
            product.max_per_order = max_per_order;
            product.max_per_user = max_per_user;
            // Once counted, always counted: a removed limit may come back.
            let counted = product.max_per_user.map(|_| cx.position);
            product.counted_since = product.counted_since.or(counted);
            product.low_stock = command.low_stock.unwrap_or(product.low_stock);
            product.window = product.counted_under(sale.per_window, cx.position, cx.at);
            product.sale = sale;
            if let Some(sku) = command.sku {
                product.sku = sku;
            }
        });
        if change != 0 {
            let cause = ledger::Cause::Adjustment(None);
            self.products.adjust(id, change, cause, cx.position, cx.at);
        }
        self.tell(cx, Kind::ProductUpdated(id));
        self.tell_stock(cx, id, before);
        Ok(Outcome::ProductUpdated(id))
    }

    /// Archives a product. Its open orders still settle; its SKU is free again.
    pub(crate) fn archive_product(
        &mut self,
        cx: &mut Context<'_>,
        command: &ArchiveProduct,
    ) -> Result<Outcome, Rejection> {
        let id = command.product;
        let entry = self.products.entry(id).ok_or(Rejection::ProductNotFound(id))?;
        if entry.product.archived {
            return Ok(Outcome::ProductArchived(id));
        }
        check_version(&entry.product, command.expected_version)?;
        self.products.change(id, cx.position, cx.at, |product| product.archived = true);
        self.tell(cx, Kind::ProductArchived(id));
        Ok(Outcome::ProductArchived(id))
    }

    fn check_sku(&self, id: ProductId, sku: Option<&str>) -> Result<(), Rejection> {
        let Some(sku) = sku else { return Ok(()) };
        if sku.is_empty() || sku.len() > SKU_BYTES_MAX {
            return Err(Rejection::Invalid("sku"));
        }
        match self.products.by_sku(sku) {
            Some(other) if other != id => Err(Rejection::SkuTaken),
            _ => Ok(()),
        }
    }
}

/// The change of `on_hand` after which `available` units are available; held and reserved units
/// stay as they are.
fn stock_change(product: &Product, available: i64) -> Result<i64, Rejection> {
    check_stock(available)?;
    let stock = &product.stock;
    let on_hand = available
        .checked_add(stock.held)
        .and_then(|units| units.checked_add(stock.reserved))
        .filter(|units| *units <= STOCK_MAX)
        .ok_or(Rejection::StockOverflow)?;
    let change = on_hand - stock.on_hand;
    // Units sold long ago count too: the sum of all units ever brought in must fit.
    product.brought_in.checked_add(change).ok_or(Rejection::StockOverflow)?;
    Ok(change)
}

fn check_version(product: &Product, expected: Option<Position>) -> Result<(), Rejection> {
    match expected {
        Some(version) if version != product.version => {
            Err(Rejection::VersionMismatch { current: product.version })
        }
        _ => Ok(()),
    }
}

fn check_name(name: &str) -> Result<(), Rejection> {
    match name.len() {
        1..=NAME_BYTES_MAX => Ok(()),
        _ => Err(Rejection::Invalid("name")),
    }
}

fn check_price(price: Money) -> Result<(), Rejection> {
    match (Money(0)..=Money::PRICE_MAX).contains(&price) {
        true => Ok(()),
        false => Err(Rejection::Invalid("price")),
    }
}

fn check_stock(stock: i64) -> Result<(), Rejection> {
    match (0..=STOCK_MAX).contains(&stock) {
        true => Ok(()),
        false => Err(Rejection::Invalid("stock")),
    }
}

fn check_limit(field: &'static str, limit: Option<u32>) -> Result<(), Rejection> {
    match limit {
        Some(0) => Err(Rejection::Invalid(field)),
        _ => Ok(()),
    }
}

/// Checks the rules of a sale, which the edge cannot do alone: a patch names only some of them.
fn check_sale(
    sale: &Sale,
    max_per_order: Option<u32>,
    max_per_user: Option<u32>,
) -> Result<(), Rejection> {
    check_limit("min_per_order", sale.min_per_order)?;
    check_limit("max_held_per_user", sale.max_held_per_user)?;
    if sale.closes_first() {
        return Err(Rejection::ClosesBeforeOpening);
    }
    let is_sound = |ms| (1..=u64::from(WINDOW_DAYS_MAX) * DAY_MS).contains(&ms);
    if sale.per_window.is_some_and(|limit| limit.units == 0 || !is_sound(limit.ms)) {
        return Err(Rejection::Invalid("per_window"));
    }
    let Some(minimum) = sale.min_per_order else { return Ok(()) };
    let bounds = [
        ("max_per_order", max_per_order),
        ("max_per_user", max_per_user),
        ("max_held_per_user", sale.max_held_per_user),
        ("per_window", sale.per_window.map(|limit| limit.units)),
    ];
    for (field, maximum) in bounds {
        if let Some(maximum) = maximum.filter(|maximum| *maximum < minimum) {
            return Err(Rejection::MinimumAboveMaximum { minimum, field, maximum });
        }
    }
    Ok(())
}
