//! The command line in a shell: exit codes, precedence of settings, output.
//!
//! Each test runs the real binary. A listener with a fixed answer stands in for a cluster, and
//! records the requests.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Output;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::holdfast;

/// The answer of the stand-in to `GET /cluster`.
const CLUSTER: &str = r#"{"success":true,"data":{"cluster_id":"shop","node_id":1,"leader_id":1,
    "term":2,"commit_index":9,"applied_index":9,"digest":"00ff","members":[{"id":1,
    "role":"leader","raft_addr":"127.0.0.1:7001","http_addr":"127.0.0.1:8080","match_index":9,
    "lag":0,"healthy":true}]}}"#;

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn exit_code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("{}: {}", output.status, text(&output.stderr)))
}

/// Starts a server that answers every request with `status` and `body`. Sends the first line of
/// each request to the receiver.
fn stand_in(status: &'static str, body: &'static str) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, received) = channel();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap_or(0);
            let line = text(&request[..length]).lines().next().unwrap_or_default().to_owned();
            let _ = asked.send(line);
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nx-position: 9\r\n\
                 x-trace-id: t\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
        }
    });
    (address, received)
}

fn was_asked(received: &Receiver<String>) -> bool {
    received.recv_timeout(Duration::from_millis(1)).is_ok()
}

#[test]
fn help_lists_every_flag_and_the_exit_codes() {
    let output = holdfast(&["--help"]).output().unwrap();
    assert_eq!(exit_code(&output), 0);
    assert!(text(&output.stdout).contains("Exit codes:"));
    for command in ["dev", "serve", "status", "bench"] {
        let output = holdfast(&[command, "--help"]).output().unwrap();
        assert_eq!(exit_code(&output), 0, "{command}");
        let help = text(&output.stdout);
        assert!(help.contains("--config"), "{command}: {help}");
    }
    let output = holdfast(&["serve", "--help"]).output().unwrap();
    assert!(text(&output.stdout).contains("serve [OPTIONS] --id <N> --data <DIR>"), "required");
    for flag in [
        "--hold-ttl-s",
        "--hold-ttl-max-s",
        "--webhook-secret",
        "--webhook-secret-file",
        "--id",
        "--data",
        "--http",
        "--raft",
        "--peer",
        "--cluster",
        "--rebuild-wait-s",
        "--advertise-http",
        "--advertise-raft",
        "--payment-gateway",
        "--payment-success-rate",
        "--payment-error-rate",
        "--payment-delay-ms",
        "--payment-attempts",
        "--payment-backoff-ms",
        "--payment-deadline-s",
        "--open-orders-max",
        "--require-users",
        "--require-idempotency-key",
        "--log-format",
        "--log-filter",
    ] {
        assert!(text(&output.stdout).contains(flag), "{flag} is missing");
    }
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    for words in [
        &[][..],
        &["sell"],
        &["serve"],
        &["serve", "--id", "0", "--data", "d", "--http", "127.0.0.1:0", "--raft", "127.0.0.1:1"],
        &["dev", "--nodes", "0"],
        &["dev", "--payment-success-rate", "2"],
        &["dev", "--payment-gateway", "stripe"],
        // Only `dev` takes webhooks that nobody signed.
        &["serve", "--webhook-unsigned"],
        &["dev", "--payment-delay-ms", "9-1"],
        &["orders", "get", "abc"],
        &["orders", "place"],
        &["orders", "place", "--hold", "1", "--item", "1:1"],
        &["holds", "create"],
        &["holds", "create", "--item", "1:0"],
        &["holds", "create", "--item", "1", "--ttl-s", "0"],
        &["holds", "show"],
        &["holds", "extend", "1"],
        &["bench", "--connections", "0"],
        &["bench", "--count", "1", "--duration", "1"],
        &["status", "--url", "ftp://127.0.0.1"],
        &["status", "--config", "/nowhere/at/all"],
    ] {
        let output = holdfast(words).output().unwrap();
        assert_eq!(exit_code(&output), 2, "{words:?}: {}", text(&output.stderr));
        assert!(!output.stderr.is_empty(), "{words:?} says nothing");
    }
}

