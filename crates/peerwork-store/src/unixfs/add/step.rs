//! Steps: a tree of files as a sequence, from the thread that reads to the thread that builds.

use super::{super::message::Attributes, error::AddError};

/// A step on the way through a tree; `L` is a leaf, before or after hashing.
#[derive(Debug)]
pub(crate) enum Step<L> {
    /// A directory begins.
    Directory {
        name: String,
        attributes: Attributes,
    },
    /// The directory that began last ends.
    DirectoryEnd,
    /// A part of the file at hand.
    Leaf(L),
    /// The file at hand, which has at least one leaf, ends.
    FileEnd {
        name: String,
        attributes: Attributes,
    },
    /// A symbolic link.
    Symlink {
        name: String,
        target: Vec<u8>,
        attributes: Attributes,
    },
    /// Reading failed; nothing follows.
    Failed(AddError),
}

impl<L> Step<L> {
    /// The same step with its leaf changed.
    pub(crate) fn map<M>(self, change: impl FnOnce(L) -> Result<M, AddError>) -> Step<M> {
        match self {
            Self::Directory { name, attributes } => Step::Directory { name, attributes },
            Self::DirectoryEnd => Step::DirectoryEnd,
            Self::Leaf(leaf) => match change(leaf) {
                Ok(leaf) => Step::Leaf(leaf),
                Err(error) => Step::Failed(error),
            },
            Self::FileEnd { name, attributes } => Step::FileEnd { name, attributes },
            Self::Symlink {
                name,
                target,
                attributes,
            } => Step::Symlink {
                name,
                target,
                attributes,
            },
            Self::Failed(error) => Step::Failed(error),
        }
    }
}
