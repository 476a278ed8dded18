//! Writes the files that commands create, and names files in texts.

use std::{io, path::Path};

use peerwork_identity::{WriteMode, advice, atomic_write};

/// Makes a folder and its missing parents.
///
/// # Errors
/// When the folder cannot be made; the text names it and says what to do.
pub(crate) fn make_folder(path: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(path).map_err(|error| {
        anyhow::anyhow!(
            "cannot make the folder {}: {error}; {}",
            path.display(),
            advice(&error)
        )
    })
}

/// Writes a file that must not exist yet, with the permission bits `mode` where the system has such
/// bits.
///
/// # Errors
/// When the file exists or cannot be written; the text names the file and says what to do.
pub(crate) fn write_new(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    atomic_write(path, contents, WriteMode::CreateNew(mode)).map_err(|error| {
        let text = match error.kind() {
            io::ErrorKind::AlreadyExists => {
                format!(
                    "{} exists: move it away, or name another file",
                    path.display()
                )
            }
            _ => format!("{}: {error}; {}", path.display(), advice(&error)),
        };
        io::Error::new(error.kind(), text)
    })
}

/// A flag with a path, as a shell reads it; a path that is no UTF-8 in the form of bash and zsh.
pub(crate) fn flag(name: &str, path: &Path) -> String {
    #[cfg(unix)]
    if path.to_str().is_none() {
        use std::os::unix::ffi::OsStrExt as _;
        let bytes = path.as_os_str().as_bytes().iter();
        let written: String = bytes.map(|byte| format!("\\x{byte:02x}")).collect();
        return format!("{name} $'{written}'");
    }
    let path = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@:,=".contains(c);
    match path.chars().all(plain) {
        true => format!("{name} {path}"),
        false => format!("{name} '{}'", path.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_named_as_a_shell_reads_it() {
        let flag = |path: &str| flag("--to", Path::new(path));
        assert_eq!(flag("/data/node_1"), "--to /data/node_1");
        assert_eq!(flag("/my data"), "--to '/my data'");
        assert_eq!(flag("/it's"), r"--to '/it'\''s'");
        #[cfg(unix)]
        {
            use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};
            let path = Path::new(OsStr::from_bytes(b"/d\xe9"));
            assert_eq!(super::flag("--to", path), r"--to $'\x2f\x64\xe9'");
        }
    }
}
