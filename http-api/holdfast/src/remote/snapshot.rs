//! `holdfast snapshot`: asks a node for a snapshot of its state.

use client::wire::Snapshot;

use crate::exit::Failure;
use crate::remote;

/// Asks and prints. The first URL that answers is the node that takes it.
pub(crate) fn run(options: &remote::Options) -> Result<(), Failure> {
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
