//! `holdfast doctor`: looks at every node of a running cluster and names what an operator should
//! mend.

use std::fmt;
use std::time::Duration;

use client::wire::{Cluster, Member, MemberRole};
use serde::Serialize;

use crate::exit::CliError;
use crate::remote;

/// How long one node may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Less free disk than this is worth a warning: four times the default of `--disk-reserve-mb`.
const DISK_BYTES_MIN: u64 = 1 << 30;

/// A member that lacks more entries than this is worth a warning.
const LAG_MAX: u64 = 10_000;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Grade {
    /// As it should be.
    Ok,
    /// Somebody should look at it this week.
    Warning,
    /// Something does not work, or the next failure stops the cluster.
    Failure,
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Grade::Ok => "ok",
            Grade::Warning => "warning",
            Grade::Failure => "FAILURE",
        })
    }
}

/// One finding.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Finding {
    grade: Grade,
    text: String,
}

/// What one node says of itself and the cluster, or why it does not.
type View = (u64, Result<Cluster, String>);

/// Asks every node, prints the findings, and fails if one is a failure.
pub(crate) fn run(options: &remote::Options) -> Result<(), CliError> {
    remote::block_on(async {
        let answer = options.client()?.cluster().await;
        let seen = answer.map_err(|error| remote::failure(&error))?.data;
        let mut views = Vec::new();
        for member in &seen.members {
            views.push((member.id, view(member, options).await));
        }
        let findings = examine(&seen, &views);
        options.print(&findings, |findings| {
            let lines: Vec<_> =
                findings.iter().map(|it| format!("{:<8} {}", it.grade, it.text)).collect();
            lines.join("\n")
        })?;
        match findings.iter().filter(|it| it.grade == Grade::Failure).count() {
            0 => Ok(()),
            failures => Err(CliError::Failed(format!("{failures} findings are failures"))),
        }
    })
}

async fn view(member: &Member, options: &remote::Options) -> Result<Cluster, String> {
    let address = member.http_addr.as_ref();
    let address = address.ok_or("it has told nobody its HTTP address (--advertise-http)")?;
    let url = remote::base_url(address, options.ca_file.as_deref());
    let client = options.client_of(vec![url], ANSWER_MAX).map_err(|error| error.to_string())?;
    let answer = client.cluster().await.map_err(|error| remote::failure(&error).to_string())?;
    Ok(answer.data)
}

/// Compares what the nodes say.
fn examine(seen: &Cluster, views: &[View]) -> Vec<Finding> {
    let mut findings = vec![leader(seen), majority(seen, views)];
    for (id, view) in views {
        match view {
            Ok(view) => findings.extend(node(*id, view)),
            Err(error) => findings.push(failure(format!("node {id} does not answer: {error}"))),
        }
    }
    findings.extend(versions(views));
    findings.extend(digests(views));
    // Only the leader knows how far the others are.
    let leads = |(id, _): &&View| Some(*id) == seen.leader_id;
    let leader = views.iter().find(leads).and_then(|(_, view)| view.as_ref().ok());
    let members = leader.map(|leader| &leader.members).into_iter().flatten();
    for member in members.filter(|it| it.lag.is_some_and(|lag| lag > LAG_MAX)) {
        let lag = member.lag.unwrap_or_default();
        findings.push(warning(format!("node {} lacks {lag} entries", member.id)));
    }
    if seen.level < seen.level_newest {
        findings.push(warning(format!(
            "the level is {} of {}: `holdfast level raise`, once all nodes run this build",
            seen.level, seen.level_newest
        )));
    }
    if seen.payments_paused {
        findings.push(warning("payments are paused: `holdfast payments resume`".to_owned()));
    }
    findings
}

fn leader(seen: &Cluster) -> Finding {
    match seen.leader_id {
        Some(leader) => ok(format!("node {leader} leads in term {}", seen.term)),
        None => failure("no leader is known: is a majority of the voters running?".to_owned()),
    }
}

fn majority(seen: &Cluster, views: &[View]) -> Finding {
    let voters = seen.members.iter().filter(|member| member.role != MemberRole::Learner);
    let voters: Vec<u64> = voters.map(|member| member.id).collect();
    let answers = |id: &&u64| views.iter().any(|(other, view)| other == *id && view.is_ok());
    let (all, up) = (voters.len(), voters.iter().filter(answers).count());
    let text = format!("{up} of {all} voters answer");
    match up.checked_sub(all / 2 + 1) {
        None => failure(format!("{text}: no majority")),
        Some(0) => warning(format!("{text}: the loss of one more stops the cluster")),
        Some(spare) => ok(format!("{text}: the cluster can lose {spare}")),
    }
}

/// Looks at the process of one node.
fn node(id: u64, view: &Cluster) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(process) = &view.node {
        let free = process.disk_free_bytes;
        let text = format!(
            "node {id}: version {}, up {} s, {} MiB of disk free",
            process.version,
            process.uptime_seconds,
            free >> 20
        );
        let grade = if free < DISK_BYTES_MIN { Grade::Warning } else { Grade::Ok };
        findings.push(Finding { grade, text });
        if let (Some(open), Some(max)) = (process.files_open, process.files_max)
            && open * 5 > max * 4
        {
            findings.push(warning(format!("node {id}: {open} of {max} files are open")));
        }
    }
    for what in &view.insecure {
        findings.push(warning(format!("node {id}: {what} is open to everybody who reaches it")));
    }
    findings.extend(view.warnings.iter().map(|text| warning(format!("node {id}: {text}"))));
    findings
}

