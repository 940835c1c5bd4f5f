//! What the rows of a file say: the columns of products and orders, and how each is read.

use client::wire::{
    OrderLineRequest, OrderRequest, OrderStatus, PaymentMethod, PerWindow, ProductRequest,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::cell;
use super::sheet::{Cells, Columns};
use super::whole;

/// A row that can be read from a file.
pub(crate) trait Body: Sized {
    /// The columns of a CSV file.
    const COLUMNS: Columns;

    /// Reads a row of a CSV file.
    ///
    /// # Errors
    /// Words for the user, which name the column.
    fn from_cells(cells: &Cells) -> Result<Self, String>;

    /// Reads an object of an NDJSON file.
    ///
    /// # Errors
    /// Words for the user.
    fn from_json(text: &[u8]) -> Result<Self, String>;
}

/// A product of a file.
#[derive(Debug)]
pub(crate) struct ImportedProduct {
    /// Its id in the cluster that the file was exported from, if the file has ids.
    pub(crate) id: Option<u64>,
    pub(crate) request: ProductRequest,
}

/// What a file says of a product beside the request.
#[derive(Debug, Deserialize)]
struct ProductOrigin {
    #[serde(default)]
    id: Option<u64>,
}

impl Body for ImportedProduct {
    const COLUMNS: Columns = Columns {
        required: &["name", "price", "stock"],
        optional: &[
            "id",
            "sku",
            "max_per_order",
            "max_per_user",
            "low_stock_threshold",
            "opens_at",
            "closes_at",
            "min_per_order",
            "max_held_per_user",
            "window_units",
            "window_days",
        ],
    };

    fn from_cells(cells: &Cells) -> Result<ImportedProduct, String> {
        let request = ProductRequest {
            name: cell::restored(required(cells, "name")?).to_owned(),
            price: cell::price(required(cells, "price")?).map_err(in_column("price"))?,
            stock: whole_number(cells, "stock")?,
            sku: sku(cells)?,
            max_per_order: optional(cells, "max_per_order")?,
            max_per_user: optional(cells, "max_per_user")?,
            low_stock_threshold: optional(cells, "low_stock_threshold")?,
            opens_at: cells.get("opens_at").map(str::to_owned),
            closes_at: cells.get("closes_at").map(str::to_owned),
            min_per_order: optional(cells, "min_per_order")?,
            max_held_per_user: optional(cells, "max_held_per_user")?,
            per_window: match (optional(cells, "window_units")?, optional(cells, "window_days")?) {
                (Some(units), Some(days)) => Some(PerWindow { units, days }),
                (None, None) => None,
                _ => return Err("window_units and window_days: fill in both or none".to_owned()),
            },
        };
        Ok(ImportedProduct { id: optional(cells, "id")?, request })
    }

    fn from_json(text: &[u8]) -> Result<ImportedProduct, String> {
        let names: Vec<&str> = ["id", "stock"].iter().chain(&LIMITS).copied().collect();
        let text = whole::members(text, &names)?;
        let ProductOrigin { id } = json(&text)?;
        Ok(ImportedProduct { id, request: json(&text)? })
    }
}

/// An order of a file, or in CSV one line of it.
#[derive(Debug)]
pub(crate) struct ImportedOrder {
    /// Its id in the cluster that the file was exported from. In CSV, the rows of one order have
    /// the same.
    pub(crate) id: Option<u64>,
    /// Its status there.
    pub(crate) status: Option<OrderStatus>,
    pub(crate) request: OrderRequest,
    /// What the file says of the product of each line, beside its id.
    pub(crate) references: Vec<Reference>,
    /// Whether further lines of the order may follow in rows of their own.
    pub(crate) is_part: bool,
}

/// How a file names a product, beside its id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Reference {
    /// Its SKU, which decides.
    #[serde(default)]
    pub(crate) sku: Option<String>,
    /// Its name, with which the product of the id is checked.
    #[serde(default)]
    pub(crate) product_name: Option<String>,
}

/// What a file says of an order beside the request.
#[derive(Debug, Deserialize)]
struct OrderOrigin {
    #[serde(default)]
    id: Option<u64>,
    #[serde(default)]
    status: Option<OrderStatus>,
    #[serde(default)]
    items: Vec<Reference>,
}

