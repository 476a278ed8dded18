//! The file of the index, as redb sees it: writes that find the disk full give up the spare file and
//! are tried once more, and errors are noted, because redb does nothing more after an error.

use std::{
    fs::File,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use redb::StorageBackend;

use super::{files, scan::ReadAt, spare::Spare};

/// Whether the file of the index had an error.
#[derive(Debug, Default)]
pub(crate) struct Health {
    failed: AtomicBool,
    /// Lets the next operation fail, or panic.
    #[cfg(test)]
    pub(crate) fail_next: AtomicBool,
    #[cfg(test)]
    pub(crate) panic_next: AtomicBool,
}

impl Health {
    /// Notes an error that the file itself did not have: its database cannot be used any more.
    pub(crate) fn fail(&self) {
        self.failed.store(true, Ordering::Release);
    }

    /// Whether there was an error since the file was opened.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    fn checked<T>(&self, operation: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        #[cfg(test)]
        assert!(
            !self.panic_next.swap(false, Ordering::SeqCst),
            "the test's panic of the index"
        );
        #[cfg(test)]
        let fails = self.fail_next.swap(false, Ordering::SeqCst);
        #[cfg(not(test))]
        let fails = false;
        let result = match fails {
            true => Err(io::Error::other("the test's error of the index")),
            false => operation(),
        };
        if result.is_err() {
            self.fail();
        }
        result
    }
}

/// The index's file.
#[derive(Debug)]
pub(crate) struct Backend {
    file: File,
    spare: Arc<Spare>,
    health: Arc<Health>,
}

impl Backend {
    pub(crate) fn new(file: File, spare: Arc<Spare>, health: Arc<Health>) -> Self {
        Self {
            file,
            spare,
            health,
        }
    }

    fn with_spare(&self, operation: impl Fn() -> io::Result<()>) -> Result<(), io::Error> {
        self.health.checked(|| match operation() {
            Err(error) if files::is_full(&error) && self.spare.give_up() => operation(),
            result => result,
        })
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> Result<u64, io::Error> {
        self.health.checked(|| Ok(self.file.metadata()?.len()))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let read = || match (&self.file).read_up_to(out, offset)? == out.len() {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        };
        self.health.checked(read)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.with_spare(|| self.file.set_len(len))
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.health.checked(|| self.file.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.with_spare(|| files::write_all_at(&self.file, data, offset))
    }
}
