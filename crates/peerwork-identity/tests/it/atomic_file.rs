//! These tests write small files atomically.

use std::{fs, io};

use peerwork_identity::{WriteMode, advice, atomic_write, read_bounded};

use super::names;

#[test]
fn a_new_file_never_replaces_another() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    atomic_write(&path, b"first", WriteMode::CreateNew(0o600)).unwrap();
    let error = atomic_write(&path, b"second", WriteMode::CreateNew(0o600)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&path).unwrap(), b"first");
    assert_eq!(
        names(directory.path()),
        ["file"],
        "no temporary file is left behind"
    );
}

#[test]
fn a_replacement_is_complete() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    for contents in [b"a longer text".as_slice(), b"short", b""] {
        atomic_write(&path, contents, WriteMode::Replace(0o600)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), contents);
    }
    assert_eq!(names(directory.path()), ["file"]);
}

#[test]
fn a_missing_directory_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("missing").join("file");
    let error = atomic_write(&path, b"x", WriteMode::Replace(0o600)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_file_at_the_limit_is_read_and_a_larger_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, [7; 100]).unwrap();
    assert_eq!(
        read_bounded(&path, 100).unwrap().unwrap().as_slice(),
        [7; 100]
    );
    assert!(read_bounded(&path, 99).unwrap().is_none());
}

#[cfg(unix)]
#[test]
fn a_file_has_its_permission_bits_less_the_umask() {
    let directory = tempfile::tempdir().unwrap();
    for bits in [0o400, 0o600, 0o660] {
        let path = directory.path().join(format!("{bits:o}"));
        atomic_write(&path, b"x", WriteMode::CreateNew(bits)).unwrap();
        assert_eq!(super::mode(&path) & !bits, 0, "{bits:o}");
        assert_eq!(super::mode(&path) & 0o400, 0o400, "{bits:o}");
    }
}

#[cfg(unix)]
#[test]
fn a_link_is_replaced_and_its_target_stays() {
    let directory = tempfile::tempdir().unwrap();
    let (target, link) = (
        directory.path().join("target"),
        directory.path().join("link"),
    );
    fs::write(&target, "kept").unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    assert!(atomic_write(&link, b"x", WriteMode::CreateNew(0o600)).is_err());
    atomic_write(&link, b"written", WriteMode::Replace(0o600)).unwrap();
    assert_eq!(fs::read_to_string(&target).unwrap(), "kept");
    assert_eq!(fs::read_to_string(&link).unwrap(), "written");
}

#[cfg(unix)]
#[test]
fn an_error_of_writing_names_the_cause_and_no_temporary_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = atomic_write(&file.join("x"), b"", WriteMode::Replace(0o600)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
    assert!(!error.to_string().contains(".tmp"), "{error}");
    assert!(advice(&error).contains("another folder"), "{error}");
}

#[test]
fn the_advice_follows_from_the_cause() {
    let of = |kind: io::ErrorKind| advice(&kind.into());
    assert!(of(io::ErrorKind::StorageFull).contains("make room"));
    assert!(of(io::ErrorKind::ReadOnlyFilesystem).contains("read-only"));
    assert!(of(io::ErrorKind::PermissionDenied).contains("right"));
    assert!(of(io::ErrorKind::IsADirectory).contains("move it away"));
    assert!(of(io::ErrorKind::NotFound).contains("check"));
}