impl Body for ImportedOrder {
    const COLUMNS: Columns = Columns {
        required: &["quantity"],
        optional: &[
            "product_id",
            "sku",
            "product_name",
            "order_id",
            "status",
            "user_id",
            "payment_method",
            "idempotency_key",
            "client_reference",
        ],
    };

    fn from_cells(cells: &Cells) -> Result<ImportedOrder, String> {
        let text = |column| cells.get(column).map(|text| cell::restored(text).to_owned());
        let reference = Reference { sku: sku(cells)?, product_name: text("product_name") };
        let product_id = match optional(cells, "product_id")? {
            Some(id) => id,
            None if reference.sku.is_some() => 0,
            None => return Err("it names no product: fill in product_id or sku".to_owned()),
        };
        let request = OrderRequest {
            user_id: optional(cells, "user_id")?,
            items: vec![OrderLineRequest {
                product_id,
                quantity: whole_number(cells, "quantity")?,
            }],
            payment_method: cells.get("payment_method").map(payment_method).transpose()?,
            idempotency_key: text("idempotency_key"),
            client_reference: text("client_reference"),
            ..OrderRequest::default()
        };
        let status = cells.get("status").map(|status| {
            serde_json::from_value(status.to_uppercase().into())
                .map_err(|_| format!("status: {status:?} is not a status of an order"))
        });
        Ok(ImportedOrder {
            id: optional(cells, "order_id")?,
            status: status.transpose()?,
            request,
            references: vec![reference],
            is_part: true,
        })
    }

    fn from_json(text: &[u8]) -> Result<ImportedOrder, String> {
        let text = whole::members(text, &ORDER_NUMBERS)?;
        let OrderOrigin { id, status, items } = json(&text)?;
        let mut request: OrderRequest = json(&text)?;
        if !request.items.is_empty() {
            // An export names the hold that an order was made from. It is gone.
            request.hold_id = request.hold_id.filter(|_| id.is_none());
        }
        Ok(ImportedOrder { id, status, request, references: items, is_part: false })
    }
}

impl Body for OrderRequest {
    const COLUMNS: Columns = Columns {
        required: &["product_id", "quantity"],
        optional: &["user_id", "payment_method", "idempotency_key", "client_reference"],
    };

    fn from_cells(cells: &Cells) -> Result<OrderRequest, String> {
        Ok(ImportedOrder::from_cells(cells)?.request)
    }

    fn from_json(text: &[u8]) -> Result<OrderRequest, String> {
        json(&whole::members(text, &ORDER_NUMBERS)?)
    }
}

/// The limits of a product, which are whole numbers.
const LIMITS: [&str; 5] =
    ["max_per_order", "max_per_user", "low_stock_threshold", "min_per_order", "max_held_per_user"];

/// The whole numbers of an order.
const ORDER_NUMBERS: [&str; 5] = ["id", "user_id", "hold_id", "product_id", "quantity"];

fn json<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    serde_json::from_slice(text).map_err(|error| error.to_string())
}

fn sku(cells: &Cells) -> Result<Option<String>, String> {
    let text = cells.get("sku").map(cell::sku).transpose().map_err(in_column("sku"))?;
    Ok(text.map(str::to_owned))
}

fn payment_method(text: &str) -> Result<PaymentMethod, String> {
    serde_json::from_value(text.to_lowercase().into())
        .map_err(|_| format!("payment_method: {text:?} is not one of mock, webhook and none"))
}

fn required<'a>(cells: &'a Cells, column: &str) -> Result<&'a str, String> {
    cells.get(column).ok_or_else(|| format!("{column}: the cell is empty"))
}

fn whole_number(cells: &Cells, column: &'static str) -> Result<u64, String> {
    cell::whole(required(cells, column)?).map_err(in_column(column))
}

fn optional(cells: &Cells, column: &'static str) -> Result<Option<u64>, String> {
    cells.get(column).map(cell::whole).transpose().map_err(in_column(column))
}

fn in_column(column: &'static str) -> impl Fn(String) -> String {
    move |wrong| format!("{column}: {wrong}")
}
