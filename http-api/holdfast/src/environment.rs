//! Finds variables of the environment that look like settings and are not.

use clap::{Command, CommandFactory as _};

use crate::cli::Cli;

/// How the names of our variables begin.
const PREFIX: &str = "HOLDFAST_";

/// Variables that are read and have no flag: by this program, or by the project's own scripts and
/// tests, which pass their environment on to the nodes that they start.
const WITHOUT_FLAG: [&str; 7] = [
    crate::credentials::VARIABLE,
    "HOLDFAST_PLANTED_BUG",
    "HOLDFAST_BINARY",
    "HOLDFAST_INSIDE",
    "HOLDFAST_BENCH_DIR",
    "HOLDFAST_SOAK_OPEN_S",
    "HOLDFAST_SCHEMATHESIS",
];

/// How further variables of the project's tests begin.
const OF_TESTS: [&str; 2] = ["HOLDFAST_TEST_", "HOLDFAST_JEPSEN"];

/// Prints a note for each variable that no flag of any subcommand has.
pub(crate) fn name_unknown() {
    let text = |word: std::ffi::OsString| word.to_string_lossy().into_owned();
    let variables = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
    for note in unknown(variables, &flags(&Cli::command())) {
        eprintln!("note: {note}");
    }
}

/// The variables of all flags.
fn flags(command: &Command) -> Vec<String> {
    let own = command.get_arguments().filter_map(clap::Arg::get_long);
    let own = own.map(|long| format!("{PREFIX}{}", long.replace('-', "_").to_ascii_uppercase()));
    own.chain(command.get_subcommands().flat_map(flags)).collect()
}

/// A note for each variable that is not a setting.
fn unknown(variables: impl Iterator<Item = (String, String)>, known: &[String]) -> Vec<String> {
    let is_ours = |name: &str| {
        let name = name.to_ascii_uppercase();
        name.starts_with(PREFIX)
    };
    let is_known = |name: &str| {
        WITHOUT_FLAG.contains(&name)
            || OF_TESTS.iter().any(|begin| name.starts_with(begin))
            || known.iter().any(|known| known == name)
    };
    let mut notes: Vec<_> = variables
        .filter(|(name, _)| is_ours(name) && !is_known(name))
        .filter(|(name, value)| !is_of_kubernetes(name, value))
        .map(|(name, _)| {
            let near = known.iter().map(|known| (distance(&name, known), known)).min();
            let letters = name.len() - PREFIX.len();
            match near.filter(|(distance, _)| distance * 4 <= letters) {
                Some((_, near)) => {
                    format!("ignoring {name} in the environment: did you mean {near}?")
                }
                None => format!("ignoring {name} in the environment: no flag has this name"),
            }
        })
        .collect();
    notes.sort();
    notes
}

/// Whether Kubernetes sets the variable for a service whose name begins with `holdfast`, such as
/// `HOLDFAST_PORT=tcp://10.0.0.1:8080` and `HOLDFAST_SERVICE_HOST`.
fn is_of_kubernetes(name: &str, value: &str) -> bool {
    let is_service = ["_SERVICE_HOST", "_SERVICE_PORT"].iter().any(|part| name.contains(part));
    let is_url = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    let is_part = name.split_once("_PORT_").is_some_and(|(_, rest)| {
        let mut words = rest.split('_');
        words.next().is_some_and(|port| port.parse::<u16>().is_ok())
            && words.next().is_some_and(|protocol| matches!(protocol, "TCP" | "UDP" | "SCTP"))
    });
    is_service || is_part || (is_url && name.ends_with("_PORT"))
}

/// The number of letters to insert, remove or replace to turn one word into the other, whatever
/// their case.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<u8> = other.bytes().map(|letter| letter.to_ascii_uppercase()).collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.bytes().enumerate() {
        let letter = letter.to_ascii_uppercase();
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, expected) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *expected);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(name: &str, value: &str) -> Vec<String> {
        let variables = [(name.to_owned(), value.to_owned())];
        unknown(variables.into_iter(), &flags(&Cli::command()))
    }

    #[test]
    fn an_unknown_variable_is_named_with_the_setting_that_was_meant() {
        for (name, near) in [
            ("HOLDFAST_OPEN_ORDER_MAX", "mean HOLDFAST_OPEN_ORDERS_MAX?"),
            ("HOLDFAST_OPENORDERS_MAX", "mean HOLDFAST_OPEN_ORDERS_MAX?"),
            ("holdfast_open_orders_max", "mean HOLDFAST_OPEN_ORDERS_MAX?"),
            ("HOLDFAST_NODE_NAME", "no flag has this name"),
            ("HOLDFAST_", "no flag has this name"),
        ] {
            let notes = notes(name, "5");
            assert_eq!(notes.len(), 1, "{name}");
            assert!(notes[0].contains(name) && notes[0].contains(near), "{notes:?}");
        }
    }

    #[test]
    fn settings_and_the_variables_of_kubernetes_are_not_named() {
        for (name, value) in [
            ("HOLDFAST_OPEN_ORDERS_MAX", "5"),
            ("HOLDFAST_PLANTED_BUG", "x"),
            ("HOLDFAST_BINARY", "target/debug/holdfast"),
            ("HOLDFAST_TEST_SEED", "7"),
            ("HOLDFAST_JEPSEN", "skip"),
            ("PATH", "/bin"),
            ("HOLDFAST", "x"),
            ("HOLDFAST_PORT", "tcp://10.0.0.1:8080"),
            ("HOLDFAST_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
            ("HOLDFAST_PORT_8080_TCP_PROTO", "tcp"),
            ("HOLDFAST_PORT_8080_TCP_PORT", "8080"),
            ("HOLDFAST_PORT_8080_TCP_ADDR", "10.0.0.1"),
            ("HOLDFAST_SERVICE_HOST", "10.0.0.1"),
            ("HOLDFAST_SERVICE_PORT", "8080"),
            ("HOLDFAST_SERVICE_PORT_HTTP", "8080"),
            ("HOLDFAST_PEERS_PORT", "udp://10.0.0.1:7"),
            ("HOLDFAST_PEERS_SERVICE_HOST", "10.0.0.1"),
        ] {
            assert_eq!(notes(name, value), Vec::<String>::new(), "{name}");
        }
        assert_eq!(notes("HOLDFAST_PORT", "8080").len(), 1, "not what Kubernetes sets");
    }
}
