//! Finds the products that the lines of an imported order mean.
//!
//! Ids are those of one cluster. A file of another cluster names its products by SKU, or by an id
//! whose product must have the same name here.

use client::wire::{OrderRequest, OrderStatus};

use super::catalogue::Catalogue;
use super::rows::ImportedOrder;

/// Whether the order names products by more than the ids of this cluster.
pub(crate) fn needs_catalogue(order: &ImportedOrder) -> bool {
    order.references.iter().any(|it| it.sku.is_some() || it.product_name.is_some())
}

/// The request of the order, with ids of this cluster.
///
/// # Errors
/// Words for the user: a product cannot be found for sure, or the order has ended and an import
/// would place it again.
pub(crate) fn resolve(order: ImportedOrder, catalogue: &Catalogue) -> Result<OrderRequest, String> {
    let ImportedOrder { status, mut request, references, .. } = order;
    if let Some(status) = status.filter(|status| status.is_final()) {
        return Err(resume(status));
    }
    for (line, reference) in request.items.iter_mut().zip(references) {
        if let Some(sku) = reference.sku {
            let product = catalogue.with_sku(&sku);
            line.product_id = product.ok_or_else(|| format!("no product has the SKU {sku:?}"))?.id;
        } else if let Some(name) = reference.product_name {
            let id = line.product_id;
            let here = catalogue.with_id(id).map(|product| product.name.as_str());
            if here != Some(name.as_str()) {
                let here = here.map_or("missing".to_owned(), |here| format!("{here:?}"));
                return Err(format!(
                    "product {id} is {name:?} in the file and {here} here, and it has no SKU to \
                     find it by"
                ));
            }
        }
    }
    Ok(request)
}

fn resume(status: OrderStatus) -> String {
    format!(
        "the order is {} already, and an import would place it anew: `holdfast backup` and `restore` \
         keep orders as they are; to place it again, remove its status",
        status.as_str()
    )
}

#[cfg(test)]
mod tests {
    use client::wire::Product;

    use super::super::rows::Body as _;
    use super::*;

    fn product(id: u64, name: &str, sku: Option<&str>) -> Product {
        serde_json::from_value(serde_json::json!({
            "id": id, "name": name, "sku": sku, "price": "1.00", "price_minor": 100, "stock": 1,
            "available_stock": 1, "total_stock": 1, "on_hand": 1, "held": 0, "reserved": 0,
            "sold": 0, "created_at": "", "updated_at": "", "version": 1,
        }))
        .unwrap()
    }

    #[test]
    fn a_line_finds_the_product_that_the_file_means_or_none() {
        let here = Catalogue::of([
            product(1, "Pad", Some("A-2")),
            product(2, "Pipe", Some("A-1")),
            product(3, "Cable", None),
        ]);
        let of = |line: &str| {
            let text = format!(r#"{{"items": [{{"quantity": 1, {line}}}]}}"#);
            let order = ImportedOrder::from_json(text.as_bytes()).unwrap();
            resolve(order, &here).map(|request| request.items[0].product_id)
        };
        assert_eq!(of(r#""product_id": 9"#), Ok(9));
        assert_eq!(of(r#""product_id": 1, "sku": "A-1""#), Ok(2));
        assert_eq!(of(r#""product_id": 1, "sku": "A-1", "product_name": "Old name""#), Ok(2));
        assert_eq!(of(r#""product_id": 3, "sku": null, "product_name": "Cable""#), Ok(3));
        for (line, words) in [
            (r#""product_id": 1, "sku": "A-9""#, "no product has the SKU \"A-9\""),
            (r#""product_id": 1, "product_name": "Pipe""#, "\"Pipe\" in the file and \"Pad\" here"),
            (r#""product_id": 9, "product_name": "Pipe""#, "and missing here"),
        ] {
            let wrong = of(line).unwrap_err();
            assert!(wrong.contains(words), "{wrong}");
        }
    }

    #[test]
    fn an_order_that_has_ended_is_not_placed_again() {
        for (status, is_placed) in [
            ("PENDING", true),
            ("PROCESSING", true),
            ("PAID", false),
            ("FAILED", false),
            ("CANCELLED", false),
        ] {
            let text = format!(
                r#"{{"id": 4, "status": "{status}", "hold_id": 2,
                    "items": [{{"product_id": 1, "quantity": 1}}]}}"#
            );
            let order = ImportedOrder::from_json(text.as_bytes()).unwrap();
            let request = resolve(order, &Catalogue::default());
            assert_eq!(request.is_ok(), is_placed, "{status}");
            assert!(request.is_err() || request.unwrap().hold_id.is_none(), "the hold is gone");
        }
    }
}