#[test]
fn a_flag_overrides_the_environment_which_overrides_the_file() {
    let (by_flag, flag_asked) = stand_in("200 OK", CLUSTER);
    let (by_variable, variable_asked) = stand_in("200 OK", CLUSTER);
    let (by_file, file_asked) = stand_in("200 OK", CLUSTER);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "url = 'http://{by_file}'\njson = true").unwrap();
    let run = |flag: Option<SocketAddr>, variable: Option<SocketAddr>, path: &Path| {
        let mut command = holdfast(&["status", "--config"]);
        command.arg(path);
        if let Some(address) = flag {
            command.arg("--url").arg(format!("http://{address}"));
        }
        if let Some(address) = variable {
            command.env("HOLDFAST_URL", format!("http://{address}"));
        }
        let output = command.output().unwrap();
        assert_eq!(exit_code(&output), 0, "{}", text(&output.stderr));
        assert!(text(&output.stdout).starts_with('{'), "the file asked for JSON");
        [was_asked(&flag_asked), was_asked(&variable_asked), was_asked(&file_asked)]
    };
    let file = file.path();
    assert_eq!(run(None, None, file), [false, false, true]);
    assert_eq!(run(None, Some(by_variable), file), [false, true, false]);
    assert_eq!(run(Some(by_flag), None, file), [true, false, false]);
    assert_eq!(run(Some(by_flag), Some(by_variable), file), [true, false, false]);
}

#[test]
fn the_environment_can_name_the_file_and_turn_off_a_switch() {
    let (address, asked) = stand_in("200 OK", CLUSTER);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "url = ['http://{address}']\njson = true").unwrap();
    let output = holdfast(&["status"])
        .env("HOLDFAST_CONFIG", file.path())
        .env("HOLDFAST_JSON", "off")
        .output()
        .unwrap();
    assert_eq!(exit_code(&output), 0, "{}", text(&output.stderr));
    assert!(was_asked(&asked));
    let table = text(&output.stdout);
    assert!(table.contains("leader node 1, term 2"), "{table}");
    assert!(table.contains("HEALTHY"), "{table}");
}

#[test]
fn the_error_names_an_unknown_key_in_the_file() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "open-orders-maximum = 5").unwrap();
    let output = holdfast(&["dev", "--config"]).arg(file.path()).output().unwrap();
    assert_eq!(exit_code(&output), 2);
    let said = text(&output.stderr);
    assert!(said.contains("`open-orders-maximum`"), "{said}");
    assert!(said.contains(file.path().to_str().unwrap()), "{said}");
}

#[test]
fn an_unreachable_cluster_exits_with_1_and_a_refusal_with_3() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{gone}");
    let output =
        holdfast(&["orders", "get", "1", "--timeout-s", "1", "--url", &url]).output().unwrap();
    assert_eq!(exit_code(&output), 1, "{}", text(&output.stderr));
    let said = text(&output.stderr);
    assert!(said.contains(&gone.to_string()) && said.contains("check that a node runs"), "{said}");

    let (address, asked) = stand_in(
        "404 Not Found",
        r#"{"type":"/problems/not-found","title":"Not found","status":404,
        "detail":"Order not found.","success":false,"message":"Order not found.",
        "error":"not_found","error_code":"NOT_FOUND","outcome":"rejected","retryable":false,
        "errors":null,"trace_id":"t"}"#,
    );
    let url = format!("http://{address}");
    let output = holdfast(&["orders", "get", "77", "--url", &url]).output().unwrap();
    assert_eq!(exit_code(&output), 3, "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("Order not found. (not_found)"));
    assert_eq!(asked.recv().unwrap(), "GET /api/v1/orders/77 HTTP/1.1");
}

#[test]
fn holds_are_printed_as_tables_and_as_json() {
    const HOLD: &str = r#"{"success":true,"data":{"id":3,"hold_id":3,"user_id":1,
        "status":"active","items":[{"product_id":1,"quantity":2}],
        "expires_at":"2026-02-23T10:30:00.000Z","order_id":null,"idempotency_key":null,
        "created_at":"2026-02-23T10:28:00.000Z","updated_at":"2026-02-23T10:28:00.000Z",
        "version":9,"trace_id":"t","product_id":1,"quantity":2,"qty":2}}"#;
    let (address, asked) = stand_in("200 OK", HOLD);
    let url = format!("http://{address}");
    let run = |words: &[&str]| {
        let output = holdfast(&[words, &["--url", &url]].concat()).output().unwrap();
        assert_eq!(exit_code(&output), 0, "{}", text(&output.stderr));
        (asked.recv().unwrap(), text(&output.stdout).to_owned())
    };
    for (words, line) in [
        (&["holds", "create", "--item", "1:2", "--ttl-s", "60"][..], "POST /api/v1/holds HTTP/1.1"),
        (&["holds", "show", "3"], "GET /api/v1/holds/3 HTTP/1.1"),
        (&["holds", "extend", "3", "--ttl-s", "60"], "POST /api/v1/holds/3/extend HTTP/1.1"),
    ] {
        let (asked, table) = run(words);
        assert_eq!(asked, line);
        assert!(table.contains("EXPIRES") && table.contains("2026-02-23T10:30:00.000Z"), "{table}");
        let (_, json) = run(&[words, &["--json"]].concat());
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((&json["hold_id"], &json["status"]), (&3.into(), &"active".into()));
    }
    let (asked, said) = run(&["holds", "release", "3"]);
    assert_eq!(asked, "DELETE /api/v1/holds/3 HTTP/1.1");
    assert!(said.contains("hold 3 is released"), "{said}");
}

