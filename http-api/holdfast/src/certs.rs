//! `holdfast certs`: makes the certificates that nodes prove themselves with, and shows them.
//!
//! Make them all on one machine. The key of the authority stays there: a node needs only its own
//! certificate, its own key and the certificate of the authority.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use engine::ids::NodeId;
use raft_node::tls::{certificate, names};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

use crate::address;
use crate::exit::{CliError, chain};
use crate::output::print_line;
use crate::settings::File;

/// Certificates are valid from this long ago, for nodes whose clocks are behind.
const BACKDATED: Duration = Duration::hours(1);

/// What to do with certificates.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Make the authority of a cluster: ca.crt for all nodes, and ca.key, which signs certificates
    CreateCa(CreateCa),
    /// Make the certificate of a node and its key: node-ID.crt and node-ID.key
    CreateNode(CreateNode),
    /// Show the validity of the certificates in a file
    Show(Show),
}

/// The flags of `create-ca`.
#[derive(Debug, Clone, Args)]
pub(crate) struct CreateCa {
    /// Make it for the cluster of this name, as in `serve --cluster`
    #[arg(long, value_name = "NAME", default_value = "holdfast")]
    cluster: String,
    /// Write the files to this directory; it is created if missing
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Let it be valid for this many days
    #[arg(long, value_name = "DAYS", default_value = "3650")]
    #[arg(value_parser = clap::value_parser!(i64).range(1..=36_500))]
    days: i64,
    #[command(flatten)]
    file: File,
}

/// The flags of `create-node`.
#[derive(Debug, Clone, Args)]
pub(crate) struct CreateNode {
    /// Make it for the node with this id
    #[arg(long, value_name = "N", value_parser = address::node_id)]
    id: u64,
    /// Let it prove this id too, for a node that is rebuilt: it gets a new id then. Separate
    /// several by commas
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = address::node_id)]
    spare_id: Vec<u64>,
    /// Let it prove this name or IP address too, for clients over HTTPS; separate several by commas
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    host: Vec<String>,
    /// Find ca.crt and ca.key in this directory, and write the files there
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Let it be valid for this many days
    #[arg(long, value_name = "DAYS", default_value = "825")]
    #[arg(value_parser = clap::value_parser!(i64).range(1..=36_500))]
    days: i64,
    #[command(flatten)]
    file: File,
}

/// The flags of `show`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Show {
    /// The file with the certificates
    #[arg(value_name = "FILE")]
    certificates: PathBuf,
    #[command(flatten)]
    file: File,
}

/// Runs the command.
pub(crate) fn run(command: &Command) -> Result<(), CliError> {
    match command {
        Command::CreateCa(options) => create_ca(options),
        Command::CreateNode(options) => create_node(options),
        Command::Show(options) => show(&options.certificates),
    }
}

fn create_ca(options: &CreateCa) -> Result<(), CliError> {
    let dir = &options.dir;
    std::fs::create_dir_all(dir)
        .map_err(|error| CliError::because(format!("cannot create {}", dir.display()), &error))?;
    let key = KeyPair::generate().map_err(failed)?;
    let mut params = authority(&names::label(&options.cluster))?;
    let now = OffsetDateTime::now_utc();
    (params.not_before, params.not_after) = (now - BACKDATED, now + Duration::days(options.days));
    let certificate = params.self_signed(&key).map_err(failed)?;
    write(&dir.join("ca.key"), &key.serialize_pem())?;
    write(&dir.join("ca.crt"), &certificate.pem())
}

/// The fixed part of an authority. Its name has the cluster's label, which `create-node` reads.
fn authority(label: &str) -> Result<CertificateParams, CliError> {
    let mut params = CertificateParams::new([names::of_authority(label)]).map_err(failed)?;
    params.distinguished_name = common_name(&names::of_authority(label));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn create_node(options: &CreateNode) -> Result<(), CliError> {
    let CreateNode { dir, id, .. } = options;
    let path = dir.join("ca.crt");
    let own = certificate::read_chain(&path).map_err(|error| CliError::Usage(chain(&error)))?;
    let label = label(&own[0]).ok_or_else(|| {
        let path = path.display();
        CliError::Usage(format!("{path} was not made by `holdfast certs create-ca`"))
    })?;
    let path = dir.join("ca.key");
    let text = std::fs::read_to_string(&path)
        .map_err(|error| CliError::because(format!("cannot read {}", path.display()), &error))?;
    let issuer = Issuer::new(authority(&label)?, KeyPair::from_pem(&text).map_err(failed)?);

    let ids = [*id].into_iter().chain(options.spare_id.iter().copied());
    let mut alternative: Vec<String> = ids.map(|id| names::of_node(NodeId(id), &label)).collect();
    alternative.extend(options.host.iter().cloned());
    let mut params = CertificateParams::new(alternative).map_err(failed)?;
    params.distinguished_name = common_name(&names::of_node(NodeId(*id), &label));
    let now = OffsetDateTime::now_utc();
    (params.not_before, params.not_after) = (now - BACKDATED, now + Duration::days(options.days));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.signed_by(&key, &issuer).map_err(failed)?;
    write(&dir.join(format!("node-{id}.key")), &key.serialize_pem())?;
    write(&dir.join(format!("node-{id}.crt")), &certificate.pem())
}

fn common_name(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

/// The cluster's label in the certificate of an authority.
fn label(certificate: &[u8]) -> Option<String> {
    let names = certificate::dns_names(certificate);
    names.iter().find_map(|name| names::label_of_authority(name)).map(str::to_owned)
}

/// Writes a new file, which only this user may read.
fn write(path: &Path, text: &str) -> Result<(), CliError> {
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o600).open(path);
    let written = opened.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => CliError::Usage(format!(
            "{} exists and was not changed: move it away, or name another --dir",
            path.display()
        )),
        _ => CliError::because(format!("cannot write {}", path.display()), &error),
    })?;
    print_line(&format!("wrote {}", path.display()))
}

