//! Credentials: who may do what, and when that ends.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http_api::{CustomerKeys, RootToken, Settings};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::contract::contract;
use crate::harness::{Answer, Call, Fixture, read_all, settings};

const ROOT: &str = "0123456789abcdef0123456789abcdef";

fn with_root() -> Settings {
    Settings { root_token: Some(RootToken::new(ROOT).unwrap()), ..settings() }
}

fn bearer(call: Call, token: &str) -> Call {
    call.header("authorization", &format!("Bearer {token}"))
}

impl Fixture {
    async fn as_root(&self, call: Call) -> Answer {
        self.send(bearer(call, ROOT)).await
    }

    /// Creates a token and returns it with its id.
    async fn token(&self, scopes: &[&str], expires_in_s: Option<u64>) -> (String, u64) {
        let mut body = json!({"owner": "shop", "scopes": scopes});
        if let Some(seconds) = expires_in_s {
            body["expires_in_s"] = json!(seconds);
        }
        let answer = self.as_root(Call::json("POST", "/api/v1/auth/tokens", &body)).await;
        let created = answer.expect(201)["data"].clone();
        (created["token"].as_str().unwrap().to_owned(), created["id"].as_u64().unwrap())
    }

    async fn revoke(&self, id: u64) -> Value {
        let call = Call::new("DELETE", &format!("/api/v1/auth/tokens/{id}"));
        self.as_root(call).await.expect(200)["data"].clone()
    }

    async fn set_mode(&self, mode: &str) -> Value {
        let call = Call::json("PUT", "/api/v1/auth/mode", &json!({ "mode": mode }));
        self.as_root(call).await.expect(200)["data"].clone()
    }
}

/// Every operation of the document with the scope that it demands. Paths get arguments.
fn operations() -> Vec<(String, String, Option<String>, bool)> {
    let mut all = Vec::new();
    for (path, item) in contract().document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let security = operation["security"].as_array().unwrap();
            let way = security.iter().find(|way| way["token"].is_array());
            let scope = way.and_then(|way| way["token"][0].as_str()).map(str::to_owned);
            let path = path.replace("{id}", "999").replace("{key}", "none");
            let path = path.replace("{file}", "none.js").replace("{problem}", "none");
            all.push((method.to_uppercase(), path, scope, way.is_some()));
        }
    }
    all
}

#[tokio::test]
async fn each_scope_opens_its_routes_and_no_other() {
    let fixture = Fixture::with(with_root()).await;
    let operations = operations();
    let mut scopes: Vec<_> = operations.iter().filter_map(|(.., scope, _)| scope.clone()).collect();
    scopes.sort();
    scopes.dedup();
    assert!(scopes.len() > 10, "{scopes:?}");
    let mut opened = 0;
    for owned in &scopes {
        let (token, _) = fixture.token(&[owned], None).await;
        for (method, path, scope, demands) in &operations {
            // A backup that is let through takes long, and a cluster of one cannot be changed.
            let call = bearer(Call::new(method, path), &token);
            let answer = fixture.send(call).await;
            let is_open = scope.as_ref().is_none_or(|scope| scope == owned);
            let shown = String::from_utf8_lossy(&answer.body);
            assert_eq!(answer.status != 403, is_open, "{method} {path} with {owned}: {shown}");
            assert_ne!(answer.status, 401, "{method} {path} with {owned}: {shown}");
            opened += usize::from(is_open && *demands);
        }
    }
    assert!(opened >= operations.len() / 2, "{opened}");
    fixture.stop().await;
}

