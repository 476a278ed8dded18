//! Adding of files, directories and what is neither.

use std::{
    fs::{self, File},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use nix::sys::{
    stat::{Mode, UtimensatFlags, utimensat},
    time::TimeSpec,
};
use peerwork_store::{
    Block, Sink, StoreError,
    unixfs::{AddError, AddEvent, AddOptions, Kind, Profile, Root, add, add_reader},
};

use crate::memory::Memory;

const RECURSIVE: AddOptions = AddOptions {
    profile: Profile::UnixfsV0_2015,
    recursive: true,
    hidden: false,
    preserve_mode: false,
    preserve_mtime: false,
};

/// The events and roots of an add that works.
fn added(paths: &[PathBuf], options: &AddOptions) -> (Vec<AddEvent>, Vec<Root>) {
    let mut events = Vec::new();
    let mut on = |event| events.push(event);
    let roots = add(paths, options, &mut Memory::default(), &mut on).unwrap();
    (events, roots)
}

fn refused(path: &Path, options: &AddOptions) -> AddError {
    add(
        &[path.to_owned()],
        options,
        &mut Memory::default(),
        &mut |_| {},
    )
    .unwrap_err()
}

fn paths(events: &[AddEvent]) -> Vec<String> {
    let path = |event: &AddEvent| match event {
        AddEvent::Added { path, .. } => Some(path.clone()),
        AddEvent::Bytes(_) => None,
    };
    events.iter().filter_map(path).collect()
}

/// The paths of a listing that `ipfs add -r` printed in 2020.
const LISTING: &str = "interpreter/dummy/init.py interpreter/dummy/run.py \
    interpreter/echo/__pycache__/utils.cpython-37.pyc interpreter/echo/init.py interpreter/echo/run.py \
    interpreter/echo/utils.py interpreter/multi_echo/__pycache__/utils.cpython-37.pyc \
    interpreter/multi_echo/init.py interpreter/multi_echo/run.py interpreter/multi_echo/utils.py \
    interpreter/round_echo/__pycache__/utils.cpython-37.pyc interpreter/round_echo/init.py \
    interpreter/round_echo/run.py interpreter/round_echo/utils.py interpreter/dummy \
    interpreter/echo/__pycache__ interpreter/echo interpreter/multi_echo/__pycache__ \
    interpreter/multi_echo interpreter/round_echo/__pycache__ interpreter/round_echo interpreter";

#[test]
fn entries_are_said_in_the_order_of_ipfs() {
    let folder = tempfile::tempdir().unwrap();
    let listing: Vec<&str> = LISTING.split_whitespace().collect();
    for path in listing.iter().filter(|path| path.contains('.')) {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, path.to_str().unwrap().len().to_string()).unwrap();
    }
    let (events, roots) = added(&[folder.path().join("interpreter")], &RECURSIVE);
    assert_eq!(paths(&events), listing);
    assert_eq!(roots[0].path, "interpreter");
}

#[test]
fn the_total_is_the_bytes_of_the_files() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a"), vec![1; 600_000]).unwrap();
    fs::write(folder.path().join("b"), b"").unwrap();
    symlink("a", folder.path().join("c")).unwrap();
    fs::create_dir(folder.path().join("d")).unwrap();
    fs::write(folder.path().join("d/e"), b"12345").unwrap();
    let (events, roots) = added(&[folder.path().to_owned()], &RECURSIVE);
    let bytes = |event: &AddEvent| match event {
        AddEvent::Bytes(bytes) => *bytes,
        AddEvent::Added { .. } => 0,
    };
    assert_eq!(events.iter().map(bytes).sum::<u64>(), 600_005);
    assert_eq!(roots[0].content, 600_005);
}

