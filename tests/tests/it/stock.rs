//! Stock on a real cluster: adjustments that race, the ledger after a mixed load, limits per user,
//! and products that are archived while orders are open.

use std::collections::BTreeMap;

use rand::Rng as _;
use serde_json::{Value, json};
use tests::shop::{self, ORDERS, PRODUCTS};
use tests::{Call, Caller, Cluster, Options};
use tokio::task::JoinSet;

fn adjust(product: u64, body: &Value) -> Call {
    Call::post(format!("{PRODUCTS}/{product}/adjustments"), body)
}

/// The whole ledger of a product as one node answers it, read in pages.
async fn ledger(caller: &Caller, node: u64, product: u64) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut after = String::new();
    loop {
        let path = format!("{PRODUCTS}/{product}/ledger?limit=50{after}");
        let page = caller.get(node, &path).await.expect(200).json();
        rows.extend(page["data"].as_array().expect("rows").iter().cloned());
        match page["meta"]["next_cursor"].as_str() {
            Some(cursor) => after = format!("&after={cursor}"),
            None => return rows,
        }
    }
}

/// Checks that each row follows from the one before, and the product from the last one.
fn assert_adds_up(rows: &[Value], product: &Value) {
    let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
    let mut place = (0, 0);
    for row in rows {
        for name in ["stock", "on_hand", "held", "reserved", "sold"] {
            let sum = sums.entry(name).or_default();
            *sum += row["deltas"][name].as_i64().expect("a delta");
            assert_eq!(row["counters"][name], *sum, "{name} of {row}");
        }
        let next = (shop::count(row, "index"), shop::count(row, "line") + 1);
        assert!(next > place, "{row}");
        place = next;
    }
    for (name, sum) in sums {
        assert_eq!(product[name], sum, "{name} of {product}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_several_adjustments_that_expect_the_same_stock_is_made() {
    let cluster =
        Cluster::start("one_of_several_adjustments_that_expect_the_same_stock_is_made").await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let product = shop::create_product(caller, &mut random, "1.00", 10).await;
    for round in 0..5_u64 {
        let mut tasks = JoinSet::new();
        for number in 0..20_u64 {
            let node = tests::seed::any_node(&mut random, caller.nodes());
            let body = json!({
                "delta": 1,
                "expected": 10 + round,
                "reason": format!("client {number} counted"),
            });
            let (caller, call) = (caller.clone(), adjust(product, &body));
            tasks.spawn(async move { caller.ask(node, &call).await });
        }
        let answers = tasks.join_all().await;
        let made = answers.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(made, 1, "round {round}");
        for refused in answers.iter().filter(|answer| answer.status != 201) {
            refused.problem(409, "stock_mismatch");
        }
    }
    // A key adjusts once, however many clients send it and however often.
    let mut tasks = JoinSet::new();
    for _ in 0..20 {
        let node = tests::seed::any_node(&mut random, caller.nodes());
        let body = json!({"set": 40, "reason": "counted", "idempotency_key": "count-1"});
        let (caller, call) = (caller.clone(), adjust(product, &body));
        tasks.spawn(async move { caller.ask(node, &call).await });
    }
    let answers = tasks.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert!(answers.iter().all(|answer| answer.data()["id"] == answers[0].data()["id"]));
    for node in caller.all() {
        let data = shop::product(caller, node, product).await;
        assert_eq!(data["stock"], 40, "{data}");
        let rows = ledger(caller, node, product).await;
        assert_eq!(rows.len(), 7, "created, five rounds, one count");
        assert_adds_up(&rows, &data);
    }
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_adds_up_to_the_counters_on_each_node_after_a_mixed_load() {
    let cluster = Options::new("the_ledger_adds_up")
        .flag("--payment-success-rate", "0.7")
        .flag("--payment-delay-ms", "1-10")
        .start()
        .await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let product = shop::create_product(caller, &mut random, "1.00", 200).await;
    let mut tasks = JoinSet::new();
    for client in 0..8_u64 {
        let (caller, mut random) = (caller.clone(), cluster.random(10 + client));
        tasks.spawn(async move {
            for step in 0..30 {
                let call = match random.random_range(0..6) {
                    0 => adjust(product, &json!({"delta": 5, "reason": "bought"})),
                    1 => adjust(product, &json!({"delta": -3, "reason": "broken"})),
                    2 => {
                        let body = json!({"stock": random.random_range(20..60)});
                        Call::patch(format!("{PRODUCTS}/{product}"), &body)
                    }
                    3 => {
                        let orders = vec![shop::order(product, 1, "mock"); 5];
                        let body = json!({"orders": orders, "atomic": step % 2 == 0});
                        Call::post("/api/v1/orders/batch", &body)
                    }
                    4 => shop::cancel(1 + random.random_range(0..50)),
                    _ => {
                        let method = ["mock", "none"][random.random_range(0..2)];
                        shop::place(&shop::order(product, random.random_range(1..4), method))
                    }
                };
                let answer = caller.ask_any(&mut random, &call).await;
                assert!(answer.status < 500, "{}: {}", answer.asked, answer.text());
            }
        });
    }
    tasks.join_all().await;
    // Orders that no worker settles are cancelled; the others are paid or fail.
    let pending = caller.get(1, &format!("{ORDERS}?status=PENDING&limit=1000")).await.expect(200);
    for order in pending.data().as_array().expect("orders") {
        if order["payment_method"] == "none" {
            caller.ask(2, &shop::cancel(shop::id(order))).await.expect(200);
        }
    }
    shop::all_settled(caller, 1).await;
    cluster.agree().await;
    let mut ledgers = Vec::new();
    for node in caller.all() {
        let data = shop::product(caller, node, product).await;
        assert_eq!((&data["reserved"], &data["held"]), (&json!(0), &json!(0)), "{data}");
        let rows = ledger(caller, node, product).await;
        assert_adds_up(&rows, &data);
        let brought: i64 = rows
            .iter()
            .filter(|row| row["cause"] == "created" || row["cause"] == "adjustment")
            .map(|row| row["deltas"]["on_hand"].as_i64().expect("a delta"))
            .sum();
        assert_eq!(data["total_stock"], brought, "units come from nowhere else");
        ledgers.push(rows);
    }
    assert!(ledgers.iter().all(|rows| *rows == ledgers[0]), "every node tells the same story");
    let causes: std::collections::BTreeSet<&str> =
        ledgers[0].iter().filter_map(|row| row["cause"].as_str()).collect();
    for cause in ["created", "order", "sale", "release", "cancel", "adjustment"] {
        assert!(causes.contains(cause), "{cause} is not among {causes:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_orders_of_an_archived_product_settle() {
    let cluster = Options::new("open_orders_of_an_archived_product_settle")
        .flag("--payment-success-rate", "1")
        .flag("--payment-delay-ms", "300-400")
        .start()
        .await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let product = shop::create_product(caller, &mut random, "1.00", 20).await;
    let path = format!("{PRODUCTS}/{product}");
    let mock = caller.ask(1, &shop::place(&shop::order(product, 2, "mock"))).await.expect(201);
    let none = caller.ask(2, &shop::place(&shop::order(product, 3, "none"))).await.expect(201);
    // An old version archives nothing.
    let stale = Call::delete(&path).header("if-match", "\"1\"");
    caller.ask(3, &stale).await.problem(412, "version_mismatch");
    let tag = caller.get(3, &path).await.expect(200);
    let tag = tag.header("etag").expect("an ETag").to_owned();
    // The worker may have claimed the payment in between, but that does not change the product.
    caller.ask(3, &Call::delete(&path).header("if-match", &tag)).await.expect(204);
    for node in caller.all() {
        caller.get(node, &path).await.problem(404, "not_found");
        let order = shop::place(&shop::order(product, 1, "none"));
        caller.ask(node, &order).await.problem(404, "not_found");
        let batch = json!({"orders": [shop::order(product, 1, "none")]});
        let results = caller.ask(node, &Call::post("/api/v1/orders/batch", &batch)).await;
        assert_eq!(results.expect(200).data()[0]["status"], 404);
        caller
            .ask(node, &adjust(product, &json!({"set": 1, "reason": "r"})))
            .await
            .problem(404, "not_found");
    }
    let paid = shop::settled(caller, 2, shop::id(&shop::order_of(&mock))).await;
    assert_eq!(paid["status"], "PAID", "{paid}");
    let open = shop::id(&shop::order_of(&none));
    let cancelled = caller.ask(1, &shop::cancel(open)).await.expect(200).data();
    assert_eq!(cancelled["status"], "CANCELLED");
    for node in caller.all() {
        let rows = ledger(caller, node, product).await;
        let causes: Vec<_> = rows.iter().filter_map(|row| row["cause"].as_str()).collect();
        assert_eq!(causes, ["created", "order", "order", "sale", "cancel"]);
        let last = &rows[4]["counters"];
        assert_eq!(*last, json!({"stock": 18, "on_hand": 18, "held": 0, "reserved": 0, "sold": 2}));
    }
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_put_of_stock_never_erases_reserved_units_though_orders_race_it() {
    let cluster = Cluster::start("a_put_of_stock_never_erases").await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let product = shop::create_product(caller, &mut random, "1.00", 30).await;
    let mut tasks = JoinSet::new();
    for number in 0..60_u64 {
        let node = tests::seed::any_node(&mut random, caller.nodes());
        let call = if number % 6 == 0 {
            let body = json!({"name": "Widget", "price": "1.00", "stock": 5});
            Call::put(format!("{PRODUCTS}/{product}"), &body)
        } else {
            shop::place(&shop::order(product, 1, "none"))
        };
        let caller = caller.clone();
        tasks.spawn(async move { (number, caller.ask(node, &call).await) });
    }
    let mut placed = 0;
    for (number, answer) in tasks.join_all().await {
        match (number % 6, answer.status) {
            (0, 200) => shop::assert_counters(&answer.data()),
            (1.., 201) => placed += 1,
            (1.., _) => drop(answer.problem(409, "insufficient_stock")),
            (_, status) => panic!("{status}: {}", answer.text()),
        }
    }
    for node in caller.all() {
        let data = shop::product(caller, node, product).await;
        assert_eq!(shop::count(&data, "reserved"), placed, "{data}");
        assert_adds_up(&ledger(caller, node, product).await, &data);
    }
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_for_one_user_counts_open_and_paid_orders() {
    let cluster =
        Options::new("the_limit_for_one_user").flag("--payment-success-rate", "1").start().await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let body = json!({"name": "Rare", "price": "1.00", "stock": 50, "max_per_user": 3});
    let created = caller.ask_any(&mut random, &Call::post(PRODUCTS, &body)).await.expect(201);
    assert_eq!(created.data()["max_per_user"], 3);
    let product = shop::id(&created.data());
    let place = |quantity: u64, user: Value, method: &str| {
        let mut body = shop::order(product, quantity, method);
        body["user_id"] = user;
        shop::place(&body)
    };
    let anonymous = caller.ask_any(&mut random, &place(1, Value::Null, "none")).await;
    let problem = anonymous.problem(422, "validation_error");
    assert!(problem["errors"]["user_id"].is_array(), "{problem}");
    let open = caller.ask_any(&mut random, &place(2, json!(1), "none")).await.expect(201).data();
    let over = caller.ask_any(&mut random, &place(2, json!(1), "none")).await;
    over.problem(409, "purchase_limit_exceeded");
    let paid = caller.ask_any(&mut random, &place(1, json!(1), "mock")).await.expect(201).data();
    assert_eq!(shop::settled(caller, 2, shop::id(&paid)).await["status"], "PAID");
    let over = caller.ask_any(&mut random, &place(1, json!(1), "none")).await;
    over.problem(409, "purchase_limit_exceeded");
    // Another user has its own limit, and cancelled orders no longer count.
    caller.ask_any(&mut random, &place(3, json!(2), "none")).await.expect(201);
    caller.ask_any(&mut random, &shop::cancel(shop::id(&open))).await.expect(200);
    caller.ask_any(&mut random, &place(2, json!(1), "none")).await.expect(201);
    let over = caller.ask_any(&mut random, &place(1, json!(1), "none")).await;
    over.problem(409, "purchase_limit_exceeded");
    let data = shop::product(caller, 1, product).await;
    assert_eq!((shop::count(&data, "reserved"), shop::count(&data, "sold")), (5, 1), "{data}");
    shop::assert_conserved(&data, 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_orders_of_one_user_at_once_stay_within_the_limit() {
    let cluster = Cluster::start("twenty_orders_of_one_user_at_once").await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let body = json!({"name": "Rare", "price": "1.00", "stock": 50, "max_per_user": 2});
    let created = caller.ask_any(&mut random, &Call::post(PRODUCTS, &body)).await.expect(201);
    let product = shop::id(&created.data());
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let node = tests::seed::any_node(&mut random, caller.nodes());
        let (caller, call) = (caller.clone(), shop::place(&shop::order(product, 1, "none")));
        tasks.spawn(async move { caller.ask(node, &call).await });
    }
    let answers = tasks.join_all().await;
    let placed = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(placed, 2);
    for refused in answers.iter().filter(|answer| answer.status != 201) {
        refused.problem(409, "purchase_limit_exceeded");
    }
    assert_eq!(shop::product(caller, 1, product).await["reserved"], 2);
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_batches_and_holds_of_one_user_at_once_share_the_limit() {
    let cluster = Cluster::start("orders_batches_and_holds_share_the_limit").await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let body = json!({"name": "Rare", "price": "1.00", "stock": 500, "max_per_user": 7});
    let created = caller.ask_any(&mut random, &Call::post(PRODUCTS, &body)).await.expect(201);
    let product = shop::id(&created.data());
    let mut tasks = JoinSet::new();
    for number in 0..45_u64 {
        let node = tests::seed::any_node(&mut random, caller.nodes());
        let hold = json!({"product_id": product, "quantity": 1, "user_id": 1});
        let order = shop::order(product, 1, "none");
        let call = match number % 3 {
            0 => Call::post("/api/v1/holds", &hold),
            1 => shop::place(&order),
            _ => Call::post("/api/v1/orders/batch", &json!({"orders": [order, order]})),
        };
        let caller = caller.clone();
        tasks.spawn(async move { caller.ask(node, &call).await });
    }
    let mut units = 0;
    for answer in tasks.join_all().await {
        match answer.status {
            201 => units += 1,
            200 => {
                for result in answer.data().as_array().expect("results") {
                    match result["status"].as_u64() {
                        Some(201) => units += 1,
                        _ => assert_eq!(result["error"], "purchase_limit_exceeded", "{result}"),
                    }
                }
            }
            _ => drop(answer.problem(409, "purchase_limit_exceeded")),
        }
    }
    assert_eq!(units, 7);
    for node in caller.all() {
        let data = shop::product(caller, node, product).await;
        assert_eq!(shop::count(&data, "held") + shop::count(&data, "reserved"), 7, "{data}");
        assert_adds_up(&ledger(caller, node, product).await, &data);
    }
    cluster.agree().await;
}
