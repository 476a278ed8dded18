//! Pins: roots whose DAGs are kept.

use cid::Cid;

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
