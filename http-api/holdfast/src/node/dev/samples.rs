//! The sample products and users of `dev`.

use std::time::Duration;

use engine::command::{Command, CreateProduct, CreateUser};
use engine::ids::{ProductId, UserId};
use engine::money::Money;
use engine::outcome::Outcome;
use engine::trace::TraceId;
use raft_node::{Handle, ProposeError};
use tokio::time::Instant;

use crate::exit::CliError;

/// Name, price in minor units, and stock.
const PRODUCTS: [(&str, i64, i64); 5] = [
    ("Laptop Pro", 99_999, 50),
    ("Wireless Mouse", 2_999, 200),
    ("USB-C Hub", 4_999, 100),
    ("Mechanical Keyboard", 14_999, 75),
    ("Limited Edition Headphones", 29_999, 1),
];

/// Name and e-mail address.
const USERS: [(&str, &str); 3] = [
    ("Alice", "alice@example.com"),
    ("Bob", "bob@example.com"),
    ("Charlie", "charlie@example.com"),
];

/// Pause before repeating a proposal that was certainly not applied.
const PAUSE: Duration = Duration::from_millis(50);

/// Creates the samples through the log, unless a product or user exists already.
pub(super) async fn create_if_empty(handle: &Handle, deadline: Instant) -> Result<(), CliError> {
    let barrier = handle.barrier(deadline).await;
    barrier.map_err(|error| CliError::because("cannot read the catalogue", &error))?;
    let empty = handle.read(|state| {
        state.products(ProductId(0)).next().is_none() && state.user(UserId(1)).is_none()
    });
    if !empty {
        return Ok(());
    }
    for command in commands() {
        let outcome = propose(handle, command, deadline).await?;
        if !matches!(outcome, Outcome::ProductCreated(_) | Outcome::UserCreated(_)) {
            return Err(CliError::Failed(format!("cannot create a sample: {outcome:?}")));
        }
    }
    Ok(())
}

fn commands() -> impl Iterator<Item = Command> {
    let products = PRODUCTS.into_iter().map(|(name, price, stock)| {
        Command::CreateProduct(CreateProduct {
            name: name.into(),
            price: Money(price),
            stock,
            ..CreateProduct::default()
        })
    });
    let users = USERS.into_iter().map(|(name, email)| {
        Command::CreateUser(CreateUser { name: name.into(), email: email.into() })
    });
    products.chain(users)
}

async fn propose(
    handle: &Handle,
    command: Command,
    deadline: Instant,
) -> Result<Outcome, CliError> {
    loop {
        match handle.propose(command.clone(), TraceId::NONE, deadline).await {
            Ok(applied) => return Ok(applied.outcome),
            // Certainly not applied, so a repetition creates nothing twice.
            Err(ProposeError::NoLeader | ProposeError::Overloaded) if Instant::now() < deadline => {
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(CliError::because("cannot create the samples", &error)),
        }
    }
}
