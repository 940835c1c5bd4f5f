//! Which directories `dev` opens, and what it never removes.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;

/// Opens the home of a cluster as `dev` does without flags.
fn open(dir: &Path) -> Result<Home, CliError> {
    open_with(dir, None, 8080, false)
}

/// Opens it with `--fresh`.
fn open_fresh(dir: &Path) -> Result<Home, CliError> {
    open_with(dir, None, 8080, true)
}

fn open_with(
    dir: &Path,
    nodes: Option<usize>,
    http_port: u16,
    fresh: bool,
) -> Result<Home, CliError> {
    Plan::new(dir.to_owned(), nodes, http_port, fresh)?.carry_out()
}

fn reason(result: Result<Home, CliError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn a_new_home_is_private_and_can_be_reopened() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("a").join("dev");
    let home = open(&dir).unwrap();
    let ports: Vec<u16> = home.raft().iter().map(SocketAddr::port).collect();
    assert_eq!(ports.len(), 3);
    assert_eq!(home.node_dir(2), dir.join("node-2"));
    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    drop(home);
    // The raft ports stay when the HTTP ports change.
    let home = open_with(&dir, None, 9000, false).unwrap();
    let again: Vec<u16> = home.raft().iter().map(SocketAddr::port).collect();
    assert_eq!(again, ports);
}

#[test]
fn two_processes_cannot_use_one_home() {
    let scratch = tempfile::tempdir().unwrap();
    let home = open(scratch.path()).unwrap();
    assert!(reason(open(scratch.path())).contains("another `holdfast dev` uses"));
    assert!(reason(open_fresh(scratch.path())).contains("another `holdfast dev` uses"));
    drop(home);
    open(scratch.path()).unwrap();
}

#[test]
fn only_fresh_changes_the_number_of_nodes() {
    let scratch = tempfile::tempdir().unwrap();
    drop(open_with(scratch.path(), Some(5), 8080, false).unwrap());
    assert_eq!(open(scratch.path()).unwrap().raft().len(), 5);
    assert!(reason(open_with(scratch.path(), Some(3), 8080, false)).contains("--fresh"));
    fs::create_dir_all(scratch.path().join("node-5/deep")).unwrap();
    let home = open_with(scratch.path(), Some(3), 8080, true).unwrap();
    assert_eq!(home.raft().len(), 3);
    assert!(!scratch.path().join("node-5").exists());
}

#[test]
fn foreign_files_are_never_removed() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("x");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("thesis.txt"), "years of work").unwrap();
    for fresh in [false, true] {
        let refused = reason(open_with(&dir, None, 8080, fresh));
        assert!(refused.contains("`holdfast dev` did not create"), "{refused}");
    }
    fs::remove_file(dir.join("thesis.txt")).unwrap();
    drop(open(&dir).unwrap());
    fs::create_dir(dir.join("node-1")).unwrap();

    fs::write(dir.join("notes"), "mine").unwrap();
    assert!(reason(open_fresh(&dir)).contains("notes"));
    fs::remove_file(dir.join("notes")).unwrap();
    symlink(scratch.path(), dir.join("node-2")).unwrap();
    assert!(reason(open_fresh(&dir)).contains("node-2"));
    assert!(dir.join("node-1").exists(), "removed before everything was checked");
}

#[test]
fn the_error_names_a_damaged_marker() {
    let scratch = tempfile::tempdir().unwrap();
    for text in ["", "raft = []", "raft = ['nonsense']", "raft = ['127.0.0.1:1']\nx = 1", "\u{0}"] {
        fs::write(scratch.path().join(MARKER), text).unwrap();
        let reason = reason(open(scratch.path()));
        assert!(reason.contains(MARKER) && reason.contains("damaged"), "{text:?}: {reason}");
    }
}

/// The raft ports for an HTTP port.
fn ports(http: u16, nodes: usize, seed: u32) -> Vec<u16> {
    let addresses = raft_addresses(http, nodes, seed).unwrap();
    addresses.iter().map(SocketAddr::port).collect()
}

#[test]
fn raft_ports_are_free_and_the_system_gives_them_to_nobody_else() {
    let ephemeral = ephemeral_first();
    for http in [0, 1, 8080, 9_998, 22_760, 22_768, 38_958, 48_958, 60_000, 65_535] {
        let found = ports(http, 9, 77);
        let distinct: std::collections::BTreeSet<_> = found.iter().copied().collect();
        assert_eq!(distinct.len(), 9, "{http}: {found:?}");
        for port in found {
            assert!((PORT_FIRST..ephemeral).contains(&port), "{http}: {port}");
            let own = usize::from(http)..usize::from(http) + 9;
            assert!(!own.contains(&usize::from(port)), "{http}: {port} is an HTTP port");
        }
    }
    assert!(ports(0, 1, 1) != ports(0, 1, 2), "each process begins elsewhere");
}

#[test]
fn a_port_in_use_is_passed_over() {
    let first = ports(21_000, 2, 0);
    let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, first[0])).unwrap();
    let second = ports(21_000, 2, 0);
    assert!(!second.contains(&first[0]), "{first:?} {second:?}");
}

#[test]
fn the_error_for_a_raft_port_in_use_does_not_lead_to_lost_data() {
    let scratch = tempfile::tempdir().unwrap();
    drop(open_with(scratch.path(), Some(1), 21_500, false).unwrap());
    let plan = || Plan::new(scratch.path().to_owned(), None, 21_500, false).unwrap();
    plan().check_raft_ports().unwrap();
    let address = plan().raft()[0];
    let _taken = TcpListener::bind(address).unwrap();
    let reason = plan().check_raft_ports().unwrap_err().to_string();
    for words in [&address.to_string(), "another process", "--data OTHER", "data is untouched"] {
        assert!(reason.contains(words), "{words}: {reason}");
    }
    assert!(!reason.contains("fresh"), "{reason}");
    // With --fresh the old addresses do not matter.
    let plan = Plan::new(scratch.path().to_owned(), None, 21_500, true).unwrap();
    plan.check_raft_ports().unwrap();
}
