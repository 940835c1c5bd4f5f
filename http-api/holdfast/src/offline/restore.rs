//! `holdfast restore`: a new cluster of one node from a backup, made while nothing runs.

use std::path::PathBuf;

use clap::Args;
use engine::ids::NodeId;
use raft_node::recovery::{self, Begun, Error, Restore};
use serde_json::json;

use crate::address;
use crate::exit::{Failure, chain};
use crate::output::print_line;

/// The flags of `restore`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// The backup
    #[arg(value_name = "FILE")]
    from: PathBuf,
    /// Directory for the data of the new node; empty, or made when it does not exist
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The id of the new node, which has nothing to do with those of the old cluster
    #[arg(long, value_name = "N", value_parser = address::node_id, default_value = "1")]
    id: u64,
    /// Name of the new cluster: another one than that of the old, since payments are made under it
    #[arg(long, value_name = "NAME")]
    cluster: String,
    /// Where the nodes that will join reach it
    #[arg(long, value_name = "ADDR", value_parser = address::host_port)]
    raft: String,
    /// Where clients will reach it
    #[arg(long, value_name = "ADDR", value_parser = address::host_port)]
    http: Option<String>,
    /// Print one JSON object instead of lines
    #[arg(long)]
    json: bool,
}

/// Restores and says how to go on.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    if options.cluster.is_empty() || options.cluster.len() > 64 {
        return Err(Failure::Usage("--cluster: must have 1 to 64 bytes".to_owned()));
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

/// What went wrong, and whether that is for the user to change.
pub(crate) fn failure(error: &Error) -> Failure {
    match error {
        Error::NotEmpty { .. } | Error::SameName(_) | Error::NoData(_) => {
            Failure::Usage(chain(error))
        }
        _ => Failure::Failed(chain(error)),
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
