//! The content store beside its peers: adding files durably, and fetching them from another node.
//!
//! ```text
//!  adding:   openssl dgst -sha256 │ cp + sync │ peerwork store add │ ipfs add        the same bytes
//!  fetching: plain HTTP over TCP │ relay → edge (a tunnel) │ peerwork store pin, get │ sendme
//! ```
//! All are measured in turn, round after round, so that changes of the machine's speed affect all alike.

mod adding;
mod arguments;
mod fetching;
mod files;
mod kubo;
mod nodes;
mod sendme;
mod table;
mod timed;

use anyhow::Context as _;

pub(crate) use self::arguments::StoreArgs;
use crate::say;

/// Measures and prints all tables.
///
/// # Errors
/// When a program cannot be started or fails.
pub(crate) async fn measure(args: &StoreArgs) -> anyhow::Result<()> {
    let parent = match &args.folder {
        Some(folder) => folder.clone(),
        None => std::env::current_dir()?,
    };
    let folder = tempfile::Builder::new()
        .prefix("bench-store-")
        .tempdir_in(&parent)
        .with_context(|| format!("making a folder in {}", parent.display()))?;
    let added = adding::measure(args, folder.path())?;
    say::line(added.to_string().trim_end())?;
    let fetched = fetching::measure(args, folder.path()).await?;
    Ok(say::line(format_args!(
        "\n{}",
        fetched.to_string().trim_end()
    ))?)
}
