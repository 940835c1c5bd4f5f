//! The `holdfast` binary: it runs nodes, or a whole cluster for a first try, and is a command line
//! client and a load generator.
//!
//! Each subcommand has its own file, in the folder of its kind: `node` runs nodes, `offline` works
//! on the data of a stopped one, `remote` asks a running cluster. `main` reads the command line,
//! runs one of them and turns the result into an exit code. Only a second signal ends the process
//! elsewhere ([`signals`]).

mod address;
mod bench;
mod bulk;
mod certs;
mod cli;
mod config;
mod credentials;
mod environment;
mod exit;
mod gateway;
mod logging;
mod node;
mod offline;
mod output;
mod progress;
mod remote;
mod runtime;
mod settings;
mod shell;
mod signals;
mod table;

use std::process::ExitCode;

/// Orders make many small allocations on several threads; this allocator is fast at those.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Orders and secrets are in every file that this process makes: only this user may read them.
    // Some libraries do not set the mode of their files.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    match config::parse(std::env::args_os().collect()) {
        Ok(cli) => {
            environment::name_unknown();
            exit::code(cli.command.run())
        }
        Err(error) => config::refuse(&error),
    }
}
