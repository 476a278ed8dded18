//! The reason for which a connection ended; its protocols, its channels and its task share it.

use std::io;

/// The reason for which a connection ended, as its streams report it.
pub(super) type End = io::ErrorKind;
