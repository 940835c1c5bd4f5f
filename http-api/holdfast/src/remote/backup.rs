//! `holdfast backup`: a file with everything that a running cluster has, as it is at one index.
//!
//! The file is written under another name, synced and read back, and gets its own name only then:
//! a file of that name is whole.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use client::Client;
use indicatif::{ProgressBar, ProgressStyle};
use raft_node::snapshot::backup::{self, About};
use serde_json::json;

use crate::exit::Failure;
use crate::remote;

/// The flags of `backup`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// The file to write; it must not exist yet
    #[arg(value_name = "FILE")]
    to: PathBuf,
    /// Take what the node has, without asking the others whether that is all: for a cluster that
    /// has lost its majority
    #[arg(long)]
    stale: bool,
    #[command(flatten)]
    remote: remote::Options,
}

/// A file that is removed unless it becomes whole.
struct Partial {
    path: PathBuf,
    whole: bool,
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.whole {
            // It has a name that says what it is, should it stay.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Runs it to its end.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    if options.to.exists() {
        return Err(Failure::Usage(format!("{} exists already", options.to.display())));
    }
    let (about, url) = remote::block_on(async {
        let client = options.remote.client()?;
        let client = if options.stale { client.stale() } else { client };
        receive(&client, &options.to).await
    })?;
    print(options, &about, &url)
}

async fn receive(client: &Client, to: &Path) -> Result<(About, String), Failure> {
    let path = with_end(to, "partial");
    let wrong =
        |error: std::io::Error| Failure::because(format!("cannot write {}", to.display()), &error);
    let mut open = OpenOptions::new();
    let file = open.create(true).truncate(true).write(true).mode(0o600).open(&path);
    let mut partial = Partial { path, whole: false };
    let mut file = BufWriter::new(file.map_err(wrong)?);
    let mut source = client.backup().await.map_err(|error| remote::failure(&error))?;
    let bar = ProgressBar::new(source.bytes());
    let look = ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes} {bytes_per_sec}");
    bar.set_style(look.expect("a template that is constant"));
    while let Some(piece) = source.next().await.map_err(|error| remote::failure(&error))? {
        file.write_all(&piece).map_err(wrong)?;
        bar.inc(piece.len() as u64);
    }
    bar.finish_and_clear();
    let file = file.into_inner().map_err(|error| wrong(error.into_error()))?;
    file.sync_all().map_err(wrong)?;
    drop(file);
    let about = backup::check(&partial.path)
        .map_err(|error| Failure::because("what arrived is no sound backup", &error))?;
    fs::rename(&partial.path, to).map_err(wrong)?;
    partial.whole = true;
    let dir = to.parent().filter(|dir| !dir.as_os_str().is_empty());
    let dir = File::open(dir.unwrap_or_else(|| Path::new("."))).map_err(wrong)?;
    dir.sync_all().map_err(wrong)?;
    Ok((about, source.url().to_owned()))
}

/// The same path with one more ending.
fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(end);
    name.into()
}

fn print(options: &Options, about: &About, url: &str) -> Result<(), Failure> {
    let file = options.to.display();
    let data = json!({
        "file": file.to_string(),
        "url": url,
        "cluster_id": about.cluster_id,
        "cluster_name": about.cluster_name,
        "index": about.index,
        "term": about.term,
        "digest": format!("{:016x}", about.digest),
        "bytes": about.bytes,
    });
    options.remote.print(&data, |_| {
        format!(
            "{file}: {} bytes, cluster {:?} at index {}, digest {:016x}, from {url}\n",
            about.bytes, about.cluster_name, about.index, about.digest
        )
    })
}
