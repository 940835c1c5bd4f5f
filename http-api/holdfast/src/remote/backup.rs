//! `holdfast backup`: writes the whole state of a running cluster at one index to a file.
//!
//! The file is written as `FILE.partial`, synced and verified, and then renamed: `FILE` is always
//! complete.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use client::Client;
use indicatif::ProgressBar;
use raft_node::snapshot::backup::{self, About};
use serde_json::json;

use crate::exit::CliError;
use crate::{progress, remote};

/// The flags of `backup`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Write this file, which must not exist
    #[arg(value_name = "FILE")]
    to: PathBuf,
    /// Take the state of the node without a majority, which may lack the newest orders: for a
    /// cluster that has lost its majority
    #[arg(long)]
    stale: bool,
    #[command(flatten)]
    remote: remote::Options,
}

/// A file that is removed on drop unless it is complete.
struct Partial {
    path: PathBuf,
    complete: bool,
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.complete {
            // If that fails, the name says that the file is partial.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Runs the command to its end.
pub(crate) fn run(options: &Options) -> Result<(), CliError> {
    // A link counts too, wherever it leads.
    if options.to.symlink_metadata().is_ok() {
        return Err(CliError::Usage(format!(
            "{} exists already: name another file",
            options.to.display()
        )));
    }
    let (about, url) = remote::block_on(async {
        let client = options.remote.client()?;
        let client = if options.stale { client.stale() } else { client };
        receive(&client, &options.to).await
    })?;
    print(options, &about, &url)
}

async fn receive(client: &Client, to: &Path) -> Result<(About, String), CliError> {
    let path = with_end(to, "partial");
    let wrong =
        |error: std::io::Error| CliError::because(format!("cannot write {}", to.display()), &error);
    let file = create(&path)?;
    let mut partial = Partial { path, complete: false };
    let mut file = BufWriter::new(file);
    let mut source = client.backup().await.map_err(|error| remote::failure(&error))?;
    let bar = ProgressBar::new(source.bytes());
    bar.set_style(progress::style("{wide_bar} {bytes}/{total_bytes} {bytes_per_sec}"));
    while let Some(piece) = source.next().await.map_err(|error| remote::failure(&error))? {
        file.write_all(&piece).map_err(wrong)?;
        bar.inc(piece.len() as u64);
    }
    bar.finish_and_clear();
    let file = file.into_inner().map_err(|error| wrong(error.into_error()))?;
    file.sync_all().map_err(wrong)?;
    drop(file);
    let about = backup::check(&partial.path)
        .map_err(|error| CliError::because("the received backup is damaged", &error))?;
    fs::rename(&partial.path, to).map_err(wrong)?;
    partial.complete = true;
    let dir = to.parent().filter(|dir| !dir.as_os_str().is_empty());
    let dir = File::open(dir.unwrap_or_else(|| Path::new("."))).map_err(wrong)?;
    dir.sync_all().map_err(wrong)?;
    Ok((about, source.url().to_owned()))
}

/// Creates a file for this user alone. Refuses an existing one: it may be a link that leads
/// elsewhere, or of another backup.
fn create(path: &Path) -> Result<File, CliError> {
    let file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path);
    file.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => CliError::Usage(format!(
            "{} exists already: remove it if no other backup is writing it, or name another file",
            path.display()
        )),
        _ => CliError::because(format!("cannot write {}", path.display()), &error),
    })
}

/// Appends an extension to a path.
fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(end);
    name.into()
}

fn print(options: &Options, about: &About, url: &str) -> Result<(), CliError> {
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
