//! The writing of a tree to the disk, on a thread of its own: into a new folder beside the target, which is
//! renamed at the end, so that the target is complete or not there.
//!
//! The new folder is this user's alone. Directories and files in it are created, and never opened when they
//! are there, so that nothing is written through a symbolic link of the tree.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use tokio::sync::mpsc::Receiver;

use super::{
    super::message::Attributes, error::ExportError, link, options::ExportOptions, partial::Partial,
    place,
};
use crate::disk::files::room;

/// Free bytes are looked at before files of this size.
const LARGE: u64 = 1 << 20;

/// An operation on the disk. A name is `None` for the root.
#[derive(Debug)]
pub(super) enum Op {
    /// Creates a directory, in which the next operations are.
    Directory(Option<String>),
    /// Ends the directory.
    DirectoryEnd(Attributes),
    /// Creates a file of this size.
    File(Option<String>, u64),
    /// Appends to the file.
    Data(Bytes),
    /// Ends the file.
    FileEnd(Attributes),
    /// Creates a symbolic link.
    Symlink(Option<String>, Bytes, Attributes),
    /// Puts the tree to its place.
    Finish,
}

/// Writes what comes, and gives the path of the complete tree. Without an [`Op::Finish`] nothing is left.
pub(super) fn write(
    target: &Path,
    options: ExportOptions,
    mut ops: Receiver<Op>,
) -> Result<PathBuf, ExportError> {
    let target = place::target(target, options.overwrite)?;
    let mut writer = Writer {
        partial: Partial::create(&target)?,
        names: Vec::new(),
        file: None,
        directories: Vec::new(),
        options,
    };
    while let Some(op) = ops.blocking_recv() {
        match op {
            Op::Finish => {
                place::place(&writer.partial.tree(), &target, options.overwrite)?;
                writer.directory_attributes(&target)?;
                return Ok(target);
            }
            op => writer.apply(op)?,
        }
    }
    Err(ExportError::Stopped)
}

struct Writer {
    partial: Partial,
    /// The directories between the root and the place at hand.
    names: Vec<String>,
    file: Option<(PathBuf, File)>,
    /// Attributes that are set when nothing is written into the directories any more.
    directories: Vec<(PathBuf, Attributes)>,
    options: ExportOptions,
}

impl Writer {
    fn apply(&mut self, op: Op) -> Result<(), ExportError> {
        match op {
            Op::Directory(name) => {
                let path = self.path(name.as_deref());
                fs::create_dir(&path).map_err(|error| self.failed("creating", &path, error))?;
                self.names.extend(name);
                Ok(())
            }
            Op::DirectoryEnd(attributes) => {
                if !attributes.is_empty() {
                    self.directories
                        .push((self.names.iter().collect(), attributes));
                }
                self.names.pop();
                Ok(())
            }
            Op::File(name, size) => self.create(name.as_deref(), size),
            Op::Data(data) => {
                let (path, file) = self.file.as_mut().expect("data follows a file");
                file.write_all(&data)
                    .map_err(|error| ExportError::file("writing", path, error))
            }
            Op::FileEnd(attributes) => {
                let (path, file) = self.file.take().expect("an end follows a file");
                (set_file_attributes(&file, attributes))
                    .map_err(|error| ExportError::file("setting mode and time of", &path, error))
            }
            Op::Symlink(name, target, attributes) => {
                self.symlink(name.as_deref(), &target, attributes)
            }
            Op::Finish => Ok(()),
        }
    }

    fn create(&mut self, name: Option<&str>, size: u64) -> Result<(), ExportError> {
        let path = self.path(name);
        if size >= LARGE {
            let (free, _all) = room(self.partial.folder());
            if size > free {
                let path = self.in_tree(name);
                return Err(ExportError::NoRoom {
                    path,
                    bytes: size,
                    free,
                });
            }
        }
        let file =
            File::create_new(&path).map_err(|error| self.failed("creating", &path, error))?;
        self.file = Some((path, file));
        Ok(())
    }

    fn symlink(
        &mut self,
        name: Option<&str>,
        target: &[u8],
        attributes: Attributes,
    ) -> Result<(), ExportError> {
        let path = self.path(name);
        if !self.options.outside_links
            && let Some(reason) = link::refused(target, self.names.len())
        {
            return Err(ExportError::Symlink {
                path: self.in_tree(name),
                target: String::from_utf8_lossy(target).into_owned(),
                reason,
            });
        }
        (create_symlink(target, &path, attributes))
            .map_err(|error| self.failed("creating the symbolic link", &path, error))
    }

    fn path(&self, name: Option<&str>) -> PathBuf {
        let mut path = self.partial.tree();
        path.extend(&self.names);
        path.extend(name);
        path
    }

    fn in_tree(&self, name: Option<&str>) -> PathBuf {
        self.names.iter().map(String::as_str).chain(name).collect()
    }

    /// The names of a directory differ, so what is there already has a name that the disk takes for the same.
    fn failed(&self, doing: &'static str, path: &Path, error: io::Error) -> ExportError {
        let tree = self.partial.tree();
        let shown = path.strip_prefix(&tree).unwrap_or(path);
        match error.kind() {
            io::ErrorKind::AlreadyExists => ExportError::Collision(shown.to_owned()),
            _ => ExportError::file(doing, shown, error),
        }
    }

    fn directory_attributes(&self, target: &Path) -> Result<(), ExportError> {
        for (path, attributes) in &self.directories {
            let path = match path.as_os_str().is_empty() {
                true => target.to_owned(),
                false => target.join(path),
            };
            (File::open(&path).and_then(|directory| set_file_attributes(&directory, *attributes)))
                .map_err(|error| ExportError::file("setting mode and time of", &path, error))?;
        }
        Ok(())
    }
}

/// Bits that give somebody else's rights (set-user-id and the like) are not taken from a stranger.
fn set_file_attributes(file: &File, attributes: Attributes) -> io::Result<()> {
    #[cfg(unix)]
    if let Some(mode) = attributes.mode {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(fs::Permissions::from_mode(mode & 0o777))?;
    }
    match attributes
        .mtime
        .and_then(super::super::message::Mtime::to_system)
    {
        Some(time) => file.set_modified(time),
        None => Ok(()),
    }
}

#[cfg(unix)]
fn create_symlink(target: &[u8], path: &Path, attributes: Attributes) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT, utimensat};
    use std::os::unix::ffi::OsStrExt;
    std::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(target), path)?;
    let Some(mtime) = attributes.mtime else {
        return Ok(());
    };
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: mtime.seconds,
            tv_nsec: mtime.nanoseconds.into(),
        },
    };
    Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

#[cfg(not(unix))]
fn create_symlink(_: &[u8], _: &Path, _: Attributes) -> io::Result<()> {
    let kind = io::ErrorKind::Unsupported;
    Err(io::Error::new(
        kind,
        "symbolic links are not written on this system",
    ))
}
