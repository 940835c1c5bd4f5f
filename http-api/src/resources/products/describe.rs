//! What the OpenAPI document says about products and their stock.

use client::wire::ErrorCode;
use serde_json::json;

use super::examples;
use crate::describe::operation::Operation;
use crate::describe::words::json_content;

/// The refusals for a change of a product.
const CHANGES: [ErrorCode; 2] = [ErrorCode::NotFound, ErrorCode::VersionMismatch];

pub(crate) fn list() -> Operation {
    Operation::new("listProducts", "List products")
        .text("By ascending id, without archived products.")
        .takes(&["Ids", "ProductSku", "ProductCursor", "ProductLimit"])
        .reads()
        .lists("Products.", "ProductList", examples::product_list())
}

pub(crate) fn create() -> Operation {
    Operation::new("createProduct", "Create a product")
        .text("The `sku` of an archived product can be used again.")
        .body("ProductRequest", examples::product_request())
        .makes("The product was created.", "ProductAnswer", examples::product())
        .writes()
}

pub(crate) fn get() -> Operation {
    Operation::new("getProduct", "Read a product")
        .text("The product and its counters. An archived product is 404.")
        .takes(&["ProductId"])
        .reads()
        .shows("The product.", "ProductAnswer", examples::product())
        .refuses(&[ErrorCode::NotFound])
}

pub(crate) fn replace() -> Operation {
    Operation::new("replaceProduct", "Replace a product")
        .text(
            "Removes optional fields that are missing. `stock` sets the units that can be sold; \
             reserved and held units are on top and are never erased.",
        )
        .takes(&["ProductId", "IfMatch"])
        .body("ProductRequest", examples::product_request())
        .shows("The product after the change.", "ProductAnswer", examples::product())
        .writes()
        .looks()
        .refuses(&CHANGES)
}

pub(crate) fn patch() -> Operation {
    Operation::new("patchProduct", "Update the given fields of a product")
        .text(
            "Fields that are missing stay as they are. A body without known fields changes nothing, \
             and the product keeps its version.",
        )
        .takes(&["ProductId", "IfMatch"])
        .body("ProductPatch", json!({"price": "949.00", "stock": 60}))
        .or_merge_patch()
        .shows("The product after the change.", "ProductAnswer", examples::product())
        .writes()
        .looks()
        .refuses(&CHANGES)
}

pub(crate) fn archive() -> Operation {
    Operation::new("archiveProduct", "Archive a product")
        .text(
            "Readers and new orders no longer find the product; open orders still settle. \
             Archiving an archived product again succeeds and changes nothing.",
        )
        .takes(&["ProductId", "IfMatch"])
        .answers(204, "The product is archived.", &[], None)
        .writes()
        .looks()
        .refuses(&CHANGES)
}

pub(crate) fn adjust() -> Operation {
    Operation::new("adjustStock", "Adjust the stock of a product")
        .text(
            "Adds units, or takes out units that are neither held nor reserved: by `delta`, or to \
             `set` units that can be sold. With `expected`, only if exactly that many can be sold \
             before. The ledger keeps the reason.",
        )
        .takes(&["ProductId", "IdempotencyKey"])
        .body("AdjustmentRequest", examples::adjustment_request())
        .answers(
            201,
            "The stock was adjusted.",
            &[],
            json_content("AdjustmentAnswer", examples::adjustment()),
        )
        .answers(
            200,
            "The key made this adjustment before; nothing was adjusted now.",
            &["Idempotent-Replayed"],
            json_content("AdjustmentAnswer", examples::adjustment()),
        )
        .writes()
        .refuses(&[
            ErrorCode::NotFound,
            ErrorCode::InsufficientStock,
            ErrorCode::StockMismatch,
            ErrorCode::IdempotencyKeyInvalid,
            ErrorCode::IdempotencyKeyMismatch,
            ErrorCode::IdempotencyKeyReused,
        ])
}

pub(crate) fn ledger() -> Operation {
    Operation::new("getLedger", "Read the ledger of a product")
        .text(
            "Every movement of the product's units, oldest first: the cause, the change of each \
             counter, and the counters afterwards. The deltas of all rows add up to the product's \
             counters. An archived product keeps its ledger.",
        )
        .takes(&["ProductId", "LedgerAfter", "LedgerLimit"])
        .reads()
        .lists("Rows of the ledger.", "LedgerList", examples::ledger())
        .refuses(&[ErrorCode::NotFound])
}