#[test]
fn an_unknown_outcome_exits_with_4_and_names_the_key() {
    let (address, _asked) = stand_in(
        "504 Gateway Timeout",
        r#"{"type":"/problems/commit-timeout","title":"Commit timeout","status":504,
        "detail":"No answer in time.","success":false,"message":"No answer in time.",
        "error":"commit_timeout","error_code":"COMMIT_TIMEOUT","outcome":"unknown",
        "retryable":true,"errors":null,"trace_id":"t"}"#,
    );
    let url = format!("http://{address}");
    let words =
        ["orders", "place", "--item", "1:2", "--key", "k-1", "--timeout-s", "1", "--url", &url];
    let output = holdfast(&words).output().unwrap();
    assert_eq!(exit_code(&output), 4, "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("--key k-1"), "{}", text(&output.stderr));
}

#[test]
fn the_error_names_a_missing_file_and_nothing_else_is_printed() {
    let output = holdfast(&["import", "nowhere.csv"]).output().unwrap();
    assert_eq!(exit_code(&output), 1);
    let said = text(&output.stderr);
    assert!(said.contains("nowhere.csv"), "{said}");
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
}

#[test]
fn a_bad_secret_stops_the_node_and_is_not_quoted() {
    let scratch = tempfile::tempdir().unwrap();
    let data = scratch.path().join("node");
    let serve = ["serve", "--id", "1", "--http", "127.0.0.1:0", "--raft", "127.0.0.1:7", "--data"];
    let secret = "too-short-000";
    let file = scratch.path().join("secrets");
    std::fs::write(&file, secret).unwrap();
    let three = ["0123456789-too-short-000"; 3].join(",");
    for (value, and_file, reason) in [
        (secret, false, "16 to 255"),
        (&three, false, "two at most"),
        (secret, true, "cannot be used with"),
    ] {
        let mut command = holdfast(&serve);
        command.arg(&data).args(["--peer", "1=127.0.0.1:7"]);
        command.env("HOLDFAST_WEBHOOK_SECRET", value);
        if and_file {
            command.arg("--webhook-secret-file").arg(&file);
        }
        let output = command.output().unwrap();
        let (said, log) = (text(&output.stderr), text(&output.stdout));
        assert_eq!(exit_code(&output), 2, "{said}");
        assert!(said.contains(reason), "{said}");
        assert!(!said.contains(secret) && !log.contains(secret), "{said} {log}");
    }
    assert!(!data.exists(), "the node touched its data");
}

#[test]
fn a_node_with_wrong_settings_says_what_is_wrong_once() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path().to_str().unwrap();
    let serve = ["serve", "--id", "1", "--data", data, "--http", "127.0.0.1:0"];
    let refused = |more: &[&str], code: i32, reason: &str| {
        let output = holdfast(&[&serve, more].concat()).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(exit_code(&output), code, "{said}");
        let lines = said.lines().map(|line| {
            serde_json::from_str::<serde_json::Value>(line).expect("every line is a log line")
        });
        let errors: Vec<_> = lines.filter(|line| line["level"] == "ERROR").collect();
        assert_eq!(errors.len(), 1, "{said}");
        assert!(errors[0]["error"].as_str().is_some_and(|it| it.contains(reason)), "{said}");
        // Without a log the error is plain text.
        let output = holdfast(&[&serve, more, &["--log-filter", "off"]].concat()).output().unwrap();
        let said = text(&output.stderr);
        assert!(said.starts_with("holdfast: ") && said.contains(reason), "{said}");
    };
    refused(&["--raft", "0.0.0.0:7"], 2, "--advertise-raft");
    let far = ["--raft", "0.0.0.0:7", "--advertise-raft", "a:7"];
    refused(&far, 2, "--insecure-peers");
    refused(&["--raft", "127.0.0.1:7", "--peer", "1=192.0.2.1:7"], 2, "--insecure-peers");
    let missing = ["--peer-cert", "/no.crt", "--peer-key", "/no.key", "--peer-ca", "/no.ca"];
    refused(&[&far[..], &missing].concat(), 2, "/no.crt");
    refused(&["--raft", "127.0.0.1:7", "--peer", "2=127.0.0.1:8"], 2, "--peer");
    refused(&["--raft", "127.0.0.1:7", "--peer", "1=a:1", "--peer", "1=b:1"], 2, "--peer");
    let raft = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    refused(&["--raft", &raft], 2, "--peer, this node too, or name a member");
}

