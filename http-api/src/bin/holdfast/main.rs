//! The `holdfast` binary: nodes, a whole cluster for a first try, a command line client and a load
//! generator.
//!
//! Each subcommand has its own file. `main` reads the command line, runs one of them and turns the
//! result into an exit code; nothing else decides how the process ends, but for the second signal
//! of somebody who does not want to wait ([`signals`]).

mod address;
mod backup;
mod bench;
mod bulk;
mod changes;
mod cli;
mod config;
mod dev;
mod events;
mod exit;
mod holds;
mod join;
mod logging;
mod members;
mod orders;
mod payments;
mod products;
mod rebuild;
mod recover;
mod remote;
mod restore;
mod running;
mod serve;
mod settings;
mod signals;
mod snapshot;
mod status;
mod stock;
mod table;
mod verify;

use std::process::ExitCode;

/// Orders are many small allocations on several threads, which this allocator is quick at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match config::parse(std::env::args_os().collect()) {
        Ok(cli) => exit::code(cli.command.run()),
        Err(error) => exit::refused_arguments(&error),
    }
}
