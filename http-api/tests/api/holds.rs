//! Holds over real sockets: create, read, extend, release, turn into an order.

use std::time::Duration;

use engine::command::{Command, CreateHold, ReleaseHold};
use engine::ids::{HoldId, ProductId, Quantity};
use engine::order::Line;
use engine::outcome::Outcome;
use engine::state::Lookup;
use engine::trace::TraceId;
use http_api::Settings;
use serde_json::{Value, json};

use crate::harness::{Call, Fixture, settings};

const HOLDS: &str = "/api/v1/holds";
const ORDERS: &str = "/api/v1/orders";

fn keyed(key: &str, body: &Value) -> Call {
    Call::json("POST", HOLDS, body).header("idempotency-key", key)
}

async fn product(fixture: &Fixture, id: u64) -> Value {
    fixture.get(&format!("/api/v1/products/{id}")).await.expect(200)["data"].clone()
}

async fn hold(fixture: &Fixture, product: u64, quantity: u64) -> Value {
    let body = json!({"product_id": product, "quantity": quantity});
    fixture.post(HOLDS, &body).await.expect(201)["data"].clone()
}

/// Milliseconds from the creation of a hold to its deadline. Holds in these tests last less than a
/// day.
fn life_ms(hold: &Value) -> u64 {
    let ms = |field: &str| {
        let text = hold[field].as_str().unwrap();
        let number = |range: std::ops::Range<usize>| text[range].parse::<u64>().unwrap();
        ((number(11..13) * 60 + number(14..16)) * 60 + number(17..19)) * 1000 + number(20..23)
    };
    (ms("expires_at") + 86_400_000 - ms("created_at")) % 86_400_000
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_reserves_units_and_one_order_consumes_it() {
    let fixture = Fixture::start().await;
    let one = fixture.product("9.99", 10).await;
    let body = json!({"product_id": one, "qty": 3});
    let answer = fixture.post(HOLDS, &body).await;
    let made = answer.expect(201)["data"].clone();
    assert_eq!(answer.header("location"), Some("/api/v1/holds/1"));
    assert_eq!(answer.header("etag"), Some(format!("\"{}\"", made["version"]).as_str()));
    assert_eq!((&made["hold_id"], &made["status"]), (&json!(1), &json!("active")));
    let line = json!({"product_id": one, "quantity": 3, "unit_price": "9.99"});
    assert_eq!(made["items"], json!([line]));
    assert_eq!(made["total_amount"], "29.97");
    assert_eq!((&made["qty"], &made["quantity"]), (&json!(3), &json!(3)));
    assert_eq!(life_ms(&made), 120_000, "the default");
    let row = product(&fixture, one).await;
    assert_eq!((&row["stock"], &row["held"]), (&json!(7), &json!(3)));

    let placed = fixture.post(ORDERS, &json!({"hold_id": 1, "idempotency_key": "o"})).await;
    let placed = placed.expect(201);
    assert_eq!(placed["data"]["hold_id"], 1);
    assert_eq!(placed["data"]["payment_method"], "webhook", "the default from a hold");
    assert_eq!(placed["data"]["total_amount"], "29.97");
    let row = product(&fixture, one).await;
    assert_eq!((&row["stock"], &row["held"], &row["reserved"]), (&json!(7), &json!(0), &json!(3)));
    let hold = fixture.get("/api/v1/holds/1").await.expect(200)["data"].clone();
    assert_eq!((&hold["status"], &hold["order_id"]), (&json!("consumed"), &placed["order_id"]));

    let again = json!({"hold_id": 1, "idempotency_key": "o"});
    let replayed = fixture.post(ORDERS, &again).await;
    assert_eq!(replayed.expect(200)["order_id"], placed["order_id"]);
    let second = fixture.post(ORDERS, &json!({"hold_id": 1})).await;
    let problem = second.problem(409, "hold_consumed");
    assert_eq!(problem["order_id"], placed["order_id"]);
    assert!(problem["detail"].as_str().unwrap().contains("order 1"), "{problem}");
    for call in [
        Call::new("DELETE", "/api/v1/holds/1"),
        Call::json("POST", "/api/v1/holds/1/extend", &json!({"ttl_seconds": 60})),
    ] {
        let problem = fixture.send(call).await.problem(409, "hold_consumed");
        assert_eq!(problem["order_id"], placed["order_id"]);
    }
    fixture.post(ORDERS, &json!({"hold_id": 99})).await.problem(404, "not_found");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_of_several_lines_is_all_or_nothing() {
    let fixture = Fixture::start().await;
    let (one, other) = (fixture.product("1.00", 5).await, fixture.product("2.00", 1).await);
    let line = |product: u64, quantity: u64| json!({"product_id": product, "quantity": quantity});
    let too_many = json!({"items": [line(one, 2), line(other, 2)]});
    fixture.post(HOLDS, &too_many).await.problem(409, "insufficient_stock");
    let unknown = json!({"items": [line(one, 2), line(99, 1)]});
    fixture.post(HOLDS, &unknown).await.problem(404, "not_found");
    assert_eq!(product(&fixture, one).await["held"], 0);
    // Lines of one product are added up.
    let sum = json!({"items": [line(one, 3), line(one, 3)]});
    fixture.post(HOLDS, &sum).await.problem(409, "insufficient_stock");
    let fits = json!({"items": [line(one, 2), line(other, 1), line(one, 2)], "user_id": 7});
    let made = fixture.post(HOLDS, &fits).await.expect(201)["data"].clone();
    assert_eq!(made["items"].as_array().unwrap().len(), 3);
    assert!(made.get("product_id").is_none() && made.get("qty").is_none());
    assert_eq!(
        (&made["user_id"], product(&fixture, one).await["held"].clone()),
        (&json!(7), json!(4))
    );
    // The order belongs to the hold's user.
    let body = json!({"hold_id": made["id"], "user_id": 8});
    fixture.post(ORDERS, &body).await.invalid("user_id");
    let order = fixture.post(ORDERS, &json!({"hold_id": made["id"]})).await.expect(201);
    assert_eq!(order["data"]["user_id"], 7);
    assert_eq!(order["data"]["items"].as_array().unwrap().len(), 3);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sold_out_hold_is_refused_without_an_entry() {
    let fixture = Fixture::start().await;
    let id = fixture.product("1.00", 5).await;
    let body = json!({"product_id": id, "quantity": 6, "idempotency_key": "six"});
    let before = fixture.handle.read(|state| state.position());
    for _ in 0..20 {
        let answer = fixture.post(HOLDS, &body).await;
        let problem = answer.problem(409, "insufficient_stock");
        assert!(problem["detail"].as_str().unwrap().contains("available: 5"), "{problem}");
    }
    assert_eq!(fixture.handle.read(|state| state.position()), before);
    let text = fixture.get("/metrics").await;
    let text = String::from_utf8(text.body.to_vec()).unwrap();
    assert!(text.contains("\nholds_rejected_total 20\n"), "{text}");
    // A refusal does not use the key.
    let less = json!({"product_id": id, "quantity": 5, "idempotency_key": "six"});
    fixture.post(HOLDS, &less).await.expect(201);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_released_hold_frees_its_units_once() {
    let fixture = Fixture::start().await;
    let id = fixture.product("1.00", 5).await;
    let made = hold(&fixture, id, 5).await;
    let target = format!("{HOLDS}/{}", made["id"]);
    for _ in 0..2 {
        let answer = fixture.send(Call::new("DELETE", &target)).await;
        answer.expect(204);
        let row = product(&fixture, id).await;
        assert_eq!((&row["stock"], &row["held"]), (&json!(5), &json!(0)));
    }
    assert_eq!(fixture.get(&target).await.expect(200)["data"]["status"], "released");
    fixture.post(ORDERS, &json!({"hold_id": made["id"]})).await.problem(409, "hold_released");
    let extend = fixture.post(&format!("{target}/extend"), &json!({"ttl_seconds": 9})).await;
    extend.problem(409, "hold_released");
    let batch = json!({"atomic": true, "orders": [{"hold_id": made["id"]}]});
    fixture.post("/api/v1/orders/batch", &batch).await.problem(409, "hold_released");
    for call in [
        Call::new("GET", "/api/v1/holds/9"),
        Call::new("DELETE", "/api/v1/holds/9"),
        Call::json("POST", "/api/v1/holds/9/extend", &json!({"ttl_seconds": 9})),
    ] {
        fixture.send(call).await.problem(404, "not_found");
    }
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_is_extended_up_to_the_limit() {
    let settings = Settings { hold_ttl_ms: 4_000, hold_ttl_max_ms: 10_000, ..settings() };
    let fixture = Fixture::with(settings).await;
    let id = fixture.product("1.00", 5).await;
    let made = hold(&fixture, id, 1).await;
    assert_eq!(life_ms(&made), 4_000);
    let target = format!("{HOLDS}/{}/extend", made["id"]);
    // An extension never shortens a hold.
    let same = fixture.post(&target, &json!({"ttl_seconds": 1})).await.expect(200);
    assert_eq!(same["data"], made);
    let longer = fixture.post(&target, &json!({"ttl_seconds": 10})).await;
    let longer = longer.expect(200)["data"].clone();
    assert_eq!(life_ms(&longer), 10_000, "cut to the longest life, counted from its beginning");
    assert!(longer["version"].as_u64() > made["version"].as_u64());
    for body in [json!({"ttl_seconds": 11}), json!({"ttl_seconds": 0}), json!({})] {
        fixture.post(&target, &body).await.invalid("ttl_seconds");
    }
    let long = json!({"product_id": id, "quantity": 1, "ttl_seconds": 11});
    fixture.post(HOLDS, &long).await.invalid("ttl_seconds");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_hold_cannot_be_used_and_its_units_are_free() {
    let settings = Settings { hold_ttl_ms: 150, ..settings() };
    let fixture = Fixture::with(settings).await;
    let id = fixture.product("1.00", 5).await;
    let made = hold(&fixture, id, 5).await;
    let target = format!("{HOLDS}/{}", made["id"]);
    // Without any write, the deadline alone ends it.
    let status = async || fixture.get(&target).await.expect(200)["data"]["status"].clone();
    fixture.until("expired", async || status().await == "expired").await;
    assert_eq!(product(&fixture, id).await["stock"], 5);
    fixture.post(ORDERS, &json!({"hold_id": made["id"]})).await.problem(409, "hold_expired");
    fixture.send(Call::new("DELETE", &target)).await.problem(409, "hold_expired");
    let extend = fixture.post(&format!("{target}/extend"), &json!({"ttl_seconds": 9})).await;
    extend.problem(409, "hold_expired");
    let text = String::from_utf8(fixture.get("/metrics").await.body.to_vec()).unwrap();
    for line in ["holds_active 0", "holds_created_total 1", "holds_expired_total 1"] {
        assert!(text.contains(&format!("\n{line}\n")), "{line}: {text}");
    }
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_makes_one_hold() {
    let fixture = Fixture::start().await;
    let id = fixture.product("1.00", 50).await;
    let body = json!({"product_id": id, "quantity": 2, "ttl_seconds": 60});
    let first = fixture.send(keyed("k", &body)).await;
    let made = first.expect(201)["data"].clone();
    assert_eq!(
        (&made["idempotency_key"], first.header("idempotent-replayed")),
        (&json!("k"), None)
    );
    // Compared by meaning: the same request in other words, with the key in the body.
    let spelled =
        r#"{"ttl_seconds":60,"idempotency_key":"k","items":[{"quantity":2,"product_id":ID}]}"#;
    let again =
        fixture.send(Call::text("POST", HOLDS, spelled.replace("ID", &id.to_string()))).await;
    assert_eq!(again.expect(200)["data"], made);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    for other in [
        json!({"product_id": id, "quantity": 3, "ttl_seconds": 60}),
        json!({"product_id": id, "quantity": 2}),
        json!({"product_id": id, "quantity": 2, "ttl_seconds": 60, "user_id": 1}),
    ] {
        fixture.send(keyed("k", &other)).await.problem(422, "idempotency_key_reused");
    }
    let both = json!({"product_id": id, "quantity": 2, "idempotency_key": "x"});
    fixture.send(keyed("k", &both)).await.problem(400, "idempotency_key_mismatch");
    fixture.send(keyed("", &body)).await.problem(400, "idempotency_key_invalid");
    // A key of the largest length, in characters.
    let mut long = json!({"product_id": id, "quantity": 1, "idempotency_key": "😀".repeat(255)});
    fixture.post(HOLDS, &long).await.expect(201);
    long["idempotency_key"] = json!("😀".repeat(256));
    fixture.post(HOLDS, &long).await.problem(400, "idempotency_key_invalid");
    // Orders have keys of their own.
    let order = json!({"hold_id": made["id"]});
    let order = Call::json("POST", ORDERS, &order).header("idempotency-key", "k");
    fixture.send(order).await.expect(201);
    let now = fixture.send(keyed("k", &body)).await.expect(200);
    assert_eq!(now["data"]["status"], "consumed", "as it is now");
    assert_eq!(product(&fixture, id).await["reserved"], 2);
    fixture.stop().await;
}

/// Proposes commands, many at the same time.
async fn propose_all(fixture: &Fixture, commands: impl Iterator<Item = Command>) {
    let mut tasks = tokio::task::JoinSet::new();
    for command in commands {
        if tasks.len() == 512 {
            tasks.join_next().await.unwrap().unwrap();
        }
        let handle = fixture.handle.clone();
        tasks.spawn(async move {
            let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
            let applied = handle.propose(command, TraceId::NONE, deadline).await.unwrap();
            assert!(!matches!(applied.outcome, Outcome::Rejected(_)), "{applied:?}");
        });
    }
    while let Some(result) = tasks.join_next().await {
        result.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holds_that_left_memory_are_read_from_the_checkpoint() {
    let fixture = Fixture::start().await;
    let id = fixture.product("1.00", 50_000).await;
    let body = json!({"product_id": id, "quantity": 1, "ttl_seconds": 600});
    fixture.send(keyed("first", &body)).await.expect(201);
    fixture.send(Call::new("DELETE", "/api/v1/holds/1")).await.expect(204);
    let lines = vec![Line { product: ProductId(id), quantity: Quantity(1) }];
    let create = |_| {
        Command::CreateHold(CreateHold {
            user: None,
            lines: lines.clone(),
            ttl_ms: 600_000,
            key: None,
            ttl_max_ms: 600_000,
            active_holds_max: 100_000,
            require_user: false,
            ttl_is_default: false.into(),
        })
    };
    // The newest ended holds stay in memory, some ten thousand of them.
    let is_stored =
        async || fixture.handle.read(|state| matches!(state.hold(HoldId(1)), Lookup::Stored));
    for round in 0..9 {
        let ids = 2 + round * 4_096..2 + (round + 1) * 4_096;
        propose_all(&fixture, ids.clone().map(create)).await;
        let release = |id| Command::ReleaseHold(ReleaseHold { hold: HoldId(id) });
        propose_all(&fixture, ids.map(release)).await;
    }
    // The next checkpoint evicts them, after another write.
    fixture
        .until("stored", async || {
            propose_all(&fixture, std::iter::once(create(0))).await;
            is_stored().await
        })
        .await;
    let read = fixture.get("/api/v1/holds/1").await.expect(200);
    assert_eq!(read["data"]["status"], "released");
    let replayed = fixture.send(keyed("first", &body)).await.expect(200);
    assert_eq!(replayed["data"], read["data"]);
    fixture.post(ORDERS, &json!({"hold_id": 1})).await.problem(409, "hold_released");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_are_required_where_the_setting_says_so() {
    let fixture = Fixture::with(Settings { require_users: true, ..settings() }).await;
    let id = fixture.product("1.00", 5).await;
    let user = json!({"name": "Alice", "email": "alice@example.com"});
    fixture.post("/api/v1/users", &user).await.expect(201);
    let body = |user: Option<u64>| json!({"product_id": id, "quantity": 1, "user_id": user});
    fixture.post(HOLDS, &body(None)).await.invalid("user_id");
    fixture.post(HOLDS, &body(Some(2))).await.invalid("user_id");
    fixture.post(HOLDS, &body(Some(1))).await.expect(201);
    let order = fixture.post(ORDERS, &json!({"hold_id": 1})).await.expect(201);
    assert_eq!(order["data"]["user_id"], 1);
    fixture.stop().await;
}
