//! Products: from creation to archive, versions, lists.

use serde_json::{Value, json};

use crate::harness::{Call, Fixture, order};

const PRODUCTS: &str = "/api/v1/products";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_product_is_created_changed_and_archived() {
    let fixture = Fixture::start().await;
    let body = json!({"name": "Laptop Gaming", "price": 15_000_000, "stock": 10, "sku": "LG-1", "max_per_order": 3});
    let answer = fixture.post(PRODUCTS, &body).await;
    let made = answer.expect(201)["data"].clone();
    assert_eq!(answer.header("location"), Some("/api/v1/products/1"));
    assert_eq!(answer.header("etag"), Some(format!("\"{}\"", made["version"]).as_str()));
    assert_eq!(
        (&made["price"], &made["price_minor"]),
        (&json!("15000000.00"), &json!(1_500_000_000))
    );
    assert_eq!(
        (&made["stock"], &made["available_stock"], &made["on_hand"]),
        (&json!(10), &json!(10), &json!(10))
    );
    assert_eq!((&made["sku"], &made["max_per_order"]), (&json!("LG-1"), &json!(3)));
    assert_eq!(fixture.get("/api/products/1").await.expect(200)["data"], made);

    fixture.post("/api/v1/orders", &order(1, 4)).await.problem(409, "purchase_limit_exceeded");
    fixture.post("/api/v1/orders", &order(1, 3)).await.expect(201);
    let whole = json!({"name": "Pro", "price": "18000000.5", "stock": 5});
    let replaced = fixture.send(Call::json("PUT", "/api/v1/products/1", &whole)).await.expect(200);
    let data = &replaced["data"];
    assert_eq!((&data["name"], &data["price"]), (&json!("Pro"), &json!("18000000.50")));
    assert_eq!((&data["sku"], &data["max_per_order"]), (&Value::Null, &Value::Null));
    // Reserved units stay: five are available on top of the three.
    assert_eq!(
        (&data["stock"], &data["reserved"], &data["on_hand"]),
        (&json!(5), &json!(3), &json!(8))
    );

    let patched =
        fixture.send(Call::json("PATCH", "/api/v1/products/1", &json!({"sku": "x"}))).await;
    let data = &patched.expect(200)["data"];
    assert_eq!(
        (&data["sku"], &data["name"], &data["stock"]),
        (&json!("x"), &json!("Pro"), &json!(5))
    );
    let patched =
        fixture.send(Call::json("PATCH", "/api/v1/products/1", &json!({"sku": null}))).await;
    assert_eq!(patched.expect(200)["data"]["sku"], Value::Null);

    let gone = fixture.send(Call::new("DELETE", "/api/v1/products/1")).await;
    assert_eq!(gone.expect(204), Value::Null);
    assert_eq!(gone.header("content-type"), None);
    fixture.get("/api/v1/products/1").await.problem(404, "not_found");
    fixture.send(Call::json("PUT", "/api/v1/products/1", &whole)).await.problem(404, "not_found");
    fixture.post("/api/v1/orders", &order(1, 1)).await.problem(404, "not_found");
    // Its open order still settles.
    fixture.post("/api/v1/orders/1/cancel", &json!({})).await.expect(200);
    fixture.send(Call::new("DELETE", "/api/v1/products/99")).await.problem(404, "not_found");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn if_match_protects_from_lost_updates() {
    let fixture = Fixture::start().await;
    let id = fixture.product("1.00", 10).await;
    let target = format!("{PRODUCTS}/{id}");
    let tag = fixture.get(&target).await.header("etag").unwrap().to_owned();
    let patch =
        |tag: &str| Call::json("PATCH", &target, &json!({"stock": 7})).header("if-match", tag);
    for stale in ["\"1\"", "\"abc\"", "W/\"1\"", "\"1\", \"2\""] {
        fixture.send(patch(stale)).await.problem(412, "version_mismatch");
    }
    for broken in ["1", "\"", "\"1\","] {
        fixture.send(patch(broken)).await.problem(400, "malformed_request");
    }
    let changed = fixture.send(patch(&tag)).await;
    changed.expect(200);
    let new = changed.header("etag").unwrap().to_owned();
    assert_ne!(new, tag);
    fixture.send(patch(&tag)).await.problem(412, "version_mismatch");
    fixture.send(patch(&format!("{tag}, {new}"))).await.expect(200);
    let tag = fixture.get(&target).await.header("etag").unwrap().to_owned();
    fixture.send(patch(&format!("W/{tag}"))).await.expect(200);
    fixture.send(patch(&format!("W/{tag}"))).await.problem(412, "version_mismatch");
    fixture.send(patch("*")).await.expect(200);
    // A sale changes the version too.
    let tag = fixture.get(&target).await.header("etag").unwrap().to_owned();
    fixture.post("/api/v1/orders", &order(id, 1)).await.expect(201);
    let delete = |tag: &str| Call::new("DELETE", &target).header("if-match", tag);
    fixture.send(delete(&tag)).await.problem(412, "version_mismatch");
    let tag = fixture.get(&target).await.header("etag").unwrap().to_owned();
    fixture.send(delete(&tag)).await.expect(204);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_of_products_and_unique_skus() {
    let fixture = Fixture::start().await;
    for i in 1..=5 {
        let body =
            json!({"name": format!("p{i}"), "price": "1", "stock": i, "sku": format!("s{i}")});
        fixture.post(PRODUCTS, &body).await.expect(201);
    }
    let taken = json!({"name": "x", "price": "1", "stock": 1, "sku": "s2"});
    fixture.post(PRODUCTS, &taken).await.invalid("sku");
    fixture.send(Call::new("DELETE", "/api/v1/products/2")).await.expect(204);
    fixture.post(PRODUCTS, &taken).await.expect(201);
    let ids = async |query: &str| -> (Vec<u64>, Value) {
        let list = fixture.get(&format!("{PRODUCTS}{query}")).await.expect(200);
        let ids = list["data"].as_array().unwrap().iter().map(|row| row["id"].as_u64().unwrap());
        (ids.collect(), list["meta"].clone())
    };
    let whole = (vec![1, 3, 4, 5, 6], json!({"next_cursor": null, "has_more": false}));
    assert_eq!(ids("").await, whole);
    assert_eq!(ids("?limit=2").await, (vec![1, 3], json!({"next_cursor": "3", "has_more": true})));
    assert_eq!(ids("?limit=2&cursor=3").await.0, [4, 5]);
    assert_eq!(ids("?limit=2&cursor=5").await, (vec![6], whole.1));
    assert_eq!(ids("?ids=5,1,2,99,5").await.0, [1, 5]);
    assert_eq!(ids("?ids=5,1,4&limit=2").await.1["next_cursor"], "4");
    for (query, field) in
        [("limit=0", "limit"), ("limit=10001", "limit"), ("cursor=x", "cursor"), ("ids=a", "ids")]
    {
        fixture.get(&format!("{PRODUCTS}?{query}")).await.invalid(field);
    }
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patch_without_fields_changes_nothing() {
    let fixture = Fixture::start().await;
    let id = fixture.product("1.00", 10).await;
    let target = format!("{PRODUCTS}/{id}");
    let before = fixture.get(&target).await;
    let tag = before.header("etag").unwrap();
    let patch = |body: Value| Call::json("PATCH", &target, &body);
    for body in [json!({}), json!({"colour": "red"})] {
        for call in [
            patch(body.clone()),
            patch(body.clone()).header("if-match", tag),
            patch(body.clone()).header("if-match", &format!("\"1\", W/{tag}")),
            patch(body.clone()).header("if-match", "*"),
        ] {
            let answer = fixture.send(call).await;
            assert_eq!(answer.expect(200), before.json());
            assert_eq!(answer.header("etag"), Some(tag));
        }
        let stale = patch(body.clone()).header("if-match", "\"1\"");
        fixture.send(stale).await.problem(412, "version_mismatch");
        let missing = Call::json("PATCH", "/api/v1/products/99", &body);
        fixture.send(missing).await.problem(404, "not_found");
    }
    fixture.send(patch(json!({"name": null}))).await.invalid("name");
    // Null is a change where it removes a limit.
    let limit = fixture.send(patch(json!({"max_per_order": null}))).await;
    limit.expect(200);
    assert_ne!(limit.header("etag"), Some(tag));
    fixture.stop().await;
}
