//! `holdfast recover`: creates a new cluster of one node from a survivor, after a majority is lost.
//!
//! Without `--force-new-cluster` it changes nothing: it shows what the node has and what may be
//! missing, and succeeds.

use std::path::PathBuf;

use clap::Args;
use raft_node::recovery::{self, Survivor};
use serde_json::json;

use crate::exit::CliError;
use crate::offline::restore;
use crate::output::print_line;

/// The flags of `recover`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Read the data directory of this stopped node, which survived the majority of its cluster
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Create the new cluster: lose what only the other nodes had, and never admit them again
    #[arg(long)]
    force_new_cluster: bool,
    /// Leave out the log entries after this index: for a log with an entry that no node can apply
    #[arg(long, value_name = "INDEX", requires = "force_new_cluster")]
    last_index: Option<u64>,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// Shows the survivor, and creates the cluster if the flag says so.
pub(crate) fn run(options: &Options) -> Result<(), CliError> {
    let survivor = recovery::survey(&options.data).map_err(|error| restore::failure(&error))?;
    if !options.json {
        print_line(&as_text(&survivor))?;
    }
    if !options.force_new_cluster {
        if options.json {
            return print_line(&json!({ "survivor": as_json(&survivor) }).to_string());
        }
        return print_line(
            "nothing was changed; if a majority can never come back, repeat this with \
             --force-new-cluster",
        );
    }
    let forced = recovery::force_new_cluster(&options.data, options.last_index);
    let (survivor, begun) = forced.map_err(|error| restore::failure(&error))?;
    if options.json {
        let data = json!({"survivor": as_json(&survivor), "begun": restore::as_json(&begun)});
        return print_line(&data.to_string());
    }
    let aside = begun.aside.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    print_line(&format!(
        "{}\nthe old data stays in {aside}\nstart node {} as before, then add new nodes with \
         `holdfast serve --join`, under ids that no node ever had, on empty directories",
        restore::as_text(&begun),
        begun.node,
    ))
}

fn as_json(survivor: &Survivor) -> serde_json::Value {
    let voters: Vec<u64> = survivor.voters.iter().map(|id| id.0).collect();
    json!({
        "node_id": survivor.node.0,
        "cluster_id": survivor.cluster_id,
        "cluster_name": survivor.cluster_name,
        "voters": voters,
        "committed_index": survivor.committed,
        "last_index": survivor.last,
    })
}

fn as_text(survivor: &Survivor) -> String {
    let Survivor { node, cluster_name, committed, last, .. } = survivor;
    let voters: Vec<String> = survivor.voters.iter().map(ToString::to_string).collect();
    let open = match last - committed {
        0 => "nothing in its log is uncertain".to_owned(),
        1 => format!("entry {last} was acknowledged or not, and stays"),
        _ => format!("entries {} to {last} were acknowledged or not, and stay", committed + 1),
    };
    format!(
        "node {node} of cluster {cluster_name:?}, voters {}\nlast index known to be committed \
         {committed}, last index {last}: {open}\nentries that the others acknowledged after \
         index {last} are lost",
        voters.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::ids::NodeId;

    #[test]
    fn text_shows_what_may_be_missing() {
        let mut survivor = Survivor {
            node: NodeId(3),
            cluster_name: "shop".to_owned(),
            cluster_id: "00".to_owned(),
            voters: vec![NodeId(1), NodeId(2), NodeId(3)],
            committed: 10,
            last: 10,
        };
        let text = as_text(&survivor);
        assert!(text.contains("voters 1, 2, 3") && text.contains("nothing in its log"), "{text}");
        survivor.last = 11;
        assert!(as_text(&survivor).contains("entry 11 was"));
        survivor.last = 14;
        let text = as_text(&survivor);
        assert!(text.contains("entries 11 to 14") && text.contains("after index 14"), "{text}");
    }
}
