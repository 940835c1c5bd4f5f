//! The bytes of one order request, written once; from then on only digits change.

use std::ops::Range;

/// The highest product or user number that fits its field.
pub(crate) const NUMBER_MAX: u64 = 9_999_999_999;

const NUMBER_DIGITS: usize = 10;
const SEQUENCE_DIGITS: usize = 12;

/// What the requests of one run have in common.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// Marks the keys of this run, so that two runs never share one. Printable, at most 64 bytes.
    pub(crate) run: String,
    /// Whether each order has an idempotency key of its own.
    pub(crate) keys: bool,
    /// Whether each order names a user.
    pub(crate) users: bool,
    /// The payment method of every order.
    pub(crate) payment: &'static str,
}

/// One request with holes for the numbers that vary.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    product: Range<usize>,
    user: Option<Range<usize>>,
    sequence: Option<Range<usize>>,
}

impl Template {
    /// Writes a request to `host`.
    pub(crate) fn new(host: &str, shape: &Shape) -> Template {
        let mut body = b"{".to_vec();
        let user = shape.users.then(|| {
            body.extend_from_slice(b"\"user_id\":");
            let field = hole(&mut body, NUMBER_DIGITS);
            body.push(b',');
            field
        });
        body.extend_from_slice(b"\"items\":[{\"product_id\":");
        let product = hole(&mut body, NUMBER_DIGITS);
        body.extend_from_slice(b",\"quantity\":1}],\"payment_method\":\"");
        body.extend_from_slice(shape.payment.as_bytes());
        body.extend_from_slice(b"\"}");

        let mut bytes = format!(
            "POST /api/v1/orders HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n",
            body.len()
        )
        .into_bytes();
        let sequence = shape.keys.then(|| {
            bytes.extend_from_slice(format!("Idempotency-Key: bench-{}-", shape.run).as_bytes());
            let field = hole(&mut bytes, SEQUENCE_DIGITS);
            bytes.extend_from_slice(b"\r\n");
            field
        });
        bytes.extend_from_slice(b"\r\n");
        let head = bytes.len();
        bytes.extend_from_slice(&body);
        let moved = |field: Range<usize>| field.start + head..field.end + head;
        Template { bytes, product: moved(product), user: user.map(moved), sequence }
    }

    /// The request for this product and user as number `sequence` of the run.
    pub(crate) fn fill(&mut self, product: u64, user: u64, sequence: u64) -> &[u8] {
        // JSON allows spaces before a number but no zeros, so numbers are filled up with spaces.
        write_number(&mut self.bytes[self.product.clone()], product, b' ');
        if let Some(field) = &self.user {
            write_number(&mut self.bytes[field.clone()], user, b' ');
        }
        if let Some(field) = &self.sequence {
            write_number(&mut self.bytes[field.clone()], sequence, b'0');
        }
        &self.bytes
    }
}

fn hole(bytes: &mut Vec<u8>, width: usize) -> Range<usize> {
    let start = bytes.len();
    bytes.resize(start + width, b' ');
    start..start + width
}

/// Writes `value` to the right end of `field`.
fn write_number(field: &mut [u8], mut value: u64, fill: u8) {
    for (place, byte) in field.iter_mut().rev().enumerate() {
        *byte = match value % 10 {
            0 if value == 0 && place > 0 => fill,
            digit => b'0' + digit as u8,
        };
        value /= 10;
    }
    debug_assert_eq!(value, 0, "the number is wider than its field");
}

#[cfg(test)]
mod tests {
    use super::*;
    use client::wire::{OrderRequest, PaymentMethod};

    fn shape(keys: bool, users: bool) -> Shape {
        Shape { run: "r1".into(), keys, users, payment: "none" }
    }

    /// Head lines and the parsed body, after checking that the length is right.
    fn read(bytes: &[u8]) -> (Vec<String>, OrderRequest) {
        let text = std::str::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let head: Vec<String> = head.split("\r\n").map(str::to_owned).collect();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head:?}");
        (head, serde_json::from_str(body).unwrap())
    }

    #[test]
    fn a_request_says_what_was_filled_in() {
        let mut template = Template::new("127.0.0.1:8080", &shape(true, true));
        for (product, user, sequence) in [(1, 1, 0), (NUMBER_MAX, 77, 999_999_999_999), (12, 3, 5)]
        {
            let (head, body) = read(template.fill(product, user, sequence));
            assert_eq!(head[0], "POST /api/v1/orders HTTP/1.1");
            assert!(head.contains(&"Host: 127.0.0.1:8080".to_owned()));
            assert!(head.contains(&format!("Idempotency-Key: bench-r1-{sequence:012}")));
            assert_eq!(body.user_id, Some(user));
            assert_eq!(body.items[0].product_id, product);
            assert_eq!(body.items[0].quantity, 1);
            assert_eq!(body.payment_method, Some(PaymentMethod::None));
        }
    }

    #[test]
    fn keys_and_users_can_be_left_out() {
        let mut template = Template::new("h:1", &shape(false, false));
        let (head, body) = read(template.fill(5, 9, 9));
        assert!(!head.iter().any(|line| line.starts_with("Idempotency-Key")));
        assert_eq!(body.user_id, None);
        assert_eq!(body.items[0].product_id, 5);
    }
}
