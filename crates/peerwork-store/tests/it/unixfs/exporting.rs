//! Exporting of trees to the disk.

use std::{
    fs,
    os::unix::fs::{FileTypeExt as _, MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use cid::Cid;
use peerwork_store::{
    Block, GetError, Source,
    unixfs::{
        AddOptions, ExportError, ExportEvent, ExportOptions, Exported, Kind, Profile, add, export,
    },
};

use crate::{
    hand::{DIRECTORY, FILE, Message},
    memory::Memory,
};

const KEEP: ExportOptions = ExportOptions {
    overwrite: false,
    outside_links: false,
    limits: peerwork_store::dag::Limits::WIDE,
};
const OVERWRITE: ExportOptions = ExportOptions {
    overwrite: true,
    ..KEEP
};

async fn exported(
    memory: &Memory,
    cid: Cid,
    target: &Path,
    options: &ExportOptions,
) -> Result<Exported, ExportError> {
    export(memory.source(), cid, target, options, |_| {}).await
}

/// A tree of two files and a directory.
fn tree(memory: &mut Memory) -> Cid {
    let (a, b) = (memory.raw(b"new a"), memory.raw(b"new b"));
    let inner = memory.node(&[("b", b)], Message::new(DIRECTORY));
    memory.node(&[("a", a), ("inner", inner)], Message::new(DIRECTORY))
}

fn text(path: PathBuf) -> String {
    fs::read_to_string(path).unwrap()
}

#[tokio::test]
async fn nothing_is_overwritten_unless_asked() {
    let mut memory = Memory::default();
    let (root, file) = (tree(&mut memory), memory.raw(b"new"));
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("file"), "old").unwrap();
    fs::create_dir(path("directory")).unwrap();
    fs::write(path("directory/a"), "old").unwrap();
    symlink("nowhere", path("link")).unwrap();
    for name in ["file", "directory", "link"] {
        for cid in [root, file] {
            let error = exported(&memory, cid, &path(name), &KEEP)
                .await
                .unwrap_err();
            assert!(matches!(&error, ExportError::Exists(_)), "{error}");
        }
    }
    assert_eq!(text(path("file")), "old");
    assert_eq!(text(path("directory/a")), "old");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
}

#[tokio::test]
async fn an_empty_directory_may_be_the_target() {
    let mut memory = Memory::default();
    let root = tree(&mut memory);
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    fs::create_dir(&target).unwrap();
    let done = exported(&memory, root, &target, &KEEP).await.unwrap();
    assert_eq!((done.files, done.directories, done.bytes), (2, 2, 10));
    assert_eq!(text(target.join("inner/b")), "new b");
}

#[tokio::test]
async fn overwriting_merges_and_replaces_links_without_following_them() {
    let mut memory = Memory::default();
    let root = tree(&mut memory);
    let folder = tempfile::tempdir().unwrap();
    let (target, outside) = (folder.path().join("target"), folder.path().join("outside"));
    fs::create_dir_all(target.join("inner")).unwrap();
    fs::write(target.join("mine"), "mine").unwrap();
    fs::write(target.join("inner/b"), "old").unwrap();
    fs::write(&outside, "outside").unwrap();
    symlink(&outside, target.join("a")).unwrap();
    exported(&memory, root, &target, &OVERWRITE).await.unwrap();
    assert_eq!(text(target.join("mine")), "mine");
    assert_eq!(text(target.join("a")), "new a");
    assert_eq!(text(target.join("inner/b")), "new b");
    assert_eq!(text(outside), "outside");
}

#[tokio::test]
async fn overwriting_does_not_turn_directories_and_files_into_each_other() {
    let mut memory = Memory::default();
    let (root, file) = (tree(&mut memory), memory.raw(b"new"));
    let folder = tempfile::tempdir().unwrap();
    let (directory, old) = (folder.path().join("directory"), folder.path().join("old"));
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("mine"), "mine").unwrap();
    fs::write(&old, "old").unwrap();
    // A link to a directory is no directory: what it leads to stays as it is.
    let link = folder.path().join("link");
    symlink(&directory, &link).unwrap();
    for (cid, target) in [(file, &directory), (root, &old), (root, &link)] {
        let error = exported(&memory, cid, target, &OVERWRITE)
            .await
            .unwrap_err();
        assert!(matches!(&error, ExportError::OtherKind { .. }), "{error}");
    }
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
}

