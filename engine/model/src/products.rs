//! Products in the model.

use engine::adjustment::Change;
use engine::command::{AdjustStock, CreateProduct, UpdateProduct};
use engine::event::Kind;
use engine::ids::{AdjustmentId, Position, ProductId, Timestamp};
use engine::ledger::Cause;
use engine::money::Money;
use engine::outcome::{Outcome, Rejection};
use engine::sale::Sale;

use crate::model::{At, Model};
use crate::rows::{Adjustment, Product, Versions};

impl Model {
    fn sku_is_free(&self, sku: &Option<Box<str>>, own: Option<ProductId>) -> bool {
        sku.is_none()
            || (1..).map(ProductId).zip(&self.products).all(|(id, product)| {
                let product = product.now();
                Some(id) == own || product.archived || product.sku != *sku
            })
    }

    pub(crate) fn create_product(
        &mut self,
        at: &mut At<'_>,
        command: CreateProduct,
    ) -> Result<Outcome, Rejection> {
        check_price(command.price)?;
        check_stock(command.stock)?;
        check_limits(command.max_per_order, command.max_per_user)?;
        check_sale(&command.sale, command.max_per_order, command.max_per_user)?;
        if !self.sku_is_free(&command.sku, None) {
            return Err(Rejection::SkuTaken);
        }
        let product = Product {
            name: command.name,
            low_stock: command.low_stock,
            sku: command.sku,
            price: command.price,
            max_per_order: command.max_per_order,
            max_per_user: command.max_per_user,
            counted_since: command.max_per_user.map(|_| at.position),
            available: 0,
            held: 0,
            reserved: 0,
            sold: 0,
            brought_in: 0,
            archived: false,
            version: at.position,
            sale: command.sale.0,
            window: command.sale.per_window.map(|_| (at.position, self.clock)),
        };
        self.products.push(Versions::new(at.position, product));
        self.ledgers.push(Vec::new());
        let id = ProductId(self.products.len() as u64);
        self.enter(at, id, Cause::Created, |product| {
            (product.available, product.brought_in) = (command.stock, command.stock);
        });
        self.tell(at, None, Kind::ProductCreated(id));
        Ok(Outcome::ProductCreated(id))
    }

    pub(crate) fn update_product(
        &mut self,
        at: &mut At<'_>,
        command: &UpdateProduct,
    ) -> Result<Outcome, Rejection> {
        let id = command.product;
        let product = self.active(id).ok_or(Rejection::ProductNotFound(id))?;
        let current = product.version;
        if command.expected_version.is_some_and(|version| version != current) {
            return Err(Rejection::VersionMismatch { current });
        }
        command.price.map_or(Ok(()), check_price)?;
        check_limits(command.max_per_order.flatten(), command.max_per_user.flatten())?;
        let (old, new) = (product.sale, command.sale.0);
        let sale = Sale {
            opens_at: new.opens_at.unwrap_or(old.opens_at),
            closes_at: new.closes_at.unwrap_or(old.closes_at),
            min_per_order: new.min_per_order.unwrap_or(old.min_per_order),
            max_held_per_user: new.max_held_per_user.unwrap_or(old.max_held_per_user),
            per_window: new.per_window.unwrap_or(old.per_window),
        };
        let clock = self.clock;
        let window = match (old.per_window, sale.per_window, product.window) {
            (_, None, _) => None,
            // What was taken a window ago or earlier stays forgotten when the window grows.
            (Some(old), Some(new), Some((since, from))) if new.ms > old.ms => {
                let gone = clock.0.saturating_sub(old.ms) + 1;
                Some((since, from.max(Timestamp(gone))))
            }
            (Some(_), Some(_), known) => known,
            (None, Some(_), _) => Some((at.position, clock)),
        };
        let per_order = command.max_per_order.unwrap_or(product.max_per_order);
        check_sale(&sale, per_order, command.max_per_user.unwrap_or(product.max_per_user))?;
        if command.sku.as_ref().is_some_and(|sku| !self.sku_is_free(sku, Some(id))) {
            return Err(Rejection::SkuTaken);
        }
        command.stock.map_or(Ok(()), check_stock)?;
        let before = product.available;
        self.edit(at, id, |product| {
            product.name = command.name.clone().unwrap_or_else(|| product.name.clone());
            product.low_stock = command.low_stock.unwrap_or(product.low_stock);
            product.sale = sale;
            product.window = window;
            product.price = command.price.unwrap_or(product.price);
            product.max_per_order = command.max_per_order.unwrap_or(product.max_per_order);
            product.max_per_user = command.max_per_user.unwrap_or(product.max_per_user);
            let counted = product.max_per_user.map(|_| at.position);
            product.counted_since = product.counted_since.or(counted);
            if let Some(sku) = &command.sku {
                product.sku = sku.clone();
            }
        });
        if let Some(stock) = command.stock.filter(|stock| *stock != before) {
            self.enter(at, id, Cause::Adjustment(None), |product| {
                product.brought_in += stock - before;
                product.available = stock;
            });
        }
        self.tell(at, None, Kind::ProductUpdated(id));
        self.tell_stock(at, id, before);
        Ok(Outcome::ProductUpdated(id))
    }

