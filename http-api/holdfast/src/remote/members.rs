//! `holdfast members` and `holdfast transfer-leader`: list and change the members, move leadership.

use clap::{Args, Subcommand};
use client::wire::{Member, MemberRequest};
use engine::level;

use crate::address;
use crate::exit::CliError;
use crate::remote;
use crate::remote::status;

/// The subcommands of `members`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// List the members as one of them sees them
    List(List),
    /// Add a node as a learner; it becomes a voter once it has caught up
    Add(Add),
    /// Remove a member for good; its id can never be used again
    Remove(Remove),
}

/// The flags of `members list`.
#[derive(Debug, Clone, Args)]
pub(crate) struct List {
    #[command(flatten)]
    remote: remote::Options,
}

/// The flags of `members add`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Add {
    /// Add the node of this id: a number from 1 that no other node has or ever had
    #[arg(long, value_name = "N", value_parser = address::node_id)]
    id: u64,
    /// Tell the other nodes this address of the node
    #[arg(long, value_name = "ADDR", value_parser = address::host_port)]
    raft: String,
    /// Tell clients this address of the node
    #[arg(long, value_name = "ADDR", value_parser = address::host_port)]
    http: Option<String>,
    /// Replace this member, for example one whose disk is lost: it leaves in the same step in which
    /// the new node becomes a voter
    #[arg(long, value_name = "N", value_parser = address::node_id)]
    replaces: Option<u64>,
    #[command(flatten)]
    remote: remote::Options,
}

/// The flags of `members remove`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Remove {
    /// Remove the member of this id
    #[arg(long, value_name = "N", value_parser = address::node_id)]
    id: u64,
    #[command(flatten)]
    remote: remote::Options,
}

/// The flags of `transfer-leader`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Transfer {
    /// Transfer leadership to this node [default: the voter that is furthest along]
    #[arg(long, value_name = "N", value_parser = address::node_id)]
    to: Option<u64>,
    #[command(flatten)]
    remote: remote::Options,
}

/// Runs the command to its end.
pub(crate) fn run(command: &Command) -> Result<(), CliError> {
    match command {
        Command::List(options) => remote::block_on(list(options)),
        Command::Add(options) => remote::block_on(add(options)),
        Command::Remove(options) => remote::block_on(remove(options)),
    }
}

/// Transfers leadership.
pub(crate) fn transfer(options: &Transfer) -> Result<(), CliError> {
    remote::block_on(async {
        let client = options.remote.client()?;
        let answer = client.transfer_leader(options.to).await;
        let answer = answer.map_err(|error| remote::failure(&error))?;
        options.remote.print(&answer.data, |cluster| status::render(cluster, &answer.receipt.url))
    })
}

async fn list(options: &List) -> Result<(), CliError> {
    let client = options.remote.client()?;
    let answer = client.cluster().await.map_err(|error| remote::failure(&error))?;
    options.remote.print(&answer.data.members, |members| render(members))
}

async fn add(options: &Add) -> Result<(), CliError> {
    let request = MemberRequest {
        id: options.id,
        raft_addr: options.raft.clone(),
        http_addr: options.http.clone(),
        incarnation: None,
        replaces: options.replaces,
        speaks: Some(level::NEWEST),
    };
    let client = options.remote.client()?;
    let answer = client.add_member(&request).await.map_err(|error| remote::failure(&error))?;
    options.remote.print(&answer.data, |added| render(&added.members))
}

async fn remove(options: &Remove) -> Result<(), CliError> {
    let client = options.remote.client()?;
    let answer = client.remove_member(options.id).await.map_err(|error| remote::failure(&error))?;
    options.remote.print(&answer.data, |cluster| render(&cluster.members))
}

fn render(members: &[Member]) -> String {
    status::table(members).to_string()
}