#[tokio::test]
async fn nobody_gets_in_without_a_token_where_one_is_demanded() {
    let fixture = Fixture::with(with_root()).await;
    let (_, id) = fixture.token(&["auth:admin"], None).await;
    let (revoked, gone) = fixture.token(&["auth:admin"], None).await;
    assert_eq!(fixture.revoke(gone).await, json!({"id": gone, "already": false}));
    assert_eq!(fixture.revoke(gone).await, json!({"id": gone, "already": true}));
    let forged = revoked.replace(&format!("hft_{gone}_"), &format!("hft_{id}_"));
    let mut wrong: Vec<String> = ["", "Basic eDp5", "Bearer", "Bearer x"].map(str::to_owned).into();
    for token in [&revoked, &forged, &ROOT[1..].to_owned(), &format!("{ROOT}x")] {
        wrong.push(format!("Bearer {token}"));
    }
    for (method, path, _, demands) in operations() {
        if !demands || path.ends_with("/payments/webhook") {
            continue;
        }
        let answer = fixture.send(Call::new(&method, &path)).await;
        assert_eq!(answer.status, 401, "{method} {path}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"holdfast\""));
        for value in &wrong {
            let call = Call::new(&method, &path).header("authorization", value);
            assert_eq!(fixture.send(call).await.status, 401, "{method} {path} with {value}");
        }
    }
    // Signed webhooks need no token, and this node has no secret.
    let webhook = json!({"idempotency_key": "w", "order_id": 1, "status": "success"});
    let call = Call::json("POST", "/api/v1/payments/webhook", &webhook);
    fixture.send(call.clone()).await.problem(401, "invalid_signature");
    let (token, _) = fixture.token(&["payments:webhook"], None).await;
    fixture.send(bearer(call.clone(), &token)).await.expect(200);
    let (other, _) = fixture.token(&["orders:write"], None).await;
    fixture.send(bearer(call, &other)).await.problem(403, "forbidden");
    fixture.stop().await;
}

#[tokio::test]
async fn the_mode_says_who_needs_a_token() {
    // Without a root token, the mode alone decides.
    let fixture = Fixture::start().await;
    let set = |mode: &str| Call::json("PUT", "/api/v1/auth/mode", &json!({ "mode": mode }));
    fixture.send(set("required")).await.invalid("mode");
    fixture.send(set("locked")).await.invalid("mode");
    let admin = json!({"owner": "ops", "scopes": ["auth:admin", "metrics:read"]});
    let admin = fixture.post("/api/v1/auth/tokens", &admin).await.expect(201);
    let admin = admin["data"]["token"].as_str().unwrap().to_owned();
    let answer = fixture.send(set("optional")).await.expect(200);
    assert_eq!(answer["data"], json!({"mode": "optional", "here": "optional", "tokens": 1}));
    fixture.get("/api/v1/orders").await.expect(200);
    let wrong = Call::new("GET", "/api/v1/orders").header("authorization", "Bearer x");
    fixture.send(wrong.clone()).await.problem(401, "unauthorized");
    fixture
        .send(bearer(Call::new("GET", "/api/v1/orders"), &admin))
        .await
        .problem(403, "forbidden");
    let metrics = fixture.send(bearer(Call::new("GET", "/metrics"), &admin)).await;
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    let counted = r#"holdfast_anonymous_requests_total{route="/api/v1/orders"} 1"#;
    assert!(metrics.contains(counted), "{metrics}");
    fixture.send(set("required")).await.expect(200);
    fixture.get("/api/v1/orders").await.problem(401, "unauthorized");
    let session =
        fixture.send(bearer(Call::new("GET", "/api/v1/session"), &admin)).await.expect(200);
    assert_eq!(session["data"]["actor"], "token");
    assert_eq!(session["data"]["owner"], "ops");
    assert_eq!(session["data"]["scopes"], json!(["metrics:read", "auth:admin"]));
    fixture.send(bearer(set("off"), &admin)).await.expect(200);
    fixture.send(wrong).await.expect(200);
    fixture.stop().await;
}

#[tokio::test]
async fn a_root_token_is_enforced_though_nobody_has_set_the_mode() {
    let fixture = Fixture::with(with_root()).await;
    fixture.get("/api/v1/orders").await.problem(401, "unauthorized");
    for open in ["/livez", "/health", "/openapi.json", "/"] {
        assert_eq!(fixture.get(open).await.status, 200, "{open}");
    }
    let mode = fixture.as_root(Call::new("GET", "/api/v1/auth/mode")).await.expect(200);
    assert_eq!(mode["data"], json!({"mode": "off", "here": "required", "tokens": 0}));
    let session = fixture.as_root(Call::new("GET", "/api/v1/session")).await.expect(200);
    assert_eq!(session["data"]["actor"], "root");
    fixture.set_mode("optional").await;
    fixture.get("/api/v1/orders").await.expect(200);
    fixture.set_mode("required").await;
    fixture.get("/api/v1/orders").await.problem(401, "unauthorized");
    fixture.stop().await;
}

