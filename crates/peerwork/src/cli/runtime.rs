//! The runtime that commands run their asynchronous work on.

use std::future::Future;

use anyhow::Context as _;

/// Runs `work`, and does not wait for tasks that it left behind.
pub(crate) fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(worker_threads())
        .enable_all()
        .build()
        .context("cannot start the threads of the program")?;
    let result = runtime.block_on(work);
    runtime.shutdown_background();
    result
}

/// Half of the machine's cores: a node's work is mostly handing bytes from one task to the next, and
/// each further worker that is woken for it costs more than it carries.
fn worker_threads() -> usize {
    let cores = std::thread::available_parallelism();
    cores.map_or(1, |cores| cores.get().div_ceil(2))
}
