//! These tests create and read the keys of a data directory on disk.

use std::{fs, sync::Barrier, thread};

use peerwork_identity::{
    InitOptions, KeyType, SecretName, SecretsDir, SecretsError, key_file::FILE_BYTES_MAX,
};

use super::names;

const NETWORK_KEY: &str =
    "080212200101010101010101010101010101010101010101010101010101010101010101";
const NODE_ID: &str = "16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi";
const ADDRESS: &str = "0x1a642f0E3c3aF545E7AcBD38b07251B3990914F1";

/// A data directory that does not exist yet, below a temporary directory that is removed at the
/// end.
fn fresh() -> (tempfile::TempDir, SecretsDir) {
    let parent = tempfile::tempdir().unwrap();
    let secrets = SecretsDir::new(parent.path().join("data"));
    (parent, secrets)
}

/// A data directory whose network key file has the given contents.
fn with_network_key(contents: &[u8]) -> (tempfile::TempDir, SecretsDir) {
    let (parent, secrets) = fresh();
    let path = secrets.path(SecretName::NetworkKey);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, contents).unwrap();
    (parent, secrets)
}

#[test]
fn both_keys_are_made_where_edgematrix_looks_for_them() {
    let (_parent, secrets) = fresh();
    let made = secrets.init(InitOptions::default()).unwrap();
    assert_eq!(
        secrets.path(SecretName::NetworkKey),
        secrets.root().join("libp2p/libp2p.key")
    );
    let validator = secrets.root().join("consensus/validator.key");
    assert_eq!(secrets.path(SecretName::ValidatorKey), validator);
    let network_key = fs::read_to_string(secrets.path(SecretName::NetworkKey)).unwrap();
    assert!(network_key.len() == 72 && network_key.starts_with("08021220"));
    assert_eq!(fs::read_to_string(validator).unwrap().len(), 64);
    assert_eq!(secrets.summary().unwrap(), made);
    assert_eq!(made.node_id, Some(secrets.network_key().unwrap().node_id()));
    assert_eq!(
        made.address,
        Some(secrets.validator_key().unwrap().address())
    );
}

#[test]
fn the_known_keys_have_their_known_names() {
    let (_parent, secrets) = with_network_key(NETWORK_KEY.as_bytes());
    let validator = secrets.path(SecretName::ValidatorKey);
    fs::create_dir_all(validator.parent().unwrap()).unwrap();
    fs::write(validator, &NETWORK_KEY[8..]).unwrap();
    let summary = secrets.summary().unwrap();
    assert_eq!(summary.node_id.unwrap().to_string(), NODE_ID);
    assert_eq!(summary.address.unwrap().to_string(), ADDRESS);
}

#[test]
fn an_ed25519_network_key_is_made_and_read() {
    let (_parent, secrets) = fresh();
    let options = InitOptions {
        key_type: KeyType::Ed25519,
        ..InitOptions::default()
    };
    let made = secrets.init(options).unwrap();
    assert_eq!(secrets.network_key().unwrap().key_type(), KeyType::Ed25519);
    assert_eq!(secrets.summary().unwrap(), made);
}

#[test]
fn keys_that_are_not_wanted_are_not_made() {
    let (_parent, secrets) = fresh();
    let made = secrets
        .init(InitOptions {
            validator: false,
            ..InitOptions::default()
        })
        .unwrap();
    assert!(made.address.is_none() && made.node_id.is_some());
    assert_eq!(names(secrets.root()), ["libp2p"]);
    let made = secrets
        .init(InitOptions {
            network: false,
            ..InitOptions::default()
        })
        .unwrap();
    assert!(made.address.is_some() && made.node_id.is_none());
}

#[test]
fn a_second_init_is_an_error_and_changes_nothing() {
    let (_parent, secrets) = fresh();
    let made = secrets.init(InitOptions::default()).unwrap();
    let error = secrets.init(InitOptions::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"secrets "validator-key" has been already initialized"#
    );
    assert!(error.hint().unwrap().contains("validator.key"));
    let network = InitOptions {
        validator: false,
        ..InitOptions::default()
    };
    let error = secrets.init(network).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"secrets "network-key" has been already initialized"#
    );
    assert_eq!(secrets.summary().unwrap(), made);
}

#[test]
fn one_key_that_is_there_keeps_the_other_from_being_made() {
    let (_parent, secrets) = with_network_key(NETWORK_KEY.as_bytes());
    assert!(secrets.init(InitOptions::default()).is_err());
    assert!(!secrets.contains(SecretName::ValidatorKey));
}

