//! The arguments of the bench.

use std::path::PathBuf;

/// The arguments of `bench store`.
#[derive(clap::Args)]
pub(crate) struct StoreArgs {
    /// The `peerwork` program to measure
    #[arg(long)]
    pub(super) program: PathBuf,
    /// The folder on the disk to measure; 10 GiB of it are used for a while [default: the current folder]
    #[arg(long)]
    pub(super) folder: Option<PathBuf>,
    /// Rounds over all; the median of the rounds is printed
    #[arg(long, default_value_t = 3)]
    pub(super) rounds: usize,
    /// Size of the large file in MiB
    #[arg(long, default_value_t = 2048)]
    pub(super) file_mib: u64,
    /// Files of 4 KiB in the folder of small files
    #[arg(long, default_value_t = 10_000)]
    pub(super) small_files: usize,
    /// Size of the fetched file in MiB
    #[arg(long, default_value_t = 1024)]
    pub(super) fetch_mib: u64,
    /// kubo's `ipfs`, to measure beside
    #[arg(long)]
    pub(super) kubo: Option<PathBuf>,
    /// `sendme`, to measure beside
    #[arg(long)]
    pub(super) sendme: Option<PathBuf>,
}