#[test]
fn the_error_names_a_port_in_use_before_any_data_is_touched() {
    let scratch = tempfile::tempdir().unwrap();
    let data = scratch.path().join("dev");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = holdfast(&["dev", "--nodes", "1", "--http", &address, "--data"])
        .arg(&data)
        .output()
        .unwrap();
    assert_eq!(exit_code(&output), 1, "{}", text(&output.stderr));
    let said = text(&output.stderr);
    assert!(said.contains(&address) && said.contains("another process"), "{said}");
    assert!(!data.exists());
}

#[test]
fn the_error_for_a_wrong_id_says_what_is_expected() {
    for words in [
        &["orders", "get", "abc"][..],
        &["orders", "list", "--user-id", "abc"],
        &["holds", "show", "abc"],
        &["products", "archive", "abc"],
        &["products", "ledger", "abc"],
    ] {
        let output = holdfast(words).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(exit_code(&output), 2, "{words:?}: {said}");
        assert!(said.contains("'abc'") && said.contains("a whole number such as 42"), "{said}");
    }
}

#[test]
fn health_is_an_exit_code() {
    let (well, asked) = stand_in("200 OK", r#"{"status":"ok"}"#);
    let url = format!("http://{well}");
    let output = holdfast(&["health", "--url", &url]).output().unwrap();
    assert_eq!((exit_code(&output), text(&output.stdout)), (0, "ready\n"));
    assert!(asked.recv().unwrap().starts_with("GET /readyz "));
    let (ill, _) = stand_in(
        "503 Service Unavailable",
        r#"{"status":"degraded","reason":"no leader is known"}"#,
    );
    let output = holdfast(&["health", "--url", &format!("http://{ill}")]).output().unwrap();
    assert_eq!(exit_code(&output), 1);
    assert_eq!(text(&output.stdout), "not ready: no leader is known\n");
    let output = holdfast(&["health", "--url", "http://127.0.0.1:1"]).output().unwrap();
    assert_eq!(exit_code(&output), 1, "{}", text(&output.stderr));
}

#[test]
fn a_watched_status_is_shown_again() {
    let (address, asked) = stand_in("200 OK", CLUSTER);
    let url = format!("http://{address}");
    let mut command = holdfast(&["status", "--watch=1", "--url", &url]);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let first = asked.recv_timeout(Duration::from_secs(30));
    let second = asked.recv_timeout(Duration::from_secs(30));
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(first.is_ok() && second.is_ok());
    assert!(text(&output.stdout).contains("1 of 1 voters answer; it can lose none"));
}

#[test]
fn shells_and_the_manual_know_every_subcommand() {
    for shell in ["bash", "zsh", "fish"] {
        let output = holdfast(&["completions", shell]).output().unwrap();
        assert_eq!(exit_code(&output), 0, "{shell}");
        for word in ["transfer-leader", "payment-gateway", "doctor"] {
            assert!(text(&output.stdout).contains(word), "{shell}: {word}");
        }
    }
    let page = holdfast(&["man"]).output().unwrap();
    assert_eq!(exit_code(&page), 0);
    assert!(text(&page.stdout).contains(".SH SUBCOMMANDS"), "{}", text(&page.stdout));
    let directory = tempfile::tempdir().unwrap();
    let pages = directory.path().join("man1");
    let output = holdfast(&["man", "--out", pages.to_str().unwrap()]).output().unwrap();
    assert_eq!(exit_code(&output), 0, "{}", text(&output.stderr));
    for page in ["holdfast.1", "holdfast-serve.1", "holdfast-orders-wait.1"] {
        let text = std::fs::read_to_string(pages.join(page)).unwrap();
        assert!(text.contains(".SH OPTIONS"), "{page}: {text}");
    }
}
