//! The list of orders: filters, page numbers at their edges, and cursors.

use serde_json::{Value, json};
use tests::seed::any_node;
use tests::shop::{self, ORDERS, id};
use tests::{Call, Cluster, Options};

/// The known properties of one order.
#[derive(Debug, Clone)]
struct Placed {
    id: u64,
    user: u64,
    products: Vec<u64>,
    status: &'static str,
}

/// A cluster with 123 orders of known users, products and statuses.
struct Fixture {
    cluster: Cluster,
    products: [u64; 2],
    /// Newest first.
    orders: Vec<Placed>,
}

impl Fixture {
    async fn build(test: &str) -> Self {
        let cluster = Options::new(test).flag("--payment-success-rate", "1").start().await;
        let caller = cluster.caller();
        let mut random = cluster.random(1);
        let products = [
            shop::create_product(caller, &mut random, "1.00", 10_000).await,
            shop::create_product(caller, &mut random, "2.00", 10_000).await,
        ];
        let mut orders = Vec::new();
        for number in 0..123_u64 {
            let user = 1 + number % 3;
            let wanted = match number % 5 {
                0 => vec![products[1]],
                1 => products.to_vec(),
                _ => vec![products[0]],
            };
            let (method, status) = match number % 7 {
                0 | 1 => ("none", "CANCELLED"),
                2 => ("mock", "PAID"),
                _ => ("none", "PENDING"),
            };
            let items: Vec<Value> = wanted
                .iter()
                .map(|product| json!({"product_id": product, "quantity": 1}))
                .collect();
            let body = json!({"user_id": user, "items": items, "payment_method": method});
            let answer = caller.ask_any(&mut random, &shop::place(&body)).await.expect(201);
            let order = id(&answer.data());
            if status == "CANCELLED" {
                caller.ask_any(&mut random, &shop::cancel(order)).await.expect(200);
            }
            orders.push(Placed { id: order, user, products: wanted, status });
        }
        for placed in orders.iter().filter(|placed| placed.status == "PAID") {
            shop::settled(caller, 1, placed.id).await;
        }
        orders.reverse();
        Self { cluster, products, orders }
    }

    /// The ids of the orders that `keep` selects, newest first.
    fn ids(&self, keep: impl Fn(&Placed) -> bool) -> Vec<u64> {
        self.orders.iter().filter(|placed| keep(placed)).map(|placed| placed.id).collect()
    }