fn versions(views: &[View]) -> Option<Finding> {
    let nodes = views.iter().filter_map(|(_, view)| view.as_ref().ok()?.node.as_ref());
    let mut versions: Vec<String> = nodes.map(|node| node.version.to_string()).collect();
    versions.sort();
    versions.dedup();
    let several = versions.len() > 1;
    several.then(|| warning(format!("nodes run several versions: {}", versions.join(", "))))
}

/// Nodes that have applied the same entries must have the same state.
fn digests(views: &[View]) -> Vec<Finding> {
    let views: Vec<_> =
        views.iter().filter_map(|(id, view)| Some((id, view.as_ref().ok()?))).collect();
    let mut findings = Vec::new();
    for (at, (id, view)) in views.iter().enumerate() {
        for (other, another) in &views[at + 1..] {
            if view.applied_index == another.applied_index && view.digest != another.digest {
                let index = view.applied_index;
                let text =
                    format!("nodes {id} and {other} differ at index {index}: docs/RUNBOOK.md");
                findings.push(failure(text));
            }
        }
    }
    findings
}

fn ok(text: String) -> Finding {
    Finding { grade: Grade::Ok, text }
}

fn warning(text: String) -> Finding {
    Finding { grade: Grade::Warning, text }
}

fn failure(text: String) -> Finding {
    Finding { grade: Grade::Failure, text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use client::wire::NodeState;

    fn cluster(node_id: u64) -> Cluster {
        let member = |id| Member {
            id,
            role: if id == 1 { MemberRole::Leader } else { MemberRole::Follower },
            raft_addr: String::new(),
            http_addr: None,
            replaces: None,
            match_index: None,
            lag: None,
            healthy: true,
            last_contact_ms: None,
            level_newest: Some(1),
            version: None,
            uptime_seconds: None,
        };
        Cluster {
            cluster_id: "shop".into(),
            node_id,
            leader_id: Some(1),
            term: 3,
            commit_index: 90,
            applied_index: 90,
            digest: "00ff".into(),
            level: 1,
            level_newest: 1,
            payments_paused: false,
            rebuilt_from: None,
            next_member_id: 4,
            warnings: Vec::new(),
            node: Some(NodeState {
                version: "1.2.3".into(),
                uptime_seconds: 90,
                disk_free_bytes: 5 << 30,
                disk_reserve_bytes: None,
                memory_bytes: None,
                memory_limit_bytes: None,
                files_open: Some(7),
                files_max: Some(1_024),
            }),
            insecure: Vec::new(),
            unsafe_settings: Vec::new(),
            log_entries_left: None,
            members: (1..=3).map(member).collect(),
        }
    }

    fn found(change: impl FnOnce(&mut Cluster, &mut Vec<View>)) -> Vec<(Grade, String)> {
        let mut seen = cluster(1);
        let mut views: Vec<View> = (1..=3).map(|id| (id, Ok(cluster(id)))).collect();
        change(&mut seen, &mut views);
        let findings = examine(&seen, &views).into_iter();
        findings.filter(|it| it.grade != Grade::Ok).map(|it| (it.grade, it.text)).collect()
    }

    #[test]
    fn a_sound_cluster_has_no_finding_and_each_trouble_has_one() {
        type Change = fn(&mut Cluster, &mut Vec<View>);
        assert_eq!(found(|_, _| {}), []);
        let troubles: [(Change, Grade, &str); 9] = [
            (|seen, _| seen.leader_id = None, Grade::Failure, "no leader is known"),
            (|_, views| views[0].1.as_mut().unwrap().digest = "1".into(), Grade::Failure, "differ"),
            (
                |_, views| {
                    let node = views[1].1.as_mut().unwrap().node.as_mut();
                    node.unwrap().version = "1.2.4".into();
                },
                Grade::Warning,
                "several versions: 1.2.3, 1.2.4",
            ),
            (
                |_, views| {
                    let node = views[1].1.as_mut().unwrap().node.as_mut();
                    node.unwrap().disk_free_bytes = 5 << 20;
                },
                Grade::Warning,
                "5 MiB of disk free",
            ),
            (
                |_, views| {
                    let node = views[1].1.as_mut().unwrap().node.as_mut();
                    node.unwrap().files_open = Some(1_000);
                },
                Grade::Warning,
                "1000 of 1024 files",
            ),
            (
                |_, views| views[0].1.as_mut().unwrap().members[2].lag = Some(20_000),
                Grade::Warning,
                "node 3 lacks 20000 entries",
            ),
            (|seen, _| seen.level = 0, Grade::Warning, "level is 0 of 1"),
            (|seen, _| seen.payments_paused = true, Grade::Warning, "payments are paused"),
            (
                |_, views| views[2].1.as_mut().unwrap().insecure = vec!["http".into()],
                Grade::Warning,
                "node 3: http is open to everybody",
            ),
        ];
        for (change, grade, part) in troubles {
            let findings = found(change);
            let is_that = |(other, text): &(Grade, String)| *other == grade && text.contains(part);
            assert!(findings.iter().any(is_that), "{part}: {findings:?}");
        }
    }

    #[test]
    fn nodes_that_are_away_are_failures() {
        let away = |views: &mut Vec<View>, ids: &[usize]| {
            for id in ids {
                views[id - 1].1 = Err("refused".to_owned());
            }
        };
        let findings = found(|_, views| away(views, &[3]));
        assert_eq!(findings[0].0, Grade::Warning);
        assert_eq!(findings[1], (Grade::Failure, "node 3 does not answer: refused".to_owned()));
        let findings = found(|_, views| away(views, &[2, 3]));
        assert_eq!(findings[0], (Grade::Failure, "1 of 3 voters answer: no majority".to_owned()));
    }
}
