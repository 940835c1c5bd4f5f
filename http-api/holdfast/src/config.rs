//! Reads settings: a flag overrides the environment, the environment overrides the file.
//!
//! Flags are declared once, for clap. The names in the environment and in the file are derived from
//! that declaration, so no flag is missing in either. A file entry whose flag is not given
//! elsewhere becomes an argument before the final parse: it passes the same checks as a typed one,
//! and the process never changes its own environment.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::{BoolishValueParser, ValueRange};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, CommandFactory, FromArgMatches};

use crate::cli::Cli;
use crate::exit::chain;
use crate::settings;

/// The flag that names the file; the file itself cannot set it.
const FILE_FLAG: &str = "config";

/// Flags whose values are secrets.
const SECRET_FLAGS: [&str; 1] = ["webhook-secret"];

/// Largest configuration file, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Why the settings cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// An argument, environment variable or file entry is wrong. clap reports `--help` and
    /// `--version` this way too.
    #[error("{error}")]
    Arguments {
        /// The error of clap.
        error: Box<clap::Error>,
        /// The configuration file, if one was read.
        file: Option<PathBuf>,
    },
    /// The file cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("the configuration file {} is not valid TOML", path.display())]
    NotToml {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// The file names a setting that this command does not have.
    #[error(
        "unknown key `{key}` in {}: `holdfast {command} --help` lists the settings",
        path.display()
    )]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// The subcommand on the command line.
        command: String,
    },
    /// The file holds a secret, and every user of the machine can read it.
    #[error(
        "every user of this machine can read `{key}` in {}: `chmod o= {}`",
        path.display(),
        path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// The secret.
        key: String,
    },
    /// An entry is a table, a date or a nested list.
    #[error(
        "the value of `{key}` in {} must be a string, a number, a boolean or a list of these",
        path.display()
    )]
    NotPlain {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
    },
}

