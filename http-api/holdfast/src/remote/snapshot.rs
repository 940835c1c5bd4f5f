//! `holdfast snapshot`: makes a node take a snapshot of its state.

use client::wire::Snapshot;

use crate::exit::CliError;
use crate::remote;

/// Takes a snapshot on the node at the first URL that answers.
pub(crate) fn run(options: &remote::Options) -> Result<(), CliError> {
    remote::block_on(async {
        let client = options.client()?;
        let answer = client.take_snapshot().await.map_err(|error| remote::failure(&error))?;
        options.print(&answer.data, |snapshot| render(snapshot, &answer.receipt.url))
    })
}

fn render(snapshot: &Snapshot, url: &str) -> String {
    let Snapshot { index, term, bytes, digest } = snapshot;
    format!("snapshot at index {index} of term {term} on {url}: {bytes} bytes, digest {digest}\n")
}
