//! Bad input to the handlers: a 4xx in the documented shape, and no change of state.

use serde_json::{Value, json};
use tests::seed::any_node;
use tests::shop::{self, ORDERS, PRODUCTS};
use tests::{Call, Cluster};

/// The state that clients can see.
#[derive(Debug, PartialEq)]
struct State {
    products: Value,
    orders: Value,
    total: u64,
}

/// A cluster with one product and one order, and how it looked.
struct Fixture {
    cluster: Cluster,
    product: u64,
    order: u64,
    before: State,
}

impl Fixture {
    async fn build(test: &str) -> Self {
        let cluster = Cluster::start(test).await;
        let mut random = cluster.random(1);
        let product = shop::create_product(cluster.caller(), &mut random, "9.99", 100).await;
        let place = shop::place(&shop::order(product, 1, "none")).key("taken");
        let order = cluster.caller().ask_any(&mut random, &place).await.expect(201).data();
        let before = look(&cluster, 1).await;
        Self { cluster, product, order: shop::id(&order), before }
    }

    /// Sends every call to a random node and checks the refusal.
    async fn refuse_all(&self, cases: Vec<Case>) {
        let mut random = self.cluster.random(2);
        for case in cases {
            let node = any_node(&mut random, 3);
            let answer = self.cluster.caller().send(node, &case.call).await;
            let answer = answer.unwrap_or_else(|error| panic!("{}: {error}", case.what));
            let allowed = case.answers.iter().any(|(status, _)| *status == answer.status);
            assert!(allowed, "{}: {} {}", case.what, answer.status, answer.text());
            let body = answer.problem_of_any_kind();
            let code = body["error"].as_str().expect("a code");
            let expected = case.answers.contains(&(answer.status, code));
            assert!(expected, "{}: {body}", case.what);
            if let Some(field) = case.field.filter(|_| code == "validation_error") {
                let errors = body["errors"].as_object().expect("errors by field");
                let named = errors.keys().any(|name| name.contains(field));
                assert!(named, "{}: no {field} in {body}", case.what);
            }
        }
    }

    /// Checks that nothing changed on any node.
    async fn assert_unchanged(&self) {
        for node in self.cluster.caller().all() {
            assert_eq!(look(&self.cluster, node).await, self.before, "node {node}");
        }
        self.cluster.agree().await;
    }
}

/// The state that one node shows.
async fn look(cluster: &Cluster, node: u64) -> State {
    let caller = cluster.caller();
    let list = caller.get(node, &format!("{ORDERS}?per_page=50")).await.expect(200).json();
    State {
        products: caller.get(node, PRODUCTS).await.expect(200).data(),
        total: shop::count(&list["meta"], "total"),
        orders: list["data"].clone(),
    }
}

