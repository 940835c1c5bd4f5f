//! Invalid query strings, on every list. None of them may fall back to a default.

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
        ("POST", "/api/v1/orders?dry_run=true"),
        ("POST", "/api/v1/orders/batch?dry_run=true"),
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
