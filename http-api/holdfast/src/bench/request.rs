//! Request templates: the bytes are written once, then only digits change.

use std::ops::Range;

/// Highest product or user id that fits its field.
pub(crate) const NUMBER_MAX: u64 = 9_999_999_999;

const NUMBER_DIGITS: usize = 10;
const SEQUENCE_DIGITS: usize = 12;

/// What all requests of a run have in common.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// The name of the run, part of its keys: two runs share none. Printable, at most 64 bytes.
    pub(crate) run: String,
    /// Whether each order has its own idempotency key.
    pub(crate) keys: bool,
    /// Whether each order names a user.
    pub(crate) users: bool,
    /// The payment method of every order.
    pub(crate) payment: &'static str,
    /// Orders per request.
    pub(crate) batch: usize,
    /// The token that proves who asks, if the cluster wants one.
    pub(crate) token: Option<Box<str>>,
}

impl Shape {
    /// The lines of a head that are the same in all requests to `host`.
    fn common(&self, host: &str) -> String {
        match &self.token {
            Some(token) => format!("Host: {host}\r\nAuthorization: Bearer {token}\r\n"),
            None => format!("Host: {host}\r\n"),
        }
    }
}

/// The ranges of one order that vary.
#[derive(Debug, Clone)]
struct Holes {
    product: Range<usize>,
    user: Option<Range<usize>>,
    sequence: Option<Range<usize>>,
}

/// A request for orders whose numbers vary.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    orders: Vec<Holes>,
}

impl Template {
    /// Writes a request to `host` for one order or a batch.
    pub(crate) fn new(host: &str, shape: &Shape) -> Template {
        let batch = shape.batch > 1;
        let mut body = Vec::new();
        if batch {
            body.extend_from_slice(b"{\"atomic\":false,\"orders\":[");
        }
        let mut orders = Vec::with_capacity(shape.batch);
        for number in 0..shape.batch.max(1) {
            if number > 0 {
                body.push(b',');
            }
            orders.push(write_order(&mut body, shape, batch));
        }
        if batch {
            body.extend_from_slice(b"]}");
        }
        let path = if batch { "/api/v1/orders/batch" } else { "/api/v1/orders" };
        let mut bytes = format!(
            "POST {path} HTTP/1.1\r\n{}Content-Type: application/json\r\nContent-Length: {}\r\n",
            shape.common(host),
            body.len()
        )
        .into_bytes();
        // A single order has its key in the header, as most clients send it.
        let header = (shape.keys && !batch).then(|| {
            bytes.extend_from_slice(format!("Idempotency-Key: bench-{}-", shape.run).as_bytes());
            let field = hole(&mut bytes, SEQUENCE_DIGITS);
            bytes.extend_from_slice(b"\r\n");
            field
        });
        bytes.extend_from_slice(b"\r\n");
        let head = bytes.len();
        bytes.extend_from_slice(&body);
        let moved = |field: Range<usize>| field.start + head..field.end + head;
        let orders = orders.into_iter().map(|holes| Holes {
            product: moved(holes.product),
            user: holes.user.map(moved),
            sequence: holes.sequence.map(moved).or(header.clone()),
        });
        Template { orders: orders.collect(), bytes }
    }

    /// Fills in a request whose first order has number `sequence`. `choose` returns product and
    /// user of an order by its number.
    pub(crate) fn fill(&mut self, sequence: u64, choose: impl Fn(u64) -> (u64, u64)) -> &[u8] {
        for (holes, number) in self.orders.iter().zip(sequence..) {
            let (product, user) = choose(number);
            // Pad with spaces: JSON allows no zeros before a number.
            write_number(&mut self.bytes[holes.product.clone()], product, b' ');
            if let Some(field) = &holes.user {
                write_number(&mut self.bytes[field.clone()], user, b' ');
            }
            if let Some(field) = &holes.sequence {
                write_number(&mut self.bytes[field.clone()], number, b'0');
            }
        }
        &self.bytes
    }
}

/// A request to read a product, whose id varies.
#[derive(Debug, Clone)]
pub(crate) struct ReadTemplate {
    bytes: Vec<u8>,
    before: usize,
    after: Vec<u8>,
}

impl ReadTemplate {
    /// Writes a request to `host`.
    pub(crate) fn new(host: &str, shape: &Shape) -> ReadTemplate {
        let bytes = b"GET /api/v1/products/".to_vec();
        let after = format!(" HTTP/1.1\r\n{}\r\n", shape.common(host)).into_bytes();
        ReadTemplate { before: bytes.len(), bytes, after }
    }

    /// Fills in a request for this product.
    pub(crate) fn fill(&mut self, product: u64) -> &[u8] {
        self.bytes.truncate(self.before);
        // An id in a path cannot be padded.
        self.bytes.extend_from_slice(product.to_string().as_bytes());
        self.bytes.extend_from_slice(&self.after);
        &self.bytes
    }
}

