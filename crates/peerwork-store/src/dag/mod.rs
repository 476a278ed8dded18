//! DAGs of blocks: dag-pb nodes, their links, and walks over all blocks below a root.
//!
//! Codecs: raw has no links, dag-pb has those of its node, and others are an error.

mod limits;
mod node;
mod walk;
mod wire;

pub use limits::Limits;
pub(crate) use node::{Cursor, NodeWriter, block, read_cid};
pub use node::{DagError, Node, NodeLink, links};
pub(crate) use walk::{Seen, Walk};
pub use walk::{WalkError, Walked, walk};
pub use wire::WireError;
pub(crate) use wire::{
    Value, field, put_bytes, put_head, put_number, put_varint, varint, varint_len,
};
