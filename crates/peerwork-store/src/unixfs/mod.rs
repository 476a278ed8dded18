//! UnixFS: files and directories as DAGs of blocks, written as IPFS writes them.

mod add;
mod hamt;
mod message;
mod profile;

pub use add::{AddError, AddEvent, AddKind, AddOptions, Root, add, add_reader};
pub use message::{Attributes, Mtime};
pub use profile::{Profile, UnknownProfile};
