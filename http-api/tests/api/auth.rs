//! Credentials: who may do what, and when that ends.

use std::time::Duration;

use http_api::{RootToken, Settings};
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
            let path = path.replace("{file}", "none.js");
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
