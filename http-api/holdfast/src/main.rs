//! The `holdfast` binary: nodes, a whole cluster for a first try, a command line client and a load
//! generator.
//!
//! Each subcommand has its own file, in the folder of its kind: `node` runs nodes, `offline` works
//! on the data of a stopped one, `remote` asks a running cluster. `main` reads the command line, runs
//! one of them and turns the result into an exit code; nothing else decides how the process ends,
//! but for the second signal of somebody who does not want to wait ([`signals`]).

mod address;
mod bench;
mod bulk;
mod cli;
mod config;
mod exit;
mod logging;
mod node;
mod offline;
mod output;
mod remote;
mod settings;
mod signals;
mod table;

use std::process::ExitCode;

/// Orders are many small allocations on several threads, which this allocator is quick at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match config::parse(std::env::args_os().collect()) {
        Ok(cli) => exit::code(cli.command.run()),
        Err(error) => config::refuse(&error),
    }
}
