//! Entries: what a path below a root leads to.

use bytes::Bytes;
use cid::Cid;

use super::{
    error::ReadError,
    list::lookup,
    message::{Attributes, Kind},
    node::{Content, decode},
};
use crate::{Block, Source, dag::Limits};

/// A file, directory or symbolic link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its root.
    pub cid: Cid,
    /// Its kind.
    pub kind: Kind,
    /// Bytes of the content of a file, as its root says; of the target of a symbolic link; 0 for a directory.
    pub size: u64,
    /// Bytes of its DAG, as its links say; nothing proves it.
    pub cumulative: u64,
    /// Mode and time, where its adder kept them.
    pub attributes: Attributes,
    /// The target of a symbolic link; empty for the others.
    pub target: Bytes,
}

/// Finds the entry that `path` leads to. The names of the path are those of directories; empty ones, as in
/// `a//b/`, are left out, and an empty path leads to the root. Symbolic links are not followed.
///
/// # Errors
/// [`ReadError`].
pub async fn resolve(
    source: &dyn Source,
    root: &Cid,
    path: &str,
    limits: &Limits,
) -> Result<Entry, ReadError> {
    let block = walk_path(source, root, path, limits).await?;
    entry(&block)
}

/// Follows a path, and gives the last block.
async fn walk_path(
    source: &dyn Source,
    root: &Cid,
    path: &str,
    limits: &Limits,
) -> Result<Block, ReadError> {
    let names = || path.split('/').filter(|name| !name.is_empty());
    ReadError::limit(*root, "levels", names().count() as u64, limits.depth as u64)?;
    let mut block = source.get(root).await?;
    for name in names() {
        let link = lookup(source, &block, name, |_| {}).await?;
        block = source.get(&link.cid).await?;
    }
    Ok(block)
}

/// The entry of a root's block.
pub(crate) fn entry(block: &Block) -> Result<Entry, ReadError> {
    let decoded = decode(block)?;
    let (size, target) = match &decoded.content {
        Content::File(file) => (file.size, Bytes::new()),
        Content::Symlink(target) => (target.len() as u64, target.clone()),
        Content::Directory(_) | Content::Shard(_) => (0, Bytes::new()),
    };
    Ok(Entry {
        cid: *block.cid(),
        kind: decoded.content.kind(),
        size,
        cumulative: decoded.cumulative,
        attributes: decoded.attributes,
        target,
    })
}
