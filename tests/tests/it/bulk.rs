//! `holdfast import`, `export`, `orders batch` and their neighbours against a real cluster.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tests::shop::{self, PRODUCTS};
use tests::{Call, Cluster, cluster};

/// Runs a command, checks its exit code, and returns its output.
#[track_caller]
fn run(cluster: &Cluster, words: &[&str], code: i32) -> (String, String) {
    let mut command = cluster::holdfast();
    command.args(words).args(["--url", &cluster.caller().urls().join(",")]);
    let output = command.output().expect("the binary starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{words:?}\n{out}\n{err}");
    (out, err)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

fn name(path: &Path) -> &str {
    path.to_str().expect("a path of ASCII")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_catalogue_is_imported_again_and_exported_and_bad_lines_are_named() {
    let cluster = Cluster::start("a_catalogue_is_imported").await;
    let file = cluster.dir().join("catalogue.csv");
    let mut text = "name,price,stock,sku,max_per_user,colour\n".to_owned();
    for number in 0..120 {
        text.push_str(&format!("\"Item, {number}\",{number}.50,{number},SKU-{number},,red\n"));
    }
    text.push_str(
        "Dear,100000000,1,SKU-dear,,\nShort\n\nBad,1.00,many,SKU-bad,,\nLimited,9.99,5,SKU-l,2,\n",
    );
    fs::write(&file, &text).expect("a file");
    let (out, err) = run(&cluster, &["import", name(&file), "--json"], 3);
    let summary = json(&out);
    assert_eq!((&summary["lines"], &summary["made"]), (&124.into(), &121.into()), "{out}{err}");
    assert_eq!((&summary["failed"], &summary["there"]), (&3.into(), &0.into()), "{out}{err}");
    assert!(err.contains("note: ignoring the columns colour"), "{err}");
    for line in ["line 122: ", "line 123: ", "line 125: "] {
        assert!(err.contains(line), "{line} is not in {err}");
    }
    // The second run finds every product that the first one created.
    let (out, _) = run(&cluster, &["import", name(&file), "--json"], 3);
    let summary = json(&out);
    assert_eq!((&summary["made"], &summary["there"]), (&0.into(), &121.into()), "{out}");

    let whole = cluster.dir().join("export.ndjson");
    run(&cluster, &["export", "--output", name(&whole)], 0);
    let rows = fs::read_to_string(&whole).expect("the export");
    let rows: Vec<Value> = rows.lines().map(json).collect();
    assert_eq!(rows.len(), 121);
    let list = cluster.caller().get(1, PRODUCTS).await.expect(200).data();
    assert_eq!(&rows, list.as_array().expect("products"));
    assert!(rows.iter().any(|row| row["max_per_user"] == 2 && row["sku"] == "SKU-l"));
    // The export can be imported again, elsewhere or after a loss.
    let (out, _) = run(&cluster, &["import", name(&whole), "--json"], 0);
    assert_eq!(json(&out)["there"], 121, "{out}");
    let table = cluster.dir().join("export.csv");
    run(&cluster, &["export", "--output", name(&table)], 0);
    let (out, _) = run(&cluster, &["import", name(&table), "--json"], 0);
    assert_eq!(json(&out)["there"], 121, "{out}");
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_orders_of_a_file_are_placed_once_however_often_it_is_sent() {
    let cluster = Cluster::start("the_orders_of_a_file").await;
    let mut random = cluster.random(1);
    let product = shop::create_product(cluster.caller(), &mut random, "1.00", 2_500).await;
    let file = cluster.dir().join("orders.csv");
    let mut text = "product_id,quantity,payment_method\n".to_owned();
    for _ in 0..2_400 {
        text.push_str(&format!("{product},1,none\n"));
    }
    text.push_str(&format!("99,1,none\n{product},x,none\n{product},1000,none\n"));
    fs::write(&file, &text).expect("a file");
    let import = ["import", name(&file), "--what", "orders", "--json"];
    let (out, err) = run(&cluster, &import, 3);
    let summary = json(&out);
    assert_eq!((&summary["made"], &summary["failed"]), (&2_400.into(), &3.into()), "{out}{err}");
    for line in ["line 2402: ", "line 2403: ", "line 2404: "] {
        assert!(err.contains(line), "{line} is not in {err}");
    }
    let (out, _) = run(&cluster, &import, 3);
    let summary = json(&out);
    assert_eq!((&summary["made"], &summary["there"]), (&0.into(), &2_400.into()), "{out}");
    let data = shop::product(cluster.caller(), 1, product).await;
    assert_eq!(shop::count(&data, "reserved"), 2_400, "{data}");

    let batch = cluster.dir().join("batch.ndjson");
    let line = |quantity: u64| shop::order(product, quantity, "none").to_string();
    fs::write(&batch, format!("{}\n\n{}\n", line(1), line(5_000))).expect("a file");
    let (out, _) = run(&cluster, &["orders", "batch", name(&batch), "--json"], 3);
    let results = json(&out);
    assert_eq!((&results[0]["line"], &results[0]["status"]), (&1.into(), &201.into()), "{out}");
    assert_eq!((&results[1]["line"], &results[1]["status"]), (&3.into(), &409.into()), "{out}");
    let (_, err) = run(&cluster, &["orders", "batch", name(&batch), "--atomic"], 3);
    assert!(err.contains("line 3: ") && err.contains("insufficient_stock"), "{err}");
    let key = results[0]["order"]["idempotency_key"].as_str().expect("a key").to_owned();
    let (out, _) = run(&cluster, &["orders", "key", &key, "--json"], 0);
    assert_eq!(json(&out)["order"]["id"], results[0]["order"]["id"], "{out}");
    let (out, _) = run(&cluster, &["orders", "fence", "never used"], 0);
    assert_eq!(out.trim(), "fenced");
    let (_, err) = run(&cluster, &["orders", "place", "--item", "1", "--key", "never used"], 3);
    assert!(err.contains("key_fenced"), "{err}");

    let export = cluster.dir().join("orders.ndjson");
    run(&cluster, &["export", "--what", "orders", "--output", name(&export)], 0);
    let rows = fs::read_to_string(&export).expect("the export");
    assert_eq!(rows.lines().count(), 2_401);
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stock_is_adjusted_and_its_ledger_read_from_the_command_line() {
    let cluster = Cluster::start("stock_is_adjusted_from_the_command_line").await;
    let mut random = cluster.random(1);
    let product = shop::create_product(cluster.caller(), &mut random, "1.00", 10).await;
    let id = product.to_string();
    let adjust = |rest: &[&str], code: i32| {
        let words: Vec<&str> = ["products", "adjust", &id, "--reason", "counted"]
            .into_iter()
            .chain(rest.iter().copied())
            .collect();
        run(&cluster, &words, code)
    };
    let (out, _) = adjust(&["--by", "-3", "--json"], 0);
    assert_eq!((&json(&out)["delta"], &json(&out)["stock"]), (&(-3).into(), &7.into()));
    adjust(&["--to", "20", "--expected", "7"], 0);
    let (_, err) = adjust(&["--to", "9", "--expected", "7"], 3);
    assert!(err.contains("stock_mismatch"), "{err}");
    adjust(&["--to", "9", "--by", "1"], 2);
    let (out, _) = run(&cluster, &["products", "ledger", &id], 0);
    for word in ["created", "adjustment 1", "adjustment 2", "-3", "+13", "counted"] {
        assert!(out.contains(word), "{word} is not in {out}");
    }
    let place = Call::post("/api/v1/orders", &shop::order(product, 1, "none"));
    cluster.caller().ask(1, &place).await.expect(201);
    let (out, _) = run(&cluster, &["products", "ledger", &id, "--limit", "1", "--json"], 0);
    assert_eq!(json(&out)["meta"]["has_more"], true, "{out}");
    let (_, err) = run(&cluster, &["products", "ledger", "99"], 3);
    assert!(err.contains("not_found"), "{err}");
}