#[tokio::test]
async fn a_token_ends_when_it_expires() {
    let fixture = Fixture::with(with_root()).await;
    let (token, id) = fixture.token(&["orders:read"], Some(1)).await;
    let read = bearer(Call::new("GET", "/api/v1/orders"), &token);
    fixture.send(read.clone()).await.expect(200);
    fixture.until("expired", async || fixture.send(read.clone()).await.status == 401).await;
    let listed = fixture.as_root(Call::new("GET", "/api/v1/auth/tokens")).await.expect(200);
    assert_eq!(listed["data"][0]["id"], json!(id));
    assert!(!listed.to_string().contains("hft_"), "{listed}");
    fixture.stop().await;
}

#[tokio::test]
async fn streams_and_sockets_end_with_their_token() {
    let fixture = Fixture::with(with_root()).await;
    let quiet = Duration::from_secs(5);
    for (path, more) in [
        ("/api/v1/events", ""),
        (
            "/api/v1/ws",
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        ),
    ] {
        let (token, id) = fixture.token(&["events:read"], None).await;
        let mut stream = TcpStream::connect(fixture.address).await.unwrap();
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{more}\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let open = read_all(&mut stream, Duration::from_millis(300)).await;
        assert!(matches!(open.status(), Some(200 | 101)) && !open.closed, "{path}: {open:?}");
        // Another token's end changes nothing for this one.
        let (_, other) = fixture.token(&["events:read"], None).await;
        fixture.revoke(other).await;
        assert!(!read_all(&mut stream, Duration::from_millis(300)).await.closed, "{path}");
        fixture.revoke(id).await;
        let rest = read_all(&mut stream, quiet).await;
        // The last chunk of a stream, or the reason of a close.
        let ended = rest.text.ends_with("0\r\n\r\n") || rest.text.contains("no longer count");
        assert!(ended, "{path}: {rest:?}");
    }
    fixture.stop().await;
}

#[tokio::test]
async fn tokens_are_validated() {
    let fixture = Fixture::start().await;
    for (body, field) in [
        (json!({"scopes": ["tasks"]}), "owner"),
        (json!({"owner": " ", "scopes": ["tasks"]}), "owner"),
        (json!({"owner": "x".repeat(65), "scopes": ["tasks"]}), "owner"),
        (json!({"owner": "x"}), "scopes"),
        (json!({"owner": "x", "scopes": []}), "scopes"),
        (json!({"owner": "x", "scopes": ["everything"]}), "scopes"),
        (json!({"owner": "x", "scopes": ["tasks"], "label": "x".repeat(101)}), "label"),
        (json!({"owner": "x", "scopes": ["tasks"], "expires_in_s": 0}), "expires_in_s"),
    ] {
        fixture.post("/api/v1/auth/tokens", &body).await.invalid(field);
    }
    for id in ["0", "1", "x"] {
        let call = Call::new("DELETE", &format!("/api/v1/auth/tokens/{id}"));
        fixture.send(call).await.problem(404, "not_found");
    }
    fixture.stop().await;
}

/// A token that is limited to a user.
async fn customer(fixture: &Fixture, user: u64) -> String {
    let scopes = ["catalog:read", "orders:read", "orders:write", "users:read", "events:read"];
    let body = json!({"owner": "shop", "scopes": scopes, "user_id": user});
    let answer = fixture.as_root(Call::json("POST", "/api/v1/auth/tokens", &body)).await;
    answer.expect(201)["data"]["token"].as_str().unwrap().to_owned()
}

/// What an answer says, without what differs between any two requests.
fn essence(answer: &Answer, id: u64) -> (u16, Vec<(String, String)>, String) {
    let varies = ["date", "x-trace-id", "x-position", "content-length"];
    let headers = answer
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    let headers = headers.filter(|(name, _)| !varies.contains(&name.as_str())).collect();
    let mut body = answer.json();
    body["trace_id"] = json!("");
    (answer.status, headers, body.to_string().replace(&format!("old {id} "), "old ID "))
}

