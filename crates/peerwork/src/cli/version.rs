//! `peerwork version`.

use serde::Serialize;

use super::output::{Answer, block};

/// The release, as it is told everywhere.
pub(super) const RELEASE: &str = concat!("v", env!("CARGO_PKG_VERSION"));

/// What was built, from what.
#[derive(Serialize)]
pub(super) struct Version {
    version: &'static str,
    branch: &'static str,
    build: &'static str,
}

impl Version {
    /// Of this program; branch and build are known when `PEERWORK_BRANCH` and `PEERWORK_BUILD`
    /// were set as it was compiled.
    pub(super) fn of_this_program() -> Self {
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
