//! Files with a token: reading them, and making one. A token is never a flag, because other users
//! of the machine can see flags.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use client::Builder;

use crate::exit::CliError;
use crate::settings::is_exposed;

/// The variable with a token, for commands that ask a cluster.
pub(crate) const VARIABLE: &str = "HOLDFAST_TOKEN";

/// The largest file with a token, in bytes.
const FILE_BYTES_MAX: u64 = 4096;

/// Reads the token in a file: its only line. The errors name `flag` and never quote the file.
pub(crate) fn read(flag: &str, path: &Path) -> Result<String, CliError> {
    let shown = path.display();
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|opened| {
        let is_exposed = is_exposed(&opened)?;
        opened.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
        Ok(is_exposed)
    });
    let is_exposed =
        read.map_err(|error| CliError::because(format!("cannot read {flag} {shown}"), &error))?;
    if is_exposed {
        return Err(CliError::Usage(format!(
            "every user of this machine can read {flag} {shown}: `chmod o= {shown}`"
        )));
    }
    let token = text.trim();
    if token.is_empty() || token.lines().count() > 1 {
        return Err(CliError::Usage(format!("{flag} {shown} must have one line, with a token")));
    }
    Ok(token.to_owned())
}

/// Lets a client prove who it is: by the token in a file, else by that of the environment if
/// `from_environment`.
pub(crate) fn authorized(
    builder: Builder,
    flag: &str,
    file: Option<&Path>,
    from_environment: bool,
) -> Result<Builder, CliError> {
    Ok(match given(flag, file, from_environment)? {
        Some(token) => builder.token(token),
        None => builder,
    })
}

/// The token in a file, else that of the environment if `from_environment`.
pub(crate) fn given(
    flag: &str,
    file: Option<&Path>,
    from_environment: bool,
) -> Result<Option<String>, CliError> {
    match file {
        Some(path) => read(flag, path).map(Some),
        None if from_environment => {
            Ok(std::env::var(VARIABLE).ok().filter(|token| !token.is_empty()))
        }
        None => Ok(None),
    }
}

/// Writes a new random root token to a file that only its owner can read.
pub(crate) fn write_root(path: &Path) -> Result<(), CliError> {
    let bytes: [u8; 32] = rand::random();
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o600).open(path);
    let written = opened.and_then(|mut file| {
        writeln!(file, "{text}")?;
        file.sync_all()
    });
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => CliError::Usage(format!(
            "{} exists and was not changed: name another file",
            path.display()
        )),
        _ => CliError::because(format!("cannot write {}", path.display()), &error),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use http_api::RootToken;

    use super::*;

    #[test]
    fn a_root_token_is_written_once_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root");
        write_root(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let token = read("--root-token-file", &path).unwrap();
        assert!(RootToken::new(&token).is_ok());
        assert!(write_root(&path).unwrap_err().to_string().contains("exists"));
        assert_eq!(read("--root-token-file", &path).unwrap(), token);
    }

    #[test]
    fn a_file_has_one_line_that_others_cannot_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let refused = |text: &str, mode: u32| {
            std::fs::write(file.path(), text).unwrap();
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(file.path(), mode).unwrap();
            let error = read("--token-file", file.path()).unwrap_err().to_string();
            assert!(error.contains("--token-file") && !error.contains("secret"), "{error}");
            error
        };
        assert!(refused("secret", 0o644).contains("chmod"));
        assert!(refused("", 0o600).contains("one line"));
        assert!(refused("secret\nsecret", 0o600).contains("one line"));
        std::fs::write(file.path(), "  secret \n").unwrap();
        assert_eq!(read("--token-file", file.path()).unwrap(), "secret");
        assert!(read("--token-file", "/nowhere/at/all".as_ref()).is_err());
    }
}