    /// One page from a random node: ids and `meta`.
    async fn page(&self, query: &str) -> (Vec<u64>, Value) {
        let node = any_node(&mut self.cluster.random(query.len() as u64), 3);
        let answer = self.cluster.caller().get(node, &format!("{ORDERS}?{query}")).await;
        let body = answer.expect(200).json();
        assert_eq!(body["success"], true, "{body}");
        let orders = body["data"].as_array().expect("a list of orders");
        orders.iter().for_each(shop::assert_order);
        (orders.iter().map(id).collect(), body["meta"].clone())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_are_listed_filtered_and_paged() {
    let fixture = Fixture::build("orders_are_listed_filtered_and_paged").await;
    check_default_page(&fixture).await;
    check_filters(&fixture).await;
    check_page_edges(&fixture).await;
    check_cursors(&fixture).await;
    check_bad_queries(&fixture).await;
    check_new_orders_during_a_walk(&fixture).await;
}

async fn check_default_page(fixture: &Fixture) {
    let all = fixture.ids(|_| true);
    let (ids, meta) = fixture.page("").await;
    assert_eq!(ids, all[..15], "newest first, fifteen by default");
    assert_eq!(meta["current_page"], 1, "{meta}");
    assert_eq!(meta["per_page"], 15, "{meta}");
    assert_eq!(meta["total"], 123, "{meta}");
    assert_eq!(meta["last_page"], 9, "{meta}");
    assert_eq!(meta["has_more"], true, "{meta}");
}

async fn check_filters(fixture: &Fixture) {
    let [first, second] = fixture.products;
    let mut cases: Vec<(String, Vec<u64>)> = Vec::new();
    for user in 1..=3 {
        cases.push((format!("user_id={user}"), fixture.ids(|placed| placed.user == user)));
    }
    for status in ["PENDING", "PAID", "CANCELLED", "PROCESSING", "FAILED"] {
        cases.push((format!("status={status}"), fixture.ids(|placed| placed.status == status)));
    }
    for product in [first, second] {
        let wanted = fixture.ids(|placed| placed.products.contains(&product));
        cases.push((format!("product_id={product}"), wanted));
    }
    cases.push((
        format!("user_id=2&status=CANCELLED&product_id={second}"),
        fixture.ids(|placed| {
            placed.user == 2 && placed.status == "CANCELLED" && placed.products.contains(&second)
        }),
    ));
    cases.push((
        format!("product_id={first}&user_id=3"),
        fixture.ids(|placed| placed.user == 3 && placed.products.contains(&first)),
    ));
    cases.push(("user_id=77".to_owned(), Vec::new()));
    cases.push(("product_id=77777".to_owned(), Vec::new()));
    for (filter, wanted) in cases {
        let mut seen = Vec::new();
        for page in 1.. {
            let (ids, meta) = fixture.page(&format!("{filter}&per_page=50&page={page}")).await;
            assert_eq!(meta["total"], wanted.len(), "{filter}: {meta}");
            assert_eq!(meta["last_page"], wanted.len().div_ceil(50).max(1), "{filter}: {meta}");
            seen.extend(ids);
            if meta["has_more"] == false {
                break;
            }
        }
        assert_eq!(seen, wanted, "{filter}");
    }
}

async fn check_page_edges(fixture: &Fixture) {
    let all = fixture.ids(|_| true);
    // (per_page, page, the slice of all orders, whether more follow)
    let cases = [
        (1, 1, 0..1, true),
        (1, 123, 122..123, false),
        (50, 1, 0..50, true),
        (50, 2, 50..100, true),
        (50, 3, 100..123, false),
        (15, 9, 120..123, false),
        (41, 3, 82..123, false),
        (50, 4, 123..123, false),
        (15, 10, 123..123, false),
        (50, 1_000_000, 123..123, false),
    ];
    for (per_page, page, range, more) in cases {
        let (ids, meta) = fixture.page(&format!("per_page={per_page}&page={page}")).await;
        assert_eq!(ids, all[range], "page {page} of {per_page}: {meta}");
        assert_eq!(meta["current_page"], page, "{meta}");
        assert_eq!(meta["per_page"], per_page, "{meta}");
        assert_eq!(meta["total"], 123, "{meta}");
        assert_eq!(meta["last_page"], 123_u64.div_ceil(per_page), "{meta}");
        assert_eq!(meta["has_more"], more, "page {page} of {per_page}: {meta}");
    }
}

/// Follows the cursors to the end.
async fn walk(fixture: &Fixture, first: &str, filter: &str, limit: usize) -> Vec<u64> {
    let mut seen = Vec::new();
    let mut query = first.to_owned();
    for _ in 0..200 {
        let (ids, meta) = fixture.page(&query).await;
        assert!(ids.len() <= limit, "{query}");
        seen.extend(ids);
        assert_eq!(meta["has_more"], meta["next_cursor"].is_string(), "{query}: {meta}");
        match meta["next_cursor"].as_str() {
            Some(cursor) => query = format!("{filter}limit={limit}&cursor={cursor}"),
            None => return seen,
        }
    }
    panic!("the walk from {first} does not end");
}

async fn check_cursors(fixture: &Fixture) {
    let all = fixture.ids(|_| true);
    for limit in [1, 7, 41, 123, 1_000] {
        let seen = walk(fixture, &format!("limit={limit}"), "", limit).await;
        assert_eq!(seen, all, "every order once, newest first, {limit} at a time");
    }
    let pending = fixture.ids(|placed| placed.status == "PENDING" && placed.user == 1);
    let filter = "status=PENDING&user_id=1&";
    let seen = walk(fixture, &format!("{filter}limit=4"), filter, 4).await;
    assert_eq!(seen, pending);
}

async fn check_bad_queries(fixture: &Fixture) {
    let bad = [
        "per_page=0",
        "per_page=51",
        "per_page=-1",
        "per_page=x",
        "per_page=1.5",
        "per_page=99999999999999999999999",
        "page=0",
        "page=-1",
        "page=x",
        "page=1e1",
        "page=18446744073709551616",
        "limit=0",
        "limit=1001",
        "limit=-5",
        "limit=many",
        "status=pending",
        "status=NOPE",
        "user_id=0",
        "user_id=x",
        "user_id=-1",
        "user_id=1.0",
        "product_id=0",
        "product_id=abc",
        "product_id=99999999999999999999",
        "cursor=%00",
        "cursor=garbage!",
        "cursor=-1",
    ];
    for query in bad {
        let answer = fixture.cluster.caller().get(2, &format!("{ORDERS}?{query}")).await;
        let problem = answer.problem(422, "validation_error");
        let field = query.split('=').next().expect("a name");
        assert!(problem["errors"][field].is_array(), "{query}: {problem}");
    }
    // A broken query or a duplicate parameter is malformed or invalid.
    for query in ["page=1&page=2", "status=PAID&status=PENDING", "page=%zz", "page=%"] {
        let answer = fixture.cluster.caller().get(3, &format!("{ORDERS}?{query}")).await;
        assert!(matches!(answer.status, 400 | 422), "{query}: {}", answer.status);
        answer.problem_of_any_kind();
    }
    // Parameters without a value are ignored, unknown ones are not.
    let (ids, _) = fixture.page("per_page=3&status=&user_id=").await;
    assert_eq!(ids.len(), 3);
    let answer = fixture.cluster.caller().get(1, &format!("{ORDERS}?colour=red")).await;
    answer.problem(422, "validation_error");
}

async fn check_new_orders_during_a_walk(fixture: &Fixture) {
    let before = fixture.ids(|_| true);
    let caller = fixture.cluster.caller();
    let (mut seen, meta) = fixture.page("limit=50").await;
    let place = shop::place(&shop::order(fixture.products[0], 1, "none"));
    let newest = id(&caller.ask(1, &place).await.expect(201).data());
    let cursor = meta["next_cursor"].as_str().expect("more follow");
    let first = format!("limit=50&cursor={cursor}");
    seen.extend(walk(fixture, &first, "", 50).await);
    assert_eq!(seen, before, "a new order moves nothing behind the cursor");
    let (ids, meta) = fixture.page("per_page=2").await;
    assert_eq!(ids, [newest, before[0]]);
    assert_eq!(meta["total"], 124);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_list_is_a_page_without_orders() {
    let cluster = Cluster::start("an_empty_list").await;
    for node in cluster.caller().all() {
        let answer = cluster.caller().ask(node, &Call::get(ORDERS)).await.expect(200);
        let body = answer.json();
        assert_eq!(body["data"], json!([]), "{body}");
        assert_eq!(body["meta"]["total"], 0, "{body}");
        assert_eq!(body["meta"]["last_page"], 1, "{body}");
        assert_eq!(body["meta"]["has_more"], false, "{body}");
        assert_eq!(body["meta"]["next_cursor"], Value::Null, "{body}");
    }
}
