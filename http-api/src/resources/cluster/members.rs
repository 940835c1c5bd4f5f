//! Shows the cluster as this node sees it, without a quorum. Changes its members and its leader:
//! any node takes the request, the leader decides.

use client::wire::{Envelope, ErrorCode, Founder, KnownIncarnation, MemberAdded};
use engine::audit::Action;
use engine::ids::NodeId;
use raft_node::members::{ADDRESS_BYTES_MAX, Change, Member, Refusal, Verdict};

use crate::answer::reply::{self, Reply};
use crate::answer::views;
use crate::call::Call;
use crate::failure::Failure;
use crate::request::fields::{Errors, Fields};
use crate::request::json::{self, Object};
use crate::resources::auth::audit::note;

/// The highest level that a request can name. What is above the newest is refused by the leader.
pub(crate) const LEVEL_MAX: u64 = u32::MAX as u64;

/// `GET /cluster`
pub(crate) async fn get(call: &Call<'_>) -> Result<Reply, Failure> {
    Ok(shown(call))
}

/// The cluster as this node sees it.
pub(super) fn shown(call: &Call<'_>) -> Reply {
    let mut cluster = views::cluster(&call.app.handle);
    let settings = &call.app.settings;
    let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    cluster.insecure = owned(&settings.insecure);
    cluster.unsafe_settings = owned(&settings.unsafe_settings);
    reply::of(200, &Envelope::new(cluster))
}

/// `POST /cluster/members`
pub(crate) async fn add(call: &Call<'_>) -> Result<Reply, Failure> {
    call.confirm().await?;
    let object = json::parse(&call.body)?;
    let (member, speaks) = read_member(&call.fields(&object))?;
    let handle = &call.app.handle;
    let (shown, id) = (format!("{member:?}"), member.id.0);
    let verdict = handle.add_member(member, speaks, call.deadline).await?;
    tracing::info!(member = shown, speaks, ?verdict, trace_id = %call.trace, "adding a member");
    judged(verdict)?;
    note(call, Action::AddMember, Some(id)).await;
    let join = handle.join_info();
    let founder = |peer: raft_node::Peer| Founder {
        id: peer.id.0,
        raft_addr: peer.raft_addr,
        http_addr: peer.http_addr,
    };
    let known = |(id, incarnation): (NodeId, u64)| KnownIncarnation {
        id: id.0,
        incarnation: format!("{incarnation:016x}"),
    };
    let added = MemberAdded {
        cluster_id: join.cluster,
        cluster_name: join.cluster_name,
        founders: join.founders.into_iter().map(founder).collect(),
        incarnations: join.met.into_iter().map(known).collect(),
        members: views::cluster(handle).members,
    };
    Ok(reply::of(200, &Envelope::new(added)))
}

/// `DELETE /cluster/members/{id}`
pub(crate) async fn remove(call: &Call<'_>) -> Result<Reply, Failure> {
    call.confirm().await?;
    let id = NodeId(call.id("There is no such member.")?);
    change(call, Change::Remove(id)).await?;
    note(call, Action::RemoveMember, Some(id.0)).await;
    Ok(shown(call))
}

/// `POST /cluster/transfer-leader`
pub(crate) async fn transfer(call: &Call<'_>) -> Result<Reply, Failure> {
    call.confirm().await?;
    let object = if call.body.is_empty() { Object::default() } else { json::parse(&call.body)? };
    let mut errors = Errors::default();
    let fields = call.fields(&object);
    fields.check_names(&["to"], &mut errors);
    let to = fields.id("to", &mut errors).map(NodeId);
    errors.check()?;
    judged(call.app.handle.transfer_leader(to, call.deadline).await?)?;
    note(call, Action::TransferLeader, to.map(|to| to.0)).await;
    Ok(shown(call))
}

/// `POST /cluster/accept-clock`
pub(crate) async fn accept_clock(call: &Call<'_>) -> Result<Reply, Failure> {
    call.confirm().await?;
    judged(call.app.handle.accept_clock(call.deadline).await?)?;
    tracing::info!(trace_id = %call.trace, "an operator accepted the clocks of the nodes");
    Ok(shown(call))
}

async fn change(call: &Call<'_>, change: Change) -> Result<(), Failure> {
    let shown = format!("{change:?}");
    let verdict = call.app.handle.change_members(change, call.deadline).await?;
    tracing::info!(change = shown, ?verdict, trace_id = %call.trace, "changing the members");
    judged(verdict)
}

pub(super) fn judged(verdict: Verdict) -> Result<(), Failure> {
    let refusal = match verdict {
        Ok(_) => return Ok(()),
        Err(refusal) => refusal,
    };
    let code = match &refusal {
        Refusal::InProgress => ErrorCode::ChangeInProgress,
        Refusal::QuorumAtRisk { .. } | Refusal::LastVoter(_) => ErrorCode::QuorumAtRisk,
        Refusal::Unknown(_) => ErrorCode::UnknownMember,
        Refusal::Taken(_)
        | Refusal::UsedBefore(_)
        | Refusal::AddressTaken { .. }
        | Refusal::TooMany => ErrorCode::MemberConflict,
        Refusal::Speaks { .. } | Refusal::NotHeard(_) => ErrorCode::LevelConflict,
        Refusal::CannotLead(_) | Refusal::NobodyElse => ErrorCode::CannotLead,
        Refusal::Invalid(_) => return Err(Failure::field("raft_addr", refusal.to_string())),
    };
    Err(Failure::new(code, format!("Refused: {refusal}.")))
}

