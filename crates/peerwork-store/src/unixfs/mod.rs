//! UnixFS: files and directories as DAGs of blocks, written and read as IPFS does.
//!
//! [`add`] makes blocks of files. [`resolve`] finds an entry by its path, [`list`] gives the entries of a
//! directory, [`read`] the content of a file, and [`export`] writes a whole tree to the disk. Readers take
//! DAGs of strangers within [`Limits`](crate::dag::Limits), and hold no more of them than one path.

mod add;
mod entry;
mod error;
mod export;
mod hamt;
mod list;
mod message;
mod node;
mod profile;
mod read;

pub use add::{AddError, AddEvent, AddOptions, Root, add, add_reader};
pub use entry::{Entry, resolve};
pub use error::ReadError;
pub use export::{ExportError, ExportEvent, ExportOptions, Exported, export};
pub use list::{Link, child, list};
pub use message::{Attributes, Kind, Mtime};
pub use profile::{Profile, UnknownProfile};
pub use read::read;

pub(crate) use entry::entry;
pub(crate) use list::{Lister, lookup};
pub(crate) use read::FileReader;
