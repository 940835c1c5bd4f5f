//! Invalid query strings, on every list. None of them may fall back to a default.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Call, Fixture, order};

/// The lists, each with the name and bound of its limit, and the name of its cursor.
const LISTS: [(&str, &str, u64, &str); 4] = [
    ("/api/v1/orders", "limit", 1000, "cursor"),
    ("/api/v1/orders", "per_page", 50, "cursor"),
    ("/api/v1/products", "limit", 10_000, "cursor"),
    ("/api/v1/products/1/ledger", "limit", 1000, "after"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_and_places_in_lists_are_checked_on_every_list() {
    let fixture = Fixture::start().await;
    let product = fixture.product("1.00", 10).await;
    fixture.post("/api/v1/orders", &order(product, 1)).await.expect(201);
    for (path, limit, most, place) in LISTS {
        let too_many = (most + 1).to_string();
        for value in ["-1", "0", "00", "1000000000", "1e3", "abc", "1.0", "%2B1", " 1", &too_many] {
            let target = format!("{path}?{limit}={}", value.replace(' ', "%20"));
            fixture.get(&target).await.invalid(limit);
        }
        fixture.get(&format!("{path}?{limit}=1&{limit}=1")).await.invalid(limit);
        fixture.get(&format!("{path}?{limit}={most}")).await.expect(200);
        for value in ["x", "-1", "o", "o0x", "1.x", "%00", "9007199254740993", "%F0%9F%98%80"] {
            fixture.get(&format!("{path}?{place}={value}")).await.invalid(place);
        }
        fixture.get(&format!("{path}?{place}=1&{place}=2")).await.invalid(place);
        for broken in ["%", "%z", "%zz", "%4", "%ff", "a%c3%28"] {
            for query in [format!("{limit}={broken}"), format!("{broken}=1"), broken.to_owned()] {
                let answer = fixture.get(&format!("{path}?{query}")).await;
                answer.problem(400, "malformed_request");
            }
        }
    }
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_parameters_are_refused_and_the_known_ones_named() {
    let fixture = Fixture::start().await;
    let product = fixture.product("1.00", 10).await;
    fixture.post("/api/v1/orders", &order(product, 1)).await.expect(201);
    let before = fixture.look().await;
    for (target, name, known) in [
        ("/api/v1/orders?staus=PAID", "staus", "status"),
        ("/api/v1/orders?userId=1&limit=5", "userId", "user_id"),
        ("/api/orders?status=PAID&page[size]=5", "page[size]", "per_page"),
        ("/api/v1/orders/1?consistncy=stale", "consistncy", "consistency"),
        ("/api/v1/orders/999?x=1", "x", "consistency"),
        ("/api/v1/products?skus=1", "skus", "ids"),
        ("/api/v1/products?_=17", "_", "cursor"),
        ("/api/v1/products/1/ledger?cursor=1", "cursor", "after"),
        ("/api/v1/events?type=order.paid", "type", "types"),
        ("/api/v1/cluster/backup?x", "x", "consistency"),
    ] {
        let answer = fixture.get(target).await;
        answer.invalid(name);
        let problem = answer.json();
        assert!(problem["errors"][name][0].as_str().unwrap().contains(known), "{target} {problem}");
    }
    for (method, target) in [
        ("POST", "/api/v1/users?dry_run=true"),
        ("POST", "/api/v1/products?dry_run=true"),
        ("PATCH", "/api/v1/products/1?dry_run=true"),
        ("DELETE", "/api/v1/products/1?dry_run=true"),
        ("POST", "/api/v1/cluster/snapshot?dry_run=true"),
        ("POST", "/api/v1/payments/webhook?dry_run=true"),
    ] {
        let body = order(product, 1);
        fixture.send(Call::json(method, target, &body)).await.invalid("dry_run");
    }
    assert_eq!(fixture.look().await, before);
    // Monitors append parameters of their own.
    for path in ["/livez", "/readyz", "/health", "/api/v1/health", "/metrics"] {
        assert_eq!(fixture.get(&format!("{path}?verbose&_=1")).await.status, 200, "{path}");
    }
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_are_listed_by_time_and_by_sku() {
    let fixture = Fixture::start().await;
    let body = json!({"name": "Widget", "price": "1", "stock": 90, "sku": "A&1"});
    let widget = fixture.post("/api/v1/products", &body).await.expect(201)["data"]["id"].clone();
    let other = fixture.product("1.00", 90).await;
    let mut times = Vec::new();
    for n in 0..9 {
        let product = if n % 3 == 0 { widget.as_u64().unwrap() } else { other };
        let body = fixture.post("/api/v1/orders", &order(product, 1)).await.expect(201);
        times.push(body["data"]["created_at"].as_str().unwrap().to_owned());
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    let ids = async |query: &str| {
        let body = fixture.get(&format!("/api/v1/orders?{query}")).await.expect(200);
        let ids = body["data"].as_array().unwrap().iter().map(|order| order["id"].clone());
        let ids: Vec<u64> = ids.map(|id| id.as_u64().unwrap()).collect();
        (ids, body["meta"]["total"].as_u64())
    };
    let since = |n: usize| (n as u64 + 1..=9).rev().collect::<Vec<u64>>();
    for (n, time) in times.iter().enumerate() {
        let listed = since(n);
        let total = Some(listed.len() as u64);
        assert_eq!(ids(&format!("created_after={time}")).await, (listed, total), "{time}");
        let older = (1..=n as u64).rev().collect::<Vec<_>>();
        let total = Some(older.len() as u64);
        assert_eq!(ids(&format!("created_before={time}")).await, (older, total), "{time}");
    }
    let (from, to) = (&times[2], &times[6]);
    let both = format!("created_after={from}&created_before={to}");
    assert_eq!(ids(&both).await, (vec![6, 5, 4, 3], Some(4)));
    assert_eq!(ids(&format!("{both}&limit=9")).await, (vec![6, 5, 4, 3], None));
    assert_eq!(ids(&format!("{both}&sku=A%261")).await, (vec![4], Some(1)));
    assert_eq!(ids(&format!("{both}&status=PAID")).await, (vec![], Some(0)));
    assert_eq!(ids(&format!("created_after={to}&created_before={from}")).await, (vec![], Some(0)));
    assert_eq!(ids("created_after=2999-01-01").await, (vec![], Some(0)));
    assert_eq!(ids("created_before=2999-01-01T00:00:00%2B01:00").await.1, Some(9));
    assert_eq!(ids("sku=A%261").await, (vec![7, 4, 1], Some(3)));
    assert_eq!(ids("sku=none").await, (vec![], Some(0)));
    fixture.get("/api/v1/orders?created_after=soon").await.invalid("created_after");
    fixture.get("/api/v1/orders?sku=a&product_id=1").await.invalid("sku");
    let products = async |query: &str| {
        let body = fixture.get(&format!("/api/v1/products?{query}")).await.expect(200);
        body["data"].as_array().unwrap().iter().map(|row| row["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(products("sku=A%261").await, std::slice::from_ref(&widget));
    assert_eq!(products(&format!("sku=A%261&ids={other},{widget}")).await, [widget]);
    assert!(products(&format!("sku=A%261&ids={other}")).await.is_empty());
    assert!(products("sku=none").await.is_empty());
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_cut_off_within_an_escape_name_nothing() {
    let fixture = Fixture::start().await;
    for path in ["%", "%z", "%zz", "%4", "1%", "%ff", "%c3%28", "1%20", "%31"] {
        for prefix in ["/api/v1/orders/", "/api/v1/products/", "/api/v1/", "/"] {
            let answer = fixture.get(&format!("{prefix}{path}")).await;
            assert!(matches!(answer.status, 400 | 404), "{prefix}{path}: {}", answer.status);
            answer.check_headers();
        }
        let fence = Call::new("POST", &format!("/api/v1/orders/by-key/{path}/fence"));
        let answer = fixture.send(fence).await;
        let fine = matches!(path, "1%20" | "%31");
        assert_eq!(answer.status == 200, fine, "{path}: {}", answer.status);
        assert!(matches!(answer.status, 200 | 400), "{path}: {}", answer.status);
    }
    fixture.stop().await;
}
