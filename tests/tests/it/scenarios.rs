//! The load scripts of older systems (`holdfast bench --scenario`), against three real processes:
//! they pass, say so in the lines that those systems print, and fail when they should.

use serde_json::Value;
use tests::{Cluster, Options, cluster};

/// Runs a scenario over all nodes; returns its exit code and output.
async fn run(cluster: &Cluster, scenario: &str, flags: &[&str]) -> (Option<i32>, String, String) {
    let urls = cluster.caller().urls().join(",");
    let mut command = cluster::holdfast();
    command.args(["bench", "--scenario", scenario, "--url", &urls]).args(flags);
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.expect("no panic").expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_scenario_passes_and_prints_the_known_lines() {
    let cluster =
        Options::new("every_scenario_passes_and_prints_the_known_lines").alone().start().await;
    for (scenario, flags, lines) in [
        (
            "oversell",
            &[][..],
            &[
                "  OVERSELL TEST RESULTS\n",
                "  Orders Created:  1 (expected: 1)\n",
                "  Orders Rejected: 49 (expected: 49)\n",
                "  Verdict: PASS ✓\n",
                "✓ orders_created_total",
                "✓ count==49\n",
            ][..],
        ),
        (
            "idempotency",
            &[],
            &[
                "  IDEMPOTENCY TEST RESULTS\n",
                "  Created (201):    1 (expected: 1)\n",
                "  Existing (200):   49 (expected: 49)\n",
                "  Unexpected:       0 (expected: 0)\n",
                "  Verdict: PASS ✓\n",
            ],
        ),
        (
            "high-load",
            &["--duration", "4"],
            &[
                "scenarios: (100.00%) 1 scenario, 50 max VUs",
                "✓ status is 201 or 200\n",
                "✓ response has data.id\n",
                "✓ rate<0.1\n",
                "✓ rate>0.8\n",
                "     orders_rejected................: 0\n",
                "Verdict: PASS ✓\n",
            ],
        ),
        (
            "order_test",
            &["--duration", "2"],
            &["100 max VUs", "✓ status is 201\n", "✓ count==0\n", "Verdict: PASS ✓\n"],
        ),
    ] {
        let (code, text, errors) = run(&cluster, scenario, flags).await;
        assert_eq!(code, Some(0), "{scenario}: {errors}\n{text}");
        for line in lines {
            assert!(text.contains(line), "{scenario} does not say {line:?}:\n{text}");
        }
    }
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missed_threshold_is_exit_code_1_and_named() {
    // With this low bound on open orders, nearly all users are refused.
    let options = Options::new("a_missed_threshold").flag("--open-orders-max", "5");
    let cluster = options.start().await;
    let flags = ["--duration", "1", "--json"];
    let (code, text, errors) = run(&cluster, "order_test", &flags).await;
    assert_eq!(code, Some(1), "{errors}\n{text}");
    assert!(errors.contains("missed: status_is_not_201 is "), "{errors}");
    let report: Value = serde_json::from_str(&text).expect("one JSON object");
    assert_eq!((&report["scenario"], &report["verdict"]), (&"order_test".into(), &"FAIL".into()));
    assert!(report["statuses"]["503"].as_u64() > Some(0), "{report}");
    assert!(report["thresholds"].as_array().is_some_and(|rules| rules.len() == 3), "{report}");
    let (code, ..) = run(&cluster, "no-such-scenario", &[]).await;
    assert_eq!(code, Some(2));
}
