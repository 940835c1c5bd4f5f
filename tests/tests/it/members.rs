//! Nodes that join, leave and are replaced while clients go on, and changes that are refused.

use std::time::Duration;

use client::wire::OrderRequest;
use serde_json::{Value, json};
use tests::load::Load;
use tests::{Call, Cluster, Options, cluster, shop, wait};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The members in the view of a node: id, and whether it votes.
async fn members(cluster: &Cluster, node: u64) -> Vec<(u64, bool)> {
    let view = cluster.view(node).await;
    let members = view["members"].as_array().expect("members").iter();
    let votes = |member: &Value| member["role"] != "learner";
    members.map(|member| (member["id"].as_u64().expect("an id"), votes(member))).collect()
}

/// Waits until every running node sees exactly these voters.
async fn until_voters(cluster: &Cluster, voters: &[u64]) {
    let expected: Vec<(u64, bool)> = voters.iter().map(|id| (*id, true)).collect();
    wait::until("the members were as wanted", wait::READY, async || {
        for id in cluster.active().into_iter().filter(|id| voters.contains(id)) {
            let seen = members(cluster, id).await;
            if seen != expected {
                return Err(format!("node {id} sees {seen:?}"));
            }
        }
        Ok(())
    })
    .await;
}

/// Runs the binary as a client of a node; returns whether it succeeded, and its output.
fn command(cluster: &Cluster, node: u64, words: &[&str]) -> (bool, String) {
    let url = format!("http://{}", cluster.caller().address(node));
    let output = cluster::holdfast().args(words).args(["--url", &url]).output();
    let output = output.expect("the binary under test can be started");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

async fn add(cluster: &Cluster, node: u64, body: Value) -> tests::Answer {
    cluster.caller().ask(node, &Call::post("/api/v1/cluster/members", &body)).await
}

async fn remove(cluster: &Cluster, node: u64, id: u64) -> tests::Answer {
    let path = format!("/api/v1/cluster/members/{id}");
    cluster.caller().ask(node, &Call::delete(path)).await
}

async fn product(cluster: &Cluster) -> u64 {
    let mut random = cluster.random(1);
    shop::create_product(cluster.caller(), &mut random, "1.00", 1_000_000).await
}

/// Waits until a node reports that it was removed.
async fn until_it_says_removed(cluster: &Cluster, id: u64) {
    wait::until("the node said that it was removed", wait::READY, async || {
        let answer = cluster.caller().get(id, "/readyz").await;
        let text = answer.text();
        match answer.status == 503 && text.contains("removed from the cluster") {
            true => Ok(()),
            false => Err(text),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_join_under_load_and_one_leaves() {
    let mut cluster = Cluster::start("two_nodes_join_under_load_and_one_leaves").await;
    let product = product(&cluster).await;
    let load = Load::start(cluster.caller(), cluster.seed(), product, "none", 4);
    load.progress(50).await;
    let follower = cluster.follower().await;
    assert_eq!(cluster.join(follower, None), 4);
    cluster.wait_node_ready(4).await;
    until_voters(&cluster, &[1, 2, 3, 4]).await;
    assert_eq!(cluster.join(4, None), 5);
    cluster.wait_node_ready(5).await;
    until_voters(&cluster, &[1, 2, 3, 4, 5]).await;
    load.progress(50).await;
    // Five nodes tolerate the loss of two, so the new ones vote.
    let leader = cluster.leader().await;
    let lost: Vec<u64> = (1..=3).filter(|id| *id != leader).collect();
    lost.iter().for_each(|id| cluster.kill(*id));
    load.progress(50).await;
    lost.iter().for_each(|id| cluster.restart(*id));
    cluster.wait_ready().await;
    load.progress(50).await;

    let id = cluster.follower().await;
    let other = cluster.active().into_iter().find(|other| *other != id).expect("five run");
    let (done, said) = command(&cluster, other, &["members", "remove", "--id", &id.to_string()]);
    assert!(done, "{said}");
    until_it_says_removed(&cluster, id).await;
    let term = cluster.view(other).await["term"].clone();
    load.progress(100).await;
    assert_eq!(cluster.view(other).await["term"], term, "it disturbs nobody");
    let record = load.stop().await;
    let left: Vec<u64> = (1..=5).filter(|left| *left != id).collect();
    until_voters(&cluster, &left).await;
    assert!(cluster.stop(id).await.success());
    record.assert_kept(cluster.caller(), &left).await;
    cluster.agree().await;

    // From now on nodes read members and addresses from their data.
    let (done, said) = command(&cluster, other, &["members", "list"]);
    assert!(done && said.lines().count() == 5, "a head and four members: {said}");
    cluster.kill_all();
    left.iter().for_each(|id| cluster.restart(*id));
    cluster.wait_ready().await;
    until_voters(&cluster, &left).await;
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_node_is_replaced_and_its_old_id_stays_out() {
    let mut cluster = Cluster::start("a_wiped_node_is_replaced").await;
    let product = product(&cluster).await;
    let load = Load::start(cluster.caller(), cluster.seed(), product, "none", 4);
    load.progress(50).await;
    let lost = cluster.follower().await;
    let others: Vec<u64> = cluster.active().into_iter().filter(|id| *id != lost).collect();
    cluster.kill(lost);
    cluster.wipe(lost);
    // A node with another id replaces it: it gets the vote in the step that removes the lost one.
    let id = cluster.join(others[0], Some(lost));
    cluster.wait_node_ready(id).await;
    let now: Vec<u64> = others.iter().copied().chain([id]).collect();
    until_voters(&cluster, &now).await;
    load.progress(50).await;
    // The lost node comes back empty under its old id and name, and is refused.
    cluster.restart(lost);
    wait::until("the peers refused it", wait::READY, async || {
        match cluster.log_text(lost).contains("the cluster refuses this node") {
            true => Ok(()),
            false => Err("it has not heard".into()),
        }
    })
    .await;
    until_it_says_removed(&cluster, lost).await;
    let used = add(&cluster, id, json!({"id": lost, "raft_addr": "127.0.0.1:1"})).await;
    used.problem(409, "member_conflict");
    // Three nodes tolerate the loss of one, so the new one counts.
    cluster.kill(others[1]);
    load.progress(50).await;
    cluster.restart(others[1]);
    cluster.wait_node_ready(others[1]).await;
    let record = load.stop().await;
    cluster.kill(lost);
    record.assert_kept(cluster.caller(), &now).await;
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_moves_when_asked_and_a_leader_leaves_without_a_stop() {
    let mut cluster = Options::new("leadership_moves_when_asked").alone().start().await;
    let product = product(&cluster).await;
    let load = Load::start(cluster.caller(), cluster.seed(), product, "none", 4);
    load.progress(50).await;
    let leader = cluster.leader().await;
    let (to, third) = (leader % 3 + 1, (leader + 1) % 3 + 1);
    let path = "/api/v1/cluster/transfer-leader";
    let call = Call::post(path, &json!({"to": to}));
    let moved = cluster.caller().ask(third, &call).await.expect(200).data();
    assert_eq!(moved["leader_id"], to);
    let start = tokio::time::Instant::now();
    let (done, said) = command(&cluster, third, &["transfer-leader", "--to", &leader.to_string()]);
    assert!(done && said.contains(&format!("leader node {leader}")), "{said}");
    cluster.caller().ask(to, &Call::new("POST", path)).await.expect(200);
    let now = cluster.leader().await;
    assert_ne!(now, leader, "anybody but who led");
    load.progress(50).await;
    // The leader is asked to remove itself.
    let left: Vec<u64> = (1..=3).filter(|id| *id != now).collect();
    remove(&cluster, now, now).await.expect(200);
    until_it_says_removed(&cluster, now).await;
    load.progress(50).await;
    let record = load.stop().await;
    let gap = record.longest_gap(start);
    println!("four leaders in turn: longest wait {gap:?}; asked again: {:?}", record.retries);
    assert!(gap < Duration::from_secs(3), "leadership is handed over: {gap:?}");
    until_voters(&cluster, &left).await;
    cluster.kill(now);
    record.assert_kept(cluster.caller(), &left).await;
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn senseless_changes_and_those_that_cost_the_majority_are_refused() {
    let mut cluster = Cluster::start("what_makes_no_sense_is_refused").await;
    let leader = cluster.leader().await;
    let (dead, alive) = (leader % 3 + 1, (leader + 1) % 3 + 1);
    let before = members(&cluster, leader).await;
    remove(&cluster, alive, 9).await.problem(409, "unknown_member");
    let elsewhere = json!({"id": dead, "raft_addr": "127.0.0.1:1"});
    add(&cluster, alive, elsewhere).await.problem(409, "member_conflict");
    let taken = json!({"id": 4, "raft_addr": cluster.raft_address(dead).to_string()});
    add(&cluster, alive, taken).await.problem(409, "member_conflict");
    let nobody = json!({"id": 4, "raft_addr": "127.0.0.1:1", "replaces": 9});
    add(&cluster, alive, nobody).await.problem(409, "unknown_member");
    add(&cluster, alive, json!({"id": 4})).await.problem(422, "validation_error");
    let transfer = |to: u64| Call::post("/api/v1/cluster/transfer-leader", &json!({"to": to}));
    let unknown = cluster.caller().ask(alive, &transfer(9)).await;
    unknown.problem(409, "unknown_member");

    cluster.kill(dead);
    wait::until("the dead one was missed", wait::READY, async || {
        let answer = cluster.caller().ask(alive, &transfer(dead)).await;
        match answer.status {
            409 => Ok(answer.problem(409, "cannot_lead")),
            other => Err(other.to_string()),
        }
    })
    .await;
    for id in [alive, leader] {
        remove(&cluster, alive, id).await.problem(409, "quorum_at_risk");
    }
    let (done, said) = command(&cluster, alive, &["members", "remove", "--id", &alive.to_string()]);
    assert!(!done && said.contains("majority") && said.contains("quorum_at_risk"), "{said}");
    assert_eq!(members(&cluster, leader).await, before, "nothing changed");
    // Without a leader every change is refused and nothing happens.
    cluster.kill(leader);
    let answer = remove(&cluster, alive, dead).await;
    assert!(matches!(answer.status, 503 | 504), "{}", answer.text());
    cluster.restart(leader);
    cluster.restart(dead);
    cluster.wait_ready().await;
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_fails_no_request_of_the_client_crate() {
    let options = Options::new("a_rolling_restart_fails_no_request").alone();
    let mut cluster = options.start().await;
    let product = product(&cluster).await;
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (urls, stop) = (cluster.caller().urls(), std::sync::Arc::clone(&stop));
        let client = client::Client::builder().base_urls(urls).build().expect("URLs");
        clients.spawn(async move {
            let mut orders = 0_u64;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let placed = client.create_order(&OrderRequest::of([(product, 1)])).await;
                let order = placed.unwrap_or_else(|error| panic!("order {orders}: {error:?}"));
                let read = client.order(order.id).await;
                read.unwrap_or_else(|error| panic!("read {orders}: {error:?}"));
                orders += 1;
            }
            orders
        });
    }
    for round in 0..2 {
        for id in 1..=3 {
            let status = cluster.stop(id).await;
            assert!(status.success(), "round {round}, node {id}: {status}");
            cluster.restart(id);
            cluster.wait_node_ready(id).await;
        }
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let orders: u64 = clients.join_all().await.into_iter().sum();
    println!("{orders} orders while every node was restarted twice");
    assert!(orders > 100, "clients went on: {orders}");
    let total = shop::order_total(cluster.caller(), 1, "").await;
    assert_eq!(total, orders, "each was placed once");
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_of_another_version_is_told_so() {
    let cluster = Cluster::start("a_peer_of_another_version").await;
    let mut stream = tokio::net::TcpStream::connect(cluster.raft_address(1)).await.expect("up");
    // The head of a hello in every version: magic, newest and oldest version, length 0.
    let mut hello = b"HFPL".to_vec();
    for number in [99_u16, 98, 0] {
        hello.extend_from_slice(&number.to_le_bytes());
    }
    stream.write_all(&hello).await.expect("sent");
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    tokio::time::timeout(Duration::from_secs(10), read).await.expect("closed").expect("read");
    assert_eq!(&answer[..4], b"HFPL");
    let number = |at: usize| u16::from_le_bytes([answer[at], answer[at + 1]]);
    let (newest, oldest, verdict) = (number(4), number(6), answer[10]);
    assert!(oldest <= newest && newest < 98, "it says what it speaks");
    assert_eq!(verdict, 1, "and that this is none of it");
    wait::until("its log says so", wait::READY, async || {
        let log = cluster.log_text(1);
        match log.contains("versions 98 to 99") && log.contains("upgrade one release") {
            true => Ok(()),
            false => Err(log),
        }
    })
    .await;
}
