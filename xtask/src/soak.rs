//! `cargo xtask soak`: repeats what CI repeats at a tenth.
//!
//! A test that counts repetitions asks `peerwork_testkit::repetitions`, which gives the whole number here
//! and a tenth of it elsewhere; the tests of `sdk/js` read the same variable.

use std::process::Command;

use anyhow::Result;

use crate::{setup, shell};

/// The variable that `peerwork_testkit::repetitions` reads.
const WHOLE: &str = "PEERWORK_TEST_WHOLE";

/// The tests that a soak repeats.
enum Tests {
    /// Tests of a crate: its name, and the filters of its test binary.
    Crate(&'static str, &'static [&'static str]),
    /// Integration tests of `sdk/js`: a part of their file's name.
    Sdk(&'static str),
}

/// The soaks by name.
const SOAKS: &[(&str, Tests)] = &[
    (
        "posts",
        Tests::Crate("peerwork-tunnel", &["kept::posts_succeed"]),
    ),
    (
        "store",
        Tests::Crate(
            "peerwork-store",
            &["disk::", "exchange::beside", "unixfs::bounded"],
        ),
    ),
    ("states", Tests::Sdk("persistence")),
];

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
    for (_, tests) in named {
        shell::run(tests.command().env(WHOLE, "1"))?;
    }
    Ok(())
}

impl Tests {
    fn command(&self) -> Command {
        match *self {
            Self::Crate(package, filters) => {
                let mut command = shell::command("cargo", &["test", "--package", package, "--"]);
                command.args(filters);
                command
            }
            Self::Sdk(file) => {
                let test = ["scripts/test.mjs", "integration", file];
                let mut command = shell::command("node", &test);
                command.current_dir(setup::sdk_folder());
                command
            }
        }
    }
}
