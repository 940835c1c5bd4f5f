//! Nodes that come back at other addresses, and `--peer` lists that the cluster does not follow.

use serde_json::Value;
use tests::load::Load;
use tests::{Cluster, Options, shop, wait};

/// The raft addresses of the members in the view of a node, by id.
async fn addresses(cluster: &Cluster, node: u64) -> Vec<String> {
    let view = cluster.view(node).await;
    let members = view["members"].as_array().expect("members").iter();
    let address = |member: &Value| member["raft_addr"].as_str().expect("a text").to_owned();
    members.map(address).collect()
}

/// Waits until every running node knows all members where they listen, and calls them healthy.
async fn until_found(cluster: &Cluster) {
    let expected: Vec<String> = (1..=3).map(|id| cluster.raft_address(id).to_string()).collect();
    wait::until("the membership followed", wait::READY, async || {
        for node in cluster.active() {
            let known = addresses(cluster, node).await;
            if known != expected {
                return Err(format!("node {node} knows {known:?}, not {expected:?}"));
            }
            let view = cluster.view(node).await;
            let mut members = view["members"].as_array().expect("members").iter();
            if !members.all(|member| member["healthy"] == true) {
                return Err(view.to_string());
            }
        }
        Ok(())
    })
    .await;
}

/// The warnings in the view of a node, as one text.
async fn warnings(cluster: &Cluster, node: u64) -> String {
    cluster.view(node).await["warnings"].to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_three_nodes_at_other_addresses_are_found_and_the_membership_follows() {
    let mut cluster = Cluster::start("two_of_three_at_other_addresses").await;
    let mut random = cluster.random(1);
    let product = shop::create_product(cluster.caller(), &mut random, "1.00", 100_000).await;
    let listed_before = cluster.peers().to_vec();
    let load = Load::start(cluster.caller(), cluster.seed(), product, "none", 4);
    load.progress(30).await;
    let moved: Vec<u64> = vec![cluster.leader().await % 3 + 1, cluster.leader().await];
    for id in &moved {
        cluster.kill(*id);
        cluster.move_raft(*id);
    }
    for id in &moved {
        cluster.restart(*id);
    }
    // One of those that moved is needed for anybody to lead, and nobody told the third one.
    cluster.wait_ready().await;
    until_found(&cluster).await;
    load.progress(30).await;
    let stayed = (1..=3).find(|id| !moved.contains(id)).expect("one of three");
    assert!(cluster.log_text(stayed).contains("a peer is at another address now"));
    assert_eq!(warnings(&cluster, stayed).await.matches("is listed at").count(), 2);

    // The membership holds what they found: nothing else tells them now.
    cluster.forget_peers();
    for id in 1..=3 {
        cluster.kill(id);
    }
    cluster.restart_all();
    cluster.wait_ready().await;
    until_found(&cluster).await;
    load.progress(30).await;

    // An old list changes nothing, and is said.
    cluster.set_peers(listed_before);
    cluster.kill(stayed);
    cluster.restart(stayed);
    cluster.wait_node_ready(stayed).await;
    assert!(cluster.log_text(stayed).contains("the --peer list is not in effect"));
    assert_eq!(warnings(&cluster, stayed).await.matches("is listed at").count(), 2);
    let metrics = cluster.caller().get(stayed, "/metrics").await.text();
    assert!(metrics.contains("\nwarnings 1\n"), "{metrics}");
    load.stop().await.assert_kept(cluster.caller(), &[1, 2, 3]).await;
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_started_alone_says_that_later_peers_are_no_members() {
    let mut cluster = Options::new("a_node_that_was_started_alone").nodes(1).start().await;
    let mut peers = cluster.peers().to_vec();
    peers.extend(["2=127.0.0.1:1".to_owned(), "3=127.0.0.1:2".to_owned()]);
    cluster.set_peers(peers);
    cluster.kill(1);
    cluster.restart(1);
    cluster.wait_ready().await;
    let said = warnings(&cluster, 1).await;
    for part in ["(nodes 1)", "node 2 is no member", "node 3 is no member", "--join"] {
        assert!(said.contains(part), "{said}");
    }
    assert!(cluster.log_text(1).contains("the --peer list is not in effect"));
}
