//! These tests read and write network files on disk.

use std::fs;

use peerwork_identity::{
    NetworkFile, NetworkFileError, NetworkSecret, network_file::FILE_BYTES_MAX,
};

use super::names;

const ADDRESS: &str =
    "/ip4/127.0.0.1/tcp/50001/p2p/16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi";

fn network() -> NetworkFile {
    NetworkFile {
        name: "MyNetwork".to_owned(),
        network_id: 1000,
        bootnodes: vec![ADDRESS.parse().unwrap()],
        relaynodes: vec![],
        secrets: vec![],
    }
}

#[test]
fn a_file_with_secrets_is_its_owner_s_alone_and_replaces_another() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("network.json");
    network().create_new(&path).unwrap();
    let file = NetworkFile {
        secrets: vec![NetworkSecret::generate()],
        ..network()
    };
    file.replace(&path).unwrap();
    assert_eq!(NetworkFile::load(&path).unwrap(), file);
    assert_eq!(names(directory.path()), ["network.json"]);
    #[cfg(unix)]
    assert_eq!(super::mode(&path), 0o600);
}

#[test]
fn a_written_file_is_loaded_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("genesis.json");
    network().create_new(&path).unwrap();
    assert_eq!(NetworkFile::load(&path).unwrap(), network());
    #[cfg(unix)]
    assert_eq!(super::mode(&path) & !0o660, 0);
}

#[test]
fn an_existing_file_is_kept_and_named_in_the_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("genesis.json");
    fs::write(&path, "mine").unwrap();
    let error = network().create_new(&path).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("genesis file at path ({}) already exists", path.display())
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    assert_eq!(names(directory.path()), ["genesis.json"]);
}

#[test]
fn a_file_that_cannot_be_loaded_again_is_not_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("genesis.json");
    let file = NetworkFile {
        name: "n".repeat(257),
        ..network()
    };
    let error = file.create_new(&path).unwrap_err();
    assert!(matches!(error, NetworkFileError::Invalid { .. }));
    assert!(names(directory.path()).is_empty());
}

#[test]
fn a_missing_or_bad_file_is_named_with_the_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("genesis.json");
    let missing = NetworkFile::load(&path).unwrap_err().to_string();
    assert!(
        missing.contains("genesis.json") && missing.contains("peerwork genesis"),
        "{missing}"
    );
    fs::write(&path, r#"{"bootnodes": ["x", "/ip4/127.0.0.1/tcp/1"]}"#).unwrap();
    let bad = NetworkFile::load(&path).unwrap_err().to_string();
    for part in ["genesis.json", "bootnodes[0]", "bootnodes[1]"] {
        assert!(bad.contains(part), "{bad}");
    }
}

#[test]
fn a_file_at_the_limit_is_loaded_and_a_larger_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("genesis.json");
    let mut contents = b"{}".to_vec();
    contents.resize(FILE_BYTES_MAX, b' ');
    fs::write(&path, &contents).unwrap();
    assert!(NetworkFile::load(&path).is_ok());
    contents.push(b' ');
    fs::write(&path, &contents).unwrap();
    assert!(
        NetworkFile::load(&path)
            .unwrap_err()
            .to_string()
            .contains("1048576")
    );
}
