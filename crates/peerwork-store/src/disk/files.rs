//! The operations on files, so that tests can make each of them fail.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, IoSlice},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::watch::PATIENCE;
use crate::StoreError;

/// The files of a store.
#[derive(Clone)]
pub(crate) struct Files {
    root: PathBuf,
    /// How long the disk may take nothing before a wait for it ends.
    pub(crate) patience: Duration,
    #[cfg(test)]
    pub(crate) faults: Option<Arc<dyn Faults>>,
}

/// Faults that a test lets the disk have.
#[cfg(test)]
pub(crate) trait Faults: Send + Sync {
    /// How many of the bytes are written before the write fails; `None` lets it succeed.
    fn write(&self, path: &Path, bytes: usize) -> Option<(usize, io::Error)>;
    /// The error of a sync, if any.
    fn sync(&self, path: &Path) -> Option<io::Error>;
    /// The error of a read of a segment, if any.
    fn read(&self, path: &Path) -> Option<io::Error> {
        let _ = path;
        None
    }
    /// The error of a sync of a folder, if any.
    fn sync_folder(&self, path: &Path) -> Option<io::Error> {
        let _ = path;
        None
    }
}

impl Files {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            patience: PATIENCE,
            #[cfg(test)]
            faults: None,
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn segments(&self) -> PathBuf {
        self.root.join("segments")
    }

    pub(crate) fn segment(&self, number: u32) -> PathBuf {
        self.segments().join(format!("{number:010}.seg"))
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.root.join("index.redb")
    }

    pub(crate) fn pins(&self) -> PathBuf {
        self.root.join("pins.log")
    }

    /// Writes all bytes at an offset.
    pub(crate) fn write(
        &self,
        file: &File,
        path: &Path,
        bytes: &[u8],
        offset: u64,
    ) -> Result<(), StoreError> {
        #[cfg(test)]
        if let Some((count, error)) = self
            .faults
            .as_ref()
            .and_then(|faults| faults.write(path, bytes.len()))
        {
            write_all_at(file, &bytes[..count.min(bytes.len())], offset)
                .map_err(at("writing", path))?;
            return Err(at("writing", path)(error));
        }
        write_all_at(file, bytes, offset).map_err(at("writing", path))
    }

    /// Writes the bytes of all slices at an offset, one behind the other.
    pub(crate) fn write_slices(
        &self,
        file: &File,
        path: &Path,
        slices: &mut [IoSlice<'_>],
        offset: u64,
    ) -> Result<(), StoreError> {
        #[cfg(test)]
        if self.faults.is_some() {
            return self.write(
                file,
                path,
                &slices
                    .iter()
                    .flat_map(|part| part.iter().copied())
                    .collect::<Vec<u8>>(),
                offset,
            );
        }
        write_slices_at(file, slices, offset).map_err(at("writing", path))
    }

    /// Lets a test have a read of a segment fail.
    pub(crate) fn before_read(&self, path: &Path) -> Result<(), StoreError> {
        #[cfg(test)]
        if let Some(error) = self.faults.as_ref().and_then(|faults| faults.read(path)) {
            return Err(at("reading", path)(error));
        }
        let _ = path;
        Ok(())
    }

    /// Makes a file's bytes and length durable.
    pub(crate) fn sync(&self, file: &File, path: &Path) -> Result<(), StoreError> {
        #[cfg(test)]
        if let Some(error) = self.faults.as_ref().and_then(|faults| faults.sync(path)) {
            return Err(at("syncing", path)(error));
        }
        file.sync_data().map_err(at("syncing", path))
    }

    /// Makes the names in a folder durable.
    pub(crate) fn sync_folder(&self, path: &Path) -> Result<(), StoreError> {
        #[cfg(test)]
        if let Some(error) = self
            .faults
            .as_ref()
            .and_then(|faults| faults.sync_folder(path))
        {
            return Err(at("syncing", path)(error));
        }
        #[cfg(unix)]
        File::open(path)
            .and_then(|folder| folder.sync_all())
            .map_err(at("syncing", path))?;
        let _ = path;
        Ok(())
    }

    /// Replaces a file by another one in one step; it is whole and durable when this returns.
    pub(crate) fn replace(&self, path: &Path, bytes: &[u8]) -> Result<File, StoreError> {
        let temporary = path.with_extension("new");
        let file = open_new(&temporary)?;
        let renamed = self
            .write(&file, &temporary, bytes, 0)
            .and_then(|()| self.sync(&file, &temporary))
            .and_then(|()| fs::rename(&temporary, path).map_err(at("renaming", &temporary)));
        if let Err(error) = renamed {
            // On a full disk its bytes are missing elsewhere.
            let _ = fs::remove_file(&temporary);
            return Err(error);
        }
        self.sync_folder(&self.root)?;
        Ok(file)
    }
}

/// A file for reading and writing, empty at first.
pub(crate) fn open_new(path: &Path) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true);
    options.open(path).map_err(at("creating", path))
}

