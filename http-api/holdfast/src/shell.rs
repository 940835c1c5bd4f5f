//! `holdfast completions` and `holdfast man`: what shells and `man` know of the command line.
//!
//! Both are made of the declaration of the command line, so they name every flag.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_complete::Shell;

use crate::exit::CliError;
use crate::output;

/// The name of the program.
const NAME: &str = "holdfast";

/// The flags of `completions`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Completions {
    /// Complete commands for this shell
    #[arg(value_enum)]
    shell: Shell,
}

/// The flags of `man`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Manual {
    /// Write one page for each subcommand into this directory; it is created if missing [default:
    /// print the page of `holdfast`]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints the completions of a command line.
pub(crate) fn complete(options: &Completions, mut declared: Command) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut declared, NAME, &mut script);
    output::print_line(String::from_utf8_lossy(&script).trim_end())
}

/// Writes the manual pages of a command line.
pub(crate) fn manual(options: &Manual, declared: Command) -> Result<(), CliError> {
    let declared = declared.name(NAME);
    let Some(directory) = &options.out else {
        let mut page = Vec::new();
        let made = clap_mangen::Man::new(declared).render(&mut page);
        made.map_err(|error| CliError::because("cannot make the page", &error))?;
        return output::print_line(String::from_utf8_lossy(&page).trim_end());
    };
    let pages = write_pages(declared, directory).map_err(|error| {
        CliError::Usage(format!("cannot write into {}: {error}", directory.display()))
    })?;
    output::print_line(&format!("{pages} pages in {}", directory.display()))
}

/// Writes a page for each command, and returns their number.
fn write_pages(declared: Command, directory: &Path) -> io::Result<usize> {
    fs::create_dir_all(directory)?;
    clap_mangen::generate_to(declared, directory)?;
    let mut pages = 0;
    for page in fs::read_dir(directory)? {
        let page = page?;
        if page.file_name().to_string_lossy().starts_with(NAME) {
            // Everybody may read the manual; other files of this process are secret.
            fs::set_permissions(page.path(), fs::Permissions::from_mode(0o644))?;
            pages += 1;
        }
    }
    Ok(pages)
}
