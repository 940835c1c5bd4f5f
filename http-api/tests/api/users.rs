//! Users.

use serde_json::json;

use crate::harness::Fixture;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_email_address_has_one_user() {
    let fixture = Fixture::start().await;
    let alice = json!({"name": "Alice", "email": "alice@example.com"});
    let answer = fixture.post("/api/v1/users", &alice).await;
    let made = answer.expect(201)["data"].clone();
    assert_eq!(answer.header("location"), Some("/api/v1/users/1"));
    assert_eq!((&made["id"], &made["name"]), (&json!(1), &json!("Alice")));
    let read = fixture.get("/api/users/1").await;
    assert_eq!(read.expect(200)["data"], made);
    assert_eq!(read.header("etag"), answer.header("etag"));
    fixture.post("/api/v1/users", &alice).await.invalid("email");
    for (body, field) in [
        (json!({"email": "b@example.com"}), "name"),
        (json!({"name": "Bob"}), "email"),
        (json!({"name": "Bob", "email": "bob"}), "email"),
        (json!({"name": "", "email": "b@example.com"}), "name"),
        (json!({"name": "x".repeat(256), "email": "b@example.com"}), "name"),
        (json!({"name": 1, "email": "b@example.com"}), "name"),
    ] {
        fixture.post("/api/v1/users", &body).await.invalid(field);
    }
    for id in ["2", "0", "x", "-1", "1.0", "%31"] {
        fixture.get(&format!("/api/v1/users/{id}")).await.problem(404, "not_found");
    }
    fixture.stop().await;
}
