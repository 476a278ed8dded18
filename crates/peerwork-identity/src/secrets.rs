//! `SecretsDir` reads and creates the keys in a data directory.
//!
//! | secret | file below the data directory | contents |
//! |---|---|---|
//! | `network-key` | `libp2p/libp2p.key` | hexadecimal libp2p protobuf private key |
//! | `validator-key` | `consensus/validator.key` | hexadecimal secp256k1 scalar |
//!
//! The contents are those of EdgeMatrix, byte for byte. The permissions are tighter: a new file is
//! 0400 and a new directory 0700, because only the owner of the node has to read its keys. Existing
//! files and directories keep their permissions; [`SecretsDir::permissions_too_open`] lists those
//! that other users can read or replace.

mod error;
mod exposure;
mod modes;
mod name;

use std::{
    io,
    path::{Path, PathBuf},
};

pub use self::{
    error::SecretsError,
    exposure::{ExposedPath, Exposure},
    modes::{DIRECTORY_MODE, KEY_FILE_MODE},
    name::SecretName,
};
use crate::{
    Address, KeyType, Keypair, NodeId, ValidatorKey,
    atomic_file::{WriteMode, atomic_write, read_bounded},
    key_file::{self, KeyFileError},
};

/// The keys that [`SecretsDir::init`] makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InitOptions {
    /// Create the validator key.
    pub validator: bool,
    /// Create the network key.
    pub network: bool,
    /// The type of the network key.
    pub key_type: KeyType,
}

impl Default for InitOptions {
    fn default() -> Self {
        Self {
            validator: true,
            network: true,
            key_type: KeyType::default(),
        }
    }
}

/// The node id and the address that derive from the keys in a data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdentitySummary {
    /// The address of the validator key; `None` when there is no such key (shown as
    /// [`Address::ZERO`]).
    pub address: Option<Address>,
    /// The node id of the network key; `None` when there is no such key (shown as `<none>`).
    pub node_id: Option<NodeId>,
}

/// The keys in a data directory, which need not exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretsDir {
    root: PathBuf,
}

impl SecretsDir {
    /// The keys below `root`. The call does not access the disk.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The data directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The path of a secret's file.
    pub fn path(&self, secret: SecretName) -> PathBuf {
        self.root.join(secret.directory()).join(secret.file())
    }

    /// Whether the file of a secret exists, readable or not.
    pub fn contains(&self, secret: SecretName) -> bool {
        self.path(secret).symlink_metadata().is_ok()
    }

    /// Creates the selected keys; an existing key is never overwritten.
    ///
    /// No key at all is written when one of the selected keys exists at the start. Of several
    /// concurrent calls one succeeds and the others fail.
    ///
    /// # Errors
    /// [`SecretsError::AlreadyInitialized`] for an existing key, otherwise the reason why a key
    /// could not be written.
    pub fn init(&self, options: InitOptions) -> Result<IdentitySummary, SecretsError> {
        let wanted = [
            (options.validator, SecretName::ValidatorKey),
            (options.network, SecretName::NetworkKey),
        ];
        for (_, secret) in wanted.iter().filter(|(wanted, _)| *wanted) {
            if self.contains(*secret) {
                return Err(SecretsError::AlreadyInitialized {
                    secret: *secret,
                    path: self.path(*secret),
                });
            }
        }
        let address = options
            .validator
            .then(|| self.create_validator_key())
            .transpose()?;
        let node_id = options
            .network
            .then(|| self.create_network_key(options.key_type))
            .transpose()?;
        Ok(IdentitySummary {
            address: address.map(|key| key.address()),
            node_id: node_id.map(|key| key.node_id()),
        })
    }

    /// Reads the network key.
    ///
    /// # Errors
    /// [`SecretsError`] when the key is missing, unreadable or damaged.
    pub fn network_key(&self) -> Result<Keypair, SecretsError> {
        self.read(SecretName::NetworkKey, key_file::parse_network_key)
    }

    /// Reads the validator key.
    ///
    /// # Errors
    /// [`SecretsError`] when the key is missing, unreadable or damaged.
    pub fn validator_key(&self) -> Result<ValidatorKey, SecretsError> {
        self.read(SecretName::ValidatorKey, key_file::parse_validator_key)
    }

