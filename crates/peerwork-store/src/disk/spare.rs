//! Room that is kept for the index and the pins on a full disk: a file of zeros, which is given up when
//! the disk has no other room. Removing blocks and unpinning write to both.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use super::files::room;

/// The length of the spare file, or a 16th of a small disk.
const SPARE_BYTES: u64 = 8 << 20;

/// The spare file of a store.
#[derive(Debug)]
pub(crate) struct Spare {
    path: PathBuf,
}

impl Spare {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            path: root.join("spare"),
        }
    }

    /// Whether the file is there.
    pub(crate) fn is_there(&self) -> bool {
        self.path.exists()
    }

    /// Makes the file again once the disk has room.
    pub(crate) fn restore(&self) {
        let folder = self.path.parent().unwrap_or(&self.path);
        let (free, all) = room(folder);
        let bytes = SPARE_BYTES.min(all / 16);
        if self.is_there() || free / 4 < bytes {
            return;
        }
        // Without the file the store works until the disk is full.
        if File::create(&self.path)
            .and_then(|file| allocate(&file, bytes))
            .is_err()
        {
            self.give_up();
        }
    }

    /// Removes the file; false when there is none.
    pub(crate) fn give_up(&self) -> bool {
        fs::remove_file(&self.path).is_ok()
    }
}

#[cfg(target_os = "linux")]
fn allocate(file: &File, bytes: u64) -> std::io::Result<()> {
    let whole = rustix::fs::FallocateFlags::empty();
    Ok(rustix::fs::fallocate(file, whole, 0, bytes)?)
}

#[cfg(not(target_os = "linux"))]
fn allocate(mut file: &File, bytes: u64) -> std::io::Result<()> {
    let zeros = vec![0; 1 << 20];
    for _ in 0..bytes / zeros.len() as u64 {
        std::io::Write::write_all(&mut file, &zeros)?;
    }
    Ok(())
}
