//! Operations on products, their stock, and users.

use client::wire::ErrorCode;
use serde_json::json;

use super::{Operation, PRODUCTS, USERS, json_content};
use crate::openapi::examples;
use crate::routes::Route;

pub(super) fn product(route: Route) -> Operation {
    let of = |id, summary| Operation::new(route, id, PRODUCTS, summary);
    let changes = &[ErrorCode::NotFound, ErrorCode::VersionMismatch];
    match route {
        Route::GetProduct => of("getProduct", "Read a product")
            .text("The product and its counters. An archived product is gone: 404.")
            .takes(&["ProductId"])
            .reads()
            .shows("The product.", "ProductAnswer", examples::product())
            .refuses(&[ErrorCode::NotFound]),
        Route::CreateProduct => of("createProduct", "Create a product")
            .text("An archived product gives its `sku` free.")
            .body("ProductRequest", examples::product_request())
            .makes("The product was created.", "ProductAnswer", examples::product())
            .writes(),
        Route::ReplaceProduct => of("replaceProduct", "Replace a product")
            .text(
                "Optional fields that are left out are removed. `stock` sets what can be sold; \
                 reserved units come on top and are never erased.",
            )
            .takes(&["ProductId", "IfMatch"])
            .body("ProductRequest", examples::product_request())
            .shows("The product after the change.", "ProductAnswer", examples::product())
            .writes()
            .looks()
            .refuses(changes),
        Route::PatchProduct => of("patchProduct", "Change a product")
            .text("Fields that are left out stay as they are.")
            .takes(&["ProductId", "IfMatch"])
            .body("ProductPatch", json!({"price": "949.00", "stock": 60}))
            .shows("The product after the change.", "ProductAnswer", examples::product())
            .writes()
            .looks()
            .refuses(changes),
        Route::ArchiveProduct => of("archiveProduct", "Archive a product")
            .text(
                "Gone for readers and new orders; open orders still settle. Archiving an archived \
                 product again is a success that changes nothing.",
            )
            .takes(&["ProductId", "IfMatch"])
            .answers(204, "The product is archived.", &[], None)
            .writes()
            .looks()
            .refuses(changes),
        _ => of("listProducts", "List products")
            .text("By ascending id, archived ones left out.")
            .takes(&["Ids", "ProductCursor", "ProductLimit"])
            .reads()
            .lists("Products.", "ProductList", examples::product_list()),
    }
}

pub(super) fn stock(route: Route) -> Operation {
    let of = |id, summary| Operation::new(route, id, PRODUCTS, summary);
    match route {
        Route::AdjustStock => of("adjustStock", "Adjust the stock of a product")
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
            ]),
        _ => of("getLedger", "Read the ledger of a product")
            .text(
                "Every movement of its units, oldest first: why, by how much each counter changed, \
                 and the counters after it. The deltas of all rows add up to the counters of the \
                 product. An archived product keeps its ledger.",
            )
            .takes(&["ProductId", "LedgerAfter", "LedgerLimit"])
            .reads()
            .lists("Rows of the ledger.", "LedgerList", examples::ledger())
            .refuses(&[ErrorCode::NotFound]),
    }
}

pub(super) fn user(route: Route) -> Operation {
    let of = |id, summary| Operation::new(route, id, USERS, summary);
    match route {
        Route::CreateUser => of("createUser", "Create a user")
            .text("A name and an address that orders may refer to. Users never change.")
            .body("UserRequest", examples::user_request())
            .makes("The user was created.", "UserAnswer", examples::user())
            .writes()
            .refuses(&[ErrorCode::ValidationError]),
        _ => of("getUser", "Read a user")
            .text("The user.")
            .takes(&["UserId"])
            .reads()
            .shows("The user.", "UserAnswer", examples::user())
            .refuses(&[ErrorCode::NotFound]),
    }
}
