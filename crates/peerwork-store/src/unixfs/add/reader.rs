//! Reading a tree: files, directories and symbolic links as steps, in the order of `ipfs add -r`.
//!
//! Symbolic links are never followed, so that a tree has no circles and nothing outside of it is read.

use std::{
    fs::{self, File, FileType, Metadata},
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::{
    super::{
        message::{Attributes, Mtime},
        profile::Parameters,
    },
    error::AddError,
    leaf::Leaf,
    options::AddOptions,
    pipeline::{Batches, Closed},
    step::Step,
};

/// The first read of content whose length is not known.
const FIRST: usize = 8 << 10;

/// Reads trees into batches.
pub(crate) struct Reader<'a> {
    pub(crate) options: &'a AddOptions,
    pub(crate) parameters: &'a Parameters,
    pub(crate) batches: &'a mut Batches,
}

/// Reading ends.
enum Stop {
    /// The builder is gone.
    Closed,
    /// Reading failed.
    Failed(AddError),
}

impl From<Closed> for Stop {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

impl From<AddError> for Stop {
    fn from(error: AddError) -> Self {
        Self::Failed(error)
    }
}

impl Reader<'_> {
    /// Reads trees one after another. A mistake becomes the last step.
    pub(crate) fn trees(&mut self, trees: &[(PathBuf, String)]) -> Result<(), Closed> {
        for (path, name) in trees {
            let done = (fs::symlink_metadata(path)
                .map_err(|source| file("looking at", path, source)))
            .map_err(Stop::from)
            .and_then(|found| self.any(path, name.clone(), found.file_type()));
            self.report(done)?;
        }
        Ok(())
    }

    /// Reads content that has no path.
    pub(crate) fn stream(&mut self, reader: &mut dyn Read) -> Result<(), Closed> {
        let none = Attributes::default();
        let done = (self.content(reader, None, none))
            .map_err(|stop| {
                stop.unwrap_or_else(|source| file("reading", Path::new("-"), source).into())
            })
            .and_then(|_| Ok(self.end(String::new(), none)?));
        self.report(done)
    }

    fn report(&mut self, done: Result<(), Stop>) -> Result<(), Closed> {
        match done {
            Ok(()) => Ok(()),
            Err(Stop::Closed) => Err(Closed),
            Err(Stop::Failed(error)) => {
                self.batches.push(Step::Failed(error))?;
                self.batches.flush()?;
                Err(Closed)
            }
        }
    }

    fn any(&mut self, path: &Path, name: String, kind: FileType) -> Result<(), Stop> {
        if kind.is_file() {
            self.file(path, name)
        } else if kind.is_dir() {
            self.directory(path, name)
        } else if kind.is_symlink() {
            self.symlink(path, name)
        } else {
            Err(special(path, kind).into())
        }
    }

    fn directory(&mut self, path: &Path, name: String) -> Result<(), Stop> {
        let failed = |source| file("reading the directory", path, source);
        let found = fs::symlink_metadata(path).map_err(failed)?;
        let attributes = self.attributes(&found, true);
        self.batches.push(Step::Directory { name, attributes })?;
        let mut entries = Vec::new();
        for entry in fs::read_dir(path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if !self.options.hidden && name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let name = name
                .into_string()
                .map_err(|_| AddError::Name(entry.path()))?;
            entries.push((name, entry.file_type().map_err(failed)?));
        }
        entries.sort_unstable_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
        for (name, kind) in entries {
            self.any(&path.join(&name), name, kind)?;
        }
        Ok(self.batches.push(Step::DirectoryEnd)?)
    }

    fn symlink(&mut self, path: &Path, name: String) -> Result<(), Stop> {
        let failed = |source| file("reading the symbolic link", path, source);
        let found = fs::symlink_metadata(path).map_err(failed)?;
        let target = fs::read_link(path).map_err(failed)?;
        let target = target.into_os_string().into_encoded_bytes();
        let attributes = self.attributes(&found, false);
        Ok(self.batches.push(Step::Symlink {
            name,
            target,
            attributes,
        })?)
    }

    fn file(&mut self, path: &Path, name: String) -> Result<(), Stop> {
        let failed = |source| file("reading", path, source);
        let mut opened = open(path).map_err(failed)?;
        let before = opened.metadata().map_err(failed)?;
        if !before.is_file() {
            return Err(AddError::Changed(path.to_owned()).into());
        }
        let attributes = self.attributes(&before, true);
        // Files of /proc have no length before they are read.
        let length = Some(before.len()).filter(|length| *length > 0);
        let read = (self.content(&mut opened, length, attributes))
            .map_err(|stop| stop.unwrap_or_else(|source| failed(source).into()))?;
        let after = opened.metadata().map_err(failed)?;
        if length.is_some_and(|length| length != read) || !same(&before, &after) {
            return Err(AddError::Changed(path.to_owned()).into());
        }
        Ok(self.end(name, attributes)?)
    }

