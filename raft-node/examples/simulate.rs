//! Runs the simulator of this crate; see `raft_sim::command_line` for its arguments.

use std::process::ExitCode;

fn main() -> ExitCode {
    raft_sim::command_line::main()
}
