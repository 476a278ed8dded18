//! `NetworkFile` is the network file ("genesis"): the name and number of a network and the first
//! nodes to dial.
//!
//! The format is that of EdgeMatrix, byte for byte, and one more field where the network has a
//! secret. Unlike EdgeMatrix, this module checks every
//! address on reading and on writing, and reports all mistakes at once.

mod contents;
mod problem;
mod read;
mod write;

use std::{
    io,
    path::{Path, PathBuf},
};

pub use self::{
    contents::{ENTRIES_MAX, FILE_BYTES_MAX, NAME_BYTES_MAX, NetworkFile, SECRETS_MAX},
    problem::{Problem, Problems},
};
use zeroize::Zeroizing;

use crate::atomic_file::{WriteMode, atomic_write, read_bounded};

/// The permission bits of a written file, before the umask.
pub const FILE_MODE: u32 = 0o660;

/// The permission bits of a file that holds secrets.
pub const SECRET_FILE_MODE: u32 = 0o600;

/// The reason why a network file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum NetworkFileError {
    /// A file exists already and was left as it is.
    #[error("genesis file at path ({}) already exists", path.display())]
    AlreadyExists {
        /// The path of the file.
        path: PathBuf,
    },
    /// The system refuses to read the file.
    #[error("cannot read the network file {}: {reason}; make one with: peerwork genesis", path.display())]
    Read {
        /// The path of the file.
        path: PathBuf,
        /// The system's reason.
        reason: io::Error,
    },
    /// The contents have mistakes.
    #[error("the network file {} has mistakes:\n{problems}", path.display())]
    Invalid {
        /// The path of the file.
        path: PathBuf,
        /// All mistakes.
        problems: Problems,
    },
    /// The system refuses to write the file.
    #[error(
        "cannot write the network file {}: {reason}; check that its directory exists and is writable",
        path.display()
    )]
    Write {
        /// The path of the file.
        path: PathBuf,
        /// The system's reason.
        reason: io::Error,
    },
}

impl NetworkFile {
    /// Reads a file of at most [`FILE_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// [`NetworkFileError::Read`] or [`NetworkFileError::Invalid`].
    pub fn load(path: &Path) -> Result<Self, NetworkFileError> {
        let contents =
            read_bounded(path, FILE_BYTES_MAX).map_err(|reason| NetworkFileError::Read {
                path: path.to_owned(),
                reason,
            })?;
        contents
            .ok_or_else(|| read::too_large().into())
            .and_then(|contents| Self::parse(&contents))
            .map_err(|problems| NetworkFileError::Invalid {
                path: path.to_owned(),
                problems,
            })
    }

    /// Parses the contents of a network file.
    ///
    /// Field names may have any case, as in Go. Unknown fields are ignored. A missing field is
    /// empty or zero, and so is a list that is `null`.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn parse(contents: &[u8]) -> Result<Self, Problems> {
        read::parse(contents)
    }

    /// The contents of the file: JSON indented by four spaces, without a newline at its end.
    pub fn to_json(&self) -> String {
        write::to_json(self)
    }

    /// Writes a file that does not exist yet; its directory must exist.
    ///
    /// # Errors
    /// [`NetworkFileError::AlreadyExists`], or the reason why the file could not be written. A file
    /// that [`NetworkFile::load`] would refuse is not written.
    pub fn create_new(&self, path: &Path) -> Result<(), NetworkFileError> {
        self.write(path, WriteMode::CreateNew(self.mode()))
    }

    /// Writes the file, and replaces one that exists; its directory must exist.
    ///
    /// # Errors
    /// The reason why the file could not be written; the file that exists stays as it is then.
    pub fn replace(&self, path: &Path) -> Result<(), NetworkFileError> {
        self.write(path, WriteMode::Replace(self.mode()))
    }

    fn mode(&self) -> u32 {
        match self.secrets.is_empty() {
            true => FILE_MODE,
            false => SECRET_FILE_MODE,
        }
    }

    fn write(&self, path: &Path, mode: WriteMode) -> Result<(), NetworkFileError> {
        let json = Zeroizing::new(self.to_json());
        Self::parse(json.as_bytes()).map_err(|problems| NetworkFileError::Invalid {
            path: path.to_owned(),
            problems,
        })?;
        match atomic_write(path, json.as_bytes(), mode) {
            Ok(()) => Ok(()),
            Err(reason) if reason.kind() == io::ErrorKind::AlreadyExists => {
                Err(NetworkFileError::AlreadyExists {
                    path: path.to_owned(),
                })
            }
            Err(reason) => Err(NetworkFileError::Write {
                path: path.to_owned(),
                reason,
            }),
        }
    }
}
