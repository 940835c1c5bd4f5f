//! Commands against one real node: their output, as tables and as JSON.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use std::process::{Child, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::holdfast;

/// A cluster of one node. It is killed on drop.
pub(crate) struct Node {
    child: Child,
    pub(crate) url: String,
    data: TempDir,
}

impl Node {
    /// Starts the node and waits until it listens.
    pub(crate) fn start(more: &[&str]) -> Node {
        let data = tempfile::tempdir().unwrap();
        // The port stays free for a while: the system assigns others first.
        let raft = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let peer = format!("1={raft}");
        let mut child = holdfast(&["serve", "--id", "1", "--http", "127.0.0.1:0"])
            .args(["--raft", &raft, "--peer", &peer, "--payment-gateway", "simulated"])
            .arg("--data")
            .arg(data.path().join("node"))
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let rest = line.strip_prefix("listening http=").expect("the line with the addresses");
        let (http, listening) = rest.trim_end().split_once(" raft=").expect("both addresses");
        assert_eq!(listening, raft);
        Node { child, url: format!("http://{http}"), data }
    }

    /// Runs a command against the node.
    pub(crate) fn run(&self, words: &[&str]) -> Output {
        holdfast(words).args(["--url", &self.url]).output().unwrap()
    }

    /// Runs a command that must succeed, and returns its output.
    pub(crate) fn text(&self, words: &[&str]) -> String {
        let output = self.run(words);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{words:?}: {}: {errors}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command with `--json` and returns the parsed output.
    pub(crate) fn json(&self, words: &[&str]) -> Value {
        let text = self.text(&[words, &["--json"]].concat());
        assert_eq!(text.lines().count(), 1, "one line: {text}");
        serde_json::from_str(&text).unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn products_and_orders_from_the_shell() {
    let node = Node::start(&[]);
    let status = node.text(&["status"]);
    assert!(status.contains("leader") && status.contains("HEALTHY"), "{status}");

    let product =
        node.json(&["products", "create", "--name", "Käse", "--price", "0.10", "--stock", "7"]);
    assert_eq!(product["price_minor"], 10);
    let product = product["id"].to_string();
    let list = node.text(&["products", "list"]);
    assert!(list.contains("Käse") && list.contains("0.10"), "{list}");

    let item = format!("{product}:3");
    let place = ["orders", "place", "--item", &item, "--payment-method", "none", "--key", "k"];
    let order = node.json(&place);
    assert_eq!((&order["total_amount"], &order["status"]), (&"0.30".into(), &"PENDING".into()));
    let id = order["id"].to_string();
    let again = node.run(&place);
    assert!(String::from_utf8(again.stderr).unwrap().contains("this one had no effect"));
    let details = node.text(&["orders", "get", &id]);
    assert!(details.contains("PENDING") && details.contains("0.30"), "{details}");
    assert_eq!(node.json(&["products", "list"])["data"][0]["stock"], 4);

    let cancelled = node.text(&["orders", "cancel", &id, "--reason", "changed my mind"]);
    assert!(cancelled.contains("CANCELLED"), "{cancelled}");
    let shown = node.text(&["orders", "show", &id]);
    assert!(shown.contains("changed my mind") && shown.contains("CANCELLED"), "{shown}");
    let shown = node.json(&["orders", "show", &id]);
    assert_eq!(shown["history"].as_array().unwrap().len(), 2, "{shown}");
    node.text(&["orders", "wait", &id]);
    node.text(&["orders", "wait", &id, "--for", "cancelled"]);
    let other = node.run(&["orders", "wait", &id, "--for", "PAID"]);
    let stays = String::from_utf8_lossy(&other.stderr).contains("is CANCELLED, and stays so");
    assert!(other.status.code() == Some(1) && stays, "{other:?}");
    let list = node.text(&["orders", "list", "--status", "cancelled"]);
    assert!(list.contains("page 1 of 1, 1 order in all"), "{list}");
    let list = node.text(&["orders", "list", "--status", "paid"]);
    assert!(list.contains("0 orders in all"), "{list}");

    let refused = node.run(&["orders", "place", "--item", &format!("{product}:8")]);
    assert_eq!(refused.status.code(), Some(3));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("(insufficient_stock)"), "{said}");
}

/// Panics if another user than the owner may use a file below `dir`.
fn assert_private(dir: &Path) -> usize {
    let mut files = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().mode();
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", entry.path().display());
        files += 1;
        if entry.file_type().unwrap().is_dir() {
            files += assert_private(&entry.path());
        }
    }
    files
}

#[test]
fn files_are_private_and_a_backup_follows_no_planted_link() {
    let node = Node::start(&[]);
    node.json(&["products", "create", "--name", "Cup", "--price", "1.00", "--stock", "7"]);
    node.text(&["snapshot"]);
    assert!(assert_private(&node.data.path().join("node")) > 5, "log, store and snapshot");

    let dir = tempfile::tempdir().unwrap();
    let (backup, partial) = (dir.path().join("shop"), dir.path().join("shop.partial"));
    let target = dir.path().join("target");
    std::fs::write(&target, "of somebody else").unwrap();
    let backup_words = ["backup", backup.to_str().unwrap()];
    let links: [&dyn Fn(); 2] = [&|| symlink(&target, &partial).unwrap(), &|| {
        std::fs::hard_link(&target, &partial).unwrap()
    }];
    for link in links {
        link();
        let refused = node.run(&backup_words);
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(said.contains("shop.partial exists already"), "{said}");
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "of somebody else");
        std::fs::remove_file(&partial).expect("the link is left as it was");
    }
    node.text(&backup_words);
    assert_eq!(backup.metadata().unwrap().mode() & 0o077, 0);
    assert!(!partial.exists());
}