/// The member, and the highest level that its build speaks.
fn read_member(fields: &Fields<'_, '_>) -> Result<(Member, u32), Failure> {
    let mut errors = Errors::default();
    let known = ["id", "raft_addr", "http_addr", "incarnation", "replaces", "speaks"];
    fields.check_names(&known, &mut errors);
    fields.required("id", &mut errors);
    let id = fields.id("id", &mut errors);
    let raft_addr = fields.required_text("raft_addr", ADDRESS_BYTES_MAX, &mut errors);
    let http_addr = fields.text("http_addr", ADDRESS_BYTES_MAX, &mut errors);
    for (name, address) in [("raft_addr", &raft_addr), ("http_addr", &http_addr)] {
        if address.as_deref().is_some_and(|address| !is_host_and_port(address)) {
            fields.fault(name, "must be HOST:PORT.", &mut errors);
        }
    }
    let incarnation = fields.text("incarnation", 16, &mut errors);
    let number = incarnation.as_deref().map(|digits| u64::from_str_radix(digits, 16));
    let whole = incarnation.as_ref().is_none_or(|digits| digits.len() == 16);
    if number.as_ref().is_some_and(Result::is_err) || !whole {
        fields.fault("incarnation", "must be 16 hexadecimal digits.", &mut errors);
    }
    let replaces = fields.id("replaces", &mut errors).map(NodeId);
    // Builds before levels say nothing.
    let speaks = fields.integer("speaks", 0..=LEVEL_MAX, &mut errors).unwrap_or(0);
    let speaks = u32::try_from(speaks).unwrap_or(u32::MAX);
    let member = id.zip(raft_addr).map(|(id, raft_addr)| Member {
        id: NodeId(id),
        raft_addr: raft_addr.into(),
        http_addr: http_addr.map(String::from),
        incarnation: number.and_then(Result::ok),
        replaces,
    });
    errors.finish(member).map(|member| (member, speaks))
}

/// Whether the text is a host name or address, and a port to connect to.
fn is_host_and_port(text: &str) -> bool {
    let parts = text.rsplit_once(':');
    parts.is_some_and(|(host, port)| {
        let port: Option<u16> =
            port.parse().ok().filter(|_| port.bytes().all(|b| b.is_ascii_digit()));
        !host.is_empty() && !host.contains(char::is_whitespace) && port.is_some_and(|port| port > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::fields::Handling;

    fn read(body: &str) -> Result<Member, Failure> {
        read_both(body).map(|(member, _)| member)
    }

    fn read_both(body: &str) -> Result<(Member, u32), Failure> {
        let object = json::parse(body.as_bytes())?;
        read_member(&Fields::of(&object, Handling::Lenient))
    }

    #[test]
    fn a_member_is_read_and_every_error_is_named() {
        let member = read(
            r#"{"id":4,"raft_addr":"shop-4:9080","incarnation":"00000000000000ff","replaces":3}"#,
        )
        .unwrap();
        assert_eq!((member.id, member.incarnation), (NodeId(4), Some(255)));
        assert_eq!((member.http_addr, member.replaces), (None, Some(NodeId(3))));
        let speaks = |more: &str| {
            let body = format!(r#"{{"id":4,"raft_addr":"a:1"{more}}}"#);
            read_both(&body).map(|(_, speaks)| speaks)
        };
        assert_eq!((speaks("").unwrap(), speaks(r#","speaks":1"#).unwrap()), (0, 1));
        for (body, field) in [
            (r#"{"id":4,"raft_addr":"a:1","speaks":-1}"#, "speaks"),
            (r#"{"raft_addr":"a:1"}"#, "id"),
            (r#"{"id":0,"raft_addr":"a:1"}"#, "id"),
            (r#"{"id":4}"#, "raft_addr"),
            (r#"{"id":4,"raft_addr":"a"}"#, "raft_addr"),
            (r#"{"id":4,"raft_addr":"a:0"}"#, "raft_addr"),
            (r#"{"id":4,"raft_addr":"a:+1"}"#, "raft_addr"),
            (r#"{"id":4,"raft_addr":"a:1","http_addr":":1"}"#, "http_addr"),
            (r#"{"id":4,"raft_addr":"a:1","incarnation":"ff"}"#, "incarnation"),
            (r#"{"id":4,"raft_addr":"a:1","incarnation":"00000000000000xx"}"#, "incarnation"),
            (r#"{"id":4,"raft_addr":"a:1","replaces":0}"#, "replaces"),
        ] {
            let failure = read(body).unwrap_err();
            assert_eq!(failure.code(), ErrorCode::ValidationError, "{body}");
            assert!(format!("{failure:?}").contains(field), "{body}: {failure:?}");
        }
    }
}
