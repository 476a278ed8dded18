//! Runs the asynchronous work of commands on a tokio runtime.

use std::future::Future;

use anyhow::Context as _;

use super::open_files;

/// Raises the limit of open files, runs `work` to its end, and does not wait for tasks that it spawned.
pub(crate) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    open_files::raise_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(worker_threads())
        .enable_all()
        .build()
        .context("cannot start the threads of the program")?;
    let result = runtime.block_on(work);
    runtime.shutdown_background();
    result
}

/// The number of worker threads: half of the machine's cores. A node mostly hands bytes from one task
/// to the next, and waking a further worker for that costs more than it gains.
fn worker_threads() -> usize {
    let cores = std::thread::available_parallelism();
    cores.map_or(1, |cores| cores.get().div_ceil(2))
}