#[tokio::test]
async fn a_foreign_id_is_answered_like_an_unknown_one() {
    let fixture = Fixture::with(with_root()).await;
    let product = json!({"name": "Widget", "price": "1.00", "stock": 50});
    fixture.as_root(Call::json("POST", "/api/v1/products", &product)).await.expect(201);
    for name in ["a", "b"] {
        let user = json!({"name": name, "email": format!("{name}@example.com")});
        fixture.as_root(Call::json("POST", "/api/v1/users", &user)).await.expect(201);
    }
    let (alice, bob) = (customer(&fixture, 1).await, customer(&fixture, 2).await);
    let line = json!({"items": [{"product_id": 1, "quantity": 1}], "payment_method": "none"});
    let hold = json!({"product_id": 1, "quantity": 1});
    // Of Bob, of nobody, and one that has ended.
    let place = Call::json("POST", "/api/v1/orders", &line);
    let placed = fixture.send(bearer(place.clone(), &bob)).await.expect(201);
    assert_eq!(placed["data"]["user_id"], 2, "it is filled in");
    fixture.as_root(place.clone()).await.expect(201);
    for token in [&bob, &bob] {
        fixture.send(bearer(Call::json("POST", "/api/v1/holds", &hold), token)).await.expect(201);
    }
    fixture.as_root(Call::json("POST", "/api/v1/holds", &hold)).await.expect(201);
    fixture.send(bearer(Call::new("DELETE", "/api/v1/holds/2"), &bob)).await.expect(204);
    let extend = json!({"ttl_seconds": 60});
    let unknown = 777;
    // A refund of an order that Bob paid.
    let paid = json!({"items": [{"product_id": 1, "quantity": 1}]});
    let paid = fixture.send(bearer(Call::json("POST", "/api/v1/orders", &paid), &bob)).await;
    let order = format!("/api/v1/orders/{}", paid.expect(201)["order_id"]);
    let is_paid =
        async || fixture.as_root(Call::new("GET", &order)).await.json()["status"] == "PAID";
    fixture.until("paid", is_paid).await;
    let refund = json!({"reason": "returned", "actor": "ann"});
    let refund = Call::json("POST", &format!("{order}/refunds"), &refund);
    fixture.as_root(refund).await.expect(201);
    fixture.send(bearer(Call::new("GET", "/api/v1/refunds/1"), &bob)).await.expect(200);
    let kinds =
        [([1, 2, 1], "order"), ([1, 2, 3], "hold"), ([2, 2, 2], "user"), ([1, 1, 1], "refund")];
    for (foreign, calls) in kinds {
        let requests = |id: u64| match calls {
            "order" => vec![
                Call::new("GET", &format!("/api/v1/orders/{id}")),
                Call::new("GET", &format!("/api/v1/orders/{id}/events")),
                Call::new("GET", &format!("/api/v1/orders/{id}/refunds")),
                Call::json("POST", &format!("/api/v1/orders/{id}/cancel"), &json!({})),
            ],
            "hold" => vec![
                Call::new("GET", &format!("/api/v1/holds/{id}")),
                Call::json("POST", &format!("/api/v1/holds/{id}/extend"), &extend),
                Call::new("DELETE", &format!("/api/v1/holds/{id}")),
                Call::json("POST", "/api/v1/orders", &json!({"hold_id": id})),
            ],
            "refund" => vec![Call::new("GET", &format!("/api/v1/refunds/{id}"))],
            _ => vec![Call::new("GET", &format!("/api/v1/users/{id}"))],
        };
        for id in foreign {
            for (call, like) in requests(id).into_iter().zip(requests(unknown)) {
                let what = format!("{} {}", call.method(), call.target());
                let found = fixture.send(bearer(call, &alice)).await;
                let missing = fixture.send(bearer(like, &alice)).await;
                assert_eq!(essence(&found, id), essence(&missing, unknown), "{what}");
                assert_eq!(found.status, 404, "{what}");
            }
        }
    }
    // Nothing of Bob's has changed, and he is told how his hold ended.
    let read = |path: &str| bearer(Call::new("GET", path), &bob);
    assert_eq!(
        fixture.send(read("/api/v1/orders/1")).await.expect(200)["data"]["status"],
        "PENDING"
    );
    assert_eq!(fixture.send(read("/api/v1/holds/1")).await.expect(200)["data"]["status"], "active");
    let late = bearer(Call::json("POST", "/api/v1/holds/2/extend", &extend), &bob);
    fixture.send(late).await.problem(409, "hold_released");
    fixture.send(bearer(Call::new("DELETE", "/api/v1/holds/2"), &bob)).await.expect(204);
    fixture.send(read("/api/v1/users/2")).await.expect(200);
    fixture.stop().await;
}

