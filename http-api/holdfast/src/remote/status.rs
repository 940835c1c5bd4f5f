//! `holdfast status`: shows the members of a cluster as one of its nodes sees them.

use std::io::IsTerminal as _;
use std::time::Duration;

use clap::Args;
use client::wire::{Cluster, Member, MemberRole, NodeState};
use tokio::task::JoinSet;

use crate::exit::CliError;
use crate::remote;
use crate::table::{Align, Table, or_dash};

/// Moves the cursor to the first line and clears what is below.
const CLEAR: &str = "\x1b[H\x1b[J";

/// The flags of `status`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Show the state again every this many seconds, until interrupted
    #[arg(long, value_name = "S", num_args = 0..=1, default_missing_value = "2")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    watch: Option<u64>,
    #[command(flatten)]
    remote: remote::Options,
}

/// Prints the view of the node that answers. Needs no majority.
pub(crate) fn run(options: &Options) -> Result<(), CliError> {
    let remote = &options.remote;
    remote::block_on(async {
        let client = remote.client()?;
        loop {
            let shown = show(&client, options).await;
            let Some(seconds) = options.watch else { return shown.map(|_| ()) };
            match shown {
                Ok(true) => {}
                // The reader has closed the pipe, as `head` does.
                Ok(false) => return Ok(()),
                // A cluster that is watched may be away for a while.
                Err(error @ CliError::Usage(_)) => return Err(error),
                Err(error) => eprintln!("holdfast: {error}"),
            }
            tokio::time::sleep(Duration::from_secs(seconds)).await;
        }
    })
}

/// Prints the state once. Returns false when the reader has closed the pipe.
async fn show(client: &client::Client, options: &Options) -> Result<bool, CliError> {
    let remote = &options.remote;
    let mut answer = client.cluster().await.map_err(|error| remote::failure(&error))?;
    add_progress(&mut answer.data, remote).await;
    add_processes(&mut answer.data, remote).await;
    let clears = options.watch.is_some() && !remote.json && std::io::stdout().is_terminal();
    remote.print_on(&answer.data, |cluster| {
        let text = render(cluster, &answer.receipt.url);
        if clears { format!("{CLEAR}{text}") } else { text }
    })
}

/// Says how many voters answer, and how many more the cluster can lose.
fn safety(members: &[Member]) -> String {
    let voters = || members.iter().filter(|member| member.role != MemberRole::Learner);
    let (all, healthy) = (voters().count(), voters().filter(|member| member.healthy).count());
    let majority = all / 2 + 1;
    let verdict = match healthy.checked_sub(majority) {
        None => "no majority: writes and fresh reads wait".to_owned(),
        Some(0) => "it can lose none".to_owned(),
        Some(spare) => format!("it can lose {spare}"),
    };
    format!("{healthy} of {all} voters answer; {verdict}")
}

/// How long the leader may take to tell how far the members are.
const LEADER_MAX: Duration = Duration::from_secs(2);

/// Adds what only the leader knows: how far each member has replicated. Without an answer of the
/// leader it stays unknown.
async fn add_progress(cluster: &mut Cluster, options: &remote::Options) {
    if cluster.leader_id.is_none_or(|leader| leader == cluster.node_id) {
        return;
    }
    let leader = cluster.members.iter().find(|member| Some(member.id) == cluster.leader_id);
    let Some(address) = leader.and_then(|leader| leader.http_addr.as_ref()) else { return };
    let url = remote::base_url(address, options.ca_file.as_deref());
    let Ok(client) = options.client_of(vec![url], LEADER_MAX) else { return };
    let Ok(view) = client.cluster().await else { return };
    for member in &mut cluster.members {
        if let Some(known) = view.data.members.iter().find(|known| known.id == member.id) {
            (member.match_index, member.lag) = (known.match_index, known.lag);
        }
    }
}

/// How long a member may take to tell its version and how long it has run.
const MEMBER_MAX: Duration = Duration::from_secs(1);