#[test]
fn of_many_inits_at_once_one_wins_and_its_keys_stay() {
    let (_parent, secrets) = fresh();
    let barrier = Barrier::new(8);
    let results: Vec<_> = thread::scope(|scope| {
        let start = || {
            barrier.wait();
            secrets.init(InitOptions::default())
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let winners: Vec<_> = results
        .iter()
        .filter_map(|result| result.as_ref().ok())
        .collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(secrets.summary().unwrap(), *winners[0]);
    for error in results.iter().filter_map(|result| result.as_ref().err()) {
        assert!(
            matches!(error, SecretsError::AlreadyInitialized { .. }),
            "{error}"
        );
    }
    assert_eq!(names(&secrets.root().join("libp2p")), ["libp2p.key"]);
    assert_eq!(names(&secrets.root().join("consensus")), ["validator.key"]);
}

#[test]
fn concurrent_callers_load_or_create_the_same_key() {
    let (_parent, secrets) = fresh();
    let barrier = Barrier::new(8);
    let ids: Vec<_> = thread::scope(|scope| {
        let start = || {
            barrier.wait();
            secrets.load_or_create_network_key().unwrap().node_id()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert_eq!(
        secrets.load_or_create_network_key().unwrap().node_id(),
        ids[0]
    );
}

#[test]
fn a_damaged_key_is_never_replaced_by_a_fresh_one() {
    let (_parent, secrets) = with_network_key(b"damaged");
    let error = secrets.load_or_create_network_key().unwrap_err();
    assert!(matches!(error, SecretsError::Malformed { .. }));
    assert_eq!(
        fs::read(secrets.path(SecretName::NetworkKey)).unwrap(),
        b"damaged"
    );
}

#[test]
fn a_key_with_a_trailing_newline_is_read() {
    let (_parent, secrets) = with_network_key(format!("{NETWORK_KEY}\n").as_bytes());
    assert_eq!(
        secrets.network_key().unwrap().node_id().to_string(),
        NODE_ID
    );
}

#[test]
fn a_key_file_at_the_limit_is_read_and_a_larger_one_is_not() {
    let padded = |length: usize| format!("{NETWORK_KEY:length$}").into_bytes();
    let (_parent, secrets) = with_network_key(&padded(FILE_BYTES_MAX));
    assert!(secrets.network_key().is_ok());
    let (_parent, secrets) = with_network_key(&padded(FILE_BYTES_MAX + 1));
    assert!(
        secrets
            .network_key()
            .unwrap_err()
            .to_string()
            .contains("4096")
    );
}

#[test]
fn errors_name_the_file_the_reason_and_the_remedy() {
    let (_parent, secrets) = fresh();
    let missing = secrets.validator_key().unwrap_err().to_string();
    for part in [
        "unable to read secret from disk",
        "validator.key",
        "peerwork secrets init --data-dir",
    ] {
        assert!(missing.contains(part), "{missing}");
    }
    fs::create_dir_all(secrets.path(SecretName::ValidatorKey)).unwrap();
    let error = secrets.validator_key().unwrap_err();
    assert!(matches!(error, SecretsError::Unreadable { .. }), "{error}");
    let (_parent, secrets) = with_network_key(b"0x08");
    let damaged = secrets.network_key().unwrap_err().to_string();
    for part in ["libp2p.key", "0x", "backup"] {
        assert!(damaged.contains(part), "{damaged}");
    }
}

#[test]
fn a_data_directory_without_keys_has_an_empty_summary() {
    let (_parent, secrets) = fresh();
    let summary = secrets.summary().unwrap();
    assert!(summary.address.is_none() && summary.node_id.is_none());
    assert!(!secrets.root().exists(), "looking makes nothing");
}

#[cfg(unix)]
mod permissions {
    use std::fs;

    use peerwork_identity::{InitOptions, SecretName, secrets::Exposure};

    use super::{
        super::{mode, set_mode},
        NETWORK_KEY, fresh, with_network_key,
    };

    #[test]
    fn new_keys_are_open_to_their_owner_alone() {
        let (_parent, secrets) = fresh();
        secrets.init(InitOptions::default()).unwrap();
        for secret in [SecretName::NetworkKey, SecretName::ValidatorKey] {
            let path = secrets.path(secret);
            assert_eq!(mode(&path), 0o400);
            assert_eq!(mode(path.parent().unwrap()), 0o700);
        }
        assert_eq!(mode(secrets.root()), 0o700);
        assert_eq!(secrets.permissions_too_open(), []);
    }

    #[test]
    fn keys_made_by_edgematrix_are_read_kept_and_reported() {
        let (_parent, secrets) = with_network_key(NETWORK_KEY.as_bytes());
        let path = secrets.path(SecretName::NetworkKey);
        set_mode(&path, 0o440);
        set_mode(path.parent().unwrap(), 0o770);
        set_mode(secrets.root(), 0o755);
        assert!(secrets.network_key().is_ok());
        let exposed = secrets.permissions_too_open();
        let modes: Vec<_> = exposed.iter().map(|exposed| exposed.exposure).collect();
        assert_eq!(modes, [Exposure::Mode(0o770), Exposure::Mode(0o440)]);
        assert!(exposed[1].to_string().contains("chmod 400"));
        assert_eq!(mode(&path), 0o440);
    }

    #[test]
    fn an_existing_data_directory_keeps_its_permissions() {
        let (_parent, secrets) = fresh();
        fs::create_dir(secrets.root()).unwrap();
        set_mode(secrets.root(), 0o755);
        secrets.init(InitOptions::default()).unwrap();
        assert_eq!(mode(secrets.root()), 0o755);
        assert_eq!(mode(&secrets.root().join("libp2p")), 0o700);
    }
}
