//! `holdfast restore`: creates a new cluster of one node from a backup. No node runs meanwhile.

use std::path::PathBuf;

use clap::Args;
use engine::ids::NodeId;
use raft_node::recovery::{self, Begun, Error, Restore};
use serde_json::json;

use crate::address;
use crate::exit::{CliError, chain};
use crate::output::print_line;

/// The flags of `restore`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Read this backup
    #[arg(value_name = "FILE")]
    from: PathBuf,
    /// Store the data of the new node in this directory: empty, or created if missing
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Give the new node this id; ids of the old cluster do not matter
    #[arg(long, value_name = "N", value_parser = address::node_id, default_value = "1")]
    id: u64,
    /// Give the new cluster this name; it must differ from the old one, since payments carry it
    #[arg(long, value_name = "NAME")]
    cluster: String,
    /// Tell nodes that join this address of the new node
    #[arg(long, value_name = "ADDR", value_parser = address::host_port)]
    raft: String,
    /// Tell clients this address of the new node
    #[arg(long, value_name = "ADDR", value_parser = address::host_port)]
    http: Option<String>,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// Restores the backup and prints the next steps.
pub(crate) fn run(options: &Options) -> Result<(), CliError> {
    if options.cluster.is_empty() || options.cluster.len() > 64 {
        return Err(CliError::Usage("--cluster: expected a name of 1 to 64 bytes".to_owned()));
    }
    let begun = recovery::restore(&Restore {
        file: options.from.clone(),
        data: options.data.clone(),
        node: NodeId(options.id),
        cluster_name: options.cluster.clone(),
        raft_addr: options.raft.clone(),
        http_addr: options.http.clone(),
    });
    let begun = begun.map_err(|error| failure(&error))?;
    if options.json {
        return print_line(&as_json(&begun).to_string());
    }
    let (id, name, data) = (options.id, &options.cluster, options.data.display());
    print_line(&format!(
        "{}\nstart it:         holdfast serve --id {id} --cluster {name} --data {data} --raft {} \
         --http …\nthen the others:  holdfast serve --id … --cluster {name} --join HTTP_ADDR …, \
         each on an empty directory\npayments are paused until:  holdfast payments resume",
        as_text(&begun),
        options.raft,
    ))
}

/// Turns an error into a message and an exit code.
pub(crate) fn failure(error: &Error) -> CliError {
    match error {
        Error::NotEmpty { .. }
        | Error::SameName(_)
        | Error::NoData(_)
        | Error::LastIndex { .. } => CliError::Usage(chain(error)),
        _ => CliError::Failed(chain(error)),
    }
}

pub(crate) fn as_json(begun: &Begun) -> serde_json::Value {
    json!({
        "cluster_id": begun.cluster_id,
        "cluster_name": begun.cluster_name,
        "node_id": begun.node.0,
        "index": begun.index,
        "digest": format!("{:016x}", begun.digest),
        "orders": begun.orders,
        "products": begun.products,
        "aside": begun.aside.as_ref().map(|path| path.display().to_string()),
    })
}

pub(crate) fn as_text(begun: &Begun) -> String {
    format!(
        "new cluster {:?} ({}) of node {} alone, from index {}: {} orders, {} products, digest \
         {:016x}",
        begun.cluster_name,
        begun.cluster_id,
        begun.node,
        begun.index,
        begun.orders,
        begun.products,
        begun.digest
    )
}
