//! Reads the `value` of an event into types. Names may be text or whole numbers.

use serde_json::{Map, Value};

use super::operation::{Call, Dump, DumpHold, DumpOrder, Items, Move, Reply, Status, Stock};

/// What is wrong with the value of an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// The value is not an object.
    #[error("`value` must be an object")]
    NotAnObject,
    /// A field is missing.
    #[error("`value` lacks `{0}`")]
    Missing(&'static str),
    /// A field is of the wrong type.
    #[error("`{field}` must be {expected}")]
    Type {
        /// Which field.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// The operation is unknown.
    #[error(
        "`{0}` is not an operation: expected create_product, place_order, cancel, read_product, \
         read_order or dump"
    )]
    Operation(String),
    /// The status is unknown.
    #[error("`{0}` is not a status: expected PENDING, PROCESSING, PAID, FAILED or CANCELLED")]
    Status(String),
    /// A quantity is zero, or the sum of lines is too large.
    #[error("the quantity of `{0}` must be from 1 to 2^63 - 1")]
    Quantity(String),
    /// An order has no items.
    #[error("an order needs `product` and `qty`, or `items` that are not empty")]
    NoItems,
}

/// Reads the arguments of an invocation.
pub(super) fn call(f: &str, value: &Value) -> Result<Call, ValueError> {
    match f {
        "create_product" => {
            let fields = object(value)?;
            let stock = quantity(fields, "stock")?;
            if i64::try_from(stock).is_err() {
                return Err(ValueError::Quantity("stock".to_owned()));
            }
            Ok(Call::CreateProduct { product: name(fields, "product")?, stock })
        }
        "place_order" => {
            let fields = object(value)?;
            let items = items(fields)?.ok_or(ValueError::NoItems)?;
            Ok(Call::PlaceOrder { key: optional_name(fields, "key")?, items })
        }
        "cancel" => Ok(Call::Cancel { order: name(object(value)?, "order")? }),
        "read_product" => {
            let fields = object(value)?;
            Ok(Call::ReadProduct { product: name(fields, "product")?, stale: stale(fields)? })
        }
        "read_order" => {
            let fields = object(value)?;
            Ok(Call::ReadOrder { order: name(fields, "order")?, stale: stale(fields)? })
        }
        "dump" => Ok(Call::Dump),
        other => Err(ValueError::Operation(other.to_owned())),
    }
}

/// Reads the result of a success of `call`.
pub(super) fn reply(call: &Call, value: &Value, node: Option<&str>) -> Result<Reply, ValueError> {
    match call {
        Call::CreateProduct { .. } | Call::Cancel { .. } => Ok(Reply::Done),
        Call::PlaceOrder { .. } => Ok(Reply::Placed(name(object(value)?, "order")?)),
        Call::ReadProduct { .. } => Ok(Reply::Stock(integer(object(value)?, "stock")?)),
        Call::ReadOrder { .. } => {
            let fields = object(value)?;
            Ok(Reply::Order { status: status(fields)?, items: items(fields)? })
        }
        Call::Dump => dump(object(value)?, node).map(|dump| Reply::Dump(Box::new(dump))),
    }
}

fn dump(fields: &Map<String, Value>, node: Option<&str>) -> Result<Dump, ValueError> {
    let node = match (optional_name(fields, "node")?, node) {
        (Some(node), _) => node,
        (None, Some(node)) => node.to_owned(),
        (None, None) => return Err(ValueError::Missing("node")),
    };
    let products = rows(fields, "products", |row| {
        Ok(Stock { product: name(row, "product")?, stock: integer(row, "stock")? })
    })?;
    let orders = rows(fields, "orders", |row| {
        Ok(DumpOrder {
            order: name(row, "order")?,
            key: optional_name(row, "key")?,
            items: items(row)?.ok_or(ValueError::NoItems)?,
            status: status(row)?,
        })
    })?;
    let holds = rows(fields, "holds", |row| {
        let active = row.get("active").and_then(Value::as_bool);
        let active = active.ok_or(ValueError::Type { field: "active", expected: "a boolean" })?;
        Ok(DumpHold {
            hold: name(row, "hold")?,
            product: name(row, "product")?,
            qty: quantity(row, "qty")?,
            active,
        })
    })?;
    let index = fields.get("index").and_then(Value::as_u64);
    let digest = fields.get("digest").and_then(Value::as_str);
    let digest = index.zip(digest.map(str::to_owned));
    let moves = rows(fields, "moves", |row| {
        let units = integer(row, "units")?;
        let index = row.get("index").and_then(Value::as_u64);
        Ok(Move {
            index: index.ok_or(ValueError::Type { field: "index", expected: "a number" })?,
            product: name(row, "product")?,
            order: name(row, "order")?,
            back: units > 0,
        })
    })?;
    Ok(Dump { node, products, orders, holds, digest, moves })
}

/// The rows of a list, which may be missing.
fn rows<T>(
    fields: &Map<String, Value>,
    field: &'static str,
    read: impl Fn(&Map<String, Value>) -> Result<T, ValueError>,
) -> Result<Vec<T>, ValueError> {
    match fields.get(field) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(rows)) => rows.iter().map(|row| read(object(row)?)).collect(),
        Some(_) => Err(ValueError::Type { field, expected: "a list" }),
    }
}

fn object(value: &Value) -> Result<&Map<String, Value>, ValueError> {
    value.as_object().ok_or(ValueError::NotAnObject)
}

fn name(fields: &Map<String, Value>, field: &'static str) -> Result<String, ValueError> {
    optional_name(fields, field)?.ok_or(ValueError::Missing(field))
}

