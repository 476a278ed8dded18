//! The file of the index, as redb sees it: writes that find the disk full give up the spare file and
//! are tried once more, because redb takes nothing more after a failed write.

use std::{fs::File, io, sync::Arc};

use redb::StorageBackend;

use super::{files, scan::ReadAt, spare::Spare};

/// The index's file.
#[derive(Debug)]
pub(crate) struct Backend {
    file: File,
    spare: Arc<Spare>,
}

impl Backend {
    pub(crate) fn new(file: File, spare: Arc<Spare>) -> Self {
        Self { file, spare }
    }

    fn with_spare(&self, operation: impl Fn() -> io::Result<()>) -> Result<(), io::Error> {
        match operation() {
            Err(error) if files::is_full(&error) && self.spare.give_up() => operation(),
            result => result,
        }
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        match (&self.file).read_up_to(out, offset)? == out.len() {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.with_spare(|| self.file.set_len(len))
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.with_spare(|| files::write_all_at(&self.file, data, offset))
    }
}