/// Adds what only each member knows of itself. All are asked at once.
async fn add_processes(cluster: &mut Cluster, options: &remote::Options) {
    let mut asked = JoinSet::new();
    for (at, member) in cluster.members.iter().enumerate() {
        if member.version.is_some() {
            continue;
        }
        let Some(address) = member.http_addr.as_ref() else { continue };
        let url = remote::base_url(address, options.ca_file.as_deref());
        let Ok(client) = options.client_of(vec![url], MEMBER_MAX) else { continue };
        asked.spawn(async move { (at, client.cluster().await) });
    }
    while let Some(answered) = asked.join_next().await {
        let Ok((at, Ok(view))) = answered else { continue };
        let member = &mut cluster.members[at];
        // Another node may listen there by now.
        let is_it = view.data.node_id == member.id && view.data.cluster_id == cluster.cluster_id;
        if let (true, Some(node)) = (is_it, view.data.node) {
            member.version = Some(node.version);
            member.uptime_seconds = Some(node.uptime_seconds);
            member.level_newest = Some(view.data.level_newest);
        }
    }
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

/// Seconds in the two largest units that they fill.
fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{}s", seconds % 60),
        (0, ..) => format!("{hours}h{}m", minutes % 60),
        _ => format!("{days}d{}h", hours % 24),
    }
}

/// Renders the process that answered.
fn process(node: &NodeState) -> String {
    let files = match (node.files_open, node.files_max) {
        (Some(open), Some(max)) => format!("{open} of {max}"),
        (open, _) => or_dash(open),
    };
    let memory = match (node.memory_bytes, node.memory_limit_bytes) {
        (Some(used), Some(max)) => format!("{} of {}", used >> 20, mib(max)),
        (used, _) => or_dash(used.map(mib)),
    };
    let reserve =
        node.disk_reserve_bytes.map(|bytes| format!(" (refuses writes below {})", mib(bytes)));
    format!(
        "\nversion {}, up {}, memory {memory}, disk free {}{}, open files {files}",
        node.version,
        duration(node.uptime_seconds),
        mib(node.disk_free_bytes),
        reserve.unwrap_or_default()
    )
}

