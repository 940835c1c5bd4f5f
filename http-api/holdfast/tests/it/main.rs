//! Tests of the binary as a process, linked into one test program.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod command_line;
mod files;
mod one_node;
mod run_a_drop;

use std::process::Command;

/// The binary, with an empty environment.
fn holdfast(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    command.args(words).env_clear();
    command
}
