//! What the rows of a file say: the columns of products and orders, and how each is read.

use client::wire::{OrderLineRequest, OrderRequest, PaymentMethod, ProductRequest};
use serde::de::DeserializeOwned;

use super::cell;
use super::sheet::{Cells, Columns};

/// A request body that can be read from a file.
pub(crate) trait Body: DeserializeOwned {
    /// The columns of a CSV file.
    const COLUMNS: Columns;

    /// Reads a row of a CSV file.
    ///
    /// # Errors
    /// Words for the user, which name the column.
    fn from_cells(cells: &Cells) -> Result<Self, String>;
}

impl Body for ProductRequest {
    const COLUMNS: Columns = Columns {
        required: &["name", "price", "stock"],
        optional: &["sku", "max_per_order", "max_per_user", "low_stock_threshold"],
    };

    fn from_cells(cells: &Cells) -> Result<ProductRequest, String> {
        Ok(ProductRequest {
            name: cell::restored(required(cells, "name")?).to_owned(),
            price: cell::price(required(cells, "price")?).map_err(in_column("price"))?,
            stock: whole(cells, "stock")?,
            sku: match cells.get("sku") {
                Some(text) => Some(cell::sku(text).map_err(in_column("sku"))?.to_owned()),
                None => None,
            },
            max_per_order: optional(cells, "max_per_order")?,
            max_per_user: optional(cells, "max_per_user")?,
            low_stock_threshold: optional(cells, "low_stock_threshold")?,
        })
    }
}

impl Body for OrderRequest {
    const COLUMNS: Columns = Columns {
        required: &["product_id", "quantity"],
        optional: &["user_id", "payment_method", "idempotency_key"],
    };

    fn from_cells(cells: &Cells) -> Result<OrderRequest, String> {
        let line = OrderLineRequest {
            product_id: whole(cells, "product_id")?,
            quantity: whole(cells, "quantity")?,
        };
        Ok(OrderRequest {
            user_id: optional(cells, "user_id")?,
            items: vec![line],
            payment_method: cells.get("payment_method").map(payment_method).transpose()?,
            idempotency_key: cells
                .get("idempotency_key")
                .map(|text| cell::restored(text).to_owned()),
            ..OrderRequest::default()
        })
    }
}

fn payment_method(text: &str) -> Result<PaymentMethod, String> {
    serde_json::from_value(text.to_lowercase().into())
        .map_err(|_| format!("payment_method: {text:?} is not one of mock, webhook and none"))
}

fn required<'a>(cells: &'a Cells, column: &str) -> Result<&'a str, String> {
    cells.get(column).ok_or_else(|| format!("{column}: the cell is empty"))
}

fn whole(cells: &Cells, column: &'static str) -> Result<u64, String> {
    cell::whole(required(cells, column)?).map_err(in_column(column))
}

fn optional(cells: &Cells, column: &'static str) -> Result<Option<u64>, String> {
    cells.get(column).map(cell::whole).transpose().map_err(in_column(column))
}

fn in_column(column: &'static str) -> impl Fn(String) -> String {
    move |wrong| format!("{column}: {wrong}")
}