#[tokio::test]
async fn overwriting_replaces_no_pipe_socket_or_device() {
    let mut memory = Memory::default();
    let (root, file) = (tree(&mut memory), memory.raw(b"new"));
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let _socket = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let target = folder.path().join("target");
    fs::create_dir(&target).unwrap();
    let _inner = std::os::unix::net::UnixListener::bind(target.join("a")).unwrap();
    for (cid, path) in [(file, &socket), (root, &target)] {
        let error = exported(&memory, cid, path, &OVERWRITE).await.unwrap_err();
        assert!(error.to_string().contains("socket on the disk"), "{error}");
    }
    for path in [socket, target.join("a")] {
        let kind = fs::symlink_metadata(&path).unwrap().file_type();
        assert!(kind.is_socket(), "{}", path.display());
    }
    let left = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 2, "nothing of the tree is left beside the targets");
}

#[tokio::test]
async fn what_a_killed_export_left_is_removed_by_the_next_one() {
    let mut memory = Memory::default();
    let root = tree(&mut memory);
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in [
        ".target.partial-1-0",
        ".target.partial-77777-12",
        // A writer that lives has this one.
        ".target.partial-2-0",
        // No names of such folders.
        ".target.partial-",
        ".target.partial-1-x",
        ".other.partial-1-0",
    ] {
        fs::create_dir(at(name)).unwrap();
        fs::write(at(name).join("tree"), "left").unwrap();
    }
    fs::write(at(".target.partial-3-0"), "a file").unwrap();
    let lives = fs::File::open(at(".target.partial-2-0")).unwrap();
    lives.try_lock().unwrap();
    exported(&memory, root, &at("target"), &KEEP).await.unwrap();
    let entries = fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    let kept = [
        ".other.partial-1-0",
        ".target.partial-",
        ".target.partial-1-x",
        ".target.partial-2-0",
        ".target.partial-3-0",
        "target",
    ];
    assert_eq!(names, kept);
}

#[tokio::test]
async fn a_target_needs_its_folder() {
    let mut memory = Memory::default();
    let root = tree(&mut memory);
    let folder = tempfile::tempdir().unwrap();
    let error = exported(&memory, root, &folder.path().join("none/target"), &KEEP).await;
    assert!(matches!(error, Err(ExportError::NoFolder(_))), "{error:?}");
}

