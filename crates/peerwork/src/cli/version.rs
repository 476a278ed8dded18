//! `peerwork version`: prints the release and its build.

use clap::Args;
use serde::Serialize;

use super::{
    command::{Call, Command},
    output::{Answer, block},
};

/// The release's name in all outputs.
pub(super) const RELEASE: &str = concat!("v", env!("CARGO_PKG_VERSION"));

/// `peerwork version`
#[derive(Args, Debug)]
pub(crate) struct VersionArgs {}

impl Command for VersionArgs {
    const NAME: &'static str = "version";
    const ABOUT: &'static str = "Print the version of the program";

    /// Ignores the settings, so that invalid settings do not matter.
    fn run(self, call: &Call<'_>) -> anyhow::Result<()> {
        call.form.show(&Version::of_this_program())
    }
}

/// The release, and the sources it was built from.
#[derive(Serialize)]
struct Version {
    version: &'static str,
    branch: &'static str,
    build: &'static str,
}

impl Version {
    /// The version of this program. Branch and build are known when `PEERWORK_BRANCH` and
    /// `PEERWORK_BUILD` were set at compile time.
    fn of_this_program() -> Self {
        Self {
            version: RELEASE,
            branch: option_env!("PEERWORK_BRANCH").unwrap_or_default(),
            build: option_env!("PEERWORK_BUILD").unwrap_or_default(),
        }
    }
}

impl Answer for Version {
    fn text(&self) -> String {
        let rows = [
            ("Release", self.version.to_owned()),
            ("Branch", self.branch.to_owned()),
            ("Build", self.build.to_owned()),
        ];
        block("VERSION INFO", &rows)
    }
}
