//! Rules of the house that no compiler checks: who imports whom, and how sources look.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tests::cluster::workspace;
use tests::imports::{Imports, describe};

/// Widest line of a source file, in characters. Only text in quotes may be wider, which nobody can
/// break without changing it.
const LINE_CHARS_MAX: usize = 100;

/// Longest source file, in lines. Files over 600 are printed: does each still hold one idea?
const FILE_LINES_MAX: usize = 900;

/// Which crates of the workspace each crate may use. A crate lives in the folder of its name, but
/// for those in [`INNER`].
const ARROWS: &[(&str, &[&str])] = &[
    ("engine", &[]),
    ("engine-model", &["engine"]),
    ("client", &[]),
    ("raft-node", &["engine"]),
    ("raft-sim", &["engine", "engine-model", "raft-node"]),
    ("http-api", &["raft-node", "engine", "client"]),
    ("holdfast", &["http-api", "raft-node", "engine", "client"]),
    ("jepsen", &["client"]),
    ("fuzz", &["engine", "raft-node", "http-api", "client"]),
    ("tests", &["engine", "raft-node", "http-api", "client", "jepsen", "benches"]),
    ("benches", &["engine", "raft-node", "http-api", "client", "jepsen", "tests"]),
];

/// Packages whose files must not import each other in a circle, by directory.
const WITHOUT_CIRCLES: &[&str] = &[
    "engine",
    "engine/model",
    "client",
    "jepsen",
    "http-api",
    "http-api/holdfast",
    "raft-node",
    "raft-node/sim",
    "tests",
    "tests/fuzz",
    "benches",
];

/// Crates that live inside the folder of another one.
const INNER: &[(&str, &str)] = &[
    ("engine-model", "engine/model"),
    ("holdfast", "http-api/holdfast"),
    ("raft-sim", "raft-node/sim"),
    ("fuzz", "tests/fuzz"),
];

/// Crates that a crate uses in its examples and tests alone, against the arrows.
const DEV_ARROWS: &[(&str, &str)] = &[("raft-node", "raft-sim"), ("engine", "engine-model")];

/// Words that must not stand in the sources of a crate, with the reason.
struct Ban {
    /// Path prefix relative to the workspace.
    sources: &'static str,
    words: &'static [&'static str],
    reason: &'static str,
}

const BANS: &[Ban] = &[
    Ban {
        sources: "engine/src",
        words: &["tokio::", "hyper::", "raft::", "raft_engine::", "rand::"],
        reason: "the engine is a function of state and entry",
    },
    Ban {
        sources: "engine/src",
        words: &["SystemTime", "Instant::", "std::thread", "HashMap::new()", "HashSet::new()"],
        reason: "replicas must not differ by clock, thread or hash seed",
    },
    Ban {
        sources: "http-api/src",
        words: &["RawNode", "sled", "raft::", "raft_engine"],
        reason: "the HTTP library sees a Handle, never what is behind it",
    },
    Ban {
        sources: "client/src",
        words: &["engine::", "raft_node::", "http_api::"],
        reason: "the wire format is a promise, the engine's types are not",
    },
    Ban {
        sources: "jepsen/src",
        words: &["engine::", "raft_node::", "http_api::"],
        reason: "a checker that shares code with the system shares its bugs",
    },
    Ban {
        sources: "raft-node/src",
        words: &["hyper::", "http_api::", "client::"],
        reason: "replication knows no HTTP",
    },
    Ban {
        sources: "raft-node/src",
        words: &["raft_sim::"],
        reason: "the simulator knows the node, not the other way round",
    },
];

/// Words that stand in no source at all. Each is written in two parts, since this file is a
/// source too.
const NOWHERE: &[(&str, &str)] = &[
    ("#[ig", "nore"),
    ("to", "do!("),
    ("unimple", "mented!("),
    ("d", "bg!("),
    ("TO", "DO"),
    ("FIX", "ME"),
    ("allow(dead_", "code"),
    ("allow(unus", "ed"),
    ("unsa", "fe {"),
];

