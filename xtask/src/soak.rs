//! `cargo xtask soak`: repeats what CI repeats at a tenth.
//!
//! A test that counts repetitions asks `peerwork_testkit::repetitions`, which gives the whole number here
//! and a tenth of it elsewhere.

use anyhow::Result;

use crate::{setup, shell};

/// The variable that `peerwork_testkit::repetitions` reads.
const WHOLE: &str = "PEERWORK_TEST_WHOLE";

/// The soaks: name, package, test binary's filter.
const SOAKS: &[(&str, &str, &str)] = &[("posts", "peerwork-tunnel", "kept::posts_succeed")];

/// The arguments of `cargo xtask soak`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The soak; all of them without a name
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(SOAKS.iter().map(|(name, ..)| *name)))]
    name: Option<String>,
}

/// Runs one soak or all.
///
/// # Errors
/// When a test fails.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    setup::install_all()?;
    let named = SOAKS.iter().filter(|(name, ..)| {
        let wanted = arguments.name.as_deref();
        wanted.is_none_or(|wanted| wanted == *name)
    });
    for (_, package, filter) in named {
        let test = ["test", "--package", package, "--", filter];
        shell::run(shell::command("cargo", &test).env(WHOLE, "1"))?;
    }
    Ok(())
}