/// A file for reading and writing that nobody else has made.
pub(crate) fn open_own(path: &Path) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    options.open(path).map_err(at("creating", path))
}

/// An existing file for reading and writing.
pub(crate) fn open_existing(path: &Path) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    options.open(path).map_err(at("opening", path))
}

/// Makes the store's error of a file's error.
pub(crate) fn at(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::File {
        doing,
        path,
        source: Arc::new(source),
    }
}

/// Whether the disk had no room: no space, no quota of the user, or a limit of the file's size.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// Free and all bytes of the disk of a folder; all free where the system does not say.
pub(crate) fn room(path: &Path) -> (u64, u64) {
    #[cfg(unix)]
    if let Ok(stat) = rustix::fs::statvfs(path) {
        let unit = stat.f_frsize;
        return (
            stat.f_bavail.saturating_mul(unit),
            stat.f_blocks.saturating_mul(unit),
        );
    }
    let _ = path;
    (u64::MAX, u64::MAX)
}

#[cfg(unix)]
pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(unix)]
pub(crate) fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

/// Slices that one call of the system takes: `IOV_MAX` of Linux, macOS and the BSDs.
#[cfg(unix)]
const SLICES_MAX: usize = 1024;

/// Bytes after which a write ends. Linux caches a longer write in pages of up to 2 MiB, which a
/// virtual machine that gives free memory back must take from its host again: such writes took
/// four times as long there.
#[cfg(unix)]
const WRITE_BYTES: usize = 512 << 10;

/// The first slices, as many as one write takes.
#[cfg(unix)]
fn first_write(slices: &[IoSlice<'_>]) -> usize {
    let mut bytes = 0;
    let fits = |slice: &&IoSlice<'_>| {
        let more = bytes < WRITE_BYTES;
        bytes += slice.len();
        more
    };
    slices.iter().take(SLICES_MAX).take_while(fits).count()
}

#[cfg(unix)]
fn write_slices_at(file: &File, mut slices: &mut [IoSlice<'_>], mut offset: u64) -> io::Result<()> {
    // Empty slices at the front would look like a write of nothing.
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        let first = &slices[..first_write(slices)];
        match rustix::io::pwritev(file, first, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                offset += count as u64;
                IoSlice::advance_slices(&mut slices, count);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(windows)]
fn write_slices_at(file: &File, slices: &mut [IoSlice<'_>], mut offset: u64) -> io::Result<()> {
    for slice in slices {
        write_all_at(file, slice, offset)?;
        offset += slice.len() as u64;
    }
    Ok(())
}

#[cfg(windows)]
pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

#[cfg(windows)]
pub(crate) fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = std::os::windows::fs::FileExt::seek_write(file, bytes, offset)?;
        bytes = &bytes[count..];
        offset += count as u64;
    }
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_write_ends_after_half_a_mebibyte() {
        let count = |sizes: &[usize]| {
            let data: Vec<_> = sizes.iter().map(|size| vec![0; *size]).collect();
            let slices: Vec<_> = data.iter().map(|bytes| IoSlice::new(bytes)).collect();
            first_write(&slices)
        };
        assert_eq!(count(&[WRITE_BYTES - 1, 1, 1]), 2);
        assert_eq!(count(&[WRITE_BYTES - 1, 2, 1]), 2);
        assert_eq!(count(&[4 * WRITE_BYTES, 1]), 1);
        assert_eq!(count(&vec![1; SLICES_MAX + 1]), SLICES_MAX);
    }

    #[test]
    fn slices_of_all_sizes_are_written_in_order() {
        let file = tempfile::tempfile().unwrap();
        let sizes = [0, 3, WRITE_BYTES + 1, 0, 7, 2 * WRITE_BYTES, 0];
        let data: Vec<Vec<u8>> = (sizes.iter().zip(1..))
            .map(|(size, number)| vec![number; *size])
            .collect();
        let mut slices: Vec<_> = data.iter().map(|bytes| IoSlice::new(bytes)).collect();
        write_slices_at(&file, &mut slices, 5).unwrap();
        let mut written = vec![0; 5 + sizes.iter().sum::<usize>()];
        assert_eq!(read_at(&file, &mut written, 0).unwrap(), written.len());
        assert_eq!(written, [vec![0; 5], data.concat()].concat());
    }
}
