//! Compares the OpenAPI document with the server. Every test checks that each answer is as
//! documented; the tests here send the requests that no other test needs.

use std::collections::BTreeSet;

use engine::command::{ClaimPayments, Command, PaymentResult, PlaceOrder, SettlePayments, Verdict};
use engine::ids::{NodeId, ProductId, Quantity};
use engine::layout::Added;
use engine::order::{Line, PaymentMethod};
use engine::outcome::Outcome;
use engine::trace::TraceId;
use hyper::Method;
use serde_json::{Value, json};

use crate::contract::contract;
use crate::harness::{Answer, Call, Fixture};

const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];

/// Every documented operation: path, method, description.
fn operations() -> Vec<(&'static str, String, &'static Value)> {
    let mut all = Vec::new();
    for (path, item) in contract().document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            all.push((path.as_str(), method.to_uppercase(), operation));
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_router_has_exactly_the_documented_paths() {
    let fixture = Fixture::start().await;
    let mut asked = 0;
    for path in contract().document["paths"].as_object().unwrap().keys() {
        let documented: BTreeSet<String> = operations()
            .into_iter()
            .filter(|(other, ..)| other == path)
            .map(|(_, method, _)| method)
            .collect();
        let concrete = path.replace("{id}", "9").replace("{key}", "none");
        let concrete = concrete
            .replace("{reference}", "none")
            .replace("{file}", "app.js")
            .replace("{problem}", "not-found");
        let alias = concrete.replace("/api/v1/", "/api/");
        for target in BTreeSet::from([concrete, alias]) {
            for method in METHODS {
                let answer = fixture.send(Call::new(method, &target)).await;
                let get = method == "HEAD" && documented.contains("GET");
                let expected = documented.contains(method) || get;
                assert_eq!(answer.status != 405, expected, "{method} {target}");
                assert!(expected || !is_no_path(&answer), "{method} {target}");
                if let Some(allow) = answer.header("allow") {
                    let allowed = allow.split(", ").filter(|method| *method != "HEAD");
                    assert_eq!(allowed.map(str::to_owned).collect::<BTreeSet<_>>(), documented);
                }
                asked += 1;
            }
        }
    }
    assert!(asked > 200, "{asked} requests");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn undocumented_answers_are_detected() {
    let fixture = Fixture::start().await;
    let product = fixture.product("1.00", 5).await;
    let target = format!("/api/v1/products/{product}");
    let sound = fixture.get(&target).await;
    let fault = |change: &dyn Fn(&mut Answer)| {
        let mut answer = sound.clone();
        change(&mut answer);
        contract().compare(&Method::GET, &target, &answer).err().unwrap_or_default()
    };
    let edit = |change: fn(&mut Value)| {
        fault(&|answer| {
            let mut body = answer.json();
            change(&mut body);
            answer.body = body.to_string().into();
        })
    };
    assert_eq!(fault(&|_| {}), "");
    for (fault, words) in [
        (fault(&|answer| answer.status = 201), "status"),
        (fault(&|answer| drop(answer.headers.remove("etag"))), "ETag is missing"),
        (fault(&|answer| drop(answer.headers.remove("x-position"))), "X-Position is missing"),
        (fault(&|answer| drop(answer.headers.insert("etag", "7".parse().unwrap()))), "ETag: "),
        (fault(&|answer| drop(answer.headers.insert("x-new", "7".parse().unwrap()))), "x-new"),
        (
            fault(&|answer| drop(answer.headers.insert("content-type", "a/b".parse().unwrap()))),
            "a/b",
        ),
        (fault(&|answer| answer.body = "{".into()), "EOF"),
        (edit(|body| drop(body["data"].as_object_mut().unwrap().remove("sold"))), "sold"),
        (edit(|body| body["data"]["new"] = json!(1)), "new"),
        (edit(|body| body["data"]["price"] = json!("1.0")), "1.0"),
        (edit(|body| body["data"]["stock"] = json!(-1)), "-1"),
        (edit(|body| body["success"] = json!(false)), "success"),
    ] {
        assert!(fault.contains(words), "{words}: {fault}");
    }
    fixture.stop().await;
}

fn is_no_path(answer: &Answer) -> bool {
    answer.status == 404 && answer.json()["detail"] == "There is no such path."
}

/// Requests that cause every documented success.
async fn all_successes(fixture: &Fixture) -> Vec<(Call, u16)> {
    let product =
        json!({"name": "Laptop", "price": 999.99, "stock": 50, "sku": "LP", "max_per_order": 9});
    let order = json!({"items": [{"product_id": 1, "quantity": 1}], "payment_method": "none"});
    let named = json!({"items": [{"product_id": 1, "quantity": 1}], "client_reference": "a/b c"});
    let line = json!({"product_id": 1, "quantity": 2, "idempotency_key": "p"});
    let keyed =
        |key: &str| Call::json("POST", "/api/v1/orders", &order).header("idempotency-key", key);
    let purchase = || Call::json("POST", "/api/v1/orders/purchase", &line);
    let user = json!({"name": "Alice", "email": "alice@example.com"});
    let other = json!({"name": "Mouse", "price": "9.99", "stock": 5});
    let bob = json!({"name": "Bob", "email": "bob@example.com"});
    let apart =
        |path: &str, body: &Value| Call::json("POST", path, body).header("idempotency-key", "once");
    let mut calls = vec![
        (Call::json("POST", "/api/v1/products", &product), 201),
        (Call::json("POST", "/api/v1/users", &user), 201),
        (apart("/api/v1/products", &other), 201),
        (apart("/api/v1/products", &other), 200),
        (apart("/api/v1/users", &bob), 201),
        (apart("/api/v1/users", &bob), 200),
        (keyed("k"), 201),
        (keyed("k"), 200),
        (Call::json("POST", "/api/v1/orders?dry_run=true", &order), 200),
        (purchase(), 201),
        (purchase(), 200),
        (Call::json("POST", "/api/v1/orders/1/cancel", &json!({"reason": "late"})), 200),
        (Call::json("PUT", "/api/v1/products/1", &product).header("if-match", "*"), 200),
        (Call::json("PATCH", "/api/v1/products/1", &json!({"price": "1"})), 200),
    ];
    let adjust = || {
        let body = json!({"delta": 5, "reason": "found", "idempotency_key": "a"});
        Call::json("POST", "/api/v1/products/1/adjustments", &body)
    };
    calls.extend([(adjust(), 201), (adjust(), 200)]);
    calls.push((Call::json("POST", "/api/v1/orders", &named), 201));
    calls.push((Call::new("GET", "/api/v1/orders/by-reference/a%2Fb%20c"), 200));
    calls.push((Call::new("GET", "/api/v1/holds?user_id=1"), 200));
    let batch = json!({"orders": [order, {"items": []}]});
    calls.push((Call::json("POST", "/api/v1/orders/batch", &batch), 200));
    calls.push((Call::new("POST", "/api/v1/cluster/snapshot"), 200));
    let running = json!({"paused": false});
    calls.push((Call::json("POST", "/api/v1/cluster/payments", &running), 200));
    for key in ["k", "fenced"] {
        calls.push((Call::new("POST", &format!("/api/v1/orders/by-key/{key}/fence")), 200));
    }
    let hold = json!({"product_id": 1, "qty": 2});
    let held = || Call::json("POST", "/api/v1/holds", &hold).header("idempotency-key", "h");
    let extension = json!({"ttl_seconds": 300});
    let result = |order: u64| {
        let body = json!({"idempotency_key": format!("w{order}"), "order_id": order,
            "status": "success", "payload": [order]});
        Call::json("POST", "/api/v1/payments/webhook", &body)
    };
    calls.extend([
        (held(), 201),
        (held(), 200),
        (Call::json("POST", "/api/v1/holds/1/extend", &extension), 200),
        (Call::json("POST", "/api/v1/orders", &json!({"hold_id": 1})), 201),
        (Call::json("POST", "/api/v1/holds", &hold), 201),
        (Call::new("DELETE", "/api/v1/holds/2"), 204),
        (result(3), 200),
        (result(3), 200),
        (result(9), 200),
    ]);
    let token = json!({"owner": "shop", "scopes": ["orders:read"], "expires_in_s": 60});
    calls.extend([
        (Call::json("POST", "/api/v1/auth/tokens", &token), 201),
        (Call::new("GET", "/api/v1/auth/tokens"), 200),
        (Call::new("DELETE", "/api/v1/auth/tokens/1"), 200),
        (Call::json("PUT", "/api/v1/auth/mode", &json!({"mode": "off"})), 200),
        (Call::new("GET", "/api/v1/auth/mode"), 200),
        (Call::new("GET", "/api/v1/session"), 200),
        (Call::new("GET", "/api/v1/audit"), 200),
        (Call::new("GET", "/api/v1/audit?kind=catalogue&after=0&limit=1"), 200),
    ]);
    let task = json!({"order_id": 1});
    calls.push((Call::json("POST", "/api/v1/tasks/order-processed", &task), 202));
    let reads = [
        "/api/v1/orders",
        "/api/v1/orders?limit=1",
        "/api/v1/orders?per_page=1&page=2",
        "/api/v1/orders/1",
        "/api/v1/orders/1/events",
        "/api/v1/orders/by-key/k",
        "/api/v1/orders/by-key/unused",
        "/api/v1/orders/by-key/fenced",
        "/api/v1/products/1/ledger",
        "/api/v1/products/1/ledger?limit=1&after=0",
        "/api/v1/holds/1",
        "/api/v1/holds/2",
        "/api/v1/products",
        "/api/v1/products?limit=1&ids=1,2",
        "/api/v1/products/1",
        "/api/v1/users/1",
    ];
    for read in reads {
        let joint = if read.contains('?') { '&' } else { '?' };
        calls.push((Call::new("GET", read), 200));
        calls.push((Call::new("GET", &format!("{read}{joint}consistency=stale")), 200));
    }
    for read in [
        "/api/v1/cluster",
        "/api/v1/health",
        "/api/v1/test",
        "/health",
        "/livez",
        "/readyz",
        "/metrics",
        "/openapi.json",
        "/openapi-strict.json",
        "/docs",
        "/problems/not-found",
        "/",
        "/console/app.css",
        "/console/app.js",
    ] {
        calls.push((Call::new("GET", read), 200));
        calls.push((Call::new("HEAD", read), 200));
    }
    for file in ["/", "/console/app.css", "/console/app.js"] {
        let tag = fixture.get(file).await.header("etag").unwrap().to_owned();
        calls.push((Call::new("GET", file).header("if-none-match", &tag), 304));
        calls.push((Call::new("HEAD", file).header("if-none-match", &format!("W/{tag}")), 304));
    }
    calls.push((Call::new("GET", "/api/v1/cluster/backup"), 200));
    calls.push((Call::new("GET", "/api/v1/cluster/backup?consistency=stale"), 200));
    calls.push((Call::new("HEAD", "/api/v1/cluster/backup"), 200));
    calls.push((Call::new("GET", "/api/v1/events?after=0.0"), 200));
    calls.push((Call::new("HEAD", "/api/v1/events"), 200));
    let socket = Call::new("GET", "/api/v1/ws").header("upgrade", "websocket");
    let socket = socket.header("connection", "Upgrade").header("sec-websocket-version", "13");
    calls.push((socket.header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="), 101));
    calls.push((Call::new("DELETE", "/api/v1/products/1"), 204));
    // A member that never joins, which has no vote; the only voter transfers leadership to itself.
    let member = json!({"id": 4, "raft_addr": "127.0.0.1:1", "speaks": 1});
    calls.push((Call::json("POST", "/api/v1/cluster/level", &json!({"to": 1})), 200));
    calls.push((Call::json("POST", "/api/v1/cluster/members", &member), 200));
    let filter = json!({"filter": "debug", "seconds": 60});
    calls.push((Call::json("PUT", "/api/v1/admin/log-filter", &filter), 200));
    calls.push((Call::new("GET", "/api/v1/admin/log-filter"), 200));
    calls.push((Call::new("DELETE", "/api/v1/cluster/members/4"), 200));
    let to = json!({"to": 1});
    calls.push((Call::json("POST", "/api/v1/cluster/transfer-leader", &to), 200));
    calls.push((Call::new("POST", "/api/v1/cluster/accept-clock"), 200));
    let ready = async || fixture.get("/readyz").await.status == 200;
    fixture.until("ready", ready).await;
    calls
}

/// Requests about a payment without a result, which an operator then settles, and about refunds.
async fn payment_successes(fixture: &Fixture) -> Vec<(Call, u16)> {
    let propose = async |command| {
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(5);
        fixture.handle.propose(command, TraceId::NONE, deadline).await.unwrap().outcome
    };
    let product = json!({"name": "Ticket", "price": "9.99", "stock": 50});
    let product = fixture.send(Call::json("POST", "/api/v1/products", &product)).await;
    let product = ProductId(product.json()["data"]["id"].as_u64().unwrap());
    let order = PlaceOrder {
        user: None,
        hold: None,
        lines: vec![Line { product, quantity: Quantity(2) }],
        payment_method: PaymentMethod::Gateway,
        key: None,
        metadata: None,
        payment_attempts_max: 1,
        payment_deadline_ms: 1_000,
        open_orders_max: 1_000,
        require_user: false,
        terms: Added::default(),
    };
    let Outcome::Placed(id) = propose(Command::PlaceOrder(order)).await else { panic!("placed") };
    // The gateway of this node is the simulated one, so nobody else claims the payment.
    let claim = ClaimPayments { node: NodeId(1), lease_ms: 1, tasks: vec![(id, 1)] };
    propose(Command::ClaimPayments(claim)).await;
    let verdict = Verdict::NoAnswer { retry_in_ms: 86_400_000 };
    let results = vec![PaymentResult { order: id, attempt: 1, verdict }];
    propose(Command::SettlePayments(SettlePayments { results })).await;
    let settled = json!({
        "outcome": "paid", "expected_attempt": 1, "provider_ref": "p-1", "reason": "r", "actor": "ann",
    });
    let mut otherwise = settled.clone();
    otherwise["provider_ref"] = json!("p-2");
    let refund = json!({
        "lines": [{"line": 1, "quantity": 1, "restock": true}], "reason": "returned",
        "actor": "ann", "idempotency_key": "rma-9",
    });
    let refunds = format!("/api/v1/orders/{id}/refunds");
    let mut calls = vec![
        (Call::json("POST", &format!("/api/v1/orders/{id}/recheck"), &json!({})), 200),
        (Call::new("GET", "/api/v1/payments/unsettled?limit=1"), 200),
        (Call::new("GET", "/api/v1/payments/unsettled?consistency=stale"), 200),
        (Call::json("POST", &format!("/api/v1/orders/{id}/settle"), &settled), 200),
        (Call::json("POST", &format!("/api/v1/orders/{id}/settle"), &settled), 200),
        // Another payment at the provider is another decision.
        (Call::json("POST", &format!("/api/v1/orders/{id}/settle"), &otherwise), 409),
        (Call::json("POST", &refunds, &refund), 201),
        (Call::json("POST", &refunds, &refund), 200),
    ];
    for read in [refunds, "/api/v1/refunds/1".to_owned()] {
        calls.push((Call::new("GET", &read), 200));
        calls.push((Call::new("GET", &format!("{read}?consistency=stale")), 200));
    }
    calls
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_documented_success_is_answered_as_documented() {
    let fixture = Fixture::start().await;
    let mut given = BTreeSet::new();
    let mut calls = payment_successes(&fixture).await;
    // The others name the first product.
    let first = Fixture::start().await;
    let others = all_successes(&first).await;
    for (call, status) in others {
        let (method, target) = (call.method().to_owned(), call.target().to_owned());
        let answer = first.send(call).await;
        assert_eq!(answer.status, status, "{method} {target}: {answer:?}");
        answer.check_headers();
        given.insert((contract().pattern(&target).unwrap().to_owned(), method, status));
    }
    first.stop().await;
    for (call, status) in calls.drain(..) {
        let (method, target) = (call.method().to_owned(), call.target().to_owned());
        let answer = fixture.send(call).await;
        assert_eq!(answer.status, status, "{method} {target}: {answer:?}");
        answer.check_headers();
        given.insert((contract().pattern(&target).unwrap().to_owned(), method, status));
    }
    for (path, method, operation) in operations() {
        for status in operation["responses"].as_object().unwrap().keys() {
            let status: u16 = status.parse().unwrap();
            let row = (path.to_owned(), method.clone(), status);
            assert!(status >= 400 || given.contains(&row), "nobody asked for {row:?}");
        }
    }
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_example_matches_its_schema() {
    let fixture = Fixture::start().await;
    let mut checked = 0;
    let mut check = |of: &Value, what: &str| {
        let (kind, content) = of["content"].as_object().unwrap().iter().next().unwrap();
        let named = content["examples"].as_object().into_iter().flatten();
        let examples = named.map(|(_, example)| &contract().resolve(example)["value"]);
        for example in examples.chain(content.get("example")) {
            let fits = contract().fits(&content["schema"], example);
            assert_eq!(fits, Ok(()), "{what}, {kind}: {example}");
            checked += 1;
        }
    };
    for (path, method, operation) in operations() {
        if let Some(body) = operation.get("requestBody") {
            check(body, &format!("{method} {path}"));
        }
        for (status, response) in operation["responses"].as_object().unwrap() {
            let response = contract().resolve(response);
            if response.get("content").is_some() {
                check(response, &format!("{method} {path} {status}"));
            }
        }
    }
    assert!(checked > 100, "{checked} examples");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn example_bodies_do_what_they_show() {
    let fixture = Fixture::start().await;
    let example = |path: &str, method: &str| {
        let operation = &contract().document["paths"][path][method];
        operation["requestBody"]["content"]["application/json"]["example"].clone()
    };
    let mut given = Vec::new();
    for (path, method, target) in [
        ("/api/v1/products", "post", "/api/v1/products"),
        ("/api/v1/users", "post", "/api/v1/users"),
        ("/api/v1/orders", "post", "/api/v1/orders"),
        ("/api/v1/orders/purchase", "post", "/api/v1/orders/purchase"),
        ("/api/v1/orders/batch", "post", "/api/v1/orders/batch"),
        ("/api/v1/holds", "post", "/api/v1/holds"),
        ("/api/v1/holds/{id}/extend", "post", "/api/v1/holds/1/extend"),
        ("/api/v1/payments/webhook", "post", "/api/v1/payments/webhook"),
        ("/api/v1/products/{id}", "put", "/api/v1/products/1"),
        ("/api/v1/products/{id}", "patch", "/api/v1/products/1"),
    ] {
        let call = Call::json(&method.to_uppercase(), target, &example(path, method));
        given.push(fixture.send(call).await.status);
    }
    assert_eq!(given, [201, 201, 201, 201, 200, 201, 200, 200, 200, 200]);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_are_served_whatever_the_caller_takes() {
    let fixture = Fixture::start().await;
    for (path, kind) in [
        ("/openapi.json", "application/json"),
        ("/openapi-strict.json", "application/json"),
        ("/docs", "text/html; charset=utf-8"),
        ("/problems/insufficient-stock", "text/html; charset=utf-8"),
    ] {
        let answer = fixture.send(Call::new("GET", path).header("accept", "image/png")).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(kind)));
        answer.check_headers();
    }
    let refused = fixture.get("/api/v1/orders/1").await.problem(404, "not_found");
    let kind = refused["type"].as_str().unwrap().to_owned();
    let about = fixture.get(&kind).await;
    assert_eq!(about.status, 200, "{kind}");
    fixture.get("/problems/none").await.problem(404, "not_found");
    let page = fixture.get("/docs").await;
    assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/?from=a-link", "text/html; charset=utf-8"),
        ("/console/app.css", "text/css; charset=utf-8"),
        ("/console/app.js", "text/javascript; charset=utf-8"),
    ] {
        let file = fixture.send(Call::new("GET", path).header("accept", "text/html")).await;
        assert_eq!((file.status, file.header("content-type")), (200, Some(kind)));
        let policy = file.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        let old = Call::new("GET", path).header("if-none-match", "\"old\"");
        assert_eq!(fixture.send(old).await.body, file.body);
    }
    for path in ["/console/index.html", "/console/..%2fapp.js", "/console/no.js"] {
        fixture.get(path).await.problem(404, "not_found");
    }
    fixture.stop().await;
}
