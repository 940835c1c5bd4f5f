//! The task hook after an order.

use serde_json::json;

use crate::harness::{Call, Fixture, order};

const HOOK: &str = "/api/v1/tasks/order-processed";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_are_dispatched_and_nothing_changes() {
    let fixture = Fixture::start().await;
    let product = fixture.product("1.00", 10).await;
    fixture.post("/api/v1/orders", &order(product, 1)).await.expect(201);
    let buy = json!({"product_id": product, "quantity": 2});
    fixture.post("/api/v1/orders/purchase", &buy).await.expect(201);
    let paid = async || fixture.get("/api/v1/orders/2").await.json()["status"] == "PAID";
    fixture.until("paid", paid).await;
    let before = fixture.look().await;
    for (id, status) in [(1, "PENDING"), (2, "PAID")] {
        for path in [HOOK, "/api/tasks/order-processed"] {
            let answer = fixture.post(path, &json!({"order_id": id, "more": true})).await;
            let queued = answer.expect(202);
            assert_eq!(queued["message"], "Task queued");
            assert_eq!((&queued["order_id"], &queued["status"]), (&json!(id), &json!(status)));
            let order = fixture.get(&format!("/api/v1/orders/{id}")).await;
            assert_eq!(queued["data"], order.json()["data"]);
            assert_eq!(answer.header("etag"), order.header("etag"));
        }
    }
    assert_eq!(fixture.look().await, before);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_order_is_refused_in_the_words_of_the_older_system() {
    let fixture = Fixture::start().await;
    for call in [
        Call::new("POST", HOOK),
        Call::json("POST", HOOK, &json!({})),
        Call::json("POST", HOOK, &json!({"order_id": null})),
    ] {
        let answer = fixture.send(call).await;
        let problem = answer.expect(400);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(problem["error"], "order_id is required");
        assert_eq!(problem["message"], "order_id is required");
        assert_eq!(problem["error_code"], "MALFORMED_REQUEST");
        assert_eq!(problem["type"], "/problems/malformed-request");
        assert_eq!((&problem["status"], &problem["outcome"]), (&json!(400), &json!("rejected")));
    }
    fixture.post(HOOK, &json!({"order_id": 9})).await.problem(404, "not_found");
    for id in [json!("1"), json!(0), json!(-1), json!(1.5), json!(1u64 << 53)] {
        fixture.post(HOOK, &json!({"order_id": id})).await.invalid("order_id");
    }
    let broken = Call::text("POST", HOOK, "{");
    fixture.send(broken).await.problem(400, "malformed_request");
    fixture.stop().await;
}