fn optional_name(
    fields: &Map<String, Value>,
    field: &'static str,
) -> Result<Option<String>, ValueError> {
    match fields.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => Ok(Some(
            text_of(value).ok_or(ValueError::Type { field, expected: "text or a whole number" })?,
        )),
    }
}

/// A name as text: `7` and `"7"` are the same name.
pub(super) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        _ => None,
    }
}

fn quantity(fields: &Map<String, Value>, field: &'static str) -> Result<u64, ValueError> {
    let value = fields.get(field).ok_or(ValueError::Missing(field))?;
    value.as_u64().ok_or(ValueError::Type { field, expected: "a whole number from 0" })
}

fn integer(fields: &Map<String, Value>, field: &'static str) -> Result<i64, ValueError> {
    let value = fields.get(field).ok_or(ValueError::Missing(field))?;
    value.as_i64().ok_or(ValueError::Type { field, expected: "a whole number below 2^63" })
}

fn stale(fields: &Map<String, Value>) -> Result<bool, ValueError> {
    match fields.get("stale") {
        None => Ok(false),
        Some(value) => {
            value.as_bool().ok_or(ValueError::Type { field: "stale", expected: "a boolean" })
        }
    }
}

fn status(fields: &Map<String, Value>) -> Result<Status, ValueError> {
    let value = fields.get("status").ok_or(ValueError::Missing("status"))?;
    let text = value.as_str().ok_or(ValueError::Type { field: "status", expected: "text" })?;
    Status::parse(text).ok_or_else(|| ValueError::Status(text.to_owned()))
}

/// `product` and `qty`, or `items` as pairs; `None` when there is neither.
fn items(fields: &Map<String, Value>) -> Result<Option<Items>, ValueError> {
    let expected = "a list of [product, qty]";
    let wrong = || ValueError::Type { field: "items", expected };
    let mut lines: Items = Vec::new();
    match fields.get("items") {
        None | Some(Value::Null) => match optional_name(fields, "product")? {
            Some(product) => lines.push((product, quantity(fields, "qty")?)),
            None => return Ok(None),
        },
        Some(Value::Array(pairs)) => {
            for pair in pairs {
                let Some([product, qty]) = pair.as_array().map(Vec::as_slice) else {
                    return Err(wrong());
                };
                let product = text_of(product).ok_or_else(wrong)?;
                lines.push((product, qty.as_u64().ok_or_else(wrong)?));
            }
        }
        Some(_) => return Err(wrong()),
    }
    add_up(lines).map(Some)
}

/// Normalises lines: each product once, ascending.
fn add_up(mut lines: Items) -> Result<Items, ValueError> {
    lines.sort();
    let mut sums: Items = Vec::with_capacity(lines.len());
    for (product, qty) in lines {
        let too_much = |product: &str| ValueError::Quantity(product.to_owned());
        let sum = match sums.last_mut() {
            Some((last, sum)) if *last == product => {
                *sum = sum.checked_add(qty).ok_or_else(|| too_much(&product))?;
                *sum
            }
            _ => {
                sums.push((product.clone(), qty));
                qty
            }
        };
        if qty == 0 || i64::try_from(sum).is_err() {
            return Err(too_much(&product));
        }
    }
    if sums.is_empty() { Err(ValueError::NoItems) } else { Ok(sums) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lines_of_one_product_are_summed() {
        let placed = call("place_order", &json!({"key": 7, "items": [["b", 1], [1, 2], ["b", 3]]}));
        let items = vec![("1".to_owned(), 2), ("b".to_owned(), 4)];
        assert_eq!(placed, Ok(Call::PlaceOrder { key: Some("7".to_owned()), items }));
    }

    #[test]
    fn an_error_names_the_bad_value() {
        for (f, value, said) in [
            ("cancel", json!(null), "`value` must be an object"),
            ("cancel", json!({}), "`value` lacks `order`"),
            ("cancel", json!({"order": 1.5}), "`order` must be text or a whole number"),
            ("place_order", json!({"key": "k"}), "an order needs `product` and `qty`"),
            ("place_order", json!({"product": "p", "qty": 0}), "must be from 1"),
            ("place_order", json!({"product": "p", "qty": -1}), "`qty` must be a whole number"),
            ("place_order", json!({"items": [["p"]]}), "`items` must be a list of"),
            ("place_order", json!({"items": []}), "an order needs"),
            ("create_product", json!({"product": "p", "stock": "x"}), "`stock` must be"),
            ("read_order", json!({"order": "o", "stale": 1}), "`stale` must be a boolean"),
            ("ship", json!({}), "`ship` is not an operation"),
        ] {
            let error = call(f, &value).expect_err(f).to_string();
            assert!(error.contains(said), "{value}: {error}");
        }
        let big = json!({"items": [["p", 9_223_372_036_854_775_807_u64], ["p", 1]]});
        assert_eq!(call("place_order", &big), Err(ValueError::Quantity("p".to_owned())));
    }

    #[test]
    fn a_dump_names_its_node() {
        let value = json!({"products": [{"product": "p", "stock": 1}]});
        assert_eq!(reply(&Call::Dump, &value, None), Err(ValueError::Missing("node")));
        assert!(reply(&Call::Dump, &value, Some("n1")).is_ok());
        let value =
            json!({"node": 1, "orders": [{"order": 1, "product": "p", "qty": 1, "status": "x"}]});
        assert_eq!(reply(&Call::Dump, &value, None), Err(ValueError::Status("x".to_owned())));
    }
}
