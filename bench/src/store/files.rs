//! The bytes that are added and fetched: not compressible, and the same in each run.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
};

/// Bytes of a small file.
pub(super) const SMALL_BYTES: usize = 4096;

/// A generator of bytes (splitmix64), seeded, because copies of one block would be stored once.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn write(&mut self, path: &Path, bytes: u64) -> std::io::Result<()> {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
        for _ in 0..bytes / 8 {
            file.write_all(&self.next().to_le_bytes())?;
        }
        file.flush()
    }
}

/// Writes a file of `mib` MiB.
pub(super) fn large(path: &Path, mib: u64, seed: u64) -> std::io::Result<()> {
    Noise(seed).write(path, mib << 20)
}

/// Writes a folder of `count` small files, a hundred in each subfolder.
pub(super) fn small(folder: &Path, count: usize) -> std::io::Result<()> {
    let mut noise = Noise(7);
    for number in 0..count {
        let inner = folder.join(format!("{:03}", number / 100));
        if number % 100 == 0 {
            std::fs::create_dir_all(&inner)?;
        }
        noise.write(&inner.join(format!("{number:05}")), SMALL_BYTES as u64)?;
    }
    Ok(())
}
