//! Files: what `import`, `export`, `backup` and an interrupted run leave behind.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::holdfast;
use crate::one_node::Node;

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn name(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Checks the exit code, and returns what was printed.
#[track_caller]
fn ended(output: &Output, code: i32) -> (String, String) {
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}\n{err}");
    (out.to_owned(), err.to_owned())
}

/// Imports a file with `--json` and returns the summary and the messages.
#[track_caller]
fn import(node: &Node, path: &Path, more: &[&str], code: i32) -> (Value, String) {
    let words = [&["import", name(path), "--json"], more].concat();
    let (out, err) = ended(&node.run(&words), code);
    (serde_json::from_str(&out).unwrap_or(Value::Null), err)
}

/// The lines of all orders, oldest first: who, the name of the product, and how many.
fn order_lines(node: &Node) -> Vec<(Value, String, u64)> {
    let products = node.json(&["products", "list"]);
    let products = products["data"].as_array().or(products.as_array()).unwrap().clone();
    let export = node.text(&["export", "--what", "orders"]);
    let mut lines = Vec::new();
    for order in export.lines().rev().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        for item in order["items"].as_array().unwrap() {
            let product = products.iter().find(|it| it["id"] == item["product_id"]).unwrap();
            let name = product["name"].as_str().unwrap().to_owned();
            let key = order["idempotency_key"].clone();
            lines.push((key, name, item["quantity"].as_u64().unwrap()));
        }
    }
    lines.sort_by_key(|line| line.0.to_string());
    lines
}

#[test]
fn an_export_is_imported_elsewhere_with_the_same_products_in_each_order() {
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    let node = Node::start(&[]);
    let mut rows = "sku;name;price;stock\n".to_owned();
    for number in 0..40 {
        rows.push_str(&format!("S-{number};Thing {number};1,50;100\n"));
    }
    rows.push_str("'-40;'=1+1;2;100\n");
    fs::write(at("products.csv"), rows).unwrap();
    import(&node, &at("products.csv"), &[], 0);
    fs::write(at("bare.csv"), "name,price,stock\nNo SKU,3,100\n").unwrap();
    let (summary, err) = import(&node, &at("bare.csv"), &[], 3);
    assert_eq!((&summary["made"], &summary["failed"]), (&0.into(), &1.into()));
    assert!(err.contains("line 2: it has no SKU") && err.contains("--allow-duplicates"), "{err}");
    import(&node, &at("bare.csv"), &["--allow-duplicates"], 0);

    let mut rows = "order_id,sku,product_id,quantity,payment_method,idempotency_key\n".to_owned();
    for number in 0..20 {
        rows.push_str(&format!("{number},S-{number},,1,none,key-{number}\n"));
        rows.push_str(&format!("{number},S-{},,2,none,key-{number}\n", 39 - number));
    }
    rows.push_str("99,'-40,,3,none,\"'=HYPERLINK(\"\"http://x\"\")\"\n100,,42,4,none,last\n");
    fs::write(at("orders.csv"), rows).unwrap();
    let (summary, _) = import(&node, &at("orders.csv"), &["--what", "orders"], 0);
    assert_eq!(summary["made"], 22);
    let expected = order_lines(&node);
    assert_eq!(expected.len(), 42);
    let formula = "=HYPERLINK(\"http://x\")";
    assert_eq!(expected.iter().filter(|line| line.0 == formula).count(), 1, "{expected:?}");

    for format in ["csv", "ndjson"] {
        let products = at(&format!("products-out.{format}"));
        let orders = at(&format!("orders-out.{format}"));
        node.text(&["export", "--output", name(&products)]);
        node.text(&["export", "--what", "orders", "--output", name(&orders)]);
        if format == "csv" {
            for path in [&products, &orders] {
                let text = fs::read_to_string(path).unwrap();
                let cells = text.split(['\n', ',']).map(|cell| cell.trim_matches('"'));
                let is_live = |cell: &&str| cell.starts_with(['=', '-', '+', '@']);
                assert_eq!(cells.filter(is_live).count(), 0, "{text}");
            }
        }
        let other = Node::start(&[]);
        // Orders cannot be placed before their products are there.
        let (summary, err) = import(&other, &orders, &["--what", "orders"], 3);
        assert_eq!((&summary["made"], &summary["failed"]), (&0.into(), &22.into()), "{err}");
        for made in [42, 0] {
            let (summary, _) = import(&other, &products, &[], 0);
            let there = 42 - made;
            assert_eq!((&summary["made"], &summary["there"]), (&made.into(), &there.into()));
            assert_eq!(summary["renumbered"], 0);
        }
        import(&other, &orders, &["--what", "orders"], 0);
        assert_eq!(order_lines(&other), expected, "{format}");

        // Where the ids are taken, SKUs keep the references; one without is refused.
        let other = Node::start(&[]);
        fs::write(at("taken.csv"), "sku,name,price,stock\nX,Taken,1,1\n").unwrap();
        import(&other, &at("taken.csv"), &[], 0);
        let (summary, err) = import(&other, &products, &[], 3);
        assert_eq!((&summary["made"], &summary["failed"]), (&41.into(), &1.into()), "{err}");
        assert!(summary["renumbered"].as_u64() > Some(0), "{summary}");
        assert!(err.contains("cannot keep its id 42") || err.contains("product 42 is"), "{err}");
        let (summary, err) = import(&other, &orders, &["--what", "orders"], 3);
        assert_eq!((&summary["made"], &summary["failed"]), (&21.into(), &1.into()), "{err}");
        let without = expected.iter().filter(|line| line.0 != "last").cloned();
        assert_eq!(order_lines(&other), without.collect::<Vec<_>>(), "{format}");
    }
}

