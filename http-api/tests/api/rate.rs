//! The rate limit over real sockets.

use http_api::{Proxies, Settings};
use serde_json::{Value, json};

use crate::harness::{Answer, Call, Fixture, order, settings};

const ORDERS: &str = "/api/v1/orders";

async fn fixture(per_minute: u32) -> Fixture {
    Fixture::with(Settings { rate_limit_per_minute: per_minute, ..settings() }).await
}

#[track_caller]
fn number(answer: &Answer, name: &str) -> u64 {
    answer.header(name).unwrap_or_else(|| panic!("no {name}")).parse().unwrap()
}

fn remaining(answer: &Answer) -> u64 {
    number(answer, "ratelimit-remaining")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retries_of_holds_and_results_are_not_counted() {
    let fixture = fixture(10).await;
    let product = fixture.product("1.00", 100).await;
    let hold = json!({"product_id": product, "quantity": 1, "idempotency_key": "h"});
    let result = json!({"idempotency_key": "w", "order_id": 9, "status": "success"});
    fixture.post("/api/v1/holds", &hold).await.expect(201);
    let first = fixture.post("/api/v1/payments/webhook", &result).await;
    first.expect(200);
    for _ in 0..remaining(&first) {
        fixture.get("/api/v1/test").await.expect(200);
    }
    fixture.post("/api/v1/holds", &hold).await.expect(200);
    fixture.post("/api/v1/payments/webhook", &result).await.expect(200);
    for target in ["/api/v1/holds", "/api/v1/payments/webhook", ORDERS] {
        let mut other = hold.clone();
        other["idempotency_key"] = json!("w of another kind");
        fixture.post(target, &other).await.problem(429, "too_many_requests");
    }
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_over_the_limit_learns_when_to_retry() {
    let fixture = fixture(30).await;
    let product = fixture.product("1.00", 100).await;
    let body = order(product, 1);
    let place = |key: &str| Call::json("POST", ORDERS, &body).header("idempotency-key", key);
    let first = fixture.send(place("first")).await;
    first.expect(201);
    let mut left = remaining(&first);
    assert!(left < 30 && number(&first, "ratelimit-limit") == 30);
    assert!((1..=60).contains(&number(&first, "ratelimit-reset")));
    // Retries are not counted; everything else is: reads, refusals and unknown paths.
    assert_eq!(remaining(&fixture.send(place("first")).await), left);
    for (target, status) in [("/api/v1/products", 200), ("/api/v1/orders/99", 404), ("/no", 404)] {
        let answer = fixture.get(target).await;
        left -= 1;
        assert_eq!((answer.status, remaining(&answer)), (status, left), "{target}");
    }
    for _ in 0..left {
        fixture.get("/api/v1/test").await.expect(200);
    }
    let before = fixture.handle.read(|state| state.position());
    for call in [
        Call::new("GET", "/api/v1/products"),
        Call::new("GET", "/no"),
        Call::new("PUT", ORDERS),
        Call::new("POST", "/api/v1/orders/1/cancel"),
        Call::new("GET", "/docs"),
        place("second"),
        Call::json("POST", ORDERS, &body),
        Call::text("POST", ORDERS, "{"),
    ] {
        let answer = fixture.send(call).await;
        let problem = answer.problem(429, "too_many_requests");
        let retry_after = number(&answer, "retry-after");
        assert!((1..=60).contains(&retry_after), "{retry_after}");
        assert_eq!(problem["retry_after"], json!(retry_after));
        assert_eq!(
            (&problem["outcome"], &problem["retryable"]),
            (&json!("not_applied"), &json!(true))
        );
        assert_eq!(remaining(&answer), 0);
    }
    assert_eq!(fixture.handle.read(|state| state.position()), before, "nothing was applied");

    // The order can still be retried, with the key in either place.
    let mut keyed = body.clone();
    keyed["idempotency_key"] = json!("first");
    for call in [place("first"), Call::json("POST", ORDERS, &keyed)] {
        let answer = fixture.send(call).await;
        assert_eq!(answer.expect(200)["order_id"], first.json()["order_id"]);
        assert_eq!(answer.header("idempotent-replayed"), Some("true"));
    }
    let purchase = json!({"product_id": product, "quantity": 2, "idempotency_key": "first"});
    fixture.post("/api/v1/orders/purchase", &purchase).await.problem(422, "idempotency_key_reused");
    // Monitoring still works.
    for target in ["/health", "/api/v1/health", "/livez", "/readyz", "/metrics"] {
        let answer = fixture.get(target).await;
        assert_eq!((answer.status, answer.header("ratelimit-limit")), (200, None), "{target}");
    }
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_limit_nothing_is_counted() {
    let fixture = Fixture::start().await;
    for _ in 0..100 {
        let answer = fixture.get("/api/v1/test").await;
        assert_eq!((answer.status, answer.header("ratelimit-limit")), (200, None));
    }
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_get_exactly_what_is_allowed() {
    let fixture = std::sync::Arc::new(fixture(40).await);
    let left = remaining(&fixture.get("/api/v1/test").await);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..80 {
        let fixture = fixture.clone();
        tasks.spawn(async move { fixture.get("/api/v1/test").await.status });
    }
    let statuses = tasks.join_all().await;
    let allowed = statuses.iter().filter(|status| **status == 200).count();
    assert_eq!(allowed as u64, left);
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 80 - allowed);
    std::sync::Arc::into_inner(fixture).unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_behind_a_trusted_proxy_count_apart() {
    let behind = |client: &str| Call::new("GET", "/api/v1/test").header("x-forwarded-for", client);
    let trusted = vec!["127.0.0.0/8".parse().unwrap()];
    for (trusted, apart) in [(trusted, true), (Vec::new(), false)] {
        let proxies = Proxies { trusted, ..Proxies::default() };
        let limited = Settings { rate_limit_per_minute: 1, proxies, ..settings() };
        let fixture = Fixture::with(limited).await;
        // Clients may write what they like before the proxy does.
        for first in ["1.1.1.1", "9.9.9.9, 1.1.1.2", "1.1.1.1, 1.1.1.3"] {
            let answer = fixture.send(behind(first)).await;
            if apart {
                answer.expect(200);
                fixture.send(behind(first)).await.problem(429, "too_many_requests");
            }
        }
        if !apart {
            fixture.send(behind("1.1.1.4")).await.problem(429, "too_many_requests");
        }
        fixture.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn customers_and_tokens_have_limits_of_their_own() {
    let settings =
        Settings { rate_limit_user_per_minute: 3, rate_limit_token_per_minute: 5, ..settings() };
    let fixture = Fixture::with(settings).await;
    let product = fixture.product("1.00", 100).await;
    let create = async |body: Value| {
        let created = fixture.post("/api/v1/auth/tokens", &body).await.expect(201);
        created["data"]["token"].as_str().unwrap().to_owned()
    };
    let of = |user: u64| json!({"owner": "app", "user_id": user, "scopes": ["orders:write"]});
    let (phone, laptop, other) = (create(of(7)).await, create(of(7)).await, create(of(8)).await);
    let shop = create(json!({"owner": "shop", "scopes": ["catalog:read", "auth:admin"]})).await;
    let with = |call: Call, token: &str| call.header("authorization", &format!("Bearer {token}"));
    let mode = json!({"mode": "optional"});
    fixture.send(Call::json("PUT", "/api/v1/auth/mode", &mode)).await.expect(200);
    let place = |key: &str, token: &str| {
        let call = Call::json("POST", ORDERS, &order(product, 1)).header("idempotency-key", key);
        with(call, token)
    };
    // One customer with two tokens has one limit; retries are free.
    assert_eq!(remaining(&fixture.send(place("a", &phone)).await), 2);
    assert_eq!(remaining(&fixture.send(place("b", &laptop)).await), 1);
    assert_eq!(remaining(&fixture.send(place("a", &phone)).await), 1);
    fixture.send(place("c", &phone)).await.expect(201);
    for token in [&phone, &laptop] {
        let refused = fixture.send(place("d", token)).await;
        refused.problem(429, "too_many_requests");
        assert!(refused.header("retry-after").is_some());
        fixture.send(place("b", token)).await.expect(200);
    }
    fixture.send(place("a", &other)).await.expect(201);
    // A token that is nobody's has another.
    let list = || with(Call::new("GET", "/api/v1/products"), &shop);
    for left in (0..5).rev() {
        assert_eq!(remaining(&fixture.send(list()).await), left);
    }
    fixture.send(list()).await.problem(429, "too_many_requests");
    // Requests without a token have neither.
    assert!(fixture.get("/api/v1/products").await.header("ratelimit-limit").is_none());
    fixture.stop().await;
}
