//! `holdfast tokens`: creates, lists and revokes the tokens of a cluster.

use clap::{Args, Subcommand};
use client::wire::{Scope, Token, TokenRequest};

use crate::exit::CliError;
use crate::remote;
use crate::table::{Align, Table, or_dash};

/// The subcommands of `tokens`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Create a token and print it: nobody can read it again
    Create(Create),
    /// List tokens, without their secrets
    List(List),
    /// Revoke a token for good
    Revoke(Revoke),
}

/// The flags of `tokens create`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Create {
    /// Name its owner, such as a service. Several tokens may have one owner
    #[arg(long, value_name = "NAME")]
    owner: String,
    /// Let it do this, such as `orders:write`; separate several by commas
    #[arg(long, value_name = "SCOPE", value_delimiter = ',', required = true)]
    scope: Vec<Scope>,
    /// Limit it to the orders, holds, keys and events of this user
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    user: Option<u64>,
    /// Call it this
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// Let it count for this many seconds [default: until it is revoked]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..))]
    expires_in_s: Option<u64>,
    #[command(flatten)]
    remote: remote::Options,
}

/// The flags of `tokens list`.
#[derive(Debug, Clone, Args)]
pub(crate) struct List {
    #[command(flatten)]
    remote: remote::Options,
}

/// The flags of `tokens revoke`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Revoke {
    /// The id of the token, the number after `hft_`
    #[arg(value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    id: u64,
    #[command(flatten)]
    remote: remote::Options,
}

/// Runs the command to its end.
pub(crate) fn run(command: &Command) -> Result<(), CliError> {
    remote::block_on(async {
        match command {
            Command::Create(options) => {
                let request = TokenRequest {
                    owner: options.owner.clone(),
                    scopes: options.scope.clone(),
                    user_id: options.user,
                    label: options.label.clone(),
                    expires_in_s: options.expires_in_s,
                };
                let client = options.remote.client()?;
                let answer = client.create_token(&request).await;
                let answer = answer.map_err(|error| remote::failure(&error))?;
                options.remote.print(&answer.data, |created| created.token.clone())
            }
            Command::List(options) => {
                let answer = options.remote.client()?.tokens().await;
                let answer = answer.map_err(|error| remote::failure(&error))?;
                options.remote.print(&answer.data, |tokens| table(tokens))
            }
            Command::Revoke(options) => {
                let answer = options.remote.client()?.revoke_token(options.id).await;
                let answer = answer.map_err(|error| remote::failure(&error))?;
                options.remote.print(&answer.data, |revoked| {
                    let before = if revoked.already { "was revoked before" } else { "is revoked" };
                    format!("token {} {before}", revoked.id)
                })
            }
        }
    })
}

fn table(tokens: &[Token]) -> String {
    let mut table = Table::new(&[
        ("id", Align::Right),
        ("owner", Align::Left),
        ("user", Align::Right),
        ("label", Align::Left),
        ("until", Align::Left),
        ("scopes", Align::Left),
    ]);
    for token in tokens {
        let until = token.expires_at.clone().unwrap_or_else(|| "-".to_owned());
        let over = if token.expired { " (expired)" } else { "" };
        let scopes: Vec<_> = token.scopes.iter().map(|scope| scope.as_str()).collect();
        table.row(vec![
            token.id.to_string(),
            token.owner.clone(),
            or_dash(token.user_id),
            token.label.clone().unwrap_or_default(),
            format!("{until}{over}"),
            scopes.join(" "),
        ]);
    }
    table.to_string()
}
