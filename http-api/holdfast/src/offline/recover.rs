//! `holdfast recover`: a new cluster of one node, from what outlived the majority of the old one.
//!
//! Without `--force-new-cluster` it only says what the node has and what may be missing.

use std::path::PathBuf;

use clap::Args;
use raft_node::recovery::{self, Survivor};
use serde_json::json;

use crate::exit::Failure;
use crate::offline::restore;
use crate::output::print_line;

/// The flags of `recover`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// The data directory of a stopped node that has outlived the majority of its cluster
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Do it: give up what the other nodes may have had, and never let them back in
    #[arg(long)]
    force_new_cluster: bool,
    /// Print one JSON object instead of lines
    #[arg(long)]
    json: bool,
}

/// Says what there is, and makes the cluster if that is wanted.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let survivor = recovery::survey(&options.data).map_err(|error| restore::failure(&error))?;
    if !options.json {
        print_line(&as_text(&survivor))?;
    }
    if !options.force_new_cluster {
        if options.json {
            print_line(&json!({ "survivor": as_json(&survivor) }).to_string())?;
        }
        return Err(Failure::Usage(
            "nothing was changed; if no majority can be brought back, repeat it with \
             --force-new-cluster"
                .to_owned(),
        ));
    }
    let forced = recovery::force_new_cluster(&options.data);
    let (survivor, begun) = forced.map_err(|error| restore::failure(&error))?;
    if options.json {
        let data = json!({"survivor": as_json(&survivor), "begun": restore::as_json(&begun)});
        return print_line(&data.to_string());
    }
    let aside = begun.aside.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    print_line(&format!(
        "{}\nwhat was there before is kept in {aside}\nstart node {} as before, and let new nodes \
         join it with `holdfast serve --join`, under ids that nobody has had, on empty directories",
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
        0 => "nothing in its log is in doubt".to_owned(),
        1 => format!("entry {last} may have been acknowledged or not, and is kept"),
        _ => format!(
            "entries {} to {last} may have been acknowledged or not, and are kept",
            committed + 1
        ),
    };
    format!(
        "node {node} of cluster {cluster_name:?}, voters {}\nlast index known to be committed \
         {committed}, last index {last}: {open}\nwhat the others acknowledged after index {last} \
         is lost with them",
        voters.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::ids::NodeId;

    #[test]
    fn what_may_be_missing_is_said() {
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
        assert!(as_text(&survivor).contains("entry 11 may"));
        survivor.last = 14;
        let text = as_text(&survivor);
        assert!(text.contains("entries 11 to 14") && text.contains("after index 14"), "{text}");
    }
}
