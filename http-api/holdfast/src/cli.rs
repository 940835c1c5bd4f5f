//! The command line: which subcommands there are. Their flags stand in their own files.

use clap::{Parser, Subcommand};

use crate::bulk::{export, import};
use crate::exit::{self, Failure};
use crate::node::{dev, serve};
use crate::offline::{recover, restore, verify};
use crate::remote::{backup, events, holds, members, orders, payments, products, snapshot, status};
use crate::{bench, remote};

/// Holdfast: a replicated order engine that sells without overselling.
#[derive(Debug, Parser)]
#[command(name = "holdfast", version, after_help = exit::CODES)]
#[command(arg_required_else_help = true, subcommand_required = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// All subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a whole cluster in one process, with sample products, for a first try
    Dev(dev::Options),
    /// Run one node of a cluster
    Serve(serve::Options),
    /// Show the members of a running cluster and how far each of them is
    Status(remote::Options),
    /// List, create and change products, adjust their stock, read their ledgers
    #[command(subcommand)]
    Products(products::Command),
    /// Look at, place and cancel orders
    #[command(subcommand)]
    Orders(orders::Command),
    /// Set units aside for a while, let them live on, give them back
    #[command(subcommand)]
    Holds(holds::Command),
    /// Check the data of a stopped node without changing it
    Verify(verify::Options),
    /// Take a snapshot of a running node's state
    Snapshot(remote::Options),
    /// Write a backup of a running cluster to a file
    Backup(backup::Options),
    /// Make a new cluster of one node from a backup
    Restore(restore::Options),
    /// Make a new cluster of what one stopped node has, after the loss of a majority
    Recover(recover::Options),
    /// Let payments wait, or go on
    #[command(subcommand)]
    Payments(payments::Command),
    /// Show what happened, and follow what happens
    Events(events::Options),
    /// Create products, or place orders, from a CSV or NDJSON file
    Import(import::Options),
    /// Write products or orders to a CSV or NDJSON file
    Export(export::Options),
    /// List, add and remove the members of a running cluster
    #[command(subcommand)]
    Members(members::Command),
    /// Hand leadership to another node
    TransferLeader(members::Transfer),
    /// Put a running cluster under load and measure it
    Bench(bench::Options),
}

impl Command {
    /// Runs it to its end.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self {
            Command::Dev(options) => dev::run(options),
            Command::Serve(options) => serve::run(options),
            Command::Status(options) => status::run(&options),
            Command::Products(command) => products::run(&command),
            Command::Orders(command) => orders::run(&command),
            Command::Holds(command) => holds::run(&command),
            Command::Verify(options) => verify::run(&options),
            Command::Snapshot(options) => snapshot::run(&options),
            Command::Backup(options) => backup::run(&options),
            Command::Restore(options) => restore::run(&options),
            Command::Recover(options) => recover::run(&options),
            Command::Payments(command) => payments::run(&command),
            Command::Events(options) => events::run(&options),
            Command::Import(options) => import::run(&options),
            Command::Export(options) => export::run(&options),
            Command::Members(command) => members::run(&command),
            Command::TransferLeader(options) => members::transfer(&options),
            Command::Bench(options) => bench::run(&options),
        }
    }
}