fn show(path: &Path) -> Result<(), CliError> {
    let chain_of = certificate::read_chain(path).map_err(|error| CliError::Usage(chain(&error)))?;
    for (number, one) in (1..).zip(&chain_of) {
        let (not_before_s, not_after_s) = certificate::validity(one).ok_or_else(|| {
            CliError::Usage(format!("{} has no valid certificate", path.display()))
        })?;
        let date = |seconds: u64| {
            let moment = i64::try_from(seconds).ok().map(OffsetDateTime::from_unix_timestamp);
            moment.and_then(Result::ok).map_or_else(String::new, |moment| moment.date().to_string())
        };
        let now_s = OffsetDateTime::now_utc().unix_timestamp();
        let left_days = (i64::try_from(not_after_s).unwrap_or(i64::MAX) - now_s) / (24 * 3600);
        print_line(&format!(
            "certificate {number}: {}, valid from {} to {}, {left_days} days left",
            certificate::dns_names(one).join(" "),
            date(not_before_s),
            date(not_after_s)
        ))?;
    }
    Ok(())
}

fn failed(error: rcgen::Error) -> CliError {
    CliError::because("cannot make the certificate", &error)
}

#[cfg(test)]
mod tests {
    use raft_node::tls::certificate::PairFiles;
    use raft_node::tls::{Mode, PeerFiles, PeerTls};

    use super::*;

    fn run_words(words: &[&str]) -> Result<(), CliError> {
        use clap::Parser as _;

        #[derive(clap::Parser)]
        struct Cli {
            #[command(subcommand)]
            command: Command,
        }
        run(&Cli::parse_from([&["certs"], words].concat()).command)
    }

    #[test]
    fn a_node_proves_its_own_and_its_spare_id_in_its_own_cluster() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().to_str().unwrap();
        run_words(&["create-ca", "--cluster", "Shop EU", "--dir", dir]).unwrap();
        let node = ["create-node", "--id", "2", "--spare-id", "12", "--host", "h,::1"];
        run_words(&[&node[..], &["--dir", dir]].concat()).unwrap();
        let file = |name: &str| Path::new(dir).join(name);
        let load = |id: u64, cluster: &str| {
            let pair = PairFiles { cert: file("node-2.crt"), key: file("node-2.key") };
            let files = PeerFiles { pair, ca: file("ca.crt") };
            PeerTls::load(files, Mode::Require, NodeId(id), cluster)
        };
        let loaded = load(2, "Shop EU").unwrap();
        assert_eq!(loaded.id_from(NodeId(3)), Some(NodeId(12)));
        assert_eq!(loaded.id_from(NodeId(13)), None);
        let left_s = loaded.not_after_s() as i64 - OffsetDateTime::now_utc().unix_timestamp();
        assert_eq!((left_s + 60) / (24 * 3600), 825);
        assert!(load(12, "Shop EU").is_ok());
        for (id, cluster) in [(1, "Shop EU"), (2, "shop"), (2, "holdfast")] {
            let error = chain(&load(id, cluster).unwrap_err());
            assert!(error.contains(&format!("{id}.node.")), "{error}");
        }
        run_words(&["show", file("node-2.crt").to_str().unwrap()]).unwrap();
        let names =
            certificate::dns_names(&certificate::read_chain(&file("node-2.crt")).unwrap()[0]);
        assert_eq!(names.len(), 3, "two ids and a host: {names:?}");
    }

    #[test]
    fn files_are_private_and_never_overwritten() {
        use std::os::unix::fs::PermissionsExt as _;

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        assert!(run_words(&["create-node", "--id", "1", "--dir", path]).is_err(), "no authority");
        run_words(&["create-ca", "--dir", path]).unwrap();
        let key = dir.path().join("ca.key");
        assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        let before = std::fs::read(&key).unwrap();
        let again = run_words(&["create-ca", "--dir", path]).unwrap_err().to_string();
        assert!(again.contains("ca.key exists"), "{again}");
        assert_eq!(std::fs::read(&key).unwrap(), before);
    }
}
