//! How flags and file combine. `http-api/holdfast/tests/it/command_line.rs` tests the environment,
//! with real processes.

use std::io::Write as _;

use clap::CommandFactory as _;

use super::*;
use crate::cli::Command;

fn words(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(OsString::from).collect()
}

/// Parses a command line, with `FILE` replaced by the path of a file with this text.
fn parse_with(line: &str, text: &str) -> Result<Command, Error> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let path = file.path().to_str().unwrap();
    parse(words(&line.replace("FILE", path))).map(|cli| cli.command)
}

#[test]
fn a_file_with_a_secret_that_every_user_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;

    let file = tempfile::NamedTempFile::new().unwrap();
    let line = format!("holdfast serve --config {}", file.path().display());
    let parse_under = |mode: u32, text: &str| {
        std::fs::write(file.path(), text).unwrap();
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(file.path(), mode).unwrap();
        parse(words(&line)).map(|_| ()).map_err(|error| error.to_string())
    };
    let secret = format!("{FULL}webhook-secret = '0123456789abcdef'\n");
    let refused = parse_under(0o644, &secret).unwrap_err();
    assert!(refused.contains("webhook-secret") && refused.contains("chmod"), "{refused}");
    assert!(!refused.contains("0123456789"), "{refused}");
    for mode in [0o600, 0o640] {
        assert_eq!(parse_under(mode, &secret), Ok(()), "{mode:o}");
    }
    assert_eq!(parse_under(0o644, FULL), Ok(()), "no secret in it");
}

fn serve(line: &str, text: &str) -> serve_fields::Fields {
    let line = format!("holdfast serve --config FILE {line}");
    serve_fields::of(parse_with(&line, text).unwrap())
}

/// The fields that the tests check.
mod serve_fields {
    use crate::cli::Command;

    #[derive(Debug)]
    pub(super) struct Fields {
        pub(super) id: u64,
        pub(super) peers: usize,
        pub(super) require_users: bool,
        pub(super) success_rate: u32,
        pub(super) backoff: Vec<u64>,
    }

    pub(super) fn of(command: Command) -> Fields {
        let Command::Serve(options) = command else { panic!("not serve: {command:?}") };
        Fields {
            id: options.id,
            peers: options.peer.len(),
            require_users: options.limits.require_users,
            success_rate: options.payments.payment_success_rate,
            backoff: options.payments.payment_backoff_ms,
        }
    }
}

const FULL: &str = "\
id = 3
data = '/nowhere'
http = '127.0.0.1:8080'
raft = '127.0.0.1:7000'
peer = ['1=127.0.0.1:7001', '2=127.0.0.1:7002', '3=127.0.0.1:7000']
require-users = true
payment-success-rate = 0.25
payment-backoff-ms = [10, 20]
";

#[test]
fn clap_accepts_the_declaration() {
    declaration(false).debug_assert();
    declaration(true).debug_assert();
    Cli::command().debug_assert();
}

#[test]
fn the_file_sets_missing_flags_even_required_ones() {
    let fields = serve("", FULL);
    assert_eq!((fields.id, fields.peers, fields.require_users), (3, 3, true));
    assert_eq!((fields.success_rate, fields.backoff), (250_000, vec![10, 20]));
}

#[test]
fn a_flag_overrides_the_file() {
    let line = "--id 1 --require-users=false --payment-backoff-ms 7 --peer 1=127.0.0.1:7001";
    let fields = serve(line, FULL);
    assert_eq!((fields.id, fields.peers, fields.require_users), (1, 1, false));
    assert_eq!((fields.success_rate, fields.backoff), (250_000, vec![7]));
}

#[test]
fn a_switch_needs_no_value() {
    assert!(serve("--require-users", &FULL.replace("true", "false")).require_users);
}

#[test]
fn a_missing_required_flag_is_an_error() {
    let error = parse(words("holdfast serve --id 1")).unwrap_err();
    let Error::Arguments { error, file: None } = error else { panic!("{error:?}") };
    assert_eq!(error.kind(), clap::error::ErrorKind::MissingRequiredArgument);
    let error = parse_with("holdfast serve --config FILE", "id = 1").unwrap_err();
    let Error::Arguments { error, file: Some(_) } = error else { panic!("{error:?}") };
    assert!(error.to_string().contains("--data"), "{error}");
}

#[test]
fn the_error_names_an_unknown_key() {
    for (text, key) in
        [("id = 1\nidd = 2", "idd"), ("config = 'x'", "config"), ("help = true", "help")]
    {
        let error = parse_with("holdfast serve --config FILE", text).unwrap_err();
        assert!(matches!(&error, Error::UnknownKey { key: found, .. } if found == key), "{error}");
        assert!(error.to_string().contains(&format!("`{key}`")), "{error}");
        assert!(error.to_string().contains("holdfast serve --help"), "{error}");
    }
    // A setting of another subcommand is unknown to this one.
    assert!(parse_with("holdfast orders list --config FILE", "per-page = 5").is_ok());
    assert!(parse_with("holdfast orders get 1 --config FILE", "per-page = 5").is_err());
}

#[test]
fn values_in_the_file_are_checked_like_flags() {
    for text in ["id = 0", "payment-success-rate = 1.5", "require-users = 'perhaps'", "http = 'x'"]
    {
        let line = "holdfast serve --config FILE --id 1 --data d --raft 127.0.0.1:1";
        let line =
            if text.starts_with("id") { line.replace("--id 1", "") } else { line.to_owned() };
        let error = parse_with(&line, text).unwrap_err();
        let Error::Arguments { error, file: Some(_) } = error else { panic!("{text}: {error:?}") };
        assert!(error.to_string().contains(&format!("--{}", text.split(' ').next().unwrap())));
    }
    for text in ["id = [[1]]", "[id]\nx = 1", "id = 2026-01-01"] {
        let error = parse_with("holdfast serve --config FILE", text).unwrap_err();
        assert!(matches!(error, Error::NotPlain { .. }), "{text}: {error}");
    }
}

#[test]
fn the_error_names_an_unreadable_file() {
    let error = parse(words("holdfast serve --config /nowhere/at/all.toml")).unwrap_err();
    assert!(error.to_string().contains("/nowhere/at/all.toml"), "{error}");
    let error = parse_with("holdfast serve --config FILE", "id = = 1").unwrap_err();
    assert!(matches!(error, Error::NotToml { .. }), "{error}");
    let error = parse_with("holdfast serve --config FILE", &"# ".repeat(600_000)).unwrap_err();
    assert!(matches!(error, Error::Unreadable { .. }), "{error}");
}

#[test]
fn every_flag_has_an_environment_variable() {
    fn check(command: &clap::Command) {
        for flag in command.get_arguments() {
            let Some(long) = flag.get_long() else { continue };
            let expected = variable(long);
            assert_eq!(flag.get_env().and_then(|name| name.to_str()), Some(expected.as_str()));
        }
        for inner in command.get_subcommands() {
            check(inner);
        }
    }
    check(&declaration(false));
    assert_eq!(variable("open-orders-max"), "HOLDFAST_OPEN_ORDERS_MAX");
}
