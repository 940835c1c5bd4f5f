//! The command line: lists the subcommands. Each subcommand declares its flags in its own file.

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::bulk::{export, import};
use crate::exit::{self, CliError};
use crate::node::{dev, serve};
use crate::offline::{recover, restore, verify};
use crate::remote::{
    audit, auth, backup, clock, doctor, events, health, holds, level, log_filter, members, orders,
    payments, products, snapshot, status, tokens,
};
use crate::{bench, certs, gateway, remote, shell};

/// Holdfast: a replicated order engine that sells without overselling.
#[derive(Debug, Parser)]
#[command(name = "holdfast", version, after_help = exit::CODES)]
#[command(arg_required_else_help = true, subcommand_required = true)]
pub(crate) struct Cli {
    /// The subcommand.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// All subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a whole cluster in one process, with sample products, for a first try
    Dev(dev::Options),
    /// Run one node of a cluster
    Serve(Box<serve::Options>),
    /// Show the members of a running cluster and how far each one has replicated
    Status(status::Options),
    /// Ask a node whether it can take requests: exit code 0 if it can, 1 if not
    Health(remote::Options),
    /// Look for trouble in a running cluster: nodes, versions, disks, limits, settings
    Doctor(remote::Options),
    /// List, create, change and archive products, adjust their stock, show their ledgers
    #[command(subcommand)]
    Products(products::Command),
    /// Show, list, place and cancel orders
    #[command(subcommand)]
    Orders(orders::Command),
    /// Create, show, extend and release holds
    #[command(subcommand)]
    Holds(holds::Command),
    /// Check the data of a stopped node, or a backup, without changing it
    Verify(verify::Options),
    /// Take a snapshot of a running node's state
    Snapshot(remote::Options),
    /// Write a backup of a running cluster to a file
    Backup(backup::Options),
    /// Create a new cluster of one node from a backup
    Restore(restore::Options),
    /// Create a new cluster from one stopped node after a majority is lost for good
    Recover(recover::Options),
    /// Pause or resume payments
    #[command(subcommand)]
    Payments(payments::Command),
    /// Check a payment service
    #[command(subcommand)]
    Gateway(gateway::Command),
    /// Show past events, and follow new ones
    Events(events::Options),
    /// Create products or place orders from a CSV or NDJSON file
    Import(import::Options),
    /// Write products or orders to a CSV or NDJSON file, or to standard output
    Export(export::Options),
    /// List, add and remove the members of a running cluster
    #[command(subcommand)]
    Members(members::Command),
    /// Raise the level of a running cluster, after an upgrade of all its nodes
    #[command(subcommand)]
    Level(level::Command),
    /// Show or change which log lines a running node writes
    LogFilter(log_filter::Options),
    /// Transfer leadership to another node
    TransferLeader(members::Transfer),
    /// Let the cluster's clock take a large gap
    #[command(subcommand)]
    Clock(clock::Command),
    /// Show and set whether a running cluster asks for credentials; make a root token
    #[command(subcommand)]
    Auth(auth::Command),
    /// Create, list and revoke the tokens of a running cluster
    #[command(subcommand)]
    Tokens(tokens::Command),
    /// Show who administered a running cluster, and what they did
    Audit(audit::Options),
    /// Make and show the certificates of nodes
    #[command(subcommand)]
    Certs(certs::Command),
    /// Put a running cluster under load and measure it. The products and orders of the run stay in
    /// the cluster
    Bench(bench::Options),
    /// Print the completions for a shell
    Completions(shell::Completions),
    /// Print the manual page, or write the pages of all subcommands
    Man(shell::Manual),
}

impl Command {
    /// Runs the subcommand to its end.
    pub(crate) fn run(self) -> Result<(), CliError> {
        match self {
            Command::Dev(options) => dev::run(options),
            Command::Serve(options) => serve::run(*options),
            Command::Status(options) => status::run(&options),
            Command::Health(options) => health::run(&options),
            Command::Doctor(options) => doctor::run(&options),
            Command::Products(command) => products::run(&command),
            Command::Orders(command) => orders::run(&command),
            Command::Holds(command) => holds::run(&command),
            Command::Verify(options) => verify::run(&options),
            Command::Snapshot(options) => snapshot::run(&options),
            Command::Backup(options) => backup::run(&options),
            Command::Restore(options) => restore::run(&options),
            Command::Recover(options) => recover::run(&options),
            Command::Payments(command) => payments::run(&command),
            Command::Gateway(command) => gateway::run(&command),
            Command::Events(options) => events::run(&options),
            Command::Import(options) => import::run(&options),
            Command::Export(options) => export::run(&options),
            Command::Members(command) => members::run(&command),
            Command::Level(command) => level::run(&command),
            Command::LogFilter(options) => log_filter::run(&options),
            Command::TransferLeader(options) => members::transfer(&options),
            Command::Clock(command) => clock::run(&command),
            Command::Auth(command) => auth::run(&command),
            Command::Tokens(command) => tokens::run(&command),
            Command::Audit(options) => audit::run(&options),
            Command::Certs(command) => certs::run(&command),
            Command::Bench(options) => bench::run(&options),
            Command::Completions(options) => shell::complete(&options, Cli::command()),
            Command::Man(options) => shell::manual(&options, Cli::command()),
        }
    }
}
