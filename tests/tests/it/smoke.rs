//! The life of an order, request by request, against three processes.

use serde_json::{Value, json};
use tests::shop::{self, ORDERS, PRODUCTS};
use tests::{Call, Cluster, Options};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_read_and_settled_on_every_node() {
    let cluster = Cluster::start("an_order_is_read_and_settled_on_every_node").await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let product = shop::create_product(caller, &mut random, "999.99", 50).await;

    let body = json!({"user_id": 7, "items": [{"product_id": product, "quantity": 2}]});
    let answer = caller.ask_any(&mut random, &shop::place(&body)).await.expect(201);
    let placed = shop::order_of(&answer);
    assert_eq!(placed["status"], "PENDING");
    assert_eq!(placed["payment_method"], "mock");
    assert_eq!(placed["user_id"], 7);
    assert_eq!(placed["hold_id"], Value::Null);
    assert_eq!(placed["total_amount"], "1999.98");
    assert!(answer.position() >= shop::count(&placed, "version"), "{placed}");
    let order = shop::id(&placed);

    for node in caller.all() {
        let read = shop::read_order(caller, node, order).await;
        assert_eq!(read["items"], placed["items"], "node {node}");
        assert_eq!(read["created_at"], placed["created_at"], "node {node}");
    }
    let mut ends = Vec::new();
    for node in caller.all() {
        let settled = shop::settled(caller, node, order).await;
        shop::assert_order(&settled);
        ends.push(settled);
    }
    assert!(ends.iter().all(|end| *end == ends[0]), "{ends:#?}");
    let sold = match ends[0]["status"].as_str() {
        Some("PAID") => 2,
        Some("FAILED") => 0,
        other => panic!("a payment ends PAID or FAILED, not {other:?}"),
    };
    for node in caller.all() {
        let data = shop::product(caller, node, product).await;
        assert_eq!(data["sold"], sold, "{data}");
        assert_eq!(data["reserved"], 0, "{data}");
        shop::assert_conserved(&data, 50);
    }
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payment_method_none_stays_pending_while_others_are_settled() {
    let cluster = Cluster::start("payment_method_none_stays_pending").await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let product = shop::create_product(caller, &mut random, "5.00", 10).await;
    let quiet = shop::place(&shop::order(product, 3, "none"));
    let quiet = shop::id(&caller.ask_any(&mut random, &quiet).await.expect(201).data());
    // The worker takes tasks in the order of their orders: once later ones are settled, it has
    // skipped this one.
    for _ in 0..5 {
        let paid = shop::place(&shop::order(product, 1, "mock"));
        let paid = shop::id(&caller.ask_any(&mut random, &paid).await.expect(201).data());
        shop::settled(caller, 1, paid).await;
    }
    for node in caller.all() {
        let data = shop::read_order(caller, node, quiet).await;
        assert_eq!(data["status"], "PENDING", "{data}");
        assert_eq!(data["payment_method"], "none", "{data}");
    }
    assert_eq!(shop::product(caller, 1, product).await["reserved"], 3);
    let cancelled = caller.ask_any(&mut random, &shop::cancel(quiet)).await.expect(200);
    assert_eq!(shop::order_of(&cancelled)["status"], "CANCELLED");
    assert_eq!(shop::product(caller, 2, product).await["reserved"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_carries_a_trace_id_a_position_and_security_headers() {
    let cluster = Cluster::start("every_answer_carries_headers").await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let product = shop::create_product(caller, &mut random, "1.00", 10).await;

    let own = "3f8c1b9e-trace.of_the_caller";
    let call = shop::place(&shop::order(product, 1, "none")).header("x-trace-id", own);
    let answer = caller.ask(2, &call).await.expect(201);
    assert_eq!(answer.header("x-trace-id"), Some(own));
    let order = shop::order_of(&answer);
    assert_eq!(etag(&answer), shop::count(&order, "version"));
    assert_eq!(order["trace_id"], own);

    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let call = Call::get("/api/v1/products").header("traceparent", parent);
    let answer = caller.ask(1, &call).await.expect(200);
    let trace = answer.header("x-trace-id").expect("a trace id").replace('-', "");
    assert_eq!(trace, "4bf92f3577b34da6a3ce929d0e0e4736");

    let mut made = Vec::new();
    for path in ["/api/v1/products", "/api/v1/orders/999999", "/nowhere", "/livez"] {
        let answer = caller.get(3, path).await;
        made.push(answer.header("x-trace-id").expect("a trace id").to_owned());
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert!(answer.header("x-frame-options").is_some(), "{path}");
        assert!(answer.header("server").is_none_or(|name| !name.contains('/')), "{path}");
    }
    assert!(made.iter().all(|id| id.len() == 36), "UUIDs: {made:?}");
    made.sort_unstable();
    made.dedup();
    assert_eq!(made.len(), 4, "every request gets its own trace id");

    let answer = caller.get(1, &format!("{PRODUCTS}/{product}")).await.expect(200);
    assert_eq!(etag(&answer), shop::count(&answer.data(), "version"));
    assert!(answer.position() >= etag(&answer));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_see_every_acknowledged_write_on_any_node() {
    let cluster = Cluster::start("reads_see_every_acknowledged_write").await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let product = shop::create_product(caller, &mut random, "1.00", 1_000).await;
    let place = shop::place(&shop::order(product, 1, "none"));
    for round in 1..=60 {
        let answer = caller.ask_any(&mut random, &place).await.expect(201);
        let placed = answer.data();
        let order = Call::get(format!("{ORDERS}/{}", shop::id(&placed)));
        // A default read needs no hint.
        let read = caller.ask_any(&mut random, &order).await.expect(200);
        assert_eq!(read.data()["version"], placed["version"]);
        let data = caller.ask_any(&mut random, &Call::get(format!("{PRODUCTS}/{product}"))).await;
        assert_eq!(data.data()["reserved"], round);
        // A stale read needs it, and is then never older.
        let hint = answer.position().to_string();
        let own = order.clone().stale().header("x-min-position", &hint);
        let read = caller.ask_any(&mut random, &own).await.expect(200);
        assert!(read.position() >= answer.position());
    }
    // The hint works for default reads too, and as a query parameter.
    let hint = caller.ask(1, &place).await.expect(201).position().to_string();
    for node in caller.all() {
        let query = Call::get(format!("{PRODUCTS}/{product}?consistency=stale"));
        let stale = caller.ask(node, &query.header("x-min-position", &hint)).await.expect(200);
        assert_eq!(stale.data()["reserved"], 61);
        let fresh = Call::get(format!("{PRODUCTS}/{product}")).header("x-min-position", &hint);
        assert_eq!(caller.ask(node, &fresh).await.expect(200).data()["reserved"], 61);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_read_gives_its_position() {
    let cluster = Cluster::start("a_stale_read_gives_its_position").await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let product = shop::create_product(caller, &mut random, "1.00", 1_000).await;
    for _ in 0..40 {
        let place = shop::place(&shop::order(product, 1, "none"));
        let written = caller.ask_any(&mut random, &place).await.expect(201);
        let order = Call::get(format!("{ORDERS}/{}", shop::id(&written.data()))).stale();
        for node in caller.all() {
            let read = caller.ask(node, &order).await;
            match read.status {
                200 => assert!(read.position() >= shop::count(&written.data(), "version")),
                404 => assert!(read.position() < shop::count(&written.data(), "version")),
                other => panic!("a stale read is 200 or 404, not {other}: {}", read.text()),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purchase_answers_the_product_after_the_sale() {
    let cluster = Cluster::start("a_purchase_answers_the_product").await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let product = shop::create_product(caller, &mut random, "15000000", 5).await;
    let buy = |quantity: u64| {
        Call::post(
            format!("{ORDERS}/purchase"),
            &json!({"product_id": product, "quantity": quantity}),
        )
    };
    let answer = caller.ask_any(&mut random, &buy(3)).await.expect(201);
    let order = shop::order_of(&answer);
    assert_eq!(order["product_id"], product);
    assert_eq!(order["quantity"], 3);
    assert_eq!(order["total_price"], "45000000.00");
    assert_eq!(order["product"]["id"], product);
    assert_eq!(order["product"]["stock"], 2);
    assert_eq!(order["product"]["price"], "15000000.00");
    let refused = caller.ask_any(&mut random, &buy(4)).await;
    let problem = refused.problem(409, "insufficient_stock");
    let message = problem["message"].as_str().expect("a message");
    assert!(message.contains(&product.to_string()), "names the product: {message}");
    assert!(message.contains('4') && message.contains('2'), "asked and left: {message}");
    shop::assert_conserved(&shop::product(caller, 1, product).await, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_belongs_to_one_order_for_good() {
    let cluster = Cluster::start("a_key_belongs_to_one_order_for_good").await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let product = shop::create_product(caller, &mut random, "2.50", 10).await;
    let body = shop::order(product, 2, "none");

    let first = caller.ask_any(&mut random, &shop::place(&body).key("k-1")).await.expect(201);
    assert_eq!(first.header("idempotent-replayed"), None);
    let order = shop::id(&first.data());
    assert_eq!(first.data()["idempotency_key"], "k-1");

    // The same request by header, by field, by both, with other spaces and field order.
    let mut with_field = body.clone();
    with_field["idempotency_key"] = json!("k-1");
    let spaced = format!(
        "{{ \"payment_method\" : \"none\",\n \"items\": [ {{\"quantity\": 2, \
         \"product_id\": {product} }} ], \"unknown\": [1], \"user_id\": 1 }}"
    );
    let again = [
        shop::place(&body).key("k-1"),
        shop::place(&with_field),
        shop::place(&with_field).key("k-1"),
        shop::place(&body).key("k-1").body(spaced),
    ];
    for call in &again {
        let answer = caller.ask_any(&mut random, call).await.expect(200);
        assert_eq!(answer.header("idempotent-replayed"), Some("true"), "{call:?}");
        assert_eq!(shop::id(&answer.data()), order, "{call:?}");
    }
    let mismatch = shop::place(&with_field).key("k-2");
    caller.ask_any(&mut random, &mismatch).await.problem(400, "idempotency_key_mismatch");
    let other = shop::place(&shop::order(product, 1, "none")).key("k-1");
    caller.ask_any(&mut random, &other).await.problem(422, "idempotency_key_reused");
    assert_eq!(shop::product(caller, 1, product).await["reserved"], 2);

    // A replay shows the current order.
    caller.ask_any(&mut random, &shop::cancel(order)).await.expect(200);
    let answer = caller.ask_any(&mut random, &again[0]).await.expect(200);
    assert_eq!(shop::order_of(&answer)["status"], "CANCELLED");
    assert_eq!(shop::order_total(caller, 2, "").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_leaves_its_key_free() {
    let cluster = Cluster::start("a_refusal_leaves_its_key_free").await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let product = shop::create_product(caller, &mut random, "1.00", 1).await;
    let call = shop::place(&shop::order(product, 2, "none")).key("later");
    caller.ask_any(&mut random, &call).await.problem(409, "insufficient_stock");
    assert_eq!(by_key(&cluster, 1, "later").await["state"], "unused");
    let patch = Call::patch(format!("{PRODUCTS}/{product}"), &json!({"stock": 2}));
    caller.ask_any(&mut random, &patch).await.expect(200);
    let order = caller.ask_any(&mut random, &call).await.expect(201).data();
    for node in caller.all() {
        let found = by_key(&cluster, node, "later").await;
        assert_eq!(found["state"], "applied", "{found}");
        assert_eq!(found["order"]["id"], order["id"], "{found}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_every_allowed_shape_are_kept_apart() {
    let cluster = Cluster::start("keys_of_every_allowed_shape").await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let product = shop::create_product(caller, &mut random, "1.00", 100).await;
    let longest = "k".repeat(255);
    let keys = ["0", "a/b?c=d&e#f%20", "clé-✓", "with a space", "../../etc", longest.as_str()];
    let mut orders = Vec::new();
    for key in keys {
        let mut body = shop::order(product, 1, "none");
        body["idempotency_key"] = json!(key);
        let order = caller.ask_any(&mut random, &shop::place(&body)).await.expect(201).data();
        assert_eq!(order["idempotency_key"], key);
        let found = by_key(&cluster, 3, key).await;
        assert_eq!(found["order"]["id"], order["id"], "{key}");
        orders.push(shop::id(&order));
    }
    orders.dedup();
    assert_eq!(orders.len(), keys.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_keeps_its_history_and_its_metadata() {
    let cluster = Cluster::start("an_order_keeps_its_history").await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let product = shop::create_product(caller, &mut random, "1.00", 100).await;
    let mut body = shop::order(product, 1, "none");
    body["metadata"] = json!({"cart": "c-9", "nested": {"a": [1, 2.5, null]}, "é": "✓"});
    let call = shop::place(&body).header("x-trace-id", "placing");
    let order = caller.ask_any(&mut random, &call).await.expect(201).data();
    assert_eq!(order["metadata"], body["metadata"]);
    let order = shop::id(&order);
    let call = Call::post(format!("{ORDERS}/{order}/cancel"), &json!({"reason": "too late"}));
    let call = call.header("x-trace-id", "cancelling");
    let cancelled = caller.ask_any(&mut random, &call).await.expect(200);
    for node in caller.all() {
        let path = format!("{ORDERS}/{order}/events");
        let events = caller.get(node, &path).await.expect(200).data();
        let steps: Vec<_> = events.as_array().expect("a list of steps").iter().collect();
        assert_eq!(steps.len(), 2, "{events}");
        assert_eq!(steps[0]["from"], Value::Null, "{events}");
        assert_eq!(steps[0]["to"], "PENDING", "{events}");
        assert_eq!(steps[0]["trace_id"], "placing", "{events}");
        assert_eq!(steps[1]["from"], "PENDING", "{events}");
        assert_eq!(steps[1]["to"], "CANCELLED", "{events}");
        assert_eq!(steps[1]["trace_id"], "cancelling", "{events}");
        assert_eq!(steps[1]["index"], cancelled.data()["version"], "{events}");
        assert!(shop::count(steps[0], "index") < shop::count(steps[1], "index"), "{events}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_are_created_and_read_and_can_be_required() {
    let cluster = Options::new("users_are_created_and_read")
        .switch("--require-users")
        .switch("--require-idempotency-key")
        .start()
        .await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let product = shop::create_product(caller, &mut random, "1.00", 10).await;
    let body = json!({"name": "Zoë Example", "email": "zoe@example.org"});
    let user = caller.ask_any(&mut random, &Call::post("/api/v1/users", &body)).await.expect(201);
    let user = shop::id(&user.data());
    for node in caller.all() {
        let data = caller.get(node, &format!("/api/v1/users/{user}")).await.expect(200).data();
        assert_eq!(data["name"], "Zoë Example");
        assert_eq!(data["email"], "zoe@example.org");
    }
    caller.get(1, "/api/v1/users/4242").await.problem(404, "not_found");

    let mut order = shop::order(product, 1, "none");
    order["user_id"] = json!(user);
    let missing = caller.ask_any(&mut random, &shop::place(&order)).await;
    let problem = missing.problem(422, "validation_error");
    assert!(problem["errors"]["idempotency_key"].is_array(), "{problem}");
    caller.ask_any(&mut random, &shop::place(&order).key("u-1")).await.expect(201);
    for (number, user_id) in [json!(4242), Value::Null].into_iter().enumerate() {
        order["user_id"] = user_id;
        let call = shop::place(&order).key(&format!("u-2-{number}"));
        let problem = caller.ask_any(&mut random, &call).await.problem(422, "validation_error");
        assert!(problem["errors"]["user_id"].is_array(), "{problem}");
    }
    assert_eq!(shop::product(caller, 2, product).await["reserved"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_short_prefix_means_the_same_handlers() {
    let cluster = Cluster::start("the_short_prefix").await;
    let caller = cluster.caller();
    let body = json!({"name": "Widget", "price": 0.1, "stock": 5});
    let product = caller.ask(1, &Call::post("/api/products", &body)).await.expect(201).data();
    assert_eq!(product["price"], "0.10");
    let body = shop::order(shop::id(&product), 1, "none");
    let order = caller.ask(2, &Call::post("/api/orders", &body)).await.expect(201);
    let order = shop::id(&shop::order_of(&order));
    let short = caller.get(3, &format!("/api/orders/{order}")).await.expect(200).data();
    let long = caller.get(1, &format!("/api/v1/orders/{order}")).await.expect(200).data();
    assert_eq!(short, long);
    let cancel = Call::new("POST", format!("/api/orders/{order}/cancel"));
    assert_eq!(caller.ask(1, &cancel).await.expect(200).data()["status"], "CANCELLED");
}

/// The answer of a node about a key.
async fn by_key(cluster: &Cluster, node: u64, key: &str) -> Value {
    let mut path = format!("{ORDERS}/by-key/");
    for byte in key.bytes() {
        path.push_str(&format!("%{byte:02X}"));
    }
    cluster.caller().get(node, &path).await.expect(200).data()
}

/// The version inside the `ETag` header.
fn etag(answer: &tests::Answer) -> u64 {
    let tag = answer.header("etag").expect("an ETag");
    let tag = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).expect("quotes");
    tag.parse().expect("a version in the ETag")
}
