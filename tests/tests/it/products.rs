//! Products: reading, creating, replacing, changing and archiving them while orders run.

use serde_json::{Value, json};
use tests::shop::{self, PRODUCTS};
use tests::{Call, Cluster};

fn path(product: u64) -> String {
    format!("{PRODUCTS}/{product}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_product_is_created_read_replaced_changed_and_archived() {
    let cluster = Cluster::start("a_product_is_created_read_replaced").await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let body = json!({"name": "Laptop Pro", "price": "999.99", "stock": 50, "sku": "LP-1"});
    let created = caller.ask_any(&mut random, &Call::post(PRODUCTS, &body)).await.expect(201);
    let product = shop::id(&created.data());
    for node in caller.all() {
        let data = shop::product(caller, node, product).await;
        assert_eq!(data, created.data(), "node {node}");
        assert_eq!(data["price_minor"], 99_999);
        assert_eq!(data["sku"], "LP-1");
        for field in ["created_at", "updated_at"] {
            let time = data[field].as_str().expect("a time");
            assert!(time.ends_with('Z') && time.as_bytes()[10] == b'T', "RFC 3339 UTC: {time}");
        }
    }
    let version = shop::count(&created.data(), "version");

    // PUT replaces every field; PATCH keeps those that it does not name.
    let body = json!({"name": "Laptop", "price": 899, "stock": 40});
    let put = Call::put(path(product), &body).header("if-match", &format!("\"{version}\""));
    let replaced = caller.ask_any(&mut random, &put).await.expect(200).data();
    assert_eq!(replaced["name"], "Laptop");
    assert_eq!(replaced["price"], "899.00");
    assert_eq!(replaced["sku"], Value::Null);
    assert!(shop::count(&replaced, "version") > version);
    caller.ask_any(&mut random, &put).await.problem(412, "version_mismatch");
    let old = format!("\"{version}\"");
    let patch = Call::patch(path(product), &json!({"price": "0.05"}));
    let stale = patch.clone().header("if-match", &old);
    caller.ask_any(&mut random, &stale).await.problem(412, "version_mismatch");
    let patched = caller.ask_any(&mut random, &patch).await.expect(200).data();
    assert_eq!(patched["price"], "0.05");
    assert_eq!(patched["name"], "Laptop");
    assert_eq!(patched["stock"], 40);

    let stale = Call::delete(path(product)).header("if-match", &old);
    caller.ask_any(&mut random, &stale).await.problem(412, "version_mismatch");
    let gone = caller.ask_any(&mut random, &Call::delete(path(product))).await.expect(204);
    assert!(gone.body.is_empty(), "204 has no body");
    for node in caller.all() {
        caller.get(node, &path(product)).await.problem(404, "not_found");
        let list = caller.get(node, PRODUCTS).await.expect(200).data();
        assert_eq!(list, json!([]), "node {node}");
    }
    for call in [patch, Call::put(path(product), &body)] {
        caller.ask_any(&mut random, &call).await.problem(404, "not_found");
    }
    // Archiving again changes nothing and succeeds; an unknown product cannot be archived.
    caller.ask_any(&mut random, &Call::delete(path(product))).await.expect(204);
    caller.ask_any(&mut random, &Call::delete(path(4_242))).await.problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changing_the_stock_keeps_reserved_units() {
    let cluster = Cluster::start("changing_the_stock_keeps_reserved_units").await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let product = shop::create_product(caller, &mut random, "1.00", 10).await;
    let place = shop::place(&shop::order(product, 3, "none"));
    let order = shop::id(&caller.ask_any(&mut random, &place).await.expect(201).data());
    let body = json!({"name": "Widget", "price": "2.00", "stock": 20});
    let data = caller.ask_any(&mut random, &Call::put(path(product), &body)).await.expect(200);
    let data = data.data();
    shop::assert_conserved(&data, 23);
    assert_eq!(data["stock"], 20);
    assert_eq!(data["reserved"], 3);
    // An order keeps the price at which it was placed.
    assert_eq!(shop::read_order(caller, 1, order).await["total_amount"], "3.00");
    caller.ask_any(&mut random, &shop::cancel(order)).await.expect(200);
    assert_eq!(shop::product(caller, 3, product).await["stock"], 23);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_of_an_archived_product_still_settle() {
    let cluster = Cluster::start("orders_of_an_archived_product").await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let product = shop::create_product(caller, &mut random, "1.00", 10).await;
    let mut orders = Vec::new();
    for method in ["none", "mock"] {
        let place = shop::place(&shop::order(product, 3, method));
        orders.push(shop::id(&caller.ask_any(&mut random, &place).await.expect(201).data()));
    }
    caller.ask_any(&mut random, &Call::delete(path(product))).await.expect(204);
    let late = shop::place(&shop::order(product, 1, "none"));
    caller.ask_any(&mut random, &late).await.problem(404, "not_found");
    caller.ask_any(&mut random, &shop::cancel(orders[0])).await.expect(200);
    let paid = shop::settled(caller, 2, orders[1]).await;
    assert!(matches!(paid["status"].as_str(), Some("PAID" | "FAILED")), "{paid}");
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn products_are_listed_by_ids_and_in_pages() {
    let cluster = Cluster::start("products_are_listed").await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let mut created = Vec::new();
    for number in 0..25 {
        created.push(shop::create_product(caller, &mut random, "1.00", number).await);
    }
    let ids = |list: &Value| -> Vec<u64> {
        list.as_array().expect("a list").iter().map(shop::id).collect()
    };
    for node in caller.all() {
        assert_eq!(ids(&caller.get(node, PRODUCTS).await.expect(200).data()), created);
        let wanted = format!("{PRODUCTS}?ids={},{},999999", created[3], created[20]);
        let some = caller.get(node, &wanted).await.expect(200).data();
        assert_eq!(ids(&some), [created[3], created[20]]);
    }
    let mut walked = Vec::new();
    let mut query = "limit=10".to_owned();
    loop {
        let page = caller.ask_any(&mut random, &Call::get(format!("{PRODUCTS}?{query}"))).await;
        let page = page.expect(200);
        walked.extend(ids(&page.data()));
        let meta = &page.json()["meta"];
        match meta["next_cursor"].as_str() {
            Some(cursor) => query = format!("limit=10&cursor={cursor}"),
            None => break,
        }
        assert!(walked.len() < created.len(), "the walk ends");
    }
    assert_eq!(walked, created);
    for query in ["limit=0", "limit=10001", "limit=-1", "limit=x", "ids=x", "ids=0"] {
        caller.get(1, &format!("{PRODUCTS}?{query}")).await.problem(422, "validation_error");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_for_one_order_counts_all_its_lines() {
    let cluster = Cluster::start("the_limit_for_one_order").await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let body = json!({"name": "Rare", "price": "1.00", "stock": 50, "max_per_order": 2});
    let created = caller.ask_any(&mut random, &Call::post(PRODUCTS, &body)).await.expect(201);
    assert_eq!(created.data()["max_per_order"], 2);
    let product = shop::id(&created.data());
    let over = shop::place(&shop::order(product, 3, "none"));
    caller.ask_any(&mut random, &over).await.problem(409, "purchase_limit_exceeded");
    let mut lines = shop::order(product, 1, "none");
    lines["items"] = json!(vec![json!({"product_id": product, "quantity": 1}); 3]);
    let over = caller.ask_any(&mut random, &shop::place(&lines)).await;
    over.problem(409, "purchase_limit_exceeded");
    let within = shop::place(&shop::order(product, 2, "none"));
    caller.ask_any(&mut random, &within).await.expect(201);
    let data = shop::product(caller, 1, product).await;
    assert_eq!(data["reserved"], 2, "{data}");
    shop::assert_conserved(&data, 50);
}