/// Reads the command line, the environment and the configuration file.
///
/// # Errors
/// A setting is missing, unknown or out of range.
pub(crate) fn parse(mut arguments: Vec<OsString>) -> Result<Cli, Error> {
    // The first pass finds the file and the flags that are given already. It requires no flag,
    // since the file may supply it; every other mistake is final.
    let first = declaration(true).try_get_matches_from(&arguments).map_err(|error| {
        // Only the full declaration shows in --help which flags are required.
        let full = declaration(false).try_get_matches_from(&arguments).err();
        Error::Arguments { error: Box::new(full.unwrap_or(error)), file: None }
    })?;
    let (path, leaf) = leaf_of(&first);
    let file = leaf.try_get_one::<PathBuf>(FILE_FLAG).ok().flatten().cloned();
    if let Some(file) = &file {
        let extra = arguments_from_file(file, &path, leaf)?;
        // Only the innermost subcommand takes flags, so the command line begins with the names of
        // the subcommands, and all flags follow them.
        let at = 1 + path.len();
        arguments.splice(at..at, extra);
    }
    let matches = declaration(false)
        .try_get_matches_from(arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    matches.map_err(|error| Error::Arguments { error: Box::new(error), file })
}

/// Prints why settings cannot be read, and gives the exit code. Prints `--help` and `--version`
/// too, whose exit code is 0.
pub(crate) fn refuse(error: &Error) -> ExitCode {
    match error {
        Error::Arguments { error, file } => {
            // When even this message cannot be written, nothing is left to do.
            let _ = error.print();
            if let Some(file) = file {
                eprintln!("note: some of these settings come from {}", file.display());
            }
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
        other => {
            eprintln!("holdfast: {}", chain(other));
            ExitCode::from(2)
        }
    }
}

/// The declaration of the command line, with the environment variable of each flag.
fn declaration(nothing_required: bool) -> clap::Command {
    complete(Cli::command(), nothing_required)
}

fn complete(command: clap::Command, nothing_required: bool) -> clap::Command {
    command
        .mut_args(|argument| complete_flag(argument, nothing_required))
        .mut_subcommands(|inner| complete(inner, nothing_required))
}

/// Gives a flag its environment variable. Gives a switch an optional value, so that the command
/// line can turn off a switch that the file turns on.
fn complete_flag(flag: Arg, nothing_required: bool) -> Arg {
    let Some(long) = flag.get_long() else { return flag };
    let variable = variable(long);
    let required = flag.is_required_set() && !nothing_required;
    let flag = if matches!(flag.get_action(), ArgAction::SetTrue) {
        flag.action(ArgAction::Set)
            .num_args(ValueRange::new(0..=1))
            .require_equals(true)
            .value_name("true|false")
            .value_parser(BoolishValueParser::new())
            .default_value("false")
            .default_missing_value("true")
            .hide_default_value(true)
            .hide_possible_values(true)
    } else {
        flag
    };
    flag.env(variable).hide_env(true).required(required)
}

/// The environment variable of a flag.
fn variable(long: &str) -> String {
    format!("HOLDFAST_{}", long.replace('-', "_").to_ascii_uppercase())
}

/// The names of the subcommands down to the innermost, and its arguments.
fn leaf_of(matches: &ArgMatches) -> (Vec<String>, &ArgMatches) {
    let (mut path, mut leaf) = (Vec::new(), matches);
    while let Some((name, inner)) = leaf.subcommand() {
        path.push(name.to_owned());
        leaf = inner;
    }
    (path, leaf)
}

/// The entries of the file as arguments, without those that a flag or variable overrides.
fn arguments_from_file(
    file: &Path,
    path: &[String],
    given: &ArgMatches,
) -> Result<Vec<OsString>, Error> {
    let (text, is_exposed) = read(file)?;
    let table: toml::Table = toml::from_str(&text)
        .map_err(|error| Error::NotToml { path: file.to_owned(), source: Box::new(error) })?;
    let root = declaration(true);
    let command = path.iter().fold(&root, |command, name| {
        command.find_subcommand(name).expect("clap matched this subcommand a moment ago")
    });
    let mut arguments = Vec::new();
    for (key, value) in &table {
        let flag = command
            .get_arguments()
            .find(|flag| flag.get_long() == Some(key.as_str()) && key != FILE_FLAG);
        let Some(flag) = flag else {
            return Err(Error::UnknownKey {
                path: file.to_owned(),
                key: key.clone(),
                command: path.join(" "),
            });
        };
        if is_exposed && SECRET_FLAGS.contains(&key.as_str()) {
            return Err(Error::Exposed { path: file.to_owned(), key: key.clone() });
        }
        let texts = plain(value)
            .ok_or_else(|| Error::NotPlain { path: file.to_owned(), key: key.clone() })?;
        let source = given.value_source(flag.get_id().as_str());
        if matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable)) {
            continue;
        }
        arguments.extend(texts.into_iter().map(|text| OsString::from(format!("--{key}={text}"))));
    }
    Ok(arguments)
}

/// The text of the file, and whether users can read it whom its owner may not know.
fn read(file: &Path) -> Result<(String, bool), Error> {
    use std::io::{Error as IoError, ErrorKind, Read as _};

    let unreadable = |source| Error::Unreadable { path: file.to_owned(), source };
    let mut text = String::new();
    let read = std::fs::File::open(file).and_then(|opened| {
        let is_exposed = settings::is_exposed(&opened)?;
        opened.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
        Ok(is_exposed)
    });
    let is_exposed = read.map_err(unreadable)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(unreadable(IoError::new(ErrorKind::FileTooLarge, "larger than 1 MiB")));
    }
    Ok((text, is_exposed))
}

/// The text of a value, or the texts of a list.
fn plain(value: &toml::Value) -> Option<Vec<String>> {
    match value {
        toml::Value::Array(list) => list.iter().map(scalar).collect(),
        single => Some(vec![scalar(single)?]),
    }
}

fn scalar(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => None,
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
