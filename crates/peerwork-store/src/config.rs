//! Settings of the local store.

use std::path::PathBuf;

/// The store's quota unless another is set: 10 GB.
pub const MAX_DEFAULT: u64 = 10_000_000_000;
/// Free disk that the store never uses unless another amount is set: 1 GB.
pub const RESERVE_DEFAULT: u64 = 1_000_000_000;

/// Settings of a [`Store`](crate::Store).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The folder of the store, which this process alone may use.
    pub path: PathBuf,
    /// Bytes that the store's files may take (`--store-max`).
    pub max: u64,
    /// Bytes of the disk that stay free (`--store-reserve`).
    pub reserve: u64,
}

impl Config {
    /// A store in `path` with the defaults.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            max: MAX_DEFAULT,
            reserve: RESERVE_DEFAULT,
        }
    }
}
