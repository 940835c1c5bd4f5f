//! The checkers against recorded histories: the checker whose promise it breaks refuses each bad
//! one, and all checkers accept each good one.

use std::path::Path;
use std::time::Duration;

use jepsen::checker::{self, Enough, Judgement, Linearizability, Verdict};
use jepsen::history;

/// Bad recordings, and the checkers that must refuse them. Others may too.
const BAD: &[(&str, &[&str])] = &[
    ("bad-oversell", &["conservation", "linearizable"]),
    ("bad-negative-stock", &["conservation", "linearizable"]),
    ("bad-lost-order", &["durability"]),
    ("bad-lost-on-one-node", &["durability"]),
    ("bad-key-twice", &["keys", "linearizable"]),
    ("bad-key-twice-after-timeout", &["keys"]),
    ("bad-stale-read", &["linearizable"]),
    ("bad-stale-order", &["linearizable"]),
    ("bad-back-from-the-dead", &["transitions", "durability", "linearizable"]),
    ("bad-forgotten-cancel", &["transitions", "durability"]),
    ("bad-units-not-given-back", &["conservation", "linearizable"]),
    ("bad-given-back-twice", &["conservation", "linearizable"]),
    ("bad-refused-in-spite-of-stock", &["linearizable"]),
    ("bad-refused-and-done", &["durability"]),
    ("bad-cancelled-after-paid", &["transitions", "linearizable"]),
    ("bad-reads-go-back", &["linearizable"]),
    ("bad-order-from-nowhere", &["durability"]),
    ("bad-nodes-differ", &["durability"]),
    ("bad-nodes-stay-away", &["recovery"]),
];

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories")
}

fn judge(name: &str) -> Vec<(&'static str, Judgement)> {
    let path = folder().join(format!("{name}.jsonl"));
    let history = history::read(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    let search = Linearizability { limit: Duration::from_secs(30) };
    let checkers = checker::all(Enough::default(), search);
    checkers.iter().map(|checker| (checker.name(), checker.check(&history))).collect()
}

#[test]
fn bad_recordings_are_refused_by_the_right_checkers() {
    for (name, expected) in BAD {
        let judgements = judge(name);
        for wanted in *expected {
            let (_, judgement) = judgements.iter().find(|(name, _)| name == wanted).unwrap();
            assert_eq!(judgement.verdict, Verdict::Invalid, "{name}: {wanted}: {judgement:?}");
            assert!(!judgement.findings.is_empty(), "{name}: {wanted} gives no reason");
        }
    }
}

#[test]
fn good_recordings_are_accepted() {
    let mut seen = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let name = name.strip_suffix(".jsonl").unwrap();
        if name.starts_with("good-") {
            seen += 1;
            for (checker, judgement) in judge(name) {
                let fine = judgement.verdict == Verdict::Valid
                    || (checker == "transitions" && judgement.verdict == Verdict::Empty);
                assert!(fine, "{name}: {checker}: {judgement:?}");
            }
        } else {
            let known = BAD.iter().any(|(bad, _)| *bad == name);
            assert!(known || name.starts_with("empty-"), "{name} is not judged by any test");
        }
    }
    assert!(seen >= 4);
}

#[test]
fn too_little_is_empty_and_not_valid() {
    for (checker, judgement) in judge("empty-nothing-ordered") {
        let idle = matches!(checker, "conservation" | "availability" | "recovery");
        let expected = if idle { Verdict::Valid } else { Verdict::Empty };
        assert_eq!(judgement.verdict, expected, "{checker}: {judgement:?}");
    }
}