#[test]
fn limits_of_a_product_are_set_and_cleared() {
    let node = Node::start(&[]);
    let create = ["products", "create", "--name", "Ticket", "--price", "25", "--stock", "9"];
    let limits = ["--sku", "T-1", "--max-per-order", "2", "--max-per-user", "3"];
    let more = ["--low-stock-threshold", "4"];
    let product = node.json(&[&create[..], &limits, &more].concat());
    let id = product["id"].to_string();
    let update = |more: &[&str]| node.json(&[&["products", "update", &id], more].concat());
    let fields = ["sku", "max_per_order", "max_per_user", "low_stock_threshold"];
    let shown = |product: &Value| fields.map(|field| product[field].to_string());

    let kept = update(&["--price", "30.00"]);
    assert_eq!(kept["price"], "30.00");
    assert_eq!(shown(&kept), ["\"T-1\"", "2", "3", "4"], "the rest stays");
    let some = update(&["--clear", "sku,max-per-user", "--max-per-order", "5"]);
    assert_eq!(shown(&some), ["null", "5", "null", "4"]);
    assert_eq!(some["price"], "30.00");
    let none = update(&["--clear", "max-per-order", "--clear", "low-stock-threshold"]);
    assert_eq!(shown(&none), ["null"; 4]);

    for (wrong, code, why) in [
        (&["--clear", "sku", "--sku", "x"][..], 2, "contradict"),
        (&["--clear", "price"], 2, "low-stock-threshold"),
        (&[], 2, "required"),
        (&["--stock", "1", "--if-match", "7"], 3, "(version_mismatch)"),
        (&["--price", "0.001"], 3, "price"),
    ] {
        let output = node.run(&[&["products", "update", &id], wrong].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{wrong:?}: {said}");
        assert!(said.contains(why), "{wrong:?}: {said}");
    }
    assert_eq!(update(&["--name", "Tickets"])["stock"], 9, "a refused update had an effect");

    assert!(node.text(&["products", "archive", &id]).contains("is archived"));
    // Archiving again succeeds. Changing an archived product fails, as does an unknown id.
    assert!(node.text(&["products", "archive", &id]).contains("is archived"));
    for words in [&["products", "update", &id, "--stock", "1"][..], &["products", "archive", "99"]]
    {
        assert_eq!(node.run(words).status.code(), Some(3), "{words:?}");
    }
}

#[test]
fn the_load_generator_counts_what_it_orders() {
    let node = Node::start(&[]);
    let pid = node.child.id().to_string();
    let closed = ["bench", "--count", "300", "--products", "5", "--connections", "8"];
    let report = node.json(&[&closed[..], &["--pid", &pid, "--payment", "none"]].concat());
    assert_eq!(report["succeeded"], 300);
    assert_eq!(report["statuses"]["201"], 300);
    assert_eq!(report["mode"], "closed");
    assert!(report["latency_ms"]["p50"].as_f64().unwrap() > 0.0);
    assert!(report["server"]["us_per_request"].as_f64().unwrap() > 0.0);
    let products = node.json(&["products", "list"]);
    let products = products["data"].as_array().unwrap();
    assert_eq!(products.len(), 5);
    let reserved = |product: &Value| product["reserved"].as_u64().unwrap();
    assert_eq!(products.iter().map(reserved).sum::<u64>(), 300);
    assert!(products.iter().all(|product| reserved(product) > 0), "some product got no order");
    assert!(products[0]["name"].as_str().unwrap().starts_with("bench "));

    let open = ["bench", "--rate", "400", "--duration", "1", "--warmup", "0", "--hot"];
    let report = node.json(&[&open[..], &["--sold-out"]].concat());
    assert_eq!((&report["mode"], &report["statuses"]["409"]), (&"open".into(), &400.into()));
    assert_eq!(report["unsent"], 0);

    let mixed = ["bench", "--count", "40", "--products", "20", "--spread", "zipf"];
    let report = node.json(&[&mixed[..], &["--batch", "50", "--reads", "50"]].concat());
    let reads = report["reads"]["succeeded"].as_u64().unwrap();
    assert!((5..=35).contains(&reads), "{report}");
    assert_eq!(report["succeeded"], (40 - reads) * 50, "{report}");
    assert_eq!(report["statuses"]["200"], 40, "{report}");

    let text = node.text(&["bench", "--count", "20", "--hot", "--key=false", "--users", "0"]);
    assert!(text.contains("orders      20 in"), "{text}");
    assert!(text.contains("generator"), "{text}");
}

#[test]
fn an_export_to_a_closed_pipe_succeeds() {
    let node = Node::start(&[]);
    // More than a pipe buffers.
    node.text(&["bench", "--count", "1", "--products", "1000", "--payment", "none"]);
    for format in ["ndjson", "csv"] {
        let mut export = holdfast(&["export", "--format", format, "--url", &node.url])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        export.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
        let output = export.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_run_without_success_fails_and_says_why() {
    let node = Node::start(&["--require-users"]);
    let output = node.run(&["bench", "--count", "5", "--hot", "--users", "0"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("no request succeeded") && said.contains("user"), "{said}");
}

#[test]
fn sigterm_stops_the_node_gracefully() {
    let mut node = Node::start(&[]);
    kill_process(Pid::from_child(&node.child), Signal::TERM).unwrap();
    assert!(node.child.wait().unwrap().success());
}
