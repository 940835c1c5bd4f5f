//! This version reads the data of earlier ones: data directory and backup of each format in
//! `tests/fixtures` are sound, give the recorded answers, and know their keys.
//!
//! These tests fail when this version reads an entry, a row, a snapshot or any other file
//! differently from the version that wrote it.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tests::cluster::holdfast;
use tests::fixture::Fixture;
use tests::{Cluster, shop};

/// Each format that a version of this system has written.
const FORMATS: [&str; 4] = ["format-1", "format-2", "format-3", "format-4"];

/// Runs a command that must succeed and print one JSON object.
fn run(words: &[&str]) -> Value {
    let output = holdfast().args(words).arg("--json").output().expect("it can be started");
    let (told, failed) = (&output.stdout, String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{words:?}: {}{failed}", String::from_utf8_lossy(told));
    serde_json::from_slice(told).expect("one JSON object")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("paths of tests are text")
}

fn verify(data: &Path) -> Value {
    run(&["verify", "--data", text(data)])
}

/// The number of checked states at the last position of the fixture; each must be equal.
fn states_there(told: &Value, fixture: &Fixture) -> usize {
    let (index, digest) = fixture.place();
    let states = told["states"].as_array().expect("states");
    let there = states.iter().filter(|made| made["index"] == *index);
    there.inspect(|made| assert_eq!(made["digest"], *digest, "{told}")).count()
}

/// Checks that a node on this data gives the recorded answers, and takes new orders.
async fn assert_serves(fixture: &Fixture, mut cluster: Cluster) {
    let caller = cluster.caller().clone();
    fixture.assert_served(&caller).await;
    fixture.assert_known(&caller).await;
    let before = shop::order_total(&caller, 1, "").await;
    let placed = caller.ask(1, &shop::place(&shop::order(1, 1, "none"))).await.expect(201);
    assert_eq!(shop::id(&placed.data()), before + 1, "ids go on");
    let data = cluster.data_dir(1).to_owned();
    assert!(cluster.stop(1).await.success());
    assert_eq!(verify(&data)["sound"], true);
}

/// A node of the fixture's cluster on its data.
async fn start(fixture: &Fixture, test: &str) -> Cluster {
    Fixture::options(test, fixture.cluster(), &fixture.data()).start().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_of_each_format_is_sound_and_serves_what_it_served() {
    for format in FORMATS {
        let fixture = Fixture::unpack(format);
        let told = verify(&fixture.data());
        assert_eq!(told["sound"], true, "{told}");
        // From the checkpoint, from the newer snapshot, and from the older one with a log that
        // holds commands of every kind.
        assert_eq!(states_there(&told, &fixture), 3, "{told}");
        let cluster = start(&fixture, "data_of_each_format").await;
        assert_serves(&fixture, cluster).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_and_logs_of_each_format_give_the_state_again() {
    for format in FORMATS {
        // From the newer snapshot, then from the older one and the longer log after it.
        for from_older in [false, true] {
            let fixture = Fixture::unpack(format);
            let data = fixture.data();
            fs::remove_dir_all(data.join("state")).expect("there is a checkpoint");
            if from_older {
                let snapshots = fs::read_dir(data.join("snapshots")).expect("there are snapshots");
                let paths = snapshots.map(|found| found.expect("listed").path());
                let newer = paths.max().expect("there is one");
                fs::remove_file(newer).expect("removed");
            }
            let cluster = start(&fixture, "snapshots_and_logs_of_each_format").await;
            assert!(cluster.log_text(1).contains("the state was made from a snapshot"));
            assert_serves(&fixture, cluster).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_each_format_becomes_a_cluster_that_serves_the_same() {
    for format in FORMATS {
        let fixture = Fixture::unpack(format);
        let file = fixture.backup();
        let told = run(&["verify", "--backup", text(&file)]);
        let made = &told["states"][0];
        assert_eq!((&made["index"], &made["digest"]), fixture.place(), "{format}");
        let data = file.with_file_name("restored");
        let words = ["restore", text(&file), "--data", text(&data), "--id", "1"];
        run(&[&words[..], &["--cluster", "copy", "--raft", "127.0.0.1:1"]].concat());
        let test = "a_backup_of_each_format";
        let cluster = Fixture::options(test, "copy", &data).start().await;
        // Its report that waits for an order waits in the copy no more.
        let metrics = cluster.caller().get(1, "/metrics").await.expect(200).text();
        assert!(metrics.contains("\nwebhooks_parked 0\n"), "{format}: {metrics}");
        assert_serves(&fixture, cluster).await;
    }
}
