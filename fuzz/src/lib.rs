//! Programs that give arbitrary bytes to the decoders of strangers' messages.
//!
//! Each file of `fuzz_targets` is one program. `cargo fuzz` (nightly compiler, C++ compiler) links
//! libFuzzer to it and sets `cfg(fuzzing)`; everywhere else the program gives the files that its
//! command line names to the decoder once, which repeats a crash that libFuzzer wrote down.

use std::{env, fs, io, path::Path};

#[cfg(fuzzing)]
pub use libfuzzer_sys;

/// Makes a program of a closure that takes bytes and panics when a decoder is wrong.
#[macro_export]
macro_rules! target {
    (|$bytes:ident: &[u8]| $body:expr) => {
        #[cfg(fuzzing)]
        $crate::libfuzzer_sys::fuzz_target!(|$bytes: &[u8]| $body);

        #[cfg(not(fuzzing))]
        fn main() -> std::io::Result<()> {
            $crate::replay(|$bytes: &[u8]| $body)
        }
    };
}

/// Gives each file of the command line to `decoder`, and each file of the folders there.
///
/// # Errors
/// When a file or folder cannot be read.
pub fn replay(decoder: impl Fn(&[u8])) -> io::Result<()> {
    let mut paths = env::args_os().skip(1);
    paths.try_for_each(|path| replay_path(Path::new(&path), &decoder))
}

fn replay_path(path: &Path, decoder: &impl Fn(&[u8])) -> io::Result<()> {
    if path.is_dir() {
        let mut entries = fs::read_dir(path)?;
        return entries.try_for_each(|entry| replay_path(&entry?.path(), decoder));
    }
    decoder(&fs::read(path)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn files_and_the_files_of_folders_are_given_to_the_decoder() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        fs::create_dir(folder.path().join("inner"))?;
        fs::write(folder.path().join("inner/a"), b"one")?;
        fs::write(folder.path().join("b"), b"two")?;
        let seen = RefCell::new(Vec::new());
        replay_path(folder.path(), &|bytes| {
            seen.borrow_mut().push(bytes.to_vec());
        })?;
        seen.borrow_mut().sort();
        assert_eq!(*seen.borrow(), [b"one", b"two"]);
        assert!(replay_path(&folder.path().join("c"), &|_bytes| {}).is_err());
        Ok(())
    }
}
