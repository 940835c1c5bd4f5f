//! `holdfast auth`: makes a root token, shows and sets whether a cluster asks for credentials.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use client::wire::{Auth, AuthMode, Session};

use crate::credentials;
use crate::exit::CliError;
use crate::output::print_line;
use crate::remote;
use crate::settings::File;

/// The subcommands of `auth`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Write a new root token to a file, for `serve --root-token-file`. Copy it to all nodes
    Init(Init),
    /// Show what the given token may do
    Show(Options),
    /// Let credentials count for nothing. A node with a root token asks for them all the same
    Off(Options),
    /// Check credentials that are given, and let requests without any through
    Optional(Options),
    /// Refuse requests without credentials
    Required(Options),
}

/// The flags of `auth init`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Init {
    /// Write the token to this file, which must not exist
    #[arg(long = "out", value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    file: File,
}

/// The flags of the other subcommands.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    remote: remote::Options,
}

/// Runs the command to its end.
pub(crate) fn run(command: &Command) -> Result<(), CliError> {
    match command {
        Command::Init(options) => {
            credentials::write_root(&options.out)?;
            print_line(&format!("wrote {}", options.out.display()))
        }
        Command::Show(options) => show(&options.remote),
        Command::Off(options) => set(AuthMode::Off, &options.remote),
        Command::Optional(options) => set(AuthMode::Optional, &options.remote),
        Command::Required(options) => set(AuthMode::Required, &options.remote),
    }
}

fn show(options: &remote::Options) -> Result<(), CliError> {
    remote::block_on(async {
        let client = options.client()?;
        let answer = client.whoami().await.map_err(|error| remote::failure(&error))?;
        options.print(&answer.data, session)
    })
}

fn set(mode: AuthMode, options: &remote::Options) -> Result<(), CliError> {
    remote::block_on(async {
        let client = options.client()?;
        let answer = client.set_auth_mode(mode).await.map_err(|error| remote::failure(&error))?;
        options.print(&answer.data, auth)
    })
}

fn session(session: &Session) -> String {
    let mut text = format!("credentials are {} here; you are {}", session.mode, session.actor);
    if let (Some(id), Some(owner)) = (session.token_id, &session.owner) {
        text.push_str(&format!(" {id} of {owner}"));
    }
    if let Some(end) = &session.expires_at {
        text.push_str(&format!(" until {end}"));
    }
    let scopes: Vec<_> = session.scopes.iter().map(|scope| scope.as_str()).collect();
    text.push_str(&format!("\nscopes: {}", scopes.join(" ")));
    text
}

fn auth(auth: &Auth) -> String {
    let mut text = format!("credentials are {}; tokens: {}", auth.mode, auth.tokens);
    if auth.here != auth.mode {
        text.push_str(&format!("\nthe node that answered has a root token: {} there", auth.here));
    }
    text
}
