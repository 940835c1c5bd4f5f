//! Decodes the bodies of successful answers. Whatever the bytes are, the result is a value or an
//! error.

use serde::de::DeserializeOwned;

use crate::attempt::Source;
use crate::wire::{
    DryRun, Envelope, HoldList, LedgerList, Order, OrderAnswer, OrderList, ProductList,
    UnsettledList, Would,
};

/// Decodes the body of a successful answer.
pub(crate) type Decode<T> = fn(&[u8]) -> Result<T, Source>;

/// `{"success": true, "data": …}`.
pub(crate) fn envelope<T: DeserializeOwned>(body: &[u8]) -> Result<T, Source> {
    let envelope: Envelope<T> = serde_json::from_slice(body)?;
    succeeded(envelope.success)?;
    Ok(envelope.data)
}

/// What a dry run says.
pub(crate) fn would(body: &[u8]) -> Result<Would, Source> {
    let answer: DryRun = serde_json::from_slice(body)?;
    succeeded(answer.success && answer.dry_run)?;
    Ok(answer.would)
}

/// One order, with its id and status beside the data.
pub(crate) fn order(body: &[u8]) -> Result<Order, Source> {
    let answer: OrderAnswer = serde_json::from_slice(body)?;
    succeeded(answer.success)?;
    Ok(answer.data)
}

/// A page of orders.
pub(crate) fn order_list(body: &[u8]) -> Result<OrderList, Source> {
    let list: OrderList = serde_json::from_slice(body)?;
    succeeded(list.success)?;
    Ok(list)
}

/// A page of products.
pub(crate) fn product_list(body: &[u8]) -> Result<ProductList, Source> {
    let list: ProductList = serde_json::from_slice(body)?;
    succeeded(list.success)?;
    Ok(list)
}

/// A page of holds.
pub(crate) fn hold_list(body: &[u8]) -> Result<HoldList, Source> {
    let list: HoldList = serde_json::from_slice(body)?;
    succeeded(list.success)?;
    Ok(list)
}

/// A page of payments without a result.
pub(crate) fn unsettled_list(body: &[u8]) -> Result<UnsettledList, Source> {
    let list: UnsettledList = serde_json::from_slice(body)?;
    succeeded(list.success)?;
    Ok(list)
}

/// A page of a ledger.
pub(crate) fn ledger_list(body: &[u8]) -> Result<LedgerList, Source> {
    let list: LedgerList = serde_json::from_slice(body)?;
    succeeded(list.success)?;
    Ok(list)
}

/// A body without an envelope.
pub(crate) fn bare<T: DeserializeOwned>(body: &[u8]) -> Result<T, Source> {
    Ok(serde_json::from_slice(body)?)
}

/// No body; one that the server sent anyway is ignored.
#[expect(clippy::unnecessary_wraps, reason = "it is used where other decoders can fail")]
pub(crate) fn nothing(_body: &[u8]) -> Result<(), Source> {
    Ok(())
}

/// Never report a failure as a success, whatever the status line says.
fn succeeded(success: bool) -> Result<(), Source> {
    if success { Ok(()) } else { Err("the body says that the request failed".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Health;

    #[test]
    fn a_body_that_reports_a_failure_is_an_error() {
        assert_eq!(envelope::<u8>(br#"{"success": true, "data": 7}"#).unwrap(), 7);
        assert!(envelope::<u8>(br#"{"success": false, "data": 7}"#).is_err());
    }

    #[test]
    fn garbage_is_an_error() {
        let deep = "[".repeat(100_000);
        for body in ["", "{", "null", "[]", "\u{fffd}", "{\"success\": true}", &deep] {
            let body = body.as_bytes();
            assert!(envelope::<u8>(body).is_err());
            assert!(order(body).is_err());
            assert!(order_list(body).is_err());
            assert!(product_list(body).is_err());
            assert!(bare::<Health>(body).is_err());
        }
    }
}
