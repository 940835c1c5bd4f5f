//! Many clients at once.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::harness::{Answer, Call, Fixture, order};

/// Sends the calls at the same time.
async fn all_at_once(fixture: &Arc<Fixture>, calls: Vec<Call>) -> Vec<Answer> {
    let barrier = Arc::new(Barrier::new(calls.len()));
    let mut tasks = JoinSet::new();
    for call in calls {
        let (fixture, barrier) = (fixture.clone(), barrier.clone());
        tasks.spawn(async move {
            barrier.wait().await;
            fixture.send(call).await
        });
    }
    tasks.join_all().await
}

fn count(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

async fn stop(fixture: Arc<Fixture>) {
    Arc::into_inner(fixture).expect("no task is left").stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_clients_race_for_the_last_unit() {
    let fixture = Arc::new(Fixture::start().await);
    let product = fixture.product("299.99", 1).await;
    let call = Call::json("POST", "/api/v1/orders", &order(product, 1));
    let answers = all_at_once(&fixture, vec![call; 50]).await;
    assert_eq!((count(&answers, 201), count(&answers, 409)), (1, 49));
    for answer in answers.iter().filter(|answer| answer.status == 409) {
        answer.problem(409, "insufficient_stock");
    }
    let view = fixture.get(&format!("/api/v1/products/{product}")).await.expect(200);
    assert_eq!((&view["data"]["stock"], &view["data"]["reserved"]), (&json!(0), &json!(1)));
    stop(fixture).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_requests_with_one_key_make_one_order() {
    let fixture = Arc::new(Fixture::start().await);
    let product = fixture.product("1.00", 100).await;
    let call =
        Call::json("POST", "/api/v1/orders", &order(product, 2)).header("idempotency-key", "one");
    let answers = all_at_once(&fixture, vec![call; 50]).await;
    assert_eq!((count(&answers, 201), count(&answers, 200)), (1, 49));
    let first = answers[0].json()["order_id"].clone();
    for answer in &answers {
        assert_eq!(answer.json()["order_id"], first);
        let replayed = answer.header("idempotent-replayed").is_some();
        assert_eq!(replayed, answer.status == 200);
    }
    let view = fixture.get(&format!("/api/v1/products/{product}")).await.expect(200);
    assert_eq!(view["data"]["reserved"], 2);
    stop(fixture).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_cancels_give_the_units_back_once() {
    let fixture = Arc::new(Fixture::start().await);
    let product = fixture.product("1.00", 10).await;
    fixture.post("/api/v1/orders", &order(product, 4)).await.expect(201);
    let answers =
        all_at_once(&fixture, vec![Call::new("POST", "/api/v1/orders/1/cancel"); 5]).await;
    assert_eq!(count(&answers, 200), 5);
    let view = fixture.get(&format!("/api/v1/products/{product}")).await.expect(200);
    assert_eq!((&view["data"]["stock"], &view["data"]["on_hand"]), (&json!(10), &json!(10)));
    // Two lines of one product are summed before the check.
    let single = fixture.product("1.00", 1).await;
    let line = json!({"product_id": single, "quantity": 1});
    let body = json!({"items": [line, line], "payment_method": "none"});
    fixture.post("/api/v1/orders", &body).await.problem(409, "insufficient_stock");
    stop(fixture).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_read_misses_only_later_positions() {
    let fixture = Arc::new(Fixture::start().await);
    let product = fixture.product("1.00", 1_000).await;
    let mut missed = 0;
    for id in 1..=100 {
        let placing = fixture.clone();
        let placed = tokio::spawn(async move {
            let call = Call::json("POST", "/api/v1/orders", &order(product, 1));
            let call = call.header("idempotency-key", &format!("key {id}"));
            placing.send(call).await.expect(201)["data"]["version"].as_u64().unwrap()
        });
        let paths = [format!("orders/{id}"), format!("orders/by-key/key%20{id}")];
        let mut misses = Vec::new();
        loop {
            let path = &paths[misses.len() % 2];
            let read = fixture.get(&format!("/api/v1/{path}?consistency=stale")).await;
            assert_eq!(read.header("x-consistency"), Some("stale"));
            if read.status == 404 || read.json()["data"]["state"] == "unused" {
                misses.push(read.header("x-position").unwrap().parse::<u64>().unwrap());
            } else {
                break;
            }
        }
        let version = placed.await.unwrap();
        assert!(misses.iter().all(|position| *position < version), "{misses:?} {version}");
        missed += misses.len();
    }
    assert!(missed > 0, "no read came too early, so nothing was shown");
    stop(fixture).await;
}
