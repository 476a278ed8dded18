//! `peerwork demo`: a whole network in one process.

use super::{args::DemoFlags, output::Form};

/// Runs the demo until a signal, or checks it and ends.
///
/// # Errors
/// When the network cannot start, or the check fails.
pub(super) async fn run(flags: DemoFlags, form: Form) -> anyhow::Result<()> {
    let _ = (flags, form);
    anyhow::bail!("the demo is not part of this build")
}
