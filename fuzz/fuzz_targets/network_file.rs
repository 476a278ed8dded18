//! Network files: whatever is accepted is written in its one form and reads back as itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peerwork_identity::{NetworkFile, network_file::FILE_BYTES_MAX};

fuzz_target!(|data: &[u8]| {
    let Ok(file) = NetworkFile::parse(data) else {
        return;
    };
    let json = file.to_json();
    // Indentation can carry a file at the limit beyond it.
    if json.len() <= FILE_BYTES_MAX {
        assert_eq!(NetworkFile::parse(json.as_bytes()), Ok(file));
    }
});
