//! The build script compiles the operator's protobuf files with `protox`, so that the build needs
//! no system `protoc`.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

/// The protobuf files, each of which defines one gRPC service.
const CONTRACTS: [&str; 4] = [
    "v1/system.proto",
    "peerwork/directory/v1/directory.proto",
    "peerwork/invitations/v1/invitations.proto",
    "peerwork/store/v1/store.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(CONTRACTS, ["proto"])?;
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    // The descriptors are served by gRPC reflection.
    fs::write(out_dir.join("operator.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .emit_rerun_if_changed(false)
        // A block is shared with the buffer that it arrived in, and not copied.
        .bytes(".peerwork.store.v1.Block.data")
        .compile_fds(descriptors)?;
    Ok(())
}