    /// Reads content leaf by leaf, and gives its length. A leaf waits for the next one, because a file of one
    /// leaf has its attributes there.
    fn content(
        &mut self,
        reader: &mut dyn Read,
        length: Option<u64>,
        attributes: Attributes,
    ) -> Result<u64, Content> {
        let chunk = self.parameters.chunk;
        let (mut waiting, mut read) = (None::<Leaf>, 0);
        loop {
            let leaf = match length {
                Some(length) if read >= length => break,
                Some(length) => {
                    let rest = usize::try_from(length - read).unwrap_or(chunk);
                    Leaf::read(reader, rest.min(chunk))?
                }
                None => unknown(reader, chunk)?,
            };
            if leaf.content() == 0 {
                break;
            }
            read += leaf.content() as u64;
            let ended = leaf.content() < chunk;
            if let Some(full) = waiting.replace(leaf) {
                self.batches.push(Step::Leaf(full))?;
            }
            if ended {
                break;
            }
        }
        let mut last = match waiting {
            Some(leaf) => leaf,
            None => Leaf::read(&mut io::empty(), 0)?,
        };
        if read <= chunk as u64 {
            last.attributes = attributes;
        }
        self.batches.push(Step::Leaf(last))?;
        Ok(read)
    }

    fn end(&mut self, name: String, attributes: Attributes) -> Result<(), Closed> {
        self.batches.push(Step::FileEnd { name, attributes })
    }

    fn attributes(&self, found: &Metadata, has_mode: bool) -> Attributes {
        Attributes {
            mode: (self.options.preserve_mode && has_mode)
                .then(|| mode(found))
                .flatten(),
            mtime: self.options.preserve_mtime.then(|| mtime(found)).flatten(),
        }
    }
}

/// Reading content ends.
enum Content {
    Closed,
    Read(io::Error),
}

impl Content {
    fn unwrap_or_else(self, failed: impl FnOnce(io::Error) -> Stop) -> Stop {
        match self {
            Self::Closed => Stop::Closed,
            Self::Read(source) => failed(source),
        }
    }
}

impl From<Closed> for Content {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

impl From<io::Error> for Content {
    fn from(source: io::Error) -> Self {
        Self::Read(source)
    }
}

/// A leaf of content whose length is not known: a short content needs no large buffer.
fn unknown(reader: &mut dyn Read, chunk: usize) -> io::Result<Leaf> {
    let first = Leaf::read(reader, FIRST.min(chunk))?;
    if first.content() < FIRST.min(chunk) {
        return Ok(first);
    }
    let mut leaf = first;
    while leaf.content() < chunk {
        let want = leaf.content().min(chunk - leaf.content());
        let more = Leaf::read(reader, want)?;
        leaf.extend(&more);
        if more.content() < want {
            break;
        }
    }
    Ok(leaf)
}

fn file(doing: &'static str, path: &Path, source: io::Error) -> AddError {
    let path = path.to_owned();
    AddError::File {
        doing,
        path,
        source,
    }
}

/// Opens a file, and neither follows a link nor waits for the other end of a pipe that took its place.
fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.custom_flags(flags.bits().cast_signed());
    }
    options.open(path)
}

fn same(before: &Metadata, after: &Metadata) -> bool {
    before.len() == after.len() && before.modified().ok() == after.modified().ok()
}

fn special(path: &Path, kind: FileType) -> AddError {
    let path = path.to_owned();
    AddError::Special {
        path,
        kind: kind_of(kind),
    }
}

#[cfg(unix)]
fn kind_of(kind: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    match kind {
        kind if kind.is_fifo() => "a named pipe",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_char_device() || kind.is_block_device() => "a device",
        _ => "a special file",
    }
}

#[cfg(not(unix))]
fn kind_of(_: FileType) -> &'static str {
    "a special file"
}

#[cfg(unix)]
fn mode(found: &Metadata) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    Some(found.permissions().mode() & 0o7777)
}

#[cfg(not(unix))]
fn mode(_: &Metadata) -> Option<u32> {
    None
}

fn mtime(found: &Metadata) -> Option<Mtime> {
    let modified = found.modified().ok()?;
    Some(match modified.duration_since(std::time::UNIX_EPOCH) {
        Ok(since) => Mtime {
            seconds: since.as_secs().cast_signed(),
            nanoseconds: since.subsec_nanos(),
        },
        Err(before) => {
            let (seconds, nanoseconds) = (
                before.duration().as_secs(),
                before.duration().subsec_nanos(),
            );
            let borrow = nanoseconds > 0;
            Mtime {
                seconds: -(seconds.cast_signed()) - i64::from(borrow),
                nanoseconds: if borrow {
                    1_000_000_000 - nanoseconds
                } else {
                    0
                },
            }
        }
    })
}
