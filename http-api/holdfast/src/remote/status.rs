//! `holdfast status`: shows the members of a cluster as one of its nodes sees them.

use client::wire::{Cluster, Member};

use crate::exit::CliError;
use crate::remote;
use crate::table::{Align, Table, or_dash};

/// Prints the view of the node that answers. Needs no majority.
pub(crate) fn run(options: &remote::Options) -> Result<(), CliError> {
    remote::block_on(async {
        let client = options.client()?;
        let answer = client.cluster().await.map_err(|error| remote::failure(&error))?;
        options.print(&answer.data, |cluster| render(cluster, &answer.receipt.url))
    })
}

/// Renders the state of the cluster and its members.
pub(crate) fn render(cluster: &Cluster, url: &str) -> String {
    let leader = match cluster.leader_id {
        Some(leader) => format!("node {leader}"),
        None => "unknown".to_owned(),
    };
    let table = table(&cluster.members);
    let mut more = String::new();
    if cluster.payments_paused {
        more.push_str("\npayments are paused");
    }
    if let Some(before) = cluster.rebuilt_from {
        more.push_str(&format!(
            "\nthis node was rebuilt: it was node {before}, whose data was damaged"
        ));
    }
    for warning in &cluster.warnings {
        more.push_str("\nwarning: ");
        more.push_str(warning);
    }
    format!(
        "cluster {}, as node {} at {url} sees it\nleader {leader}, term {}, committed {}, \
         applied {}, digest {}{more}\n\n{table}",
        cluster.cluster_id,
        cluster.node_id,
        cluster.term,
        cluster.commit_index,
        cluster.applied_index,
        cluster.digest
    )
}

/// Renders the members as a table.
pub(crate) fn table(members: &[Member]) -> Table {
    let mut table = Table::new(&[
        ("ID", Align::Right),
        ("ROLE", Align::Left),
        ("HTTP", Align::Left),
        ("RAFT", Align::Left),
        ("MATCH", Align::Right),
        ("LAG", Align::Right),
        ("HEALTHY", Align::Left),
    ]);
    for member in members {
        table.row(vec![
            member.id.to_string(),
            member.role.to_string(),
            or_dash(member.http_addr.as_ref()),
            member.raft_addr.clone(),
            or_dash(member.match_index),
            or_dash(member.lag),
            if member.healthy { "yes" } else { "no" }.to_owned(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use client::wire::MemberRole;

    #[test]
    fn text_shows_the_state_and_the_members() {
        let member = |id, role, match_index, lag| Member {
            id,
            role,
            raft_addr: format!("127.0.0.1:700{id}"),
            http_addr: (id == 1).then(|| "127.0.0.1:8080".to_owned()),
            replaces: None,
            match_index,
            lag,
            healthy: id == 1,
        };
        let cluster = Cluster {
            cluster_id: "shop".into(),
            node_id: 1,
            leader_id: Some(1),
            term: 3,
            commit_index: 90,
            applied_index: 88,
            digest: "00ff".into(),
            payments_paused: true,
            rebuilt_from: None,
            next_member_id: 3,
            warnings: vec!["the clock is behind".to_owned()],
            members: vec![
                member(1, MemberRole::Leader, Some(90), Some(0)),
                member(2, MemberRole::Follower, None, None),
            ],
        };
        let text = render(&cluster, "http://127.0.0.1:8080");
        assert!(text.contains("leader node 1, term 3, committed 90, applied 88, digest 00ff"));
        assert!(text.contains("payments are paused"), "{text}");
        assert!(text.contains("warning: the clock is behind"), "{text}");
        let rows: Vec<&str> = text.lines().skip(5).collect();
        assert_eq!(rows[0].split_whitespace().count(), 7);
        assert!(rows[1].ends_with("90    0  yes"), "{}", rows[1]);
        assert!(rows[2].ends_with("-    -  no"), "{}", rows[2]);
        let alone = Cluster { leader_id: None, rebuilt_from: Some(7), members: vec![], ..cluster };
        let text = render(&alone, "u");
        assert!(text.contains("leader unknown") && text.contains("it was node 7"), "{text}");
    }
}
