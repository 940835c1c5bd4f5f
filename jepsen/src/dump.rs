//! Final states: the state of every node when nothing changes any more, for the history.
//!
//! A hold or a payment may end by itself while states are read, which would make equal nodes
//! differ. So all are read again until nothing changed meanwhile and nothing is left to change.

use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::{Value, json};

use crate::cluster::{self, Cluster};
use crate::history::{Event, Kind, Process, Recorder};
use crate::http::{self, Answered};
use crate::{net, workload};

/// How long nodes may take to agree after all faults. Remaining differences are in the states.
const AGREE_MAX: Duration = Duration::from_secs(60);

/// The time limit for one part of a state.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Waits until all nodes stay at the same position and records the state of each.
///
/// # Errors
/// When a node does not return its state.
pub(crate) async fn record(cluster: &Cluster, recorder: &Recorder) -> Result<(), String> {
    let until = Instant::now() + AGREE_MAX;
    let mut states = loop {
        let before = places(cluster).await;
        let mut states = Vec::new();
        for id in cluster.ids() {
            states.push((id, state(id).await?));
        }
        let stayed = before == places(cluster).await;
        let agree = before.windows(2).all(|pair| pair[0] == pair[1]) && !before[0][0].is_null();
        let over = states.iter().all(|(_, state)| !is_held(state));
        if stayed {
            let told = |place: &&[Value; 2]| !place[0].is_null();
            for ((_, state), place) in states.iter_mut().zip(&before).filter(|(_, p)| told(p)) {
                (state["index"], state["digest"]) = (place[0].clone(), place[1].clone());
            }
        }
        if stayed && agree && over || Instant::now() >= until {
            break states;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    // One node's ledger is enough, since the order in it is checked like any other.
    if let Some((id, state)) = states.first_mut() {
        state["moves"] = json!(moves(*id, state).await?);
    }
    for (id, state) in states {
        let event = |kind, value| Event {
            process: Process::Client(1_000_000_000 + id as u64),
            kind,
            f: "dump".to_owned(),
            value,
            error: None,
            time: 0,
            node: Some(format!("n{id}")),
        };
        recorder.note(event(Kind::Invoke, Value::Null));
        recorder.note(event(Kind::Ok, state));
    }
    Ok(())
}

/// The applied index and the digest of each node.
async fn places(cluster: &Cluster) -> Vec<[Value; 2]> {
    let mut places = Vec::new();
    for id in cluster.ids() {
        let mut status = cluster::status(net::http(id)).await.unwrap_or_default();
        places.push([status["applied_index"].take(), status["digest"].take()]);
    }
    places
}

/// Whether a hold or a payment in the state is still open, so that it will end by itself.
fn is_held(state: &Value) -> bool {
    let rows = state["orders"].as_array().into_iter().flatten();
    let is_hold = |row: &Value| row["order"].as_str().is_some_and(workload::is_hold);
    rows.into_iter()
        .any(|row| row["status"] == "PROCESSING" || is_hold(row) && row["status"] == "PENDING")
}

/// The whole state of a node.
async fn state(id: usize) -> Result<Value, String> {
    let products: Vec<Value> = pages(id, "products", 1_000)
        .await?
        .iter()
        .map(|row| json!({"product": row["id"].to_string(), "stock": row["stock"]}))
        .collect();
    let mut orders: Vec<Value> =
        pages(id, "orders", 1_000).await?.iter().map(workload::order).collect();
    orders.extend(holds(id).await?);
    let node = format!("n{id}");
    Ok(json!({"node": node, "products": products, "orders": orders, "holds": []}))
}

/// Which orders took and returned units, from the ledgers of the products.
async fn moves(id: usize, state: &Value) -> Result<Vec<Value>, String> {
    let mut moves = Vec::new();
    for product in state["products"].as_array().into_iter().flatten() {
        let name = product["product"].as_str().unwrap_or_default();
        for row in pages(id, &format!("products/{name}/ledger"), 1_000).await? {
            let units = row["deltas"]["stock"].as_i64().unwrap_or(0);
            let reference = &row["reference"];
            let order = match reference["type"].as_str() {
                Some("order") => reference["id"].to_string(),
                Some("hold") => workload::hold_name(&reference["id"]),
                _ => continue,
            };
            if units != 0 {
                let index = &row["index"];
                moves.push(json!({
                    "index": index, "product": name, "order": order, "units": units
                }));
            }
        }
    }
    Ok(moves)
}

/// All rows of a list, from the node's own state.
async fn pages(id: usize, list: &str, limit: usize) -> Result<Vec<Value>, String> {
    let mut rows: Vec<Value> = Vec::new();
    let mut cursor = String::new();
    // A place in a ledger is a position in the log.
    let place = if list.ends_with("ledger") { "after" } else { "cursor" };
    loop {
        let path = format!("/api/v1/{list}?consistency=stale&limit={limit}{cursor}");
        let answer = http::ask(net::http(id), Method::GET, &path, None, None, ANSWER_MAX).await;
        let Answered::Yes { status: 200, body } = answer else {
            return Err(format!("n{id} does not list its {list}: {answer:?}"));
        };
        rows.extend(body["data"].as_array().cloned().unwrap_or_default());
        match (body["meta"]["has_more"].as_bool(), body["meta"]["next_cursor"].as_str()) {
            (Some(true), Some(next)) => cursor = format!("&{place}={next}"),
            _ => return Ok(rows),
        }
    }
}

/// All holds, from the node's own state. There is no list of them, but their ids have no gaps.
async fn holds(id: usize) -> Result<Vec<Value>, String> {
    let mut rows = Vec::new();
    for hold in 1.. {
        let path = format!("/api/v1/holds/{hold}?consistency=stale");
        match http::ask(net::http(id), Method::GET, &path, None, None, ANSWER_MAX).await {
            Answered::Yes { status: 200, body } => rows.push(workload::hold(&body["data"])),
            Answered::Yes { status: 404, .. } => break,
            other => return Err(format!("n{id} does not show hold {hold}: {other:?}")),
        }
    }
    Ok(rows)
}
