//! This crate holds the identity of a node: keys, node ids, addresses, key files, signed envelopes
//! and the network file.
//!
//! The crate imports no other crate of the workspace. It does no networking and has no async
//! runtime; file access is blocking and limited in size.
//!
//! | module | contents |
//! |---|---|
//! | [`node_id`] | [`NodeId`], the libp2p peer id of a node |
//! | [`keys`] | [`Keypair`] and [`PublicKey`] of a node |
//! | [`address`] | [`Address`], the `0x` address of a validator key |
//! | [`validator_key`] | [`ValidatorKey`], a key in the data directories of EdgeMatrix |
//! | [`key_file`] | the text form of both keys |
//! | [`atomic_file`] | atomic writing of small files |
//! | [`file_stamp`] | [`FileStamp`], by which a changed file is noticed |
//! | [`secrets`] | [`SecretsDir`], the keys in a data directory |
//! | [`envelope`] | [`SignedEnvelope`], libp2p RFC 0002 |
//! | [`node_address`] | [`NodeAddress`], a multiaddress with the node id expected there |
//! | [`network_file`] | [`NetworkFile`], the file that names a network and its first nodes |
//! | [`network_secret`] | [`NetworkSecret`], the secret that the nodes of a network share |

pub mod address;
pub mod atomic_file;
pub mod envelope;
pub mod file_stamp;
pub mod key_file;
pub mod keys;
pub mod network_file;
pub mod network_secret;
pub mod node_address;
pub mod node_id;
pub mod secrets;
pub mod validator_key;

pub use address::{Address, ParseAddressError};
pub use atomic_file::{WriteMode, advice, atomic_write, read_bounded};
pub use envelope::{EnvelopeError, SignedEnvelope};
pub use file_stamp::FileStamp;
pub use keys::{KeyError, KeyType, Keypair, PublicKey, UnknownKeyType};
pub use network_file::{NetworkFile, NetworkFileError};
pub use network_secret::{NetworkSecret, ParseSecretError};
pub use node_address::{NodeAddress, ParseNodeAddressError};
pub use node_id::{NodeId, ParseNodeIdError};
pub use secrets::{IdentitySummary, InitOptions, SecretName, SecretsDir, SecretsError};
pub use validator_key::{InvalidScalar, ValidatorKey};