#[tokio::test]
async fn customers_have_keys_lists_and_users_of_their_own() {
    let fixture = Fixture::with(with_root()).await;
    let product = json!({"name": "Widget", "price": "1.00", "stock": 50});
    fixture.as_root(Call::json("POST", "/api/v1/products", &product)).await.expect(201);
    let (alice, bob) = (customer(&fixture, 1).await, customer(&fixture, 2).await);
    let line = json!({"items": [{"product_id": 1, "quantity": 1}], "payment_method": "none"});
    let place = Call::json("POST", "/api/v1/orders", &line).header("idempotency-key", "k");
    let mut ids = Vec::new();
    for (token, again) in [(&alice, false), (&bob, false), (&alice, true), (&bob, true)] {
        let answer = fixture.send(bearer(place.clone(), token)).await;
        let order = answer.expect(if again { 200 } else { 201 });
        assert_eq!(order["data"]["idempotency_key"], "k");
        ids.push(order["data"]["id"].as_u64().unwrap());
    }
    assert_eq!(ids, [1, 2, 1, 2]);
    let by_key = Call::new("GET", "/api/v1/orders/by-key/k");
    for (token, id) in [(&alice, json!(1)), (&bob, json!(2)), (&ROOT.to_owned(), json!(null))] {
        let found = fixture.send(bearer(by_key.clone(), token)).await.expect(200);
        assert_eq!(found["data"]["order"]["id"], id);
    }
    let fence = Call::new("POST", "/api/v1/orders/by-key/next/fence");
    fixture.send(bearer(fence, &bob)).await.expect(200);
    let next = Call::json("POST", "/api/v1/orders", &line).header("idempotency-key", "next");
    fixture.send(bearer(next.clone(), &bob)).await.problem(409, "key_fenced");
    fixture.send(bearer(next, &alice)).await.expect(201);
    // A reference is taken for all, and leads only its owner to the order.
    let mut named = line.clone();
    named["client_reference"] = json!("cart");
    let named = Call::json("POST", "/api/v1/orders", &named);
    let placed = fixture.send(bearer(named.clone(), &alice)).await.expect(201);
    let by_reference = Call::new("GET", "/api/v1/orders/by-reference/cart");
    for (token, order, status) in [(&alice, &placed["data"]["id"], 200), (&bob, &json!(null), 404)]
    {
        let again = fixture.send(bearer(named.clone(), token)).await;
        assert_eq!(&again.problem(409, "reference_taken")["order_id"], order);
        assert_eq!(fixture.send(bearer(by_reference.clone(), token)).await.status, status);
    }
    // Another user is refused, and lists have only own orders.
    let mut other = line.clone();
    other["user_id"] = json!(2);
    let other = Call::json("POST", "/api/v1/orders", &other);
    fixture.send(bearer(other, &alice)).await.problem(403, "forbidden");
    let hold = json!({"product_id": 1, "quantity": 1, "user_id": 2});
    let hold = Call::json("POST", "/api/v1/holds", &hold);
    fixture.send(bearer(hold, &alice)).await.problem(403, "forbidden");
    let batch = json!({"orders": [line, {"items": line["items"], "user_id": 2}]});
    let batch = Call::json("POST", "/api/v1/orders/batch", &batch);
    fixture.send(bearer(batch, &alice)).await.problem(403, "forbidden");
    let list = |query: &str, token: &str| {
        bearer(Call::new("GET", &format!("/api/v1/orders{query}")), token)
    };
    let own = fixture.send(list("", &alice)).await.expect(200);
    let users: Vec<_> =
        own["data"].as_array().unwrap().iter().map(|it| it["user_id"].clone()).collect();
    assert_eq!(users, [json!(1), json!(1), json!(1)]);
    fixture.send(list("?user_id=2", &alice)).await.problem(403, "forbidden");
    // So have lists of holds.
    let held = json!({"product_id": 1, "quantity": 1});
    for token in [&alice, &bob] {
        let hold = Call::json("POST", "/api/v1/holds", &held);
        fixture.send(bearer(hold, token)).await.expect(201);
    }
    let holds = |query: &str| bearer(Call::new("GET", &format!("/api/v1/holds{query}")), &alice);
    let own = fixture.send(holds("")).await.expect(200);
    let users: Vec<_> = own["data"].as_array().unwrap().iter().map(|it| &it["user_id"]).collect();
    assert_eq!(users, [&json!(1)]);
    fixture.send(holds("?user_id=2")).await.problem(403, "forbidden");
    let events = bearer(Call::new("GET", "/api/v1/events?user_id=2"), &alice);
    fixture.send(events).await.problem(403, "forbidden");
    let everything = json!({"owner": "x", "scopes": ["stock:write"], "user_id": 1});
    let everything = Call::json("POST", "/api/v1/auth/tokens", &everything);
    fixture.as_root(everything).await.invalid("scopes");
    fixture.stop().await;
}