#[test]
fn hidden_names_are_skipped_unless_asked_or_named() {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    fs::create_dir_all(tree.join(".git")).unwrap();
    fs::write(tree.join(".git/head"), b"x").unwrap();
    fs::write(tree.join(".env"), b"x").unwrap();
    fs::write(tree.join("seen"), b"x").unwrap();
    let (events, _) = added(std::slice::from_ref(&tree), &RECURSIVE);
    assert_eq!(paths(&events), ["tree/seen", "tree"]);
    let all = AddOptions {
        hidden: true,
        ..RECURSIVE
    };
    let (events, _) = added(std::slice::from_ref(&tree), &all);
    let expected = [
        "tree/.env",
        "tree/.git/head",
        "tree/seen",
        "tree/.git",
        "tree",
    ];
    assert_eq!(paths(&events), expected);
    let (events, _) = added(&[tree.join(".env"), tree.join(".git")], &RECURSIVE);
    assert_eq!(paths(&events), [".env", ".git/head", ".git"]);
}

#[test]
fn a_directory_needs_the_recursive_option() {
    let folder = tempfile::tempdir().unwrap();
    let plain = AddOptions::default();
    let error = refused(folder.path(), &plain);
    assert!(matches!(error, AddError::Directory(_)));
    assert!(error.to_string().contains("-r"), "{error}");
}

#[test]
fn special_files_are_refused_by_their_kind() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    let socket = folder.path().join("socket");
    let _socket = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    for (path, kind) in [
        (pipe.as_path(), "a named pipe"),
        (socket.as_path(), "a socket"),
        (Path::new("/dev/null"), "a device"),
        (folder.path(), "a named pipe"),
    ] {
        let error = refused(path, &RECURSIVE).to_string();
        assert!(error.contains(kind), "{error}");
    }
}

#[test]
fn a_missing_or_unreadable_path_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let error = refused(&missing, &RECURSIVE).to_string();
    assert!(error.contains(missing.to_str().unwrap()), "{error}");
    assert!(matches!(
        add(&[], &RECURSIVE, &mut Memory::default(), &mut |_| {}),
        Err(AddError::Nothing)
    ));
    // Root reads files whatever their mode is.
    if !nix::unistd::geteuid().is_root() {
        let secret = folder.path().join("secret");
        fs::write(&secret, b"x").unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
        let error = refused(folder.path(), &RECURSIVE).to_string();
        assert!(error.contains("secret"), "{error}");
    }
}

#[test]
fn a_name_that_is_no_utf8_is_refused_with_its_path() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9");
    fs::write(folder.path().join(name), b"x").unwrap();
    let error = refused(folder.path(), &RECURSIVE);
    assert!(matches!(&error, AddError::Name(path) if path.ends_with(name)));
    let error = refused(&folder.path().join(name), &RECURSIVE);
    assert!(matches!(error, AddError::Name(_)));
}

#[test]
fn names_come_from_the_path_whatever_its_end_is() {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    fs::create_dir_all(tree.join("below")).unwrap();
    for path in ["tree", "tree/", "tree/.", "tree/below/.."] {
        let (_, roots) = added(&[folder.path().join(path)], &RECURSIVE);
        assert_eq!(roots[0].path, "tree", "{path}");
    }
    let error = refused(Path::new("/"), &RECURSIVE);
    assert!(matches!(error, AddError::Unnamed(_)), "{error}");
}

#[test]
fn a_path_may_be_named_twice_and_two_paths_may_share_a_name() {
    let folder = tempfile::tempdir().unwrap();
    for (place, content) in [("a", "1"), ("b", "2")] {
        fs::create_dir(folder.path().join(place)).unwrap();
        fs::write(folder.path().join(place).join("same"), content).unwrap();
    }
    let (a, b) = (folder.path().join("a/same"), folder.path().join("b/same"));
    let (events, roots) = added(&[a.clone(), b, a], &AddOptions::default());
    assert_eq!(paths(&events), ["same"; 3]);
    assert_eq!(roots[0], roots[2]);
    assert_ne!(roots[0].cid, roots[1].cid);
}

#[test]
fn links_in_a_circle_are_links() {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    fs::create_dir(&tree).unwrap();
    symlink(".", tree.join("self")).unwrap();
    symlink("second", tree.join("first")).unwrap();
    symlink("first", tree.join("second")).unwrap();
    let (events, _) = added(&[tree], &RECURSIVE);
    let kinds = |event: &AddEvent| {
        matches!(
            event,
            AddEvent::Added {
                kind: Kind::Symlink,
                ..
            }
        )
    };
    assert_eq!(events.iter().filter(|event| kinds(event)).count(), 3);
}

