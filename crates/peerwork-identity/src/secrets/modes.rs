//! Names the permissions of new key files and directories.

/// The permission bits of a new key file, before the umask.
pub const KEY_FILE_MODE: u32 = 0o400;

/// The permission bits of a new directory, before the umask.
pub const DIRECTORY_MODE: u32 = 0o700;
