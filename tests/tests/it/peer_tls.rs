//! Certificates of nodes, on real processes: `holdfast certs` makes them, a cluster changes to them
//! while clients order, and a raft port that other machines could reach needs them.

use tests::load::Load;
use tests::{Cluster, Options, cluster::holdfast, shop};

/// Makes certificates of three nodes of the cluster, with the program under test.
fn make_certificates(cluster: &Cluster) {
    let dir = cluster.dir().join("certs");
    let dir = dir.to_str().expect("works");
    let name = &cluster.flags()[1];
    let run = |words: &[&str]| {
        let output =
            holdfast().arg("certs").args(words).args(["--dir", dir]).output().expect("works");
        assert!(output.status.success(), "{words:?}: {output:?}");
    };
    run(&["create-ca", "--cluster", name]);
    for id in ["1", "2", "3"] {
        run(&["create-node", "--id", id, "--spare-id", &format!("1{id}")]);
    }
}

fn flags(cluster: &Cluster, id: u64, mode: &str) -> Vec<String> {
    let file =
        |name: &str| cluster.dir().join("certs").join(name).to_str().expect("works").to_owned();
    let flag = |name: &str, value: String| [name.to_owned(), value];
    [
        flag("--peer-cert", file(&format!("node-{id}.crt"))),
        flag("--peer-key", file(&format!("node-{id}.key"))),
        flag("--peer-ca", file("ca.crt")),
        flag("--peer-tls", mode.to_owned()),
    ]
    .concat()
}

/// A metric of a node.
async fn metric(cluster: &Cluster, id: u64, line: &str) -> Option<u64> {
    let text = cluster.caller().get(id, "/metrics").await.expect(200).text();
    let value = text.lines().find_map(|it| it.strip_prefix(line))?;
    value.trim().parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_cluster_moves_to_certificates_while_clients_order() {
    let mut cluster = Options::new("peer_tls").start().await;
    make_certificates(&cluster);
    let random = &mut cluster.random(1);
    let product = shop::create_product(cluster.caller(), random, "1.00", 100_000).await;
    let load = Load::start(cluster.caller(), cluster.seed(), product, "none", 4);
    load.progress(50).await;
    for mode in ["migrate", "require"] {
        for id in 1..=3 {
            let flags = flags(&cluster, id, mode);
            cluster.set_own_flags(id, &flags);
            assert!(cluster.stop(id).await.success());
            cluster.restart(id);
            cluster.wait_ready().await;
            load.progress(20).await;
        }
        let open = cluster.view(1).await["insecure"].clone();
        let expected = if mode == "migrate" { vec!["peers_migrate"] } else { vec![] };
        assert_eq!(open, serde_json::json!(expected));
    }
    let record = load.stop().await;
    record.assert_kept(cluster.caller(), &[1, 2, 3]).await;
    for id in 1..=3 {
        assert_eq!(
            metric(&cluster, id, "holdfast_peer_links{tls=\"no\"}").await,
            Some(0),
            "node {id}"
        );
        assert!(
            metric(&cluster, id, "holdfast_peer_links{tls=\"yes\"}").await >= Some(3),
            "node {id}"
        );
        let expires = metric(&cluster, id, "holdfast_tls_not_after_seconds{which=\"peer\"}").await;
        assert!(expires > Some(1_800_000_000), "node {id}: {expires:?}");
    }
    cluster.agree().await;
}