#[test]
fn crates_import_along_the_arrows_only() {
    let packages = packages();
    let members: Vec<&String> = packages.keys().collect();
    let known: Vec<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    for member in &members {
        assert!(known.contains(&member.as_str()), "{member} has no row in the table of arrows");
    }
    let mut wrong = Vec::new();
    for (name, allowed) in ARROWS {
        for dependency in &packages[*name] {
            // A crate may ask for itself with other features, for its own tests.
            let ours = members.iter().any(|member| **member == dependency.name)
                && dependency.name != *name;
            let for_tests = dependency.dev && DEV_ARROWS.contains(&(name, &dependency.name));
            if ours && !for_tests && !allowed.contains(&dependency.name.as_str()) {
                wrong.push(format!("{name} -> {}", dependency.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // By manifest too: what is not a dependency cannot creep in through a macro or a re-export.
    for (name, banned) in [
        ("engine", &["tokio", "hyper", "raft", "raft-engine", "rand", "time"][..]),
        ("client", &["raft", "sled", "raft-engine"]),
        ("jepsen", &["raft", "sled", "raft-engine"]),
        ("raft-node", &["hyper"]),
    ] {
        for dependency in packages[name].iter().filter(|dependency| !dependency.dev) {
            assert!(!banned.contains(&dependency.name.as_str()), "{name} -> {}", dependency.name);
        }
    }
}

/// `CIRCLES=raft-node cargo test -p tests --test tidy circle` checks the package in that directory
/// alone, whether or not it is listed, and prints every circle.
#[test]
fn no_files_import_each_other_in_a_circle() {
    let asked = std::env::var("CIRCLES").ok();
    let packages = match &asked {
        Some(package) => vec![package.as_str()],
        None => WITHOUT_CIRCLES.to_vec(),
    };
    let sources = sources();
    let mut wrong = String::new();
    for package in packages {
        let roots = sources.keys().filter(|path| is_root(package, path));
        let roots: Vec<&String> = roots.collect();
        assert!(!roots.is_empty(), "{package}: there is no package");
        for root in roots {
            let circles = Imports::read(root, &sources).circles();
            if !circles.is_empty() {
                wrong.push_str(&format!("{root}: {}", describe(&circles)));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Whether the file is the root of the package's library or of one of its binaries.
fn is_root(package: &str, path: &str) -> bool {
    let Some(inner) = path.strip_prefix(package).and_then(|rest| rest.strip_prefix("/src/")) else {
        return false;
    };
    let binary =
        inner.strip_prefix("bin/").map(|rest| rest.strip_suffix("/main.rs").unwrap_or(rest));
    matches!(inner, "lib.rs" | "main.rs") || binary.is_some_and(|name| !name.contains('/'))
}

#[test]
fn sources_name_nothing_that_their_crate_must_not_know() {
    let mut wrong = Vec::new();
    for ban in BANS {
        for (path, text) in sources() {
            if !path.starts_with(ban.sources) {
                continue;
            }
            for (number, line) in code_lines(&text) {
                for word in ban.words.iter().filter(|word| names(line, word)) {
                    wrong.push(format!("{path}:{number}: {word} ({})", ban.reason));
                }
            }
        }
    }
    // The server shares the wire types of the client crate and nothing else of it.
    for (path, text) in sources() {
        if path.starts_with("http-api/src") {
            for (number, line) in code_lines(&text) {
                if names(line, "client::") && !names(line, "client::wire") {
                    wrong.push(format!("{path}:{number}: more of the client than its wire types"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn sources_hold_nothing_unfinished_or_switched_off() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        for (number, line) in (1..).zip(text.lines()) {
            for (start, end) in NOWHERE {
                if line.contains(&format!("{start}{end}")) {
                    wrong.push(format!("{path}:{number}: {start}{end}"));
                }
            }
            // Helpers of integration tests may unwrap: clippy's own exception does not see them.
            let product = path.contains("/src/");
            if product && line.contains(concat!("allow(clippy::unwrap_", "used")) {
                wrong.push(format!("{path}:{number}: unwrap allowed outside of tests"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn sources_are_narrow_and_short_and_say_what_they_own() {
    let mut wrong = Vec::new();
    let mut long = Vec::new();
    for (path, text) in sources() {
        for (number, line) in (1..).zip(text.lines()) {
            let width = line.chars().count();
            let quoted = line.contains('"') && !line.trim_start().starts_with("//");
            if width > LINE_CHARS_MAX && !quoted {
                wrong.push(format!("{path}:{number}: {width} characters"));
            }
        }
        let lines = text.lines().count();
        if lines > 600 {
            long.push(format!("{lines:5} {path}"));
        }
        if lines > FILE_LINES_MAX {
            wrong.push(format!("{path}: {lines} lines"));
        }
        if !text.starts_with("//!") {
            wrong.push(format!("{path}: opens without a word on what it owns"));
        }
        if !text.ends_with('\n') || text.contains('\r') || text.contains('\t') {
            wrong.push(format!("{path}: tabs, carriage returns or no newline at its end"));
        }
    }
    long.sort_unstable_by(|a, b| b.cmp(a));
    println!("files over 600 lines:\n{}", long.join("\n"));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_tests_behind_the_promises_exist() {
    let sources: String = sources().into_values().collect();
    for (document, least) in [
        ("docs/RELIABILITY.md", 10),
        ("docs/COMPATIBILITY.md", 80),
        ("docs/reliability/inputs.md", 40),
    ] {
        let text = fs::read_to_string(workspace().join(document)).expect("it is written down");
        let mut named = 0;
        let mut missing = Vec::new();
        // What stands in backticks and reads like a sentence is the name of a test; it may be cut.
        for word in text.split('`').skip(1).step_by(2) {
            let name = word.strip_suffix('…').unwrap_or(word);
            let is_name = name.chars().all(|char| char.is_ascii_lowercase() || char == '_');
            if !is_name || name.matches('_').count() < 3 {
                continue;
            }
            named += 1;
            let whole = if name == word { format!("fn {name}(") } else { format!("fn {name}") };
            if !sources.contains(&whole) {
                missing.push(word);
            }
        }
        assert!(named >= least, "{document}: {named} names of tests were found");
        assert!(missing.is_empty(), "{document}: tests that are not there: {missing:#?}");
    }
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    let root = fs::read_to_string(workspace().join("Cargo.toml")).expect("the root manifest");
    for lint in ["unsafe_code = \"forbid\"", "missing_docs", "unwrap_used"] {
        assert!(root.contains(lint), "the workspace no longer sets {lint}");
    }
    for (name, _) in ARROWS {
        let path = folder(name).join("Cargo.toml");
        let text = fs::read_to_string(&path).expect("a member's manifest");
        assert!(text.contains("[lints]\nworkspace = true"), "{name} has lints of its own");
    }
}

/// One dependency of a package.
struct Dependency {
    name: String,
    dev: bool,
}

/// The members of the workspace with what they depend on, as cargo reads their manifests.
fn packages() -> BTreeMap<String, Vec<Dependency>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(workspace())
        .output()
        .expect("cargo can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let text = |value: &Value| value.as_str().expect("a name").to_owned();
    packages
        .iter()
        .map(|package| {
            let list = package["dependencies"].as_array().expect("dependencies").iter();
            let list = list.map(|dependency| Dependency {
                name: text(&dependency["name"]),
                dev: dependency["kind"] == "dev",
            });
            (text(&package["name"]), list.collect())
        })
        .collect()
}

/// Where a crate lives.
fn folder(name: &str) -> PathBuf {
    let inner = INNER.iter().find(|(inner, _)| *inner == name);
    workspace().join(inner.map_or(name, |(_, folder)| folder))
}

/// Every Rust source of the members, by path relative to the workspace.
fn sources() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (name, _) in ARROWS {
        collect(&folder(name), &mut found);
    }
    assert!(found.len() > 50, "the sources were found: {}", found.len());
    found
}

fn collect(dir: &Path, found: &mut BTreeMap<String, String>) {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            if !path.ends_with("target") {
                collect(&path, found);
            }
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path).expect("sources are UTF-8");
            let relative = path.strip_prefix(workspace()).expect("a path of the workspace");
            found.insert(relative.to_string_lossy().into_owned(), text);
        }
    }
}

/// The numbered lines that are not comments.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines()).filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Whether a line names `word` as a whole path segment, not as the end of a longer name.
fn names(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        // `crate::engine::` and `self::raft::` are modules of the crate itself.
        !before.is_some_and(|char| char.is_alphanumeric() || char == '_' || char == ':')
    })
}