#[test]
fn a_stream_is_a_file_without_a_name() {
    let content: Vec<u8> = (0..600_000).map(|at| (at % 251) as u8).collect();
    let mut events = Vec::new();
    let mut on = |event| events.push(event);
    let options = AddOptions::default();
    let root = add_reader(&content[..], &options, &mut Memory::default(), &mut on).unwrap();
    let cid = "QmWKdZuiD9zqoZFnLYbpV2Q5YhRCJWpqiVeYA8ygYEjcEe";
    assert_eq!(root.cid.to_string(), cid);
    assert_eq!(root.path, cid);
    assert_eq!(paths(&events), [cid]);
}

/// Gives one byte for each call, and an interruption before each.
struct Slow<'a> {
    content: &'a [u8],
    interrupted: bool,
}

impl std::io::Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Err(std::io::ErrorKind::Interrupted.into());
        }
        let part = buffer.len().min(1);
        std::io::Read::read(&mut self.content, &mut buffer[..part])
    }
}

#[test]
fn a_stream_of_small_pieces_gives_the_same_file() {
    for size in [0, 1, 8_191, 8_192, 8_193, 262_143, 262_144, 262_145] {
        let content: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        for profile in Profile::ALL {
            let options = AddOptions {
                profile,
                ..AddOptions::default()
            };
            let slow = Slow {
                content: &content,
                interrupted: false,
            };
            let mut on = |_| {};
            let small = add_reader(slow, &options, &mut Memory::default(), &mut on).unwrap();
            let whole =
                add_reader(&content[..], &options, &mut Memory::default(), &mut on).unwrap();
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("file");
            fs::write(&path, &content).unwrap();
            assert_eq!(small, whole);
            assert_eq!(
                added(&[path], &options).1[0].cid,
                whole.cid,
                "{size} {profile}"
            );
        }
    }
}

#[test]
fn a_file_of_proc_without_a_length_is_added() {
    let (_, roots) = added(&["/proc/version".into()], &AddOptions::default());
    assert_eq!(
        roots[0].content,
        fs::read("/proc/version").unwrap().len() as u64
    );
}

/// Changes a file when its first block arrives.
struct Changing<'a> {
    path: &'a Path,
    length: u64,
}

impl Sink for Changing<'_> {
    fn put(&mut self, _: Block) -> Result<(), StoreError> {
        File::options()
            .write(true)
            .open(self.path)
            .unwrap()
            .set_len(self.length)
            .unwrap();
        Ok(())
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    // The file is longer than all that waits between the reader and the sink.
    let length = 64 << 20;
    for to in [length / 2, length + 1] {
        fs::write(&path, vec![7; length as usize]).unwrap();
        let mut sink = Changing {
            path: &path,
            length: to,
        };
        let error = add(
            std::slice::from_ref(&path),
            &AddOptions::default(),
            &mut sink,
            &mut |_| {},
        );
        assert!(matches!(error, Err(AddError::Changed(_))), "{error:?}");
    }
}

/// Refuses everything.
struct Full;

impl Sink for Full {
    fn put(&mut self, _: Block) -> Result<(), StoreError> {
        Err(StoreError::QuotaFull { kept: 1, max: 1 })
    }
}

#[test]
fn an_error_of_the_sink_ends_the_add() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), vec![7; 32 << 20]).unwrap();
    let error = add(
        &[folder.path().to_owned()],
        &RECURSIVE,
        &mut Full,
        &mut |_| {},
    );
    assert!(matches!(
        error,
        Err(AddError::Store(StoreError::QuotaFull { .. }))
    ));
}

#[test]
fn blocks_come_in_the_same_order_each_time() {
    let folder = tempfile::tempdir().unwrap();
    for file in 0..300 {
        let content = vec![file as u8; 1 + file * 977];
        fs::write(folder.path().join(format!("file{file}")), content).unwrap();
    }
    let put = || {
        let mut sink = Memory::default();
        add(
            &[folder.path().to_owned()],
            &RECURSIVE,
            &mut sink,
            &mut |_| {},
        )
        .unwrap();
        sink.put
    };
    let first = put();
    for _ in 0..5 {
        assert_eq!(put(), first);
    }
}