#[tokio::test]
async fn the_audit_says_who_administered_what() {
    let fixture = Fixture::with(with_root()).await;
    let (admin, id) = fixture.token(&["auth:admin", "cluster:read"], None).await;
    let (shop, shop_id) = fixture.token(&["catalog:write", "payments:admin"], None).await;
    let product = json!({"name": "Chair", "price": "3.00", "stock": 1});
    let create = Call::json("POST", "/api/v1/products", &product);
    let created = fixture.send(bearer(create, &shop)).await.expect(201)["data"]["id"].clone();
    let settle = json!({"expected_attempt": 1, "outcome": "failed", "reason": "r", "actor": "a"});
    let settle = Call::json("POST", "/api/v1/orders/99/settle", &settle);
    fixture.send(bearer(settle, &shop)).await.problem(404, "not_found");
    fixture.as_root(Call::json("POST", "/api/v1/cluster/transfer-leader", &json!({}))).await;
    let revoke = Call::new("DELETE", &format!("/api/v1/auth/tokens/{shop_id}"));
    fixture.send(bearer(revoke, &admin)).await.expect(200);
    let read = async |target: &str| {
        let rows = fixture.send(bearer(Call::new("GET", target), &admin)).await.expect(200);
        let row = |row: &Value| {
            let text = |name: &str| row[name].as_str().unwrap().to_owned();
            (text("actor"), text("action"), row["target"].as_u64(), text("outcome"))
        };
        let rows = rows["data"].as_array().unwrap().clone();
        let ids: Vec<_> = rows.iter().map(|row| row["id"].as_u64().unwrap()).collect();
        (ids, rows.iter().map(row).collect::<Vec<_>>())
    };
    let expected = |actor: &str, action: &str, target, outcome: &str| {
        (actor.to_owned(), action.to_owned(), target, outcome.to_owned())
    };
    let by = |id: u64| format!("token:{id}");
    let (ids, rows) = read("/api/v1/audit?limit=4").await;
    assert_eq!(
        rows,
        [
            expected("root:1", "token.create", Some(id), "done"),
            expected("root:1", "token.create", Some(shop_id), "done"),
            expected(&by(shop_id), "order.settle", Some(99), "refused"),
            expected(&by(id), "token.revoke", Some(shop_id), "done"),
        ]
    );
    let (after, rows) = read(&format!("/api/v1/audit?after={}", ids[2])).await;
    assert_eq!((after, rows.len()), (vec![ids[3]], 1));
    let (_, rows) = read("/api/v1/audit?kind=catalogue").await;
    assert_eq!(rows, [expected(&by(shop_id), "product.create", created.as_u64(), "done")]);
    for wrong in ["kind=x", "limit=0", "limit=1001", "after=-1"] {
        let call = bearer(Call::new("GET", &format!("/api/v1/audit?{wrong}")), &admin);
        fixture.send(call).await.problem(422, "validation_error");
    }
    let call = bearer(Call::new("GET", "/api/v1/audit"), &fixture.token(&["tasks"], None).await.0);
    fixture.send(call).await.problem(403, "forbidden");
    fixture.stop().await;
}