#[tokio::test]
async fn names_that_the_disk_takes_for_the_same_are_a_collision() {
    let mut memory = Memory::default();
    let leaf = memory.raw(b"x");
    let root = memory.node(&[("A", leaf), ("a", leaf)], Message::new(DIRECTORY));
    let folder = tempfile::tempdir().unwrap();
    // Most disks of Linux tell the two apart; those that do not give the collision.
    fs::write(folder.path().join("case"), "").unwrap();
    let same = folder.path().join("CASE").exists();
    let done = exported(&memory, root, &folder.path().join("target"), &KEEP).await;
    match same {
        true => assert!(matches!(done, Err(ExportError::Collision(_)))),
        false => assert_eq!(done.unwrap().files, 2),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mode_time_and_links_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    fs::create_dir_all(root.join("inner")).unwrap();
    fs::write(root.join("inner/run"), "#!/bin/sh\n").unwrap();
    symlink("inner/run", root.join("link")).unwrap();
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(&root.join("inner/run"), 0o750);
    mode(&root.join("inner"), 0o511);
    for profile in Profile::ALL {
        let options = AddOptions {
            profile,
            recursive: true,
            preserve_mode: true,
            preserve_mtime: true,
            ..AddOptions::default()
        };
        let mut memory = Memory::default();
        let roots = add(
            std::slice::from_ref(&root),
            &options,
            &mut memory,
            &mut |_| {},
        )
        .unwrap();
        let target = folder.path().join(profile.name());
        exported(&memory, roots[0].cid, &target, &KEEP)
            .await
            .unwrap();
        for path in ["", "inner", "inner/run", "link"] {
            let (old, new) = (root.join(path), target.join(path));
            let (old, new) = (
                fs::symlink_metadata(old).unwrap(),
                fs::symlink_metadata(new).unwrap(),
            );
            assert_eq!(old.mode(), new.mode(), "{path}");
            assert_eq!(
                (old.mtime(), old.mtime_nsec()),
                (new.mtime(), new.mtime_nsec()),
                "{path}"
            );
        }
        mode(&target.join("inner"), 0o755);
    }
    mode(&root.join("inner"), 0o755);
}

#[tokio::test]
async fn bits_that_give_the_rights_of_others_are_not_taken() {
    let mut memory = Memory::default();
    let file = memory.node(&[], Message::new(FILE).bytes(2, b"x").number(7, 0o6755));
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    exported(&memory, file, &target, &KEEP).await.unwrap();
    assert_eq!(fs::metadata(&target).unwrap().mode() & 0o7777, 0o755);
}

#[tokio::test]
async fn the_events_tell_entries_and_bytes() {
    let mut memory = Memory::default();
    let root = tree(&mut memory);
    let folder = tempfile::tempdir().unwrap();
    let (mut paths, mut bytes) = (Vec::new(), 0);
    let on = |event| match event {
        ExportEvent::Bytes(more) => bytes += more,
        ExportEvent::Entry { path, kind } => paths.push((path, kind)),
    };
    let target = folder.path().join("target");
    export(memory.source(), root, &target, &KEEP, on)
        .await
        .unwrap();
    let path = |path: &str, kind| (path.to_owned(), kind);
    let expected = [
        path("", Kind::Directory),
        path("a", Kind::File),
        path("inner", Kind::Directory),
        path("inner/b", Kind::File),
    ];
    assert_eq!((&paths[..], bytes), (&expected[..], 10));
}

/// Gives all blocks but one, for which it waits without an end.
struct Stuck {
    memory: Memory,
    at: Cid,
    reached: tokio::sync::Notify,
}

#[async_trait]
impl Source for Stuck {
    async fn get(&self, cid: &Cid) -> Result<Block, GetError> {
        if *cid == self.at {
            self.reached.notify_one();
            std::future::pending::<()>().await;
        }
        self.memory.get(cid).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_that_is_dropped_leaves_nothing() {
    let mut memory = Memory::default();
    let root = tree(&mut memory);
    let at = memory.raw(b"new b");
    let reached = tokio::sync::Notify::new();
    let source = Arc::new(Stuck {
        memory,
        at,
        reached,
    });
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    tokio::select! {
        _ = export(source.clone(), root, &target, &KEEP, |_| {}) => panic!("a block is missing"),
        () = source.reached.notified() => {}
    }
    let empty = || fs::read_dir(folder.path()).unwrap().count() == 0;
    peerwork_testkit::eventually("the partial folder is removed", || empty().then_some(())).await;
}

/// A disk of one MiB, where the tests may mount it.
#[tokio::test]
async fn a_full_disk_is_an_error_that_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(folder.path())
        .output();
    if !mounted.is_ok_and(|done| done.status.success()) {
        // Only root may mount a disk.
        return;
    }
    let mut memory = Memory::default();
    let leaf = memory.raw(&[7; 600_000]);
    let root = memory.node(&[("a", leaf), ("b", leaf)], Message::new(DIRECTORY));
    let done = exported(&memory, root, &folder.path().join("target"), &KEEP).await;
    let left = fs::read_dir(folder.path()).unwrap().count();
    let large = memory.node(
        &[("", leaf), ("", leaf)],
        crate::hand::file(&[600_000, 600_000]),
    );
    let refused = exported(&memory, large, &folder.path().join("target"), &KEEP).await;
    std::process::Command::new("umount")
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(matches!(done, Err(ExportError::Full(_))), "{done:?}");
    assert!(
        matches!(refused, Err(ExportError::NoRoom { .. })),
        "{refused:?}"
    );
    assert_eq!(left, 0);
}
