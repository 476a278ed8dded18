//! Network files: an accepted file is written in its canonical form and reads back as itself.
#![cfg_attr(fuzzing, no_main)]

use peerwork_identity::{NetworkFile, network_file::FILE_BYTES_MAX};

peerwork_fuzz::target!(|data: &[u8]| {
    let Ok(file) = NetworkFile::parse(data) else {
        return;
    };
    let json = file.to_json();
    // Indentation can carry a file at the limit beyond it.
    if json.len() <= FILE_BYTES_MAX {
        assert_eq!(NetworkFile::parse(json.as_bytes()), Ok(file));
    }
});
