//! `?dry_run=true`: what an order, a batch or a hold would come to, without doing it.
//!
//! The answer is that of a linearizable read. It writes nothing, uses no key and promises nothing.

use std::borrow::Cow;

use client::wire::{DryRun, Would, WouldOrder};
use engine::apply;
use engine::command::{Command, PlaceBatch, PlaceOrder};
use engine::money::Money;
use engine::order::Item;
use raft_node::ProposeError;

use crate::answer::reply::{self, Reply, ReplyExt};
use crate::answer::views;
use crate::call::Call;
use crate::failure::Failure;
use crate::request::fields::Errors;
use crate::request::query;

/// Whether the query asks for a dry run.
pub(crate) fn is_asked(call: &Call<'_>) -> Result<bool, Failure> {
    let query = call.query()?;
    let mut errors = Errors::default();
    let asked = match query.text("dry_run", &mut errors) {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => {
            query::fault("dry_run", "must be true or false.", &mut errors);
            false
        }
    };
    errors.check()?;
    Ok(asked)
}

/// The answer to a dry run of an order or a hold, or of a batch that is sound.
pub(crate) async fn answer(call: &Call<'_>, command: Command) -> Result<Reply, Failure> {
    let needed = command.level();
    let rehearsal = call.rehearse(command).await?;
    let (position, level) = (rehearsal.position, rehearsal.level);
    if needed > level {
        return Err(Failure::from(ProposeError::LevelTooLow { needed, level }).at(position));
    }
    match rehearsal.outcome {
        Ok(would) => Ok(reply::of(200, &DryRun::new(shown(&would))).at(position)),
        Err(rejection) => {
            let ended = call.own_end(&rejection).await;
            let rejection = ended.as_ref().unwrap_or(&rejection);
            Err(Failure::rejected(rejection).at(position))
        }
    }
}

/// The answer to a dry run of independent orders, some of which may be invalid.
pub(crate) async fn answer_each(
    call: &Call<'_>,
    orders: Vec<Result<PlaceOrder, Failure>>,
) -> Result<Reply, Failure> {
    let (mut sound, mut invalid) = (Vec::with_capacity(orders.len()), Vec::new());
    for (index, order) in orders.into_iter().enumerate() {
        match order {
            Ok(order) => sound.push(order),
            Err(failure) => invalid.push((index, failure)),
        }
    }
    let count = sound.len() + invalid.len();
    let command = Command::PlaceBatch(PlaceBatch { atomic: false, orders: sound });
    let needed = command.level();
    let Command::PlaceBatch(batch) = &command else { unreachable!("it was made above") };
    let (outcomes, position) = match batch.orders.is_empty() {
        true => (Vec::new(), None),
        false => {
            let rehearsal = call.rehearse(command).await?;
            let (position, level) = (rehearsal.position, rehearsal.level);
            if needed > level {
                let failure = Failure::from(ProposeError::LevelTooLow { needed, level });
                return Err(failure.at(position));
            }
            match rehearsal.outcome {
                Ok(apply::Would::Batch(outcomes)) => (outcomes, Some(position)),
                Ok(other) => return Err(Failure::internal(call.trace, &format!("{other:?}"))),
                Err(rejection) => {
                    return Err(Failure::rejected(&rejection).at(position));
                }
            }
        }
    };
    let (mut outcomes, mut invalid) = (outcomes.iter(), invalid.into_iter().peekable());
    let results = (0..count).map(|index| match invalid.next_if(|(at, _)| *at == index) {
        Some((_, failure)) => refused(index, &failure),
        None => one(index, outcomes.next().expect("each sound order has an outcome")),
    });
    let would = Would { status: 200, results: Some(results.collect()), ..Would::default() };
    let reply = reply::of(200, &DryRun::new(would));
    Ok(match position {
        Some(position) => reply.at(position),
        None => reply,
    })
}

fn shown(would: &apply::Would) -> Would {
    let replay = |order_id, hold_id| Would {
        status: 200,
        replay: true,
        order_id,
        hold_id,
        ..Would::default()
    };
    let made = |items: &[Item], total: Option<Money>| Would {
        status: 201,
        total_amount: total.map(|total| total.to_string()),
        items: Some(items.iter().map(views::priced_line).collect()),
        ..Would::default()
    };
    match would {
        apply::Would::Place { items, total } => made(items, Some(*total)),
        apply::Would::Hold { items, total } => made(items, *total),
        apply::Would::ReplayOrder(id) => replay(id.map(|id| id.0), None),
        apply::Would::ReplayHold(id) => replay(None, Some(id.0)),
        apply::Would::Batch(outcomes) => {
            let results = outcomes.iter().enumerate().map(|(index, outcome)| one(index, outcome));
            Would { status: 200, results: Some(results.collect()), ..Would::default() }
        }
    }
}

/// The result of an order of a batch.
fn one(index: usize, outcome: &Result<apply::Would, engine::outcome::Rejection>) -> WouldOrder {
    match outcome {
        Ok(would) => {
            let Would { status, replay, order_id, total_amount, items, .. } = shown(would);
            let index = index as u64;
            WouldOrder {
                index,
                status,
                replay,
                order_id,
                total_amount,
                items,
                ..WouldOrder::default()
            }
        }
        Err(rejection) => refused(index, &Failure::rejected(rejection)),
    }
}

fn refused(index: usize, failure: &Failure) -> WouldOrder {
    let (opens_at, retry_after_ms) = failure.opening();
    WouldOrder {
        index: index as u64,
        status: failure.code().status(),
        error: Some(Cow::Borrowed(failure.code().as_str())),
        message: Some(failure.detail().to_owned()),
        errors: failure.fields().cloned(),
        shortages: failure.shortages().map(<[_]>::to_vec),
        opens_at,
        retry_after_ms,
        ..WouldOrder::default()
    }
}