    /// Reads the network key; a missing key is created with the default type.
    ///
    /// Concurrent callers that create it all get the same key.
    ///
    /// # Errors
    /// [`SecretsError`] when the key is unreadable or damaged, or cannot be written.
    pub fn load_or_create_network_key(&self) -> Result<Keypair, SecretsError> {
        match self.network_key() {
            Err(SecretsError::Missing { .. }) => {}
            found => return found,
        }
        match self.create_network_key(KeyType::default()) {
            Err(SecretsError::AlreadyInitialized { .. }) => self.network_key(),
            made => made,
        }
    }

    /// The node id and address of the existing keys; a missing key is not an error.
    ///
    /// # Errors
    /// [`SecretsError`] when an existing key is unreadable or damaged.
    pub fn summary(&self) -> Result<IdentitySummary, SecretsError> {
        Ok(IdentitySummary {
            address: present(self.validator_key())?.map(|key| key.address()),
            node_id: present(self.network_key())?.map(|key| key.node_id()),
        })
    }

    /// The key files and directories that users other than the node's own can read or replace.
    ///
    /// The list is always empty on systems without Unix permissions.
    pub fn permissions_too_open(&self) -> Vec<ExposedPath> {
        let secrets = [SecretName::ValidatorKey, SecretName::NetworkKey];
        let directories = secrets
            .iter()
            .map(|secret| self.root.join(secret.directory()));
        let directories = std::iter::once(self.root.clone()).chain(directories);
        let files = secrets.iter().map(|secret| self.path(*secret));
        directories
            .filter_map(|path| exposure::of_directory(&path))
            .chain(files.filter_map(|path| exposure::of_key_file(&path)))
            .collect()
    }

    /// Finds the exposure of a file that holds a secret, such as a network file: `None` when only its
    /// owner can read and replace it.
    #[must_use]
    pub fn exposure_of(path: &Path) -> Option<ExposedPath> {
        let exposed = exposure::of_key_file(path)?;
        Some(ExposedPath {
            // The program writes such files again, in contrast to keys.
            wanted_mode: 0o600,
            ..exposed
        })
    }

    fn create_network_key(&self, key_type: KeyType) -> Result<Keypair, SecretsError> {
        let key = Keypair::generate(key_type);
        self.write(SecretName::NetworkKey, &key_file::format_network_key(&key))?;
        Ok(key)
    }

    fn create_validator_key(&self) -> Result<ValidatorKey, SecretsError> {
        let key = ValidatorKey::generate();
        self.write(
            SecretName::ValidatorKey,
            &key_file::format_validator_key(&key),
        )?;
        Ok(key)
    }

    fn read<K>(
        &self,
        secret: SecretName,
        parse: fn(&[u8]) -> Result<K, KeyFileError>,
    ) -> Result<K, SecretsError> {
        let path = self.path(secret);
        let contents = match read_bounded(&path, key_file::FILE_BYTES_MAX) {
            Ok(contents) => contents.ok_or(KeyFileError::TooLong),
            Err(reason) if reason.kind() == io::ErrorKind::NotFound => {
                return Err(SecretsError::Missing {
                    secret,
                    path,
                    root: self.root.clone(),
                });
            }
            Err(reason) => {
                return Err(SecretsError::Unreadable {
                    secret,
                    path,
                    reason,
                });
            }
        };
        contents
            .and_then(|contents| parse(&contents))
            .map_err(|reason| SecretsError::Malformed {
                secret,
                path,
                reason,
            })
    }

    fn write(&self, secret: SecretName, contents: &str) -> Result<(), SecretsError> {
        let directory = self.root.join(secret.directory());
        create_directory(&directory).map_err(|reason| SecretsError::CreateDirectory {
            path: directory,
            reason,
        })?;
        let path = self.path(secret);
        match atomic_write(
            &path,
            contents.as_bytes(),
            WriteMode::CreateNew(KEY_FILE_MODE),
        ) {
            Ok(()) => Ok(()),
            Err(reason) if reason.kind() == io::ErrorKind::AlreadyExists => {
                Err(SecretsError::AlreadyInitialized { secret, path })
            }
            Err(reason) => Err(SecretsError::Write {
                secret,
                path,
                reason,
            }),
        }
    }
}

fn present<K>(key: Result<K, SecretsError>) -> Result<Option<K>, SecretsError> {
    match key {
        Ok(key) => Ok(Some(key)),
        Err(SecretsError::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Creates a directory and its missing parents, all with [`DIRECTORY_MODE`].
fn create_directory(path: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(DIRECTORY_MODE);
    }
    builder.create(path)
}