/// One request that must be refused.
struct Case {
    what: String,
    call: Call,
    /// The allowed pairs of status and code.
    answers: Vec<(u16, &'static str)>,
    /// The field that a validation error has to name.
    field: Option<&'static str>,
}

const MALFORMED: (u16, &str) = (400, "malformed_request");
const INVALID: (u16, &str) = (422, "validation_error");
const KEY: (u16, &str) = (400, "idempotency_key_invalid");
const NOT_FOUND: (u16, &str) = (404, "not_found");

fn case(what: impl Into<String>, call: Call, answers: &[(u16, &'static str)]) -> Case {
    Case { what: what.into(), call, answers: answers.to_vec(), field: None }
}

/// A `POST` of exactly this text as JSON.
fn post(path: &str, text: impl Into<String>) -> Call {
    Call::new("POST", path).header("content-type", "application/json").body(text.into())
}

fn short(text: &str) -> String {
    text.chars().take(60).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_other_than_one_json_object_are_malformed() {
    let fixture = Fixture::build("bodies_other_than_one_json_object_are_malformed").await;
    let product = fixture.product;
    let order = format!(r#"{{"items":[{{"product_id":{product},"quantity":1}}]}}"#);
    let nested = |open: &str, close: &str| {
        format!("{{\"items\":{}{}}}", open.repeat(10_000), close.repeat(10_000))
    };
    let deep_unknown = format!(
        r#"{{"items":[{{"product_id":{product},"quantity":1}}],"x":{}1{}}}"#,
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    let line = format!(r#"{{"product_id":{product},"quantity":1}}"#);
    let texts = [
        String::new(),
        " ".to_owned(),
        "{".to_owned(),
        "nul".to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        "\"text\"".to_owned(),
        "7".to_owned(),
        "not json".to_owned(),
        format!("{order} {order}"),
        format!("{order}x"),
        order.replace("]}", "],}"),
        order.replace('"', "'"),
        order.replace("1}", "01}"),
        order.replace("1}", "NaN}"),
        order.replace("1}", "+1}"),
        order.replace("1}", ".5}"),
        format!("\u{feff}\u{feff}{order}"),
        nested("[", "]"),
        nested("{\"a\":", "1}"),
        deep_unknown,
        format!(r#"{{"items":[{line}],"items":[{line}]}}"#),
        format!(r#"{{"items":[{{"product_id":{product},"quantity":1,"quantity":2}}]}}"#),
        format!(r#"{{"user_id":1,"items":[{line}],"user_id":2}}"#),
        format!(r#"{{"items":[{line}],"idempotency_key":"\ud800"}}"#),
    ];
    let mut cases: Vec<Case> =
        texts.iter().map(|text| case(short(text), post(ORDERS, text), &[MALFORMED])).collect();
    let mut bytes = order.clone().into_bytes();
    bytes.extend_from_slice(b" \xff\xfe");
    let call = Call::new("POST", ORDERS).header("content-type", "application/json");
    cases.push(case("not UTF-8 after the object", call.clone().body(bytes), &[MALFORMED]));
    let bytes = [br#"{"idempotency_key":""#.as_slice(), b"\xc3\x28", br#""}"#].concat();
    cases.push(case("not UTF-8 in a text", call.body(bytes), &[MALFORMED]));
    for path in [format!("{ORDERS}/purchase"), PRODUCTS.to_owned(), "/api/v1/users".to_owned()] {
        for text in ["", "{", "[]", "null", r#"{"name":"a","name":"b"}"#] {
            // Two names of an unknown field say as little as one of it.
            let known = path != format!("{ORDERS}/purchase") || !text.contains("name");
            if known {
                cases.push(case(format!("{path} {text}"), post(&path, text), &[MALFORMED]));
            }
        }
    }
    let cancel = format!("{ORDERS}/{}/cancel", fixture.order);
    for text in ["{", "[]", "\"because\""] {
        cases.push(case(format!("cancel {text}"), post(&cancel, text), &[MALFORMED]));
    }
    let product = format!("{PRODUCTS}/{product}");
    for method in ["PUT", "PATCH"] {
        for text in ["", "{", "[]"] {
            let call = Call::new(method, &product).header("content-type", "application/json");
            cases.push(case(format!("{method} {text}"), call.body(text), &[MALFORMED]));
        }
    }
    fixture.refuse_all(cases).await;
    fixture.assert_unchanged().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fields_of_an_order_out_of_type_or_range_are_named() {
    let fixture = Fixture::build("fields_of_an_order_out_of_type_or_range").await;
    let product = fixture.product;
    let mut cases = Vec::new();
    let mut add = |what: String, text: String, field: &'static str| {
        cases.push(Case {
            what,
            call: post(ORDERS, text),
            answers: vec![INVALID],
            field: Some(field),
        });
    };
    let ten_to_the = |power: usize| format!("1{}", "0".repeat(power));
    let numbers = [
        "0",
        "-1",
        "1.5",
        "1e400",
        "\"2\"",
        &ten_to_the(30),
        &ten_to_the(400),
        "-0.5",
        "1e-1",
        "2147483648",
        "9007199254740993",
        "9223372036854775808",
        "18446744073709551616",
        "1000001",
        "true",
        "null",
        "[1]",
        "{}",
        "\"\"",
    ]
    .map(str::to_owned);
    for number in &numbers {
        let text = format!(r#"{{"items":[{{"product_id":{product},"quantity":{number}}}]}}"#);
        add(format!("quantity {}", short(number)), text, "quantity");
    }
    // An id may be larger than a quantity, so this lists only values that no id can have.
    for id in ["0", "-1", "1.5", "\"1\"", "true", "null", "[1]", "1e400", &"9".repeat(10_000)] {
        let text = format!(r#"{{"items":[{{"product_id":{id},"quantity":1}}]}}"#);
        add(format!("product_id {}", short(id)), text, "product_id");
        if id != "null" {
            let text =
                format!(r#"{{"user_id":{id},"items":[{{"product_id":{product},"quantity":1}}]}}"#);
            add(format!("user_id {}", short(id)), text, "user_id");
        }
    }
    for items in ["[]", "{}", "\"x\"", "7", "[7]", "[null]", "[[]]"] {
        add(format!("items {items}"), format!(r#"{{"items":{items}}}"#), "items");
    }
    add("no items".to_owned(), r#"{"user_id":1}"#.to_owned(), "items");
    add(
        "no quantity".to_owned(),
        format!(r#"{{"items":[{{"product_id":{product}}}]}}"#),
        "quantity",
    );
    add("no product".to_owned(), r#"{"items":[{"quantity":1}]}"#.to_owned(), "product_id");
    for count in [101, 10_001] {
        let line = json!({"product_id": product, "quantity": 1});
        let text = json!({"items": vec![line; count]}).to_string();
        add(format!("{count} lines"), text, "items");
    }
    let with = |field: &str, value: Value| {
        let mut body = shop::order(product, 1, "none");
        body[field] = value;
        body.to_string()
    };
    for method in [json!("cash"), json!("MOCK"), json!(""), json!(1), json!(["mock"])] {
        add(format!("method {method}"), with("payment_method", method), "payment_method");
    }
    let many: Value =
        (0..21).map(|n| (format!("k{n}"), json!(n))).collect::<serde_json::Map<_, _>>().into();
    let large = json!({"text": "x".repeat(4_096)});
    for metadata in [json!("text"), json!(7), json!([1]), many, large] {
        let what = format!("metadata {}", short(&metadata.to_string()));
        add(what, with("metadata", metadata), "metadata");
    }
    fixture.refuse_all(cases).await;
    fixture.assert_unchanged().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purchases_and_cancels_check_their_fields_too() {
    let fixture = Fixture::build("purchases_and_cancels_check_their_fields").await;
    let product = fixture.product;
    let purchase = format!("{ORDERS}/purchase");
    let mut cases = Vec::new();
    for quantity in ["0", "-1", "1.5", "\"2\"", "1e400", "1000001", "null", "true"] {
        let text = format!(r#"{{"product_id":{product},"quantity":{quantity}}}"#);
        let what = format!("purchase of {quantity}");
        cases.push(Case {
            field: Some("quantity"),
            ..case(what, post(&purchase, text), &[INVALID])
        });
    }
    for text in ["{}", r#"{"quantity":1}"#, r#"{"product_id":"x","quantity":1}"#] {
        cases.push(Case {
            field: Some("product_id"),
            ..case(text, post(&purchase, text), &[INVALID])
        });
    }
    let unknown = r#"{"product_id":4242424242,"quantity":1}"#;
    cases.push(case("purchase of nothing", post(&purchase, unknown), &[NOT_FOUND]));
    let unknown = r#"{"items":[{"product_id":4242424242,"quantity":1}]}"#;
    cases.push(case("order of nothing", post(ORDERS, unknown), &[NOT_FOUND]));
    let mixed = json!({"items": [{"product_id": product, "quantity": 1},
        {"product_id": 4_242_424_242_u64, "quantity": 1}]});
    cases.push(case("one product of two", shop::place(&mixed), &[NOT_FOUND]));
    let line = json!({"product_id": product, "quantity": 1_000_000});
    let sum = json!({"items": vec![line; 100]});
    let refused = [INVALID, (409, "insufficient_stock")];
    cases.push(case("lines whose sum is over the bound", shop::place(&sum), &refused));
    let cancel = |order: &str| format!("{ORDERS}/{order}/cancel");
    let own = cancel(&fixture.order.to_string());
    for reason in [json!(7), json!([]), json!("x".repeat(100_000))] {
        let text = json!({ "reason": reason }).to_string();
        cases.push(Case {
            field: Some("reason"),
            ..case(format!("reason {}", short(&text)), post(&own, text), &[INVALID])
        });
    }
    for order in ["4242424242", "0", "-1", "x", "1.0", "99999999999999999999999", "%00", "1%0a"] {
        let what = format!("cancel of {order}");
        cases.push(case(what, post(&cancel(order), "{}"), &[NOT_FOUND, MALFORMED]));
    }
    fixture.refuse_all(cases).await;
    fixture.assert_unchanged().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn products_with_bad_prices_stocks_and_names_are_refused() {
    let fixture = Fixture::build("products_with_bad_prices_stocks_and_names").await;
    let product = format!("{PRODUCTS}/{}", fixture.product);
    let mut cases = Vec::new();
    let prices = [
        "\"1.999\"",
        "1.999",
        "\"NaN\"",
        "\"Infinity\"",
        "-1",
        "\"-0.01\"",
        "\"\"",
        "\" \"",
        "\"abc\"",
        "\"1,00\"",
        "\"1.0.0\"",
        "\"0x10\"",
        "\"٣\"",
        "100000000",
        "\"100000000.00\"",
        "\"99999999.995\"",
        "1e400",
        "\"1e400\"",
        "true",
        "null",
        "[1]",
        "{}",
    ];
    let stocks = [
        "-1",
        "1.5",
        "\"5\"",
        "true",
        "null",
        "[1]",
        "1e400",
        "18446744073709551616",
        "1000000000000000000000000000000",
    ];
    let names = ["null", "7", "\"\"", "[]", "true"];
    let long = format!("\"{}\"", "x".repeat(10_000));
    let names = names.into_iter().chain([long.as_str()]);
    let rows = prices.into_iter().map(|value| ("price", value));
    let rows = rows.chain(stocks.into_iter().map(|value| ("stock", value)));
    for (field, value) in rows.chain(names.map(|value| ("name", value))) {
        let part = |name: &str, usual: &str| {
            let value = if name == field { value } else { usual };
            format!("\"{name}\":{value}")
        };
        let whole = format!(
            "{{{},{},{}}}",
            part("name", "\"Widget\""),
            part("price", "\"1.00\""),
            part("stock", "5")
        );
        let mut calls = vec![
            post(PRODUCTS, &whole),
            Call::new("PUT", &product).header("content-type", "application/json").body(whole),
        ];
        // In a change, null means the same as a missing field.
        if value != "null" {
            let patch = Call::new("PATCH", &product).header("content-type", "application/json");
            calls.push(patch.body(format!("{{\"{field}\":{value}}}")));
        }
        for call in calls {
            let what = format!("{field} {}", short(value));
            cases.push(Case { field: Some(field), ..case(what, call, &[INVALID]) });
        }
    }
    for missing in ["name", "price", "stock"] {
        let mut body = json!({"name": "Widget", "price": "1.00", "stock": 5});
        body.as_object_mut().expect("an object").remove(missing);
        for call in [Call::post(PRODUCTS, &body), Call::put(&product, &body)] {
            let what = format!("no {missing}");
            cases.push(Case { field: Some(missing), ..case(what, call, &[INVALID]) });
        }
    }
    for value in [json!(-1), json!("2"), json!(1.5)] {
        let mut body = json!({"name": "Widget", "price": "1.00", "stock": 5});
        body["max_per_order"] = value.clone();
        let what = format!("max_per_order {value}");
        cases.push(case(what, Call::post(PRODUCTS, &body), &[INVALID]));
    }
    // Not JSON, but people write such prices.
    let nan = r#"{"name":"Widget","price":NaN,"stock":5}"#;
    cases.push(case("price NaN", post(PRODUCTS, nan), &[MALFORMED]));
    let patch = Call::patch(&product, &json!({"stock": 7}));
    let tags = [MALFORMED, INVALID, (412, "version_mismatch")];
    for tag in ["abc", "\"", "\"x\"", "4711", "\"99999999999999999999999\"", ""] {
        let call = patch.clone().header("if-match", tag);
        cases.push(case(format!("If-Match {tag:?}"), call, &tags));
    }
    for id in ["0", "-1", "x", "1.0", "4242424242", "99999999999999999999999"] {
        let path = format!("{PRODUCTS}/{id}");
        let body = json!({"name": "Widget", "price": "1.00", "stock": 5});
        for call in [
            Call::get(&path),
            Call::put(&path, &body),
            Call::patch(&path, &body),
            Call::delete(&path),
        ] {
            cases.push(case(format!("product {id}"), call, &[NOT_FOUND, MALFORMED]));
        }
    }
    for (field, body) in [
        ("name", json!({"email": "a@example.org"})),
        ("email", json!({"name": "A"})),
        ("email", json!({"name": "A", "email": "no at sign"})),
        ("email", json!({"name": "A", "email": 7})),
        ("name", json!({"name": "", "email": "a@example.org"})),
    ] {
        let call = Call::post("/api/v1/users", &body);
        cases.push(Case { field: Some(field), ..case(format!("user {body}"), call, &[INVALID]) });
    }
    fixture.refuse_all(cases).await;
    fixture.assert_unchanged().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_keys_headers_methods_paths_and_types_are_refused() {
    let fixture = Fixture::build("bad_keys_headers_methods_paths_and_types").await;
    let body = shop::order(fixture.product, 1, "none");
    let place = shop::place(&body);
    let mut cases = Vec::new();
    for key in ["", " ", &"k".repeat(256)] {
        let what = format!("key header {:?}", short(key));
        cases.push(case(what, place.clone().key(key), &[KEY]));
    }
    let control = ["\u{0}", "a\nb", "a\tb", "\u{7f}", "\u{1b}[2J", "\u{85}"];
    let empty = ["", "   "];
    for key in control.into_iter().chain(empty).chain([&*"é".repeat(256)]) {
        let mut body = body.clone();
        body["idempotency_key"] = json!(key);
        cases.push(case(format!("key field {:?}", short(key)), shop::place(&body), &[KEY]));
    }
    for key in [json!(7), json!(["k"]), json!({})] {
        let mut body = body.clone();
        body["idempotency_key"] = key.clone();
        cases.push(case(format!("key field {key}"), shop::place(&body), &[KEY, INVALID]));
    }
    let two = place.clone().key("one").key("two");
    let twice = [KEY, MALFORMED, (400, "idempotency_key_mismatch")];
    cases.push(case("two key headers", two, &twice));
    let mut other = body.clone();
    other["idempotency_key"] = json!("one");
    let differ = [(400, "idempotency_key_mismatch")];
    cases.push(case("two keys", shop::place(&other).key("two"), &differ));
    let reused = shop::place(&shop::order(fixture.product, 2, "none")).key("taken");
    cases.push(case("a key again", reused, &[(422, "idempotency_key_reused")]));

    for key in ["", &"k".repeat(256), "%00", "%ff", "a%0ab"] {
        let call = Call::get(format!("{ORDERS}/by-key/{key}"));
        cases.push(case(format!("by-key {:?}", short(key)), call, &[KEY, MALFORMED, NOT_FOUND]));
    }

    let types = [
        None,
        Some("text/plain"),
        Some("application/xml"),
        Some("application/jsonx"),
        Some("application/x-www-form-urlencoded"),
        Some("multipart/form-data; boundary=x"),
        Some("json"),
        Some(""),
    ];
    for kind in types {
        let call = Call::new("POST", ORDERS).body(body.to_string());
        let call = kind.into_iter().fold(call, |call, kind| call.header("content-type", kind));
        cases.push(case(format!("type {kind:?}"), call, &[(415, "unsupported_media_type")]));
    }
    for coding in ["gzip", "br", "deflate, gzip"] {
        let call = place.clone().header("content-encoding", coding);
        cases.push(case(coding, call, &[(415, "unsupported_media_type")]));
    }

    let get = Call::get(PRODUCTS);
    for position in ["x", "-1", "1.5", "", "9007199254740993", "99999999999999999999"] {
        let what = format!("X-Min-Position {position:?}");
        let answers = [MALFORMED, INVALID, (503, "stale_read")];
        cases.push(case(what, get.clone().header("x-min-position", position), &answers));
    }
    let banana = get.header("x-consistency", "banana");
    cases.push(case("unknown consistency", banana, &[MALFORMED, INVALID]));
    let banana = Call::get(format!("{PRODUCTS}?consistency=banana"));
    cases.push(case("unknown consistency", banana, &[MALFORMED, INVALID]));

    let paths = [
        "/nope",
        "/api",
        "/api/",
        "/api/v1",
        "/api/v1/nope",
        "/api/v2/orders",
        "/orders",
        "/api/v1/orders/1/2/3",
        "/api/v1/orders/1/nope",
        "/api/v1/ordersx",
        "/API/V1/ORDERS",
        "/api/v1/../v1/orders",
        "/api/v1/orders/..%2f..%2fetc%2fpasswd",
        "/api/v1/orders/%2e%2e",
        "/api/v1/orders/%F0%9F%9B%92",
        "/api/v1/orders/%E2%80%8F1",
        "/api/v1/orders/1%00",
        "/api/v1/orders/%31x",
    ];
    for path in paths {
        cases.push(case(path, Call::get(path), &[NOT_FOUND, MALFORMED]));
    }
    let xml = Call::get(PRODUCTS).header("accept", "application/xml");
    cases.push(case("cannot be met", xml, &[(406, "not_acceptable")]));
    fixture.refuse_all(cases).await;

    let order = format!("{ORDERS}/{}", fixture.order);
    let wrong = [
        ("PUT", ORDERS),
        ("DELETE", ORDERS),
        ("PATCH", PRODUCTS),
        ("POST", &order),
        ("DELETE", &order),
        ("BREW", ORDERS),
        ("TRACE", PRODUCTS),
        ("DELETE", "/livez"),
        ("POST", "/metrics"),
        ("PUT", "/api/v1/cluster"),
    ];
    for (method, path) in wrong {
        let answer = fixture.cluster.caller().ask(1, &Call::new(method, path)).await;
        answer.problem(405, "method_not_allowed");
        let allow = answer.header("allow").unwrap_or_else(|| panic!("{method} {path}: no Allow"));
        assert!(!allow.is_empty() && !allow.contains(method), "{method} {path}: {allow}");
    }
    fixture.assert_unchanged().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_but_allowed_requests_work() {
    let fixture = Fixture::build("odd_but_allowed_requests_work").await;
    let product = fixture.product;
    let caller = fixture.cluster.caller();
    let line = format!(r#"{{"product_id":{product},"quantity":1}}"#);
    let texts = [
        format!(r#"{{"items":[{line}],"colour":"red","nested":{{"a":[1,2]}}}}"#),
        format!(r#"{{"items":[{line}],"user_id":null,"idempotency_key":null,"metadata":null}}"#),
        format!("\r\n\t {{\"items\" : [ {line} , {line} ] }} \n"),
        format!(r#"{{"\u0069tems":[{line}],"metadata":{{"emoji":"\ud83d\uded2"}}}}"#),
    ];
    for text in texts {
        caller.ask(1, &post(ORDERS, &text)).await.expect(201);
    }
    for kind in ["application/json; charset=utf-8", "Application/JSON"] {
        let call = Call::new("POST", ORDERS).header("content-type", kind);
        let body = shop::order(product, 1, "none").to_string();
        caller.ask(2, &call.body(body)).await.expect(201);
    }
    // Cancelling needs no body.
    let bare = Call::new("POST", format!("{ORDERS}/{}/cancel", fixture.order));
    caller.ask(3, &bare).await.expect(200);
    // The server ignores a trace id that could break a log line.
    for trace in ["a b", &"t".repeat(4_000), "é"] {
        let call = Call::get(PRODUCTS).header("x-trace-id", trace);
        let answer = caller.ask(1, &call).await;
        assert!(matches!(answer.status, 200 | 400), "{trace}: {}", answer.status);
        let own = answer.header("x-trace-id").expect("a trace id");
        assert!(own.len() <= 128 && own.is_ascii() && !own.contains(' '), "{own}");
    }
}
