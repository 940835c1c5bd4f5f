//! Interfaces for operators and monitors: probes, metrics, the view of the cluster, `holdfast dev`.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tests::shop::{self, ORDERS, PRODUCTS};
use tests::{Call, Caller, Cluster, Options, cluster, wait};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_answers_probes_and_shows_the_cluster() {
    let cluster = Cluster::start("every_node_answers_probes").await;
    let caller = cluster.caller();
    let leader = cluster.leader().await;
    for node in caller.all() {
        for path in ["/health", "/api/health", "/api/v1/health"] {
            let health = caller.get(node, path).await.expect(200).json();
            assert_eq!(health["status"], "ok", "{path}: {health}");
            assert_eq!(health["node_id"], node, "{health}");
            assert_eq!(health["leader_id"], leader, "{health}");
            assert!(health["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')));
            for service in ["storage", "raft", "quorum"] {
                assert_eq!(health["services"][service], "ok", "{health}");
            }
            assert!(health["services"]["worker"].is_string(), "{health}");
        }
        caller.get(node, "/livez").await.expect(200);
        caller.get(node, "/readyz").await.expect(200);
        for path in ["/api/test", "/api/v1/test"] {
            let test = caller.get(node, path).await.expect(200).json();
            assert!(test["message"].is_string() && test["timestamp"].is_string(), "{test}");
        }
        let head = caller.ask(node, &Call::new("HEAD", "/livez")).await.expect(200);
        assert!(head.body.is_empty(), "HEAD has no body");

        // Followers hear of each other more slowly than of the leader.
        let view = wait::until("every member was heard from", wait::READY, async || {
            let view = cluster.view(node).await;
            let members = view["members"].as_array().expect("members");
            let healthy = members.iter().all(|member| member["healthy"] == true);
            if healthy { Ok(view) } else { Err(view.to_string()) }
        })
        .await;
        assert_eq!(view["node_id"], node, "{view}");
        assert_eq!(view["leader_id"], leader, "{view}");
        assert!(shop::count(&view, "commit_index") >= shop::count(&view, "applied_index"));
        let members = view["members"].as_array().expect("members");
        let ids: Vec<u64> = members.iter().map(shop::id).collect();
        assert_eq!(ids, [1, 2, 3], "{view}");
        for member in members {
            let id = shop::id(member);
            let address = format!("{}", caller.address(id));
            assert_eq!(member["http_addr"], address, "{view}");
            if id == leader {
                assert_eq!(member["role"], "leader", "{view}");
            } else if node == leader || node == id {
                assert_eq!(member["role"], "follower", "{view}");
            }
        }
    }
    let ids: Vec<Value> = {
        let mut ids = Vec::new();
        for node in caller.all() {
            ids.push(cluster.view(node).await["cluster_id"].clone());
        }
        ids
    };
    assert!(ids[0].is_string() && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

/// What `holdfast status` shows when it asks this node.
fn status_of(cluster: &Cluster, id: u64) -> Value {
    let url = format!("http://{}", cluster.caller().address(id));
    let output = cluster::holdfast().args(["status", "--json", "--url", &url]).output();
    let output = output.expect("the binary can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("it prints JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_shows_every_member_whichever_node_is_asked() {
    let mut cluster = Cluster::start("status_shows_every_member").await;
    let down = cluster.follower().await;
    for id in cluster.active() {
        let view = status_of(&cluster, id);
        assert!(view["log_entries_left"].as_u64() > Some(1 << 30), "{view}");
        assert_eq!(view["unsafe_settings"], json!(["--payment-gateway simulated"]), "{view}");
        let node = &view["node"];
        assert!(node["memory_limit_bytes"].as_u64() > node["memory_bytes"].as_u64(), "{view}");
        assert_eq!(node["disk_reserve_bytes"], 256 << 20, "{view}");
        for member in view["members"].as_array().expect("members") {
            assert_eq!(member["version"], node["version"], "{view}");
            assert_eq!(member["level_newest"], view["level_newest"], "{view}");
            assert!(member["uptime_seconds"].is_u64() && member["lag"].is_u64(), "{view}");
        }
    }
    let leader = cluster.leader().await;
    let metrics = cluster.caller().get(leader, "/metrics").await.expect(200).text();
    for name in ["peer_last_contact_ms", "peer_lag_entries"] {
        assert_eq!(metrics.matches(&format!("\n{name}{{peer=")).count(), 2, "{name}: {metrics}");
    }
    cluster.kill(down);
    let view = status_of(&cluster, leader);
    let members = view["members"].as_array().expect("members");
    let gone = members.iter().find(|member| shop::id(member) == down).expect("it is a member");
    assert_eq!(gone["version"], Value::Null, "{view}");
    assert_eq!(gone["level_newest"], view["level_newest"], "as it said before: {view}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_count_what_happened_alike_on_every_node() {
    let cluster = Cluster::start("metrics_count_what_happened").await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let product = shop::create_product(caller, &mut random, "1.00", 8).await;
    for _ in 0..6 {
        let place = shop::place(&shop::order(product, 1, "mock"));
        caller.ask_any(&mut random, &place).await.expect(201);
    }
    let gone = shop::place(&shop::order(product, 1, "none"));
    let gone = shop::id(&caller.ask_any(&mut random, &gone).await.expect(201).data());
    caller.ask_any(&mut random, &shop::cancel(gone)).await.expect(200);
    let refused = shop::place(&shop::order(product, 100, "none"));
    caller.ask_any(&mut random, &refused).await.problem(409, "insufficient_stock");
    shop::all_settled(caller, 1).await;
    cluster.agree().await;
    let paid = shop::order_total(caller, 1, "status=PAID").await;
    let failed = shop::order_total(caller, 1, "status=FAILED").await;
    assert_eq!(paid + failed, 6);
    for node in caller.all() {
        let answer = caller.get(node, "/metrics").await.expect(200);
        let kind = answer.header("content-type").expect("a content type");
        assert!(kind.starts_with("text/plain") || kind.contains("openmetrics"), "{kind}");
        let text = answer.text();
        assert_eq!(sum(&text, "orders_created_total", ""), Some(7.0), "{text}");
        assert_eq!(sum(&text, "orders_reserved_total", ""), Some(7.0), "{text}");
        assert_eq!(sum(&text, "orders_paid_total", ""), Some(paid as f64), "{text}");
        assert_eq!(sum(&text, "payment_success_total", ""), Some(paid as f64), "{text}");
        let declined = sum(&text, "orders_failed_total", "payment_declined");
        assert_eq!(declined, Some(failed as f64), "{text}");
        assert!(sum(&text, "http_request_duration_seconds_count", "").is_some_and(|n| n > 0.0));
        assert!(sum(&text, "inventory_reserve_latency_seconds_count", "").is_some(), "{text}");
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let value = line.rsplit(' ').next().expect("a value");
            assert!(value.parse::<f64>().is_ok_and(|value| value >= 0.0), "{line}");
        }
    }
}

/// The sum of a metric's samples whose labels contain `part`; `None` without such a sample.
fn sum(text: &str, name: &str, part: &str) -> Option<f64> {
    let mut samples = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let own = rest.starts_with(' ') || rest.starts_with('{');
        let (labels, value) = rest.rsplit_once(' ')?;
        (own && labels.contains(part)).then(|| value.parse::<f64>().expect("a number"))
    });
    let first = samples.next()?;
    Some(samples.fold(first, |sum, value| sum + value))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_lines_are_json_and_carry_no_secret_of_a_request() {
    let options = Options::new("log_lines_are_json");
    let cluster = options.flag("--log-filter", "info").start().await;
    let caller = cluster.caller();
    // Lines about single orders are DEBUG. Their filter changes while the node runs.
    let filter = json!({"filter": "info,http_api=debug", "seconds": 600});
    let filter = Call::put("/api/v1/admin/log-filter", &filter);
    let filter = caller.ask(1, &filter).await.expect(200).data();
    assert_eq!(filter["configured"], "info", "{filter}");
    let product = shop::create_product(caller, &mut cluster.random(1), "1.00", 8).await;
    let mut order = shop::order(product, 1, "none");
    order["user_id"] = json!(7);
    let place = shop::place(&order).header("x-trace-id", "in-the-log");
    caller.ask(1, &place).await.expect(201);
    let hold = json!({"product_id": product, "qty": 2});
    let hold = caller.ask(1, &Call::post("/api/v1/holds", &hold)).await.expect(201).data();
    let report = json!({"idempotency_key": "pay-1", "order_id": 1, "status": "success"});
    for _ in 0..2 {
        caller.ask(1, &Call::post("/api/v1/payments/webhook", &report)).await.expect(200);
    }
    let leader = cluster.leader().await;
    let told_by = |node: u64, event: &str, result: Option<&str>| {
        let text = cluster.log_text(node);
        let mut entries = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let found = entries
            .find(|it| it["event"] == event && result.is_none_or(|result| it["result"] == result));
        found.unwrap_or_else(|| panic!("no line tells {event}:\n{text}"))
    };
    let created = told_by(1, "order.created", None);
    assert_eq!((&created["order_id"], &created["user_id"]), (&json!(1), &json!(7)), "{created}");
    assert_eq!(created["trace_id"], "in-the-log", "{created}");
    let held = told_by(leader, "hold.created", None);
    assert_eq!(held["hold_id"], hold["hold_id"], "{held}");
    assert_eq!((&held["product_id"], &held["quantity"]), (&json!(product), &json!(2)), "{held}");
    assert!(held["expires_at_ms"].is_u64(), "{held}");
    let again = told_by(1, "payment.webhook", Some("duplicate"));
    assert_eq!(again["idempotency_key"], "pay-1", "{again}");
    assert_eq!(again["order_id"], 1, "{again}");
    for node in caller.all() {
        let text = cluster.log_text(node);
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with('{')).collect();
        assert!(!lines.is_empty(), "node {node} logs JSON: {text}");
        for line in lines {
            let entry: Value = serde_json::from_str(line).expect("a whole JSON line");
            assert!(entry["timestamp"].is_string(), "{line}");
            assert!(entry["level"].is_string(), "{line}");
        }
    }
}

/// `holdfast dev` as a child that ends with the test.
struct Dev(Child);

impl Dev {
    fn start(dir: &Path, http: SocketAddr, log: &str) -> Self {
        let output = fs::File::create(dir.join(log)).expect("a log file");
        let errors = output.try_clone().expect("a log file can be shared");
        let mut command = cluster::holdfast();
        command.args(["dev", "--http", &http.to_string(), "--payment-success-rate", "1"]);
        command.arg("--data").arg(dir.join("data")).current_dir(dir);
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        Self(command.spawn().expect("the binary under test can be started"))
    }

    /// Ctrl-C, then waits for the end.
    async fn interrupt(mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        let sent = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        sent.expect("an own child can be signalled");
        let status = wait::until("dev ended", Duration::from_secs(20), async || {
            let status = self.0.try_wait().expect("an own child can be waited for");
            status.ok_or_else(|| "still running".to_owned())
        })
        .await;
        assert!(status.success(), "Ctrl-C is a clean end: {status}");
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for the line with the example command, and returns it.
async fn curl_line(log: &Path) -> String {
    wait::until("dev printed a curl line", wait::READY, async || {
        let text = fs::read_to_string(log).unwrap_or_default();
        let line = text.lines().find(|line| line.contains("curl ") && line.contains("orders"));
        line.map(str::to_owned).ok_or(text)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dev_starts_three_nodes_with_samples_and_keeps_its_data() {
    let scratch = tests::cluster::Scratch::take("dev_starts_three_nodes").await;
    let first = scratch.dev_ports(3);
    let addresses = (0..3).map(|number| SocketAddr::new(first.ip(), first.port() + number));
    let caller = Caller::new(addresses.collect());
    let dev = Dev::start(scratch.path(), first, "first.log");
    let line = curl_line(&scratch.path().join("first.log")).await;
    let text = fs::read_to_string(scratch.path().join("first.log")).expect("its output");
    for url in caller.urls() {
        assert!(text.contains(&url), "{url} in {text}");
    }

    let products = caller.get(2, PRODUCTS).await.expect(200).data();
    let seen: Vec<(u64, &str, &str, u64)> = products
        .as_array()
        .expect("a list")
        .iter()
        .map(|product| {
            let text = |field: &str| product[field].as_str().expect("a text");
            (shop::id(product), text("name"), text("price"), shop::count(product, "stock"))
        })
        .collect();
    let samples = [
        (1, "Laptop Pro", "999.99", 50),
        (2, "Wireless Mouse", "29.99", 200),
        (3, "USB-C Hub", "49.99", 100),
        (4, "Mechanical Keyboard", "149.99", 75),
        (5, "Limited Edition Headphones", "299.99", 1),
    ];
    assert_eq!(seen, samples);
    for (user, name) in [(1, "Alice"), (2, "Bob"), (3, "Charlie")] {
        let data = caller.get(3, &format!("/api/v1/users/{user}")).await.expect(200).data();
        assert_eq!(data["name"], name);
    }

    // The line sends the JSON object between the outermost braces.
    let body = line.find('{').zip(line.rfind('}')).map(|(from, to)| &line[from..=to]);
    let body: Value = serde_json::from_str(body.expect("a body in the line")).expect("JSON");
    assert!(line.contains(&format!("{}{ORDERS}", caller.urls()[0])), "{line}");
    let order = shop::order_of(&caller.ask(1, &shop::place(&body)).await.expect(201));
    let order = shop::id(&order);
    for node in caller.all() {
        assert_eq!(shop::settled(&caller, node, order).await["status"], "PAID");
        assert_eq!(shop::product(&caller, node, 1).await["sold"], 1);
    }
    dev.interrupt().await;

    let dev = Dev::start(scratch.path(), first, "second.log");
    curl_line(&scratch.path().join("second.log")).await;
    for node in caller.all() {
        assert_eq!(shop::read_order(&caller, node, order).await["status"], "PAID");
        assert_eq!(shop::product(&caller, node, 1).await["stock"], 49);
    }
    let again = json!({"product_id": 5, "quantity": 1});
    caller.ask(2, &Call::post(format!("{ORDERS}/purchase"), &again)).await.expect(201);
    dev.interrupt().await;
}
