//! Pins: roots whose DAGs are kept.

use cid::Cid;

/// The longest name of a pin: a path of Linux has at most 4096 bytes, and names are shown in lists.
pub const PIN_NAME_BYTES_MAX: usize = 1024;
/// The most pins: 250,000 * about 300 bytes with a name of usual length are 75 MB.
pub const PINS_MAX: usize = 250_000;

/// A root whose DAG is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The root.
    pub cid: Cid,
    /// The name that the owner gave it, for instance the path that was added; may be empty.
    pub name: String,
    /// When it was pinned, in milliseconds since 1970.
    pub pinned_at: u64,
}