/// Writes one order, with its key if it is part of a batch.
fn write_order(body: &mut Vec<u8>, shape: &Shape, batch: bool) -> Holes {
    body.push(b'{');
    let user = shape.users.then(|| {
        body.extend_from_slice(b"\"user_id\":");
        let field = hole(body, NUMBER_DIGITS);
        body.push(b',');
        field
    });
    let sequence = (shape.keys && batch).then(|| {
        body.extend_from_slice(format!("\"idempotency_key\":\"bench-{}-", shape.run).as_bytes());
        let field = hole(body, SEQUENCE_DIGITS);
        body.extend_from_slice(b"\",");
        field
    });
    body.extend_from_slice(b"\"items\":[{\"product_id\":");
    let product = hole(body, NUMBER_DIGITS);
    body.extend_from_slice(b",\"quantity\":1}],\"payment_method\":\"");
    body.extend_from_slice(shape.payment.as_bytes());
    body.extend_from_slice(b"\"}");
    Holes { product, user, sequence }
}

/// Counts the results of a batch with this status.
pub(crate) fn count_statuses(body: &[u8], status: u16) -> u64 {
    // The status of an order is a word, so a number is the status of a result.
    let pattern = format!("\"status\":{status},");
    // A search byte by byte would cost as much as a node.
    memchr::memmem::find_iter(body, &pattern).count() as u64
}

fn hole(bytes: &mut Vec<u8>, width: usize) -> Range<usize> {
    let start = bytes.len();
    bytes.resize(start + width, b' ');
    start..start + width
}

/// Writes `value` aligned right into `field`, padded with `fill`.
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
        Shape { run: "r1".into(), keys, users, payment: "none", batch: 1, token: None }
    }

    /// The lines of the head and the parsed body. Checks the length.
    fn read(bytes: &[u8]) -> (Vec<String>, OrderRequest) {
        let text = std::str::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let head: Vec<String> = head.split("\r\n").map(str::to_owned).collect();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head:?}");
        (head, serde_json::from_str(body).unwrap())
    }

    #[test]
    fn a_request_has_the_numbers_filled_in() {
        let mut template = Template::new("127.0.0.1:8080", &shape(true, true));
        for (product, user, sequence) in [(1, 1, 0), (NUMBER_MAX, 77, 999_999_999_999), (12, 3, 5)]
        {
            let (head, body) = read(template.fill(sequence, |_| (product, user)));
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
    fn keys_and_users_are_optional() {
        let mut template = Template::new("h:1", &shape(false, false));
        let (head, body) = read(template.fill(9, |_| (5, 9)));
        assert!(!head.iter().any(|line| line.starts_with("Idempotency-Key")));
        assert_eq!(body.user_id, None);
        assert_eq!(body.items[0].product_id, 5);
    }

    #[test]
    fn each_order_of_a_batch_has_its_own_numbers() {
        let shape = Shape { batch: 3, ..shape(true, true) };
        let mut template = Template::new("h:1", &shape);
        let text = template.fill(30, |number| (number + 100, number + 200)).to_vec();
        let text = String::from_utf8(text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /api/v1/orders/batch HTTP/1.1\r\n"), "{head}");
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
        let batch: client::wire::BatchRequest = serde_json::from_str(body).unwrap();
        let numbers = batch.orders.iter().map(|order| {
            let key = order.idempotency_key.clone().unwrap();
            (order.items[0].product_id, order.user_id.unwrap(), key)
        });
        let key = |number| format!("bench-r1-{number:012}");
        let wanted = [30, 31, 32].map(|number| (number + 100, number + 200, key(number)));
        assert_eq!(numbers.collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn results_of_a_batch_are_counted_by_status() {
        let body = br#"{"data":[{"index":0,"status":201,"order":{"id":1,"status":"PENDING"}},
            {"index":1,"status":409,"error":"x"},{"index":2,"status":201,"order":{}}]}"#;
        assert_eq!((count_statuses(body, 201), count_statuses(body, 409)), (2, 1));
        assert_eq!(count_statuses(b"", 201), 0);
    }

    #[test]
    fn a_read_has_the_id_in_its_path() {
        let mut template = ReadTemplate::new("h:1", &shape(true, true));
        for id in [7, 12_345, 3] {
            let text = format!("GET /api/v1/products/{id} HTTP/1.1\r\nHost: h:1\r\n\r\n");
            assert_eq!(template.fill(id), text.as_bytes());
        }
    }

    #[test]
    fn a_token_is_in_every_request() {
        let shape = Shape { token: Some("hft_1".into()), ..shape(true, true) };
        let line = "Authorization: Bearer hft_1".to_owned();
        let (head, _) = read(Template::new("h:1", &shape).fill(9, |_| (5, 9)));
        assert!(head.contains(&line), "{head:?}");
        let mut template = ReadTemplate::new("h:1", &shape);
        assert_eq!(
            template.fill(7),
            format!("GET /api/v1/products/7 HTTP/1.1\r\nHost: h:1\r\n{line}\r\n\r\n").as_bytes()
        );
    }
}
