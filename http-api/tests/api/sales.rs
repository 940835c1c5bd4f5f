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
    earlier.problem(422, "validation_error");
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
