//! Backups of a cluster under load, new clusters made from them, and a cluster that is forced after
//! a majority is lost for good.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use tests::load::{Load, Record};
use tests::{Call, Cluster, Options, cluster, shop, wait};

fn run(words: &[&str]) -> Output {
    cluster::holdfast().args(words).output().expect("the binary under test can be started")
}

fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

/// Runs a command that must succeed and print one JSON object.
fn json(words: &[&str]) -> Value {
    let output = run(&[words, &["--json"]].concat());
    assert!(output.status.success(), "{words:?}: {}", said(&output));
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("paths of tests are text")
}

/// Takes a backup from a node; returns the file and the printed description.
fn back_up(cluster: &Cluster, node: u64, name: &str) -> (PathBuf, Value) {
    let file = cluster.dir().join(name);
    let url = format!("http://{}", cluster.caller().address(node));
    let told = json(&["backup", text(&file), "--url", &url]);
    let bytes = fs::metadata(&file).expect("the file is there").len();
    assert_eq!(told["bytes"].as_u64(), Some(bytes));
    (file, told)
}

/// Which acknowledged orders of a record a node knows under their keys; the others must be unknown.
async fn known(cluster: &Cluster, node: u64, record: &Record) -> Vec<bool> {
    let mut known = Vec::new();
    for order in &record.acknowledged {
        let path = format!("/api/v1/orders/by-key/{}", order.key);
        let data = cluster.caller().get(node, &path).await.expect(200).data();
        let state = data["state"].as_str().expect("a state").to_owned();
        assert!(state == "applied" || state == "unused", "{data}");
        if state == "applied" {
            assert_eq!(data["order"]["id"].as_u64(), Some(order.order), "{data}");
        }
        known.push(state == "applied");
    }
    known
}

