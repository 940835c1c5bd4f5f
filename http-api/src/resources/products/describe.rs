//! What the OpenAPI document says of products and their stock.

use client::wire::ErrorCode;
use serde_json::json;

use super::examples;
use crate::describe::operation::Operation;
use crate::describe::words::json_content;

/// What a change of a product can be refused with.
const CHANGES: [ErrorCode; 2] = [ErrorCode::NotFound, ErrorCode::VersionMismatch];

pub(crate) fn list() -> Operation {
    Operation::new("listProducts", "List products")
        .text("By ascending id, archived ones left out.")
        .takes(&["Ids", "ProductCursor", "ProductLimit"])
        .reads()
        .lists("Products.", "ProductList", examples::product_list())
}

pub(crate) fn create() -> Operation {
    Operation::new("createProduct", "Create a product")
        .text("An archived product gives its `sku` free.")
        .body("ProductRequest", examples::product_request())
        .makes("The product was created.", "ProductAnswer", examples::product())
        .writes()
}

pub(crate) fn get() -> Operation {
    Operation::new("getProduct", "Read a product")
        .text("The product and its counters. An archived product is gone: 404.")
        .takes(&["ProductId"])
        .reads()
        .shows("The product.", "ProductAnswer", examples::product())
        .refuses(&[ErrorCode::NotFound])
}

pub(crate) fn replace() -> Operation {
    Operation::new("replaceProduct", "Replace a product")
        .text(
            "Optional fields that are left out are removed. `stock` sets what can be sold; \
             reserved units come on top and are never erased.",
        )
        .takes(&["ProductId", "IfMatch"])
        .body("ProductRequest", examples::product_request())
        .shows("The product after the change.", "ProductAnswer", examples::product())
        .writes()
        .looks()
        .refuses(&CHANGES)
}

pub(crate) fn patch() -> Operation {
    Operation::new("patchProduct", "Change a product")
        .text("Fields that are left out stay as they are.")
        .takes(&["ProductId", "IfMatch"])
        .body("ProductPatch", json!({"price": "949.00", "stock": 60}))
        .shows("The product after the change.", "ProductAnswer", examples::product())
        .writes()
        .looks()
        .refuses(&CHANGES)
}

pub(crate) fn archive() -> Operation {
    Operation::new("archiveProduct", "Archive a product")
        .text(
            "Gone for readers and new orders; open orders still settle. Archiving an archived \
             product again is a success that changes nothing.",
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
            "Brings units in or takes units out that are neither held nor reserved, by `delta` \
             or to `set` units that can be sold. With `expected` it is done only when so many \
             can be sold before. The ledger keeps the reason.",
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
            "The key had made this adjustment before; nothing was adjusted now.",
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
            "Every movement of its units, oldest first: why, by how much each counter changed, \
             and the counters after it. The deltas of all rows add up to the counters of the \
             product. An archived product keeps its ledger.",
        )
        .takes(&["ProductId", "LedgerAfter", "LedgerLimit"])
        .reads()
        .lists("Rows of the ledger.", "LedgerList", examples::ledger())
        .refuses(&[ErrorCode::NotFound])
}
