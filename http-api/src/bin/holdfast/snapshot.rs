//! `holdfast snapshot`: asks a node for a snapshot of its state.

use clap::Args;
use client::wire::Snapshot;

use crate::exit::Failure;
use crate::remote;

/// The flags of `snapshot`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    remote: remote::Options,
}

/// Asks and prints. The first URL that answers is the node that takes it.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    remote::block_on(async {
        let client = options.remote.client()?;
        let answer = client.take_snapshot().await.map_err(|error| remote::failure(&error))?;
        options.remote.print(&answer.data, |snapshot| render(snapshot, &answer.receipt.url))
    })
}

fn render(snapshot: &Snapshot, url: &str) -> String {
    let Snapshot { index, term, bytes, digest } = snapshot;
    format!("snapshot at index {index} of term {term} on {url}: {bytes} bytes, digest {digest}\n")
}