/// Renders the state of the cluster and its members.
pub(crate) fn render(cluster: &Cluster, url: &str) -> String {
    let leader = match cluster.leader_id {
        Some(leader) => format!("node {leader}"),
        None => "unknown".to_owned(),
    };
    let table = table(&cluster.members);
    let mut more = cluster.node.as_ref().map(process).unwrap_or_default();
    more.push_str(&format!("\nlevel {} of {}", cluster.level, cluster.level_newest));
    if cluster.level < cluster.level_newest {
        more.push_str(": raise it with `holdfast level raise` once all nodes run this build");
    }
    if let Some(left) = cluster.log_entries_left {
        more.push_str(&format!("\nthe log can take {left} more entries"));
    }
    if !cluster.insecure.is_empty() {
        more.push_str("\ninsecure: open to everybody who reaches this node: ");
        more.push_str(&cluster.insecure.join(", "));
    }
    if !cluster.unsafe_settings.is_empty() {
        more.push_str("\nunsafe, only for trials: ");
        more.push_str(&cluster.unsafe_settings.join(", "));
    }
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
        "cluster {}, as node {} at {url} sees it\n{}\nleader {leader}, term {}, committed {}, \
         applied {}, digest {}{more}\n\n{table}",
        cluster.cluster_id,
        cluster.node_id,
        safety(&cluster.members),
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
        ("HEARD", Align::Right),
        ("HEALTHY", Align::Left),
        ("VERSION", Align::Left),
        ("LEVEL", Align::Right),
        ("UP", Align::Right),
    ]);
    for member in members {
        table.row(vec![
            member.id.to_string(),
            member.role.to_string(),
            or_dash(member.http_addr.as_ref()),
            member.raft_addr.clone(),
            or_dash(member.match_index),
            or_dash(member.lag),
            or_dash(member.last_contact_ms.map(|ms| format!("{ms} ms"))),
            if member.healthy { "yes" } else { "no" }.to_owned(),
            or_dash(member.version.as_ref()),
            or_dash(member.level_newest),
            or_dash(member.uptime_seconds.map(duration)),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn safety_counts_voters_that_answer() {
        let member = |healthy, role| Member {
            id: 1,
            role,
            raft_addr: String::new(),
            http_addr: None,
            replaces: None,
            match_index: None,
            lag: None,
            healthy,
            last_contact_ms: None,
            level_newest: None,
            version: None,
            uptime_seconds: None,
        };
        let voters = |healthy: usize, all: usize| {
            let mut members: Vec<_> =
                (0..all).map(|number| member(number < healthy, MemberRole::Follower)).collect();
            members.push(member(true, MemberRole::Learner));
            safety(&members)
        };
        assert_eq!(voters(3, 3), "3 of 3 voters answer; it can lose 1");
        assert_eq!(voters(2, 3), "2 of 3 voters answer; it can lose none");
        assert_eq!(voters(1, 3), "1 of 3 voters answer; no majority: writes and fresh reads wait");
        assert_eq!(voters(5, 5), "5 of 5 voters answer; it can lose 2");
    }

    #[test]
    fn a_duration_shows_its_two_largest_units() {
        let shown = [59, 61, 3_661, 90_000].map(duration);
        assert_eq!(shown, ["59s", "1m1s", "1h1m", "1d1h"]);
    }

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
            last_contact_ms: (id == 2).then_some(4_000),
            level_newest: (id == 1).then_some(1),
            version: (id == 1).then(|| "1.2.3".to_owned()),
            uptime_seconds: (id == 1).then_some(90),
        };
        let cluster = Cluster {
            cluster_id: "shop".into(),
            node_id: 1,
            leader_id: Some(1),
            term: 3,
            commit_index: 90,
            applied_index: 88,
            digest: "00ff".into(),
            level: 0,
            level_newest: 1,
            payments_paused: true,
            rebuilt_from: None,
            next_member_id: 3,
            warnings: vec!["the clock is behind".to_owned()],
            node: Some(NodeState {
                version: "1.2.3".into(),
                uptime_seconds: 90,
                disk_free_bytes: 5 << 20,
                disk_reserve_bytes: Some(1 << 20),
                memory_bytes: None,
                memory_limit_bytes: Some(2 << 20),
                files_open: Some(7),
                files_max: Some(1_024),
            }),
            insecure: vec!["http".into()],
            unsafe_settings: vec!["--disk-reserve-mb 0".into()],
            log_entries_left: Some(77),
            members: vec![
                member(1, MemberRole::Leader, Some(90), Some(0)),
                member(2, MemberRole::Follower, None, None),
            ],
        };
        let text = render(&cluster, "http://127.0.0.1:8080");
        assert!(text.contains("leader node 1, term 3, committed 90, applied 88, digest 00ff"));
        for part in [
            "version 1.2.3, up 1m30s, memory -, disk free 5 MiB (refuses writes below 1 MiB), open \
             files 7 of 1024",
            "\nthe log can take 77 more entries",
            "\ninsecure: open to everybody who reaches this node: http\n",
            "\nunsafe, only for trials: --disk-reserve-mb 0\n",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(text.contains("\npayments are paused"), "{text}");
        assert!(text.contains("\nlevel 0 of 1: raise it"), "{text}");
        assert!(text.contains("warning: the clock is behind"), "{text}");
        assert!(text.contains("\n1 of 2 voters answer; no majority: "), "{text}");
        let rows: Vec<&str> = text.lines().skip(11).collect();
        assert_eq!(rows[0].split_whitespace().count(), 11);
        assert!(rows[1].contains("yes") && rows[1].ends_with("1  1m30s"), "{}", rows[1]);
        assert!(rows[2].contains("4000 ms  no") && rows[2].ends_with("-      -"), "{}", rows[2]);
        let alone = Cluster { leader_id: None, rebuilt_from: Some(7), members: vec![], ..cluster };
        let text = render(&alone, "u");
        assert!(text.contains("leader unknown") && text.contains("it was node 7"), "{text}");
    }
}