fn at(seconds: u64) -> fs::FileTimes {
    fs::FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_secs(seconds))
}

fn file_at(path: &Path, mode: u32, seconds: u64) {
    fs::write(path, b"").unwrap();
    mode_at(path, mode, seconds);
}

fn mode_at(path: &Path, mode: u32, seconds: u64) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    File::open(path).unwrap().set_times(at(seconds)).unwrap();
}

fn link_at(path: &Path, target: &str, seconds: i64) {
    symlink(target, path).unwrap();
    let (keep, time) = (TimeSpec::UTIME_OMIT, TimeSpec::new(seconds, 0));
    let flags = UtimensatFlags::NoFollowSymlink;
    utimensat(nix::fcntl::AT_FDCWD, path, &keep, &time, flags).unwrap();
}

/// The CIDs stand in kubo's own test of `--preserve-mode` and `--preserve-mtime`.
#[test]
fn mode_and_time_give_the_cids_of_kubo() {
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("file"), folder.path().join("link"));
    file_at(&file, 0o640, 1_604_320_482);
    link_at(&link, "nothing", 1_604_320_482);
    for (path, preserve_mode, preserve_mtime, cid) in [
        (
            &file,
            false,
            false,
            "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH",
        ),
        (
            &file,
            true,
            false,
            "QmQLgxypSNGNFTuUPGCecq6dDEjb6hNB5xSyVmP3cEuNtq",
        ),
        (
            &file,
            false,
            true,
            "QmQ6kErEW8kztQFV8vbwNU8E4dmtGsYpRiboiLxUEwibvj",
        ),
        (
            &file,
            true,
            true,
            "QmYkvboLsvLFcSYmqVJRxvBdYRQLroLv9kELf3LRiCqBri",
        ),
        (
            &link,
            true,
            true,
            "QmbJwotgtr84JxcnjpwJ86uZiyMoxbZuNH4YrdJMypkYaB",
        ),
    ] {
        let options = AddOptions {
            preserve_mode,
            preserve_mtime,
            ..RECURSIVE
        };
        let (_, roots) = added(std::slice::from_ref(path), &options);
        assert_eq!(roots[0].cid.to_string(), cid, "{options:?}");
    }
}

/// The tree and its CIDs stand in the same test of kubo.
#[test]
fn mode_and_time_of_a_tree_give_the_cids_of_kubo() {
    const START: u64 = 1_655_158_632;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    fs::create_dir_all(root.join("dir1")).unwrap();
    fs::create_dir_all(root.join("dir2/sub1/sub2")).unwrap();
    fs::create_dir_all(root.join("dir3")).unwrap();
    file_at(&root.join("dir2/sub1/sub2/file3"), 0o644, START + 10);
    link_at(
        &root.join("dir2/sub1/link1"),
        "../sub2/file3",
        START as i64 + 20,
    );
    mode_at(&root.join("dir2/sub1/sub2"), 0o755, START + 30);
    mode_at(&root.join("dir2/sub1"), 0o755, START + 40);
    mode_at(&root.join("dir2"), 0o755, START + 50);
    file_at(&root.join("dir3/file2"), 0o644, START + 60);
    mode_at(&root.join("dir3"), 0o755, START + 70);
    file_at(&root.join("file1"), 0o644, START + 80);
    mode_at(&root.join("dir1"), 0o755, START + 90);
    mode_at(&root, 0o700, START);
    let options = AddOptions {
        preserve_mode: true,
        preserve_mtime: true,
        ..RECURSIVE
    };
    let (events, roots) = added(std::slice::from_ref(&root), &options);
    let expected = "QmSioyvQuXetxg7uo8FswGn9XKKEsisDq1HTMzGyWbw2R6";
    assert_eq!(roots[0].cid.to_string(), expected);
    assert_eq!(paths(&events).len(), 10);
    let mode = AddOptions {
        preserve_mode: true,
        ..RECURSIVE
    };
    let (_, roots) = added(&[root.join("dir1")], &mode);
    assert_eq!(
        roots[0].cid.to_string(),
        "QmRviohgafvCsbkiTgfQFipbuXJ6k1YtoiaQW4quttJPKu"
    );
}
