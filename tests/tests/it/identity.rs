//! Data directories: which node may use one, and what happens to a node that lost its own.

use tests::load::Load;
use tests::shop;
use tests::{Call, Cluster, Options, wait};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_directory_cannot_come_back_under_its_old_id() {
    let mut cluster = Cluster::start("an_emptied_directory_cannot_come_back").await;
    let mut random = cluster.random(1);
    let product = shop::create_product(cluster.caller(), &mut random, "1.00", 100_000).await;
    let load = Load::start(cluster.caller(), cluster.seed(), product, "none", 4);
    load.progress(30).await;
    let lost = cluster.follower().await;
    cluster.kill(lost);
    cluster.wipe(lost);
    cluster.restart(lost);
    // Its peers notice that it is another data directory, and log that. The node may end by itself
    // or wait for ever, but never joins the cluster.
    let others: Vec<u64> = cluster.active().into_iter().filter(|id| *id != lost).collect();
    wait::until("the peers refused the stranger", wait::READY, async || {
        let told = others.iter().filter(|id| refusals(&cluster.log_text(**id)) > 0).count();
        if told == others.len() { Ok(()) } else { Err(format!("{told} of {others:?}")) }
    })
    .await;
    // Clients that ask this node wait for its refusal before they ask another one.
    load.progress(10).await;
    let caller = cluster.caller().clone();
    if let Ok(answer) = caller.send(lost, &Call::get("/readyz")).await {
        answer.expect(503);
        let view = cluster.view(lost).await;
        assert_eq!(view["applied_index"], 0, "nothing reaches it: {view}");
    }
    // A node counts as healthy for some seconds after its last message.
    wait::until("the others call it unhealthy", wait::READY, async || {
        for id in &others {
            let view = cluster.view(*id).await;
            let members = view["members"].as_array().expect("members");
            let member = members.iter().find(|member| member["id"] == lost).expect("still listed");
            if member["healthy"] != false {
                return Err(view.to_string());
            }
        }
        Ok(())
    })
    .await;
    // The other two still elect a leader without the vote of the emptied node.
    cluster.kill(lost);
    let record = load.stop().await;
    record.assert_kept(cluster.caller(), &others).await;
    cluster.agree().await;
}

/// How often a log reports that a peer was refused for its identity.
fn refusals(log: &str) -> usize {
    log.lines().filter(|line| line.contains("a peer was refused")).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_serves_only_its_own_node_and_cluster() {
    let mut cluster = Cluster::start("a_directory_serves_only_its_own_node").await;
    let mut random = cluster.random(1);
    let product = shop::create_product(cluster.caller(), &mut random, "1.00", 10).await;
    let data = cluster.data_dir(2).to_owned();
    let own = cluster.flags().to_vec();

    // In use by a running node.
    let (status, said) = cluster.refused(2, &data, &own).await;
    assert!(!status.success(), "{status}");
    assert!(said.contains("in use"), "says why: {said}");
    assert!(said.contains(&data.display().to_string()), "says which: {said}");

    cluster.kill(2);
    // Another cluster's.
    let mut foreign = own.clone();
    foreign[1] = "somebody-elses".to_owned();
    let (status, said) = cluster.refused(2, &data, &foreign).await;
    assert!(!status.success(), "{status}");
    assert!(said.contains("somebody-elses") && said.contains(&own[1]), "says whose: {said}");

    // Another node's.
    let (status, said) = cluster.refused(3, &data, &own).await;
    assert!(!status.success(), "{status}");
    assert!(said.contains("node 2") && said.contains("node 3"), "says whose: {said}");

    // The refused startups changed nothing.
    cluster.restart(2);
    cluster.wait_ready().await;
    assert_eq!(shop::product(cluster.caller(), 2, product).await["stock"], 10);
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_directory_is_refused_with_the_file_named() {
    let mut cluster = Options::new("a_damaged_directory_is_refused").start().await;
    let mut random = cluster.random(1);
    let product = shop::create_product(cluster.caller(), &mut random, "1.00", 10).await;
    let victim = cluster.follower().await;
    cluster.kill(victim);
    let identity = cluster.data_dir(victim).join("identity");
    let sound = std::fs::read(&identity).expect("a node's data has an identity");
    let own = cluster.flags().to_vec();
    let data = cluster.data_dir(victim).to_owned();
    for damaged in [&sound[..sound.len() / 2], b"", &flipped(&sound)] {
        std::fs::write(&identity, damaged).expect("a stopped node's file can be written");
        let (status, said) = cluster.refused(victim, &data, &own).await;
        assert!(!status.success(), "{status}");
        assert!(said.contains("identity"), "names the file: {said}");
    }
    std::fs::write(&identity, &sound).expect("a stopped node's file can be written");
    cluster.restart(victim);
    cluster.wait_ready().await;
    assert_eq!(shop::product(cluster.caller(), victim, product).await["stock"], 10);
    cluster.agree().await;
}

/// The same bytes with one bit changed in the middle.
fn flipped(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bytes
}
