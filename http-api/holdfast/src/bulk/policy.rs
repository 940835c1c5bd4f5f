//! What an import does with products that exist already, or whose identity is in doubt.

use clap::{Args, ValueEnum};

/// What to do with a product that exists already and differs from the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnExisting {
    /// Leave it as it is, name it and count it apart
    Skip,
    /// Change its name, price and limits to those of the file; never its stock
    Update,
    /// Leave it as it is and exit with code 3
    Fail,
}

/// The flags of `import` for products.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub(crate) struct Policy {
    /// Do this with a product whose SKU exists here with another name, price or limit
    #[arg(long, value_name = "ACTION", default_value = "skip")]
    pub(crate) on_existing: OnExisting,
    /// Ignore the ids of the file. Without this flag products of a file with ids are created in its
    /// order, and one without a SKU is refused if it cannot keep its id
    #[arg(long)]
    pub(crate) new_ids: bool,
    /// Create products that have neither SKU nor id, although another import creates them again
    #[arg(long)]
    pub(crate) allow_duplicates: bool,
}
