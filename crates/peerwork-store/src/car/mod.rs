//! CAR files: blocks in one file with the roots in its header, as IPFS exchanges DAGs outside of Bitswap.
//!
//! Version 1 is read and written; of version 2 the wrapped file of version 1 is read, and its index is not.

mod error;
mod export;
mod header;
mod import;
mod scope;

pub use error::CarError;
pub use export::{export, stream, stream_with_duplicates};
pub use import::{Imported, import};
pub use scope::{EntityBytes, Request, RequestError, Scope};
