//! What those may send who are limited to the rows of one user.
//!
//! Apply decides what they may change. Here their requests get what they may leave out, the user,
//! and their idempotency keys are set apart, so that nobody learns which keys others use.

use client::wire::ErrorCode;
use engine::command::{Command, PlaceOrder};
use engine::ids::UserId;
use engine::keys;

use crate::failure::Failure;

/// Makes a command one of this user.
pub(crate) fn bind(command: &mut Command, user: UserId) -> Result<(), Failure> {
    match command {
        Command::PlaceOrder(order) => bind_order(order, user),
        Command::PlaceBatch(batch) => {
            batch.orders.iter_mut().try_for_each(|order| bind_order(order, user))
        }
        Command::CreateHold(hold) => {
            name_user(&mut hold.user, user)?;
            own(&mut hold.key, user);
            Ok(())
        }
        Command::FenceKey(fence) => {
            fence.key = keys::owned(user, &fence.key);
            Ok(())
        }
        _ => Ok(()),
    }
}

fn bind_order(order: &mut PlaceOrder, user: UserId) -> Result<(), Failure> {
    name_user(&mut order.user, user)?;
    own(&mut order.key, user);
    Ok(())
}

fn name_user(named: &mut Option<UserId>, user: UserId) -> Result<(), Failure> {
    match named.replace(user) {
        Some(other) if other != user => Err(other_user()),
        _ => Ok(()),
    }
}

fn own(key: &mut Option<Box<str>>, user: UserId) {
    if let Some(plain) = key {
        *key = Some(keys::owned(user, plain));
    }
}

/// The refusal of a request for another user.
pub(crate) fn other_user() -> Failure {
    Failure::new(ErrorCode::Forbidden, "The token is for another user.")
}