/// What a shop's login does: it signs a token for a customer.
fn signed(pair: &Ed25519KeyPair, user: u64, audience: &str, life_s: u64) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({"sub": user.to_string(), "aud": audience, "iat": now, "exp": now + life_s});
    let part = |value: &Value| base64url(value.to_string().as_bytes());
    let text = format!("{}.{}", part(&json!({"alg": "EdDSA", "kid": "a"})), part(&claims));
    let signature = base64url(pair.sign(text.as_bytes()).as_ref());
    format!("{text}.{signature}")
}

fn base64url(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    let six = bits.as_bytes().chunks(6).map(|chunk| {
        let text = format!("{:0<6}", str::from_utf8(chunk).unwrap());
        char::from(LETTERS[usize::from_str_radix(&text, 2).unwrap()])
    });
    six.collect()
}

#[tokio::test]
async fn customers_of_a_shop_see_and_change_their_own_rows() {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
    let x = base64url(pair.public_key().as_ref());
    let set = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": x}]});
    let keys = CustomerKeys::read(&set.to_string(), "shop").unwrap();
    let fixture = Fixture::with(Settings { customers: Some(Arc::new(keys)), ..with_root() }).await;
    let product = json!({"name": "Chair", "price": "3.00", "stock": 9});
    let created = fixture.as_root(Call::json("POST", "/api/v1/products", &product)).await;
    let product = created.expect(201)["data"]["id"].as_u64().unwrap();
    let of = |user| signed(&pair, user, "holdfast:shop", 600);
    let (seven, eight) = (of(7), of(8));
    let order = json!({"items": [{"product_id": product, "quantity": 1}]});
    let place = |token: &str| bearer(Call::json("POST", "/api/v1/orders", &order), token);
    let placed = fixture.send(place(&seven)).await.expect(201)["data"].clone();
    assert_eq!(placed["user_id"], 7);
    let path = format!("/api/v1/orders/{}", placed["id"]);
    fixture.send(bearer(Call::new("GET", &path), &seven)).await.expect(200);
    fixture.send(bearer(Call::new("GET", &path), &eight)).await.problem(404, "not_found");
    let cancel = Call::new("POST", &format!("{path}/cancel"));
    fixture.send(bearer(cancel, &eight)).await.problem(404, "not_found");
    let other = json!({"user_id": 8, "items": order["items"]});
    let other = bearer(Call::json("POST", "/api/v1/orders", &other), &seven);
    fixture.send(other).await.problem(403, "forbidden");
    let session = fixture.send(bearer(Call::new("GET", "/api/v1/session"), &seven)).await;
    let session = session.expect(200)["data"].clone();
    assert_eq!((&session["actor"], &session["user_id"]), (&json!("customer"), &json!(7)));
    let admin = bearer(Call::new("GET", "/api/v1/auth/tokens"), &seven);
    fixture.send(admin).await.problem(403, "forbidden");
    // Tokens for another cluster, by another key, and changed ones open nothing.
    let stranger = Ed25519KeyPair::from_seed_unchecked(&[2; 32]).unwrap();
    let changed = seven.replacen('.', "A.", 1);
    for wrong in [
        signed(&pair, 7, "holdfast:other", 600),
        signed(&pair, 7, "holdfast:shop", 3_601),
        signed(&stranger, 7, "holdfast:shop", 600),
        changed,
    ] {
        fixture.send(place(&wrong)).await.problem(401, "unauthorized");
    }
    fixture.stop().await;
}