fn in_full(record: &Record, known: &[bool]) -> usize {
    assert_eq!(record.acknowledged.len(), known.len());
    known.iter().filter(|known| **known).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_becomes_a_cluster_of_its_own() {
    let options = Options::new("a_backup_under_load").flag("--snapshot-log-mb", "1");
    let mut cluster = options.start().await;
    let mut random = cluster.random(1);
    let product = shop::create_product(cluster.caller(), &mut random, "1.00", 1_000_000).await;
    let load = Load::start(cluster.caller(), cluster.seed(), product, "none", 8);
    load.progress(200).await;
    let before = load.acknowledged();
    let leader = cluster.leader().await;
    let follower = leader % 3 + 1;
    let (file, told) = back_up(&cluster, follower, "under-load");
    load.progress(100).await;
    let again = run(&["backup", text(&file)]);
    assert_eq!(again.status.code(), Some(2), "never over a file that is there: {}", said(&again));
    let record = load.stop().await;
    // On an idle cluster, the digest equals that of every node at that index.
    let (_, at_rest) = back_up(&cluster, leader, "at-rest");
    cluster.agree().await;
    let view = cluster.view(follower).await;
    let place = |of: &Value, index: &str| (of[index].clone(), of["digest"].clone());
    assert_eq!(place(&at_rest, "index"), place(&view, "applied_index"));
    assert!(at_rest["index"].as_u64() > told["index"].as_u64());
    let checked = json(&["verify", "--backup", text(&file)]);
    assert_eq!(checked["sound"], true, "{checked}");

    // Check and restore both find a changed byte.
    let target = cluster.dir().join("node-1");
    let raft = cluster.raft_address(1).to_string();
    let restore = |file: &Path, name: &str| {
        let words = ["restore", text(file), "--data", text(&target), "--raft", &raft];
        run(&[&words[..], &["--id", "1", "--cluster", name, "--json"]].concat())
    };
    let sound = fs::read(&file).expect("readable");
    let damaged = cluster.dir().join("damaged");
    for at in [3, 7, 40, sound.len() / 3, sound.len() / 2, sound.len() - 1] {
        let mut bytes = sound.clone();
        bytes[at] ^= 1;
        fs::write(&damaged, bytes).expect("written");
        let checked = run(&["verify", "--backup", text(&damaged)]);
        assert_eq!(checked.status.code(), Some(1), "byte {at}: {}", said(&checked));
    }
    cluster.kill_all();
    (1..=3).for_each(|id| cluster.wipe(id));
    let refused = restore(&damaged, "copy");
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    let own_name = told["cluster_name"].as_str().expect("a name").to_owned();
    let refused = restore(&file, &own_name);
    assert!(!refused.status.success() && said(&refused).contains("another name"));
    let done = restore(&file, "copy");
    assert!(done.status.success(), "{}", said(&done));
    let begun: Value = serde_json::from_slice(&done.stdout).expect("one JSON object");
    assert_eq!(place(&begun, "index"), place(&told, "index"));
    assert_ne!(begun["cluster_id"], told["cluster_id"]);
    let refused = restore(&file, "copy");
    assert!(!refused.status.success() && said(&refused).contains("not empty"));

    cluster.set_flag("--cluster", "copy");
    cluster.forget_peers();
    cluster.restart(1);
    cluster.wait_node_ready(1).await;
    // The backup has every order that was acknowledged before it was requested.
    let known = known(&cluster, 1, &record).await;
    assert!(known[..before].iter().all(|known| *known), "{known:?}");
    let count = in_full(&record, &known);
    assert!(count < record.acknowledged.len(), "and what came later is not all there");
    println!("{count} of {} orders are in the backup", record.acknowledged.len());
    for id in [2, 3] {
        cluster.join_anew(id, 1);
        until_it_votes(&cluster, id).await;
    }
    let view = cluster.view(2).await;
    assert_eq!(
        (&view["cluster_id"], &view["payments_paused"]),
        (&begun["cluster_id"], &true.into())
    );
    // Keys still count once, orders go on, and payments go on once they are resumed.
    let first = &record.acknowledged[0];
    let same = shop::place(&shop::order(product, 1, "none")).key(&first.key);
    let replayed = cluster.caller().ask(3, &same).await.expect(200);
    assert_eq!(replayed.header("idempotent-replayed"), Some("true"));
    let other = shop::place(&shop::order(product, 2, "none")).key(&first.key);
    cluster.caller().ask(2, &other).await.problem(422, "idempotency_key_reused");
    let load = Load::start(cluster.caller(), cluster.seed(), product, "mock", 4);
    load.progress(50).await;
    let url = format!("http://{}", cluster.caller().address(3));
    let resumed = json(&["payments", "resume", "--url", &url]);
    assert_eq!(resumed["payments_paused"], false);
    let more = load.stop().await;
    more.assert_kept(cluster.caller(), &[1, 2, 3]).await;
    cluster.agree().await;
    let data = shop::product(cluster.caller(), 2, product).await;
    shop::assert_conserved(&data, 1_000_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_survivor_of_a_majority_becomes_a_cluster_and_old_nodes_stay_out() {
    let mut cluster =
        Cluster::start("a_survivor_of_a_majority_becomes_a_cluster_and_old_nodes_stay_out").await;
    let mut random = cluster.random(1);
    let product = shop::create_product(cluster.caller(), &mut random, "1.00", 1_000_000).await;
    let load = Load::start(cluster.caller(), cluster.seed(), product, "none", 8);
    load.progress(200).await;
    let record = load.stop().await;
    cluster.agree().await;
    let before = cluster.view(3).await;
    let data = cluster.data_dir(3).to_owned();
    let running = run(&["recover", "--data", text(&data), "--force-new-cluster"]);
    assert!(!running.status.success() && said(&running).contains("in use"), "{}", said(&running));
    cluster.kill_all();
    // One node is lost, and one comes back later.
    cluster.wipe(1);
    let looked = run(&["recover", "--data", text(&data)]);
    assert_eq!(looked.status.code(), Some(0), "{}", said(&looked));
    let text_of = said(&looked);
    for words in ["voters 1, 2, 3", "last index", "--force-new-cluster", "are lost"] {
        assert!(text_of.contains(words), "{words}: {text_of}");
    }
    let forced = json(&["recover", "--data", text(&data), "--force-new-cluster"]);
    let (survivor, begun) = (&forced["survivor"], &forced["begun"]);
    assert_eq!(survivor["cluster_id"], before["cluster_id"]);
    assert!(survivor["last_index"].as_u64() >= before["applied_index"].as_u64(), "{survivor}");
    assert_eq!(begun["index"], survivor["last_index"]);

    cluster.restart(3);
    cluster.wait_node_ready(3).await;
    let view = cluster.view(3).await;
    assert_eq!(view["cluster_id"], begun["cluster_id"]);
    assert_eq!(view["members"].as_array().map(Vec::len), Some(1), "{view}");
    record.assert_kept(cluster.caller(), &[3]).await;
    let load = Load::start(&only(&cluster, 3), cluster.seed(), product, "mock", 2);
    load.progress(50).await;
    let more = load.stop().await;
    for id in [4, 5] {
        assert_eq!(cluster.join(3, None), id);
        until_it_votes(&cluster, id).await;
    }
    // The node that came back belongs to no cluster.
    cluster.restart(2);
    wait::until("the others refused it", wait::READY, async || {
        let log = cluster.log_text(3);
        match log.contains("belongs to another cluster") {
            true => Ok(()),
            false => Err(cluster.log_text(2)),
        }
    })
    .await;
    let answer = cluster.caller().send(2, &Call::get("/readyz")).await;
    assert!(answer.is_ok_and(|answer| answer.status == 503), "it has nobody to follow");
    cluster.kill(2);
    for record in [&record, &more] {
        record.assert_kept(cluster.caller(), &[3, 4, 5]).await;
    }
    cluster.agree().await;
    let data = shop::product(cluster.caller(), 5, product).await;
    shop::assert_conserved(&data, 1_000_000);
}

/// Waits until a joined node is ready and sees itself as a voter: one change at a time.
async fn until_it_votes(cluster: &Cluster, id: u64) {
    wait::until("the node that joined votes", wait::READY, async || {
        let ready = cluster.caller().send(id, &Call::get("/readyz")).await;
        if !ready.is_ok_and(|answer| answer.status == 200) {
            return Err("not ready yet".to_owned());
        }
        let view = cluster.view(id).await;
        let members = view["members"].as_array().cloned().unwrap_or_default();
        let own = members.iter().find(|member| member["id"] == id);
        let votes = own.is_some_and(|own| own["role"] != "learner");
        if votes { Ok(()) } else { Err(view.to_string()) }
    })
    .await;
}

/// A caller of one node only, under the name 1.
fn only(cluster: &Cluster, node: u64) -> tests::Caller {
    tests::Caller::new(vec![cluster.caller().address(node)])
}