#[test]
fn a_product_that_exists_and_differs_is_skipped_updated_or_refused_as_asked() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("a.csv");
    let node = Node::start(&[]);
    fs::write(&file, "sku,name,price,stock\nA,Pipe,1.00,5\nB,Pad,2,6\nC,Cable,9.50,6\n").unwrap();
    import(&node, &file, &[], 0);
    fs::write(&file, "sku,name,price,stock\nA,Pipe,1.10,50\nB,Pad,2.00,60\nC,Wire,9.5,6\n")
        .unwrap();
    let counts = |summary: &Value| {
        let of = |name: &str| summary[name].as_u64().unwrap();
        [of("made"), of("there"), of("skipped"), of("updated"), of("failed")]
    };
    let (summary, err) = import(&node, &file, &[], 0);
    assert_eq!(counts(&summary), [0, 1, 2, 0, 0]);
    assert!(err.contains("stays as it is: its price is 1.00 here and 1.10"), "{err}");
    let (summary, err) = import(&node, &file, &["--on-existing", "fail"], 3);
    assert_eq!(counts(&summary), [0, 1, 0, 0, 2]);
    assert!(err.contains(" differs: its name is \"Cable\" here"), "{err}");
    let (summary, _) = import(&node, &file, &["--on-existing", "update"], 0);
    assert_eq!(counts(&summary), [0, 1, 0, 2, 0]);
    let (summary, _) = import(&node, &file, &["--on-existing", "fail"], 0);
    assert_eq!(counts(&summary), [0, 3, 0, 0, 0]);
    let shown = node.text(&["export", "--format", "ndjson"]);
    let products: Vec<Value> = shown.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    let of = |sku: &str| products.iter().find(|it| it["sku"] == sku).unwrap();
    assert_eq!((&of("A")["price"], &of("C")["name"]), (&"1.10".into(), &"Wire".into()));
    assert_eq!((&of("A")["stock"], &of("B")["stock"]), (&5.into(), &6.into()), "sales stay");
    fs::write(&file, "sku,name,price,stock\nD,One,1,1\nD,Two,1,1\n").unwrap();
    let (_, err) = import(&node, &file, &[], 3);
    assert!(err.contains("line 3: line 2 has the SKU \"D\" too"), "{err}");
    for text in ["", "\n\n", "sku,name,price,stock\n", "sku,name,price,stock\n,,,\n"] {
        fs::write(&file, text).unwrap();
        import(&node, &file, &[], 2);
    }
}

