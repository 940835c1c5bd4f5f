//! The rules of a sale over real sockets: windows, bounds, frozen prices, expected totals.

use serde_json::{Value, json};

use crate::harness::{Answer, Call, Fixture};

const HOLDS: &str = "/api/v1/holds";
const ORDERS: &str = "/api/v1/orders";
const PURCHASE: &str = "/api/v1/orders/purchase";
const PAST: &str = "2020-01-01T00:00:00+01:00";
const FUTURE: &str = "2999-01-01T00:00:00Z";

async fn product(fixture: &Fixture, rules: Value) -> u64 {
    let mut body = json!({"name": "ticket", "price": "49.99", "stock": 10});
    body.as_object_mut().unwrap().extend(rules.as_object().unwrap().clone());
    let answer = fixture.post("/api/v1/products", &body).await;
    answer.expect(201)["data"]["id"].as_u64().unwrap()
}

async fn patch(fixture: &Fixture, id: u64, body: &Value) -> Answer {
    fixture.send(Call::json("PATCH", &format!("/api/v1/products/{id}"), body)).await
}

fn items(product: u64, quantity: u64) -> Value {
    json!([{"product_id": product, "quantity": quantity}])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sale_is_refused_before_it_opens_and_after_it_closed() {
    let fixture = Fixture::start().await;
    let id = product(&fixture, json!({"opens_at": FUTURE})).await;
    let shown = fixture.get(&format!("/api/v1/products/{id}")).await;
    assert_eq!(shown.expect(200)["data"]["opens_at"], "2999-01-01T00:00:00.000Z");
    let batch = json!({"atomic": true, "orders": [{"items": items(id, 1)}]});
    for (path, body) in [
        (ORDERS, json!({"items": items(id, 1)})),
        (PURCHASE, json!({"product_id": id, "quantity": 1})),
        (HOLDS, json!({"items": items(id, 1)})),
        ("/api/v1/orders/batch", batch.clone()),
    ] {
        let answer = fixture.post(path, &body).await;
        if path.ends_with("batch") {
            // The batch says for each order why.
            let problem = answer.problem(409, "batch_rejected");
            assert_eq!(problem["results"][0]["error"], "sale_not_open", "{problem}");
            assert_eq!(problem["results"][0]["opens_at"], "2999-01-01T00:00:00.000Z", "{problem}");
            let each = json!({"orders": batch["orders"]});
            let results = fixture.post(path, &each).await.expect(200);
            assert_eq!(results["data"][0]["status"], 425, "{results}");
            assert_eq!(results["data"][0]["opens_at"], "2999-01-01T00:00:00.000Z", "{results}");
            assert!(results["data"][0]["retry_after_ms"].as_u64().unwrap() > 0, "{results}");
            continue;
        }
        let problem = answer.problem(425, "sale_not_open");
        assert_eq!(problem["opens_at"], "2999-01-01T00:00:00.000Z");
        assert_eq!(problem["outcome"], "rejected");
        let (ms, s) = (&problem["retry_after_ms"], &problem["retry_after"]);
        assert_eq!(ms.as_u64().unwrap().div_ceil(1000), s.as_u64().unwrap(), "{problem}");
        assert_eq!(answer.header("retry-after"), Some(s.to_string().as_str()));
    }
    patch(&fixture, id, &json!({"opens_at": PAST})).await.expect(200);
    let hold = fixture.post(HOLDS, &json!({"items": items(id, 1)})).await.expect(201);
    let earlier = patch(&fixture, id, &json!({"closes_at": PAST})).await;
    let problem = earlier.problem(422, "validation_error");
    let reason = "The closes_at field must be later than the opens_at field.";
    assert_eq!(problem["errors"]["closes_at"][0], reason, "{problem}");
    let closes = json!({"closes_at": "2020-01-01T00:00:00.001+01:00"});
    let shown = patch(&fixture, id, &closes).await.expect(200);
    assert_eq!(shown["data"]["closes_at"], "2019-12-31T23:00:00.001Z");
    fixture.post(ORDERS, &json!({"items": items(id, 1)})).await.problem(409, "sale_closed");
    let hold_id = hold["data"]["id"].as_u64().unwrap();
    let extend = format!("/api/v1/holds/{hold_id}/extend");
    fixture.post(&extend, &json!({"ttl_seconds": 60})).await.problem(409, "sale_closed");
    // The hold made before may still become an order.
    fixture.post(ORDERS, &json!({"hold_id": hold_id})).await.expect(201);
    let open = patch(&fixture, id, &json!({"opens_at": null, "closes_at": null})).await;
    assert!(open.expect(200)["data"].get("opens_at").is_none());
    fixture.post(ORDERS, &json!({"items": items(id, 1)})).await.expect(201);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_pays_the_price_of_its_hold_and_is_refused_for_another_total() {
    let fixture = Fixture::start().await;
    let id = product(&fixture, json!({})).await;
    let hold = fixture.post(HOLDS, &json!({"items": items(id, 2)})).await.expect(201);
    assert_eq!(hold["data"]["total_amount"], "99.98");
    assert_eq!(
        hold["data"]["items"],
        json!([{"product_id": id, "quantity": 2, "unit_price": "49.99"}])
    );
    patch(&fixture, id, &json!({"price": "60"})).await.expect(200);
    let order = |total: Value| json!({"hold_id": hold["data"]["id"], "idempotency_key": "k", "expected_total": total});
    let answer = fixture.post(ORDERS, &order(json!("120.00"))).await;
    let problem = answer.problem(409, "total_mismatch");
    assert_eq!((&problem["expected"], &problem["actual"]), (&json!("120.00"), &json!("99.98")));
    assert_eq!(problem["items"], json!([{"product_id": id, "quantity": 2, "unit_price": "49.99"}]));
    assert_eq!(
        fixture.send(Call::new("DELETE", &format!("/api/v1/products/{id}"))).await.status,
        204
    );
    let placed = fixture.post(ORDERS, &order(json!(99.98))).await.expect(201);
    assert_eq!(placed["data"]["total_amount"], "99.98");
    let other = product(&fixture, json!({})).await;
    let purchase =
        |total: &str| json!({"product_id": other, "quantity": 1, "expected_total": total});
    fixture.post(PURCHASE, &purchase("50")).await.problem(409, "total_mismatch");
    fixture.post(PURCHASE, &purchase("49.99")).await.expect(201);
    let orders = json!({"orders": [
        {"items": items(other, 1), "expected_total": "1"},
        {"items": items(other, 1), "expected_total": "49.99"},
    ]});
    let results = fixture.post("/api/v1/orders/batch", &orders).await.expect(200);
    assert_eq!(results["data"][0]["error"], "total_mismatch", "{results}");
    assert_eq!(results["data"][1]["status"], 201, "{results}");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_have_a_minimum_and_holds_of_a_user_a_limit() {
    let fixture = Fixture::start().await;
    let rules = json!({"min_per_order": 2, "max_held_per_user": 3});
    let id = product(&fixture, rules).await;
    let above = patch(&fixture, id, &json!({"max_per_order": 1})).await;
    let problem = above.problem(422, "validation_error");
    let reason = "The min_per_order field is 2; it must be at most max_per_order, which is 1.";
    assert_eq!(problem["errors"]["min_per_order"][0], reason, "{problem}");
    fixture.post(ORDERS, &json!({"items": items(id, 1)})).await.problem(409, "minimum_not_met");
    let hold = |user: Value, quantity| json!({"user_id": user, "items": items(id, quantity)});
    fixture.post(HOLDS, &hold(json!(null), 2)).await.problem(422, "validation_error");
    let made = fixture.post(HOLDS, &hold(json!(7), 2)).await.expect(201);
    fixture.post(HOLDS, &hold(json!(7), 2)).await.problem(409, "held_limit_exceeded");
    fixture.post(HOLDS, &hold(json!(8), 3)).await.expect(201);
    let release = format!("/api/v1/holds/{}", made["data"]["id"]);
    assert_eq!(fixture.send(Call::new("DELETE", &release)).await.status, 204);
    fixture.post(HOLDS, &hold(json!(7), 3)).await.expect(201);
    // A PUT without the rules removes them.
    let whole = json!({"name": "ticket", "price": "49.99", "stock": 4});
    let put = Call::json("PUT", &format!("/api/v1/products/{id}"), &whole);
    fixture.send(put).await.expect(200);
    fixture.post(HOLDS, &hold(json!(null), 1)).await.expect(201);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reference_finds_its_order_and_is_never_given_twice() {
    let fixture = Fixture::start().await;
    let id = product(&fixture, json!({})).await;
    let order = |reference: &str| json!({"items": items(id, 1), "client_reference": reference});
    let placed = fixture.post(ORDERS, &order("cart 7/a")).await.expect(201);
    assert_eq!(placed["data"]["client_reference"], "cart 7/a");
    let answer = fixture.post(ORDERS, &order("cart 7/a")).await;
    let problem = answer.problem(409, "reference_taken");
    assert_eq!(problem["order_id"], placed["data"]["id"]);
    assert_eq!(problem["detail"], "The client_reference is taken by order 1.");
    let purchase = json!({"product_id": id, "quantity": 1, "client_reference": "cart 7/a"});
    fixture.post(PURCHASE, &purchase).await.problem(409, "reference_taken");
    let atomic = json!({"atomic": true, "orders": [order("cart 8"), order("cart 8")]});
    let problem = fixture.post("/api/v1/orders/batch", &atomic).await;
    let problem = problem.problem(409, "reference_taken");
    assert_eq!(problem["results"][0]["index"], 1, "{problem}");
    let path = "/api/v1/orders/by-reference/cart%207%2Fa";
    assert_eq!(fixture.get(path).await.expect(200)["data"]["id"], placed["data"]["id"]);
    fixture.get("/api/v1/orders/by-reference/cart%208").await.problem(404, "not_found");
    let list = |query: &str| format!("/api/v1/orders?client_reference={query}");
    for (query, found) in [
        ("cart%207%2Fa", 1),
        ("cart%207%2Fa&product_id=1", 1),
        ("cart%207%2Fa&user_id=5", 0),
        ("cart%207%2Fa&created_after=2999-01-01", 0),
        ("cart%208", 0),
    ] {
        let page = fixture.get(&list(query)).await.expect(200);
        assert_eq!(page["meta"]["total"], found, "{query}: {page}");
    }
    for bad in ["caf\u{e9}", " ", &"x".repeat(65)] {
        let problem = fixture.post(ORDERS, &order(bad)).await.problem(422, "validation_error");
        assert!(problem["errors"]["client_reference"].is_array(), "{problem}");
    }
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_says_what_would_come_and_changes_nothing() {
    let fixture = Fixture::start().await;
    let id = product(&fixture, json!({"max_per_order": 5})).await;
    let closed = product(&fixture, json!({"opens_at": FUTURE})).await;
    let before = fixture.get(&format!("/api/v1/products/{id}")).await.expect(200);
    let dry = |path: &str| format!("{path}?dry_run=true");
    let order = json!({"items": items(id, 2), "idempotency_key": "k", "client_reference": "cart"});
    let would = json!({
        "status": 201,
        "replay": false,
        "total_amount": "99.98",
        "items": [{"product_id": id, "quantity": 2, "unit_price": "49.99"}],
    });
    let purchase = json!({"product_id": id, "quantity": 2});
    let hold = json!({"items": items(id, 2), "idempotency_key": "h"});
    for (path, body) in [(ORDERS, &order), (PURCHASE, &purchase), (HOLDS, &hold)] {
        for _ in 0..2 {
            let answer = fixture.post(&dry(path), body).await.expect(200);
            assert_eq!(answer, json!({"success": true, "dry_run": true, "would": would}));
        }
    }
    let after = fixture.get(&format!("/api/v1/products/{id}")).await.expect(200);
    assert_eq!(before["data"], after["data"]);
    // The refusals are those of the request itself, and nothing was applied.
    let late = json!({"items": items(closed, 1)});
    let problem = fixture.post(&dry(ORDERS), &late).await.problem(425, "sale_not_open");
    assert_eq!(problem["opens_at"], "2999-01-01T00:00:00.000Z", "{problem}");
    let many = json!({"items": items(id, 6)});
    fixture.post(&dry(HOLDS), &many).await.problem(409, "purchase_limit_exceeded");
    fixture.post("/api/v1/orders?dry_run=yes", &order).await.problem(422, "validation_error");
    // Independent orders of a batch count on top of each other.
    let orders = json!([
        {"items": items(id, 4)},
        {"items": items(id, 5)},
        {"items": []},
        {"items": items(id, 2)},
        {"items": items(closed, 1)},
    ]);
    let batch = "/api/v1/orders/batch";
    let answer = fixture.post(&dry(batch), &json!({"orders": orders})).await.expect(200);
    let results = answer["would"]["results"].as_array().unwrap();
    let statuses: Vec<_> = results.iter().map(|it| it["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [201, 201, 422, 409, 425], "{answer}");
    assert_eq!(results[3]["shortages"][0]["available"], 1, "{answer}");
    let atomic = json!({"atomic": true, "orders": [orders[0], orders[3], orders[1]]});
    let problem = fixture.post(&dry(batch), &atomic).await.problem(409, "insufficient_stock");
    assert_eq!(problem["results"][0]["index"], 2, "{problem}");
    // A known key says so.
    let placed = fixture.post(ORDERS, &order).await.expect(201);
    let answer = fixture.post(&dry(ORDERS), &order).await.expect(200);
    let replay = json!({"status": 200, "replay": true, "order_id": placed["data"]["id"]});
    assert_eq!(answer["would"], replay);
    let other = json!({"items": items(id, 1), "idempotency_key": "k"});
    fixture.post(&dry(ORDERS), &other).await.problem(422, "idempotency_key_reused");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn units_of_a_user_are_limited_within_a_window_of_days() {
    let fixture = Fixture::start().await;
    let id = product(&fixture, json!({"per_window": {"units": 3, "days": 28}})).await;
    let shown = fixture.get(&format!("/api/v1/products/{id}")).await.expect(200);
    assert_eq!(shown["data"]["per_window"], json!({"units": 3, "days": 28}));
    let order = |user: Value, units| json!({"user_id": user, "items": items(id, units)});
    fixture.post(ORDERS, &order(json!(null), 1)).await.problem(422, "validation_error");
    let first = fixture.post(ORDERS, &order(json!(7), 2)).await.expect(201);
    let problem = fixture.post(HOLDS, &order(json!(7), 2)).await;
    let problem = problem.problem(409, "purchase_limit_exceeded");
    let allowed = problem["allowed_at"].as_str().unwrap().to_owned();
    assert!(*allowed > *first["data"]["created_at"].as_str().unwrap(), "{problem}");
    let problem = fixture.post(ORDERS, &order(json!(7), 4)).await;
    let problem = problem.problem(409, "purchase_limit_exceeded");
    assert!(problem.get("allowed_at").is_none(), "{problem}");
    fixture.post(ORDERS, &order(json!(8), 3)).await.expect(201);
    patch(&fixture, id, &json!({"per_window": null})).await.expect(200);
    fixture.post(ORDERS, &order(json!(7), 2)).await.expect(201);
    let few = json!({"per_window": {"units": 1, "days": 400}});
    let problem = patch(&fixture, id, &few).await.problem(422, "validation_error");
    assert!(problem["errors"]["per_window.days"].is_array(), "{problem}");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn active_holds_are_listed_by_user_and_product_in_pages() {
    let fixture = Fixture::start().await;
    let (one, two) = (product(&fixture, json!({})).await, product(&fixture, json!({})).await);
    for (user, product) in [(7, one), (8, one), (7, two), (7, one)] {
        let body = json!({"user_id": user, "items": items(product, 1)});
        fixture.post(HOLDS, &body).await.expect(201);
    }
    assert_eq!(fixture.send(Call::new("DELETE", "/api/v1/holds/4")).await.status, 204);
    let list = async |query: &str| {
        let page = fixture.get(&format!("{HOLDS}?{query}")).await.expect(200);
        let ids = page["data"].as_array().unwrap().iter().map(|hold| hold["id"].as_u64().unwrap());
        let meta = &page["meta"];
        assert_eq!(meta["has_more"], !meta["next_cursor"].is_null(), "{page}");
        (ids.collect::<Vec<_>>(), meta["next_cursor"].as_str().map(str::to_owned))
    };
    assert_eq!(list("").await, (vec![1, 2, 3], None));
    assert_eq!(list("user_id=7").await, (vec![1, 3], None));
    assert_eq!(list(&format!("user_id=7&product_id={one}")).await, (vec![1], None));
    assert_eq!(list("limit=2").await, (vec![1, 2], Some("2".to_owned())));
    assert_eq!(list("limit=2&cursor=2&consistency=stale").await, (vec![3], None));
    assert_eq!(list("user_id=9").await, (vec![], None));
    for bad in ["limit=0", "limit=1001", "cursor=x", "user_id=0", "product_id=a", "status=active"] {
        fixture.get(&format!("{HOLDS}?{bad}")).await.problem(422, "validation_error");
    }
    fixture.stop().await;
}
