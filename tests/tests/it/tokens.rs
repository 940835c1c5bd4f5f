//! Tokens on real processes: revocation counts everywhere from its position on.

use std::time::Duration;

use serde_json::json;
use tests::{Call, Caller, Cluster};

/// Creates a token and returns it with its id.
async fn token(caller: &Caller, node: u64, scopes: &[&str]) -> (String, u64) {
    let body = json!({"owner": "shop", "scopes": scopes});
    let created = caller.ask(node, &Call::post("/api/v1/auth/tokens", &body)).await;
    let created = created.expect(201).data();
    let token = created["token"].as_str().expect("a token").to_owned();
    (token, created["id"].as_u64().expect("an id"))
}

fn with(call: Call, token: &str) -> Call {
    call.header("authorization", &format!("Bearer {token}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_token_opens_nothing_on_a_follower_that_lags() {
    let mut cluster = Cluster::start("a_revoked_token_opens_nothing").await;
    let leader = cluster.leader().await;
    let lagging = cluster.follower().await;
    let caller = cluster.caller().clone();
    let (admin, _) = token(&caller, leader, &["auth:admin"]).await;
    let product = json!({"name": "Widget", "price": "1.00", "stock": 50});
    for round in 1..=3 {
        let (shop, id) = token(&caller, leader, &["catalog:write", "catalog:read"]).await;
        let mode = json!({"mode": "optional"});
        caller.ask(leader, &with(Call::put("/api/v1/auth/mode", &mode), &admin)).await.expect(200);
        let write = with(Call::post("/api/v1/products", &product), &shop);
        let read = with(Call::get("/api/v1/products"), &shop);
        caller.ask(lagging, &write).await.expect(201);
        caller.ask(lagging, &read).await.expect(200);
        // The follower cannot hear of the revocation, and gets requests as soon as it goes on.
        cluster.pause(lagging);
        let revoke = with(Call::delete(format!("/api/v1/auth/tokens/{id}")), &admin);
        caller.ask(leader, &revoke).await.expect(200);
        let sent = [(write.clone(), caller.clone()), (read.clone(), caller.clone())]
            .map(|(call, caller)| tokio::spawn(async move { caller.ask(lagging, &call).await }));
        // Both wait in the socket of the process that is stopped.
        tokio::time::sleep(Duration::from_millis(200)).await;
        cluster.resume(lagging);
        for answer in sent {
            answer.await.expect("no panic").problem(401, "unauthorized");
        }
        for node in caller.all() {
            caller.ask(node, &write).await.problem(401, "unauthorized");
        }
        let listed = caller.ask(leader, &Call::get("/api/v1/products")).await.expect(200);
        let count = listed.json()["data"].as_array().expect("a list").len();
        assert_eq!(count, round, "no write of a revoked token counts");
    }
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_writes_after_credentials_are_required() {
    let mut cluster = Cluster::start("nobody_writes_after_credentials").await;
    let leader = cluster.leader().await;
    let lagging = cluster.follower().await;
    let caller = cluster.caller().clone();
    let scopes = ["auth:admin", "catalog:read", "cluster:read"];
    let (admin, _) = token(&caller, leader, &scopes).await;
    let product = json!({"name": "Widget", "price": "1.00", "stock": 50});
    let write = Call::post("/api/v1/products", &product);
    caller.ask(lagging, &write).await.expect(201);
    cluster.pause(lagging);
    let mode = |mode: &str| with(Call::put("/api/v1/auth/mode", &json!({ "mode": mode })), &admin);
    caller.ask(leader, &mode("required")).await.expect(200);
    let late = tokio::spawn({
        let (caller, write) = (caller.clone(), write.clone());
        async move { caller.ask(lagging, &write).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    cluster.resume(lagging);
    late.await.expect("no panic").problem(401, "unauthorized");
    let read = with(Call::get("/api/v1/products"), &admin);
    let listed = caller.ask(lagging, &read).await.expect(200);
    assert_eq!(listed.json()["data"].as_array().map(Vec::len), Some(1));
    // The mode and the tokens survive a restart of all nodes.
    cluster.kill_all();
    cluster.restart_all();
    cluster.wait_ready().await;
    for node in caller.all() {
        caller.ask(node, &write).await.problem(401, "unauthorized");
        caller.ask(node, &read).await.expect(200);
    }
    caller.ask(leader, &mode("off")).await.expect(200);
    caller.ask(lagging, &write).await.expect(201);
    cluster.agree().await;
}