#[test]
fn no_file_is_overwritten_and_no_link_followed() {
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    let node = Node::start(&[]);
    let precious = at("precious");
    for (words, part) in [(&["export", "--output"][..], "part"), (&["backup"], "partial")] {
        let run = |to: &str, more: &[&str], code: i32| {
            fs::write(&precious, "years of work").unwrap();
            let ended = ended(&node.run(&[words, &[name(&at(to))], more].concat()), code);
            assert_eq!(fs::read_to_string(&precious).unwrap(), "years of work", "{to}");
            ended
        };
        fs::write(at("old.csv"), "old").unwrap();
        let (_, err) = run("old.csv", &[], 2);
        assert!(err.contains("old.csv exists already"), "{err}");
        assert_eq!(fs::read_to_string(at("old.csv")).unwrap(), "old");
        symlink(&precious, at(&format!("planted.csv.{part}"))).unwrap();
        let (_, err) = run("planted.csv", &[], 2);
        assert!(err.contains(&format!("planted.csv.{part} exists already")), "{err}");
        assert!(!at("planted.csv").exists());
        assert!(at(&format!("planted.csv.{part}")).is_symlink(), "what we did not make stays");
        symlink(at("nowhere"), at("dangling.csv")).unwrap();
        run("dangling.csv", &[], 2);
        fs::remove_file(at("dangling.csv")).unwrap();
        run(&format!("new-{part}.csv"), &[], 0);
        if part == "part" {
            for to in ["old.csv", "planted.csv"] {
                run(to, &["--force"], 0);
                assert!(fs::read_to_string(at(to)).unwrap() != "old");
            }
        }
        for left in ["old.csv", "planted.csv"] {
            let _ = fs::remove_file(at(left));
        }
    }
}

#[test]
fn an_unknown_variable_is_named() {
    let run = |name: &str, value: &str| {
        let mut command = holdfast(&["verify", "--data", "/nowhere/at/all"]);
        text(&command.env(name, value).output().unwrap().stderr).to_owned()
    };
    let said = run("HOLDFAST_OPEN_ORDER_MAX", "5");
    assert!(said.contains("did you mean HOLDFAST_OPEN_ORDERS_MAX?"), "{said}");
    let said = run("HOLDFAST_PORT", "tcp://10.0.0.1:8080");
    assert!(!said.contains("HOLDFAST_PORT"), "{said}");
}

#[test]
fn an_interrupted_run_prints_what_there_is() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("many.csv");
    let node = Node::start(&[]);
    let rows: String = (1..200_000).map(|it| format!("{it},Thing,1,1,S-{it}\n")).collect();
    fs::write(&file, format!("id,name,price,stock,sku\n{rows}")).unwrap();
    let rows = |what: &str| node.text(&["export", "--what", what]).lines().count();
    for words in [
        &["import", name(&file), "--json"][..],
        &["bench", "--products", "2", "--warmup", "0", "--duration", "600", "--json"],
        &[
            "bench",
            "--products",
            "2",
            "--warmup",
            "0",
            "--rate",
            "50",
            "--duration",
            "600",
            "--json",
        ],
    ] {
        let what = if words[0] == "import" { "products" } else { "orders" };
        let before = rows(what);
        let mut command = holdfast(words);
        command.args(["--url", &node.url]);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let child = command.spawn().unwrap();
        while rows(what) == before {
            std::thread::sleep(Duration::from_millis(50));
        }
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let (out, err) = ended(&child.wait_with_output().unwrap(), 1);
        assert!(err.contains("stopped by a signal"), "{err}");
        let summary: Value = serde_json::from_str(out.trim()).unwrap();
        let done = summary["made"].as_u64().or(summary["succeeded"].as_u64());
        assert!(done > Some(0), "{summary}");
    }
}