    pub(crate) fn adjust(
        &mut self,
        at: &mut At<'_>,
        command: AdjustStock,
    ) -> Result<Outcome, Rejection> {
        let AdjustStock { product, change, expected, reason, key } = command;
        if let Some(id) = key.as_ref().and_then(|key| self.adjustment_keys.get(key)) {
            let adjustment = AdjustmentId(*id as u64 + 1);
            let known = &self.adjustments[*id];
            let meaning = (known.product, known.change, known.expected, &known.reason);
            return match meaning == (product, change, expected, &reason) {
                true => Ok(Outcome::AdjustmentReplayed { adjustment, product }),
                false => Err(Rejection::KeyReused),
            };
        }
        if reason.is_empty() {
            return Err(Rejection::Invalid("reason"));
        }
        let row = self.active(product).ok_or(Rejection::ProductNotFound(product))?;
        let available = row.available;
        match change {
            Change::By(0) => return Err(Rejection::Invalid("delta")),
            Change::To(units) if units < 0 => return Err(Rejection::Invalid("set")),
            Change::By(_) | Change::To(_) => {}
        }
        if let Some(expected) = expected.filter(|expected| *expected != available) {
            return Err(Rejection::StockMismatch { product, expected, available });
        }
        let delta = match change {
            Change::By(delta) => delta,
            Change::To(units) => units - available,
        };
        if available + delta < 0 {
            return Err(Rejection::StockBelowZero { product, delta, available });
        }
        let id = AdjustmentId(self.adjustments.len() as u64 + 1);
        self.enter(at, product, Cause::Adjustment(Some(id)), |product| {
            product.available += delta;
            product.brought_in += delta;
        });
        let available = available + delta;
        self.tell(at, None, Kind::StockAdjusted { product, adjustment: id, delta, available });
        self.tell_stock(at, product, available - delta);
        if let Some(key) = key {
            self.adjustment_keys.insert(key, self.adjustments.len());
        }
        let position = at.position;
        let row = Adjustment { id, product, change, expected, reason, delta, position };
        self.adjustments.push(row);
        Ok(Outcome::StockAdjusted { adjustment: id, product })
    }

    pub(crate) fn archive(
        &mut self,
        at: &mut At<'_>,
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
        self.edit(at, id, |product| product.archived = true);
        self.tell(at, None, Kind::ProductArchived(id));
        Ok(Outcome::ProductArchived(id))
    }
}

fn check_price(price: Money) -> Result<(), Rejection> {
    match price.0 < 0 {
        true => Err(Rejection::Invalid("price")),
        false => Ok(()),
    }
}

fn check_stock(stock: i64) -> Result<(), Rejection> {
    match stock < 0 {
        true => Err(Rejection::Invalid("stock")),
        false => Ok(()),
    }
}

fn check_sale(sale: &Sale, per_order: Option<u32>, per_user: Option<u32>) -> Result<(), Rejection> {
    if sale.min_per_order == Some(0) {
        return Err(Rejection::Invalid("min_per_order"));
    }
    if sale.max_held_per_user == Some(0) {
        return Err(Rejection::Invalid("max_held_per_user"));
    }
    if let (Some(opens), Some(closes)) = (sale.opens_at, sale.closes_at)
        && closes <= opens
    {
        return Err(Rejection::ClosesBeforeOpening);
    }
    if sale.per_window.is_some_and(|it| it.units == 0 || it.ms == 0 || it.ms > 366 * 86_400_000) {
        return Err(Rejection::Invalid("per_window"));
    }
    let minimum = sale.min_per_order.unwrap_or(0);
    let per_window = sale.per_window.map(|limit| limit.units);
    let above = |maximum: Option<u32>| maximum.is_some_and(|maximum| maximum < minimum);
    let (field, maximum) = if above(per_order) {
        ("max_per_order", per_order)
    } else if above(per_user) {
        ("max_per_user", per_user)
    } else if above(sale.max_held_per_user) {
        ("max_held_per_user", sale.max_held_per_user)
    } else if above(per_window) {
        ("per_window", per_window)
    } else {
        return Ok(());
    };
    let maximum = maximum.expect("it is smaller than the minimum");
    Err(Rejection::MinimumAboveMaximum { minimum, field, maximum })
}

fn check_limits(per_order: Option<u32>, per_user: Option<u32>) -> Result<(), Rejection> {
    match (per_order, per_user) {
        (Some(0), _) => Err(Rejection::Invalid("max_per_order")),
        (_, Some(0)) => Err(Rejection::Invalid("max_per_user")),
        _ => Ok(()),
    }
}
