//! Each fuzz target as a program of its own, on a few inputs that decoders stumble over.

use std::{fs, io, path::Path, process::Command};

const PROGRAMS: &[(&str, &str)] = &[
    ("advertisement", env!("CARGO_BIN_EXE_advertisement")),
    ("directory_frame", env!("CARGO_BIN_EXE_directory_frame")),
    ("forwarded", env!("CARGO_BIN_EXE_forwarded")),
    ("ingress_path", env!("CARGO_BIN_EXE_ingress_path")),
    ("json_rpc", env!("CARGO_BIN_EXE_json_rpc")),
    ("key_file", env!("CARGO_BIN_EXE_key_file")),
    ("key_text", env!("CARGO_BIN_EXE_key_text")),
    ("network_file", env!("CARGO_BIN_EXE_network_file")),
    ("node_id", env!("CARGO_BIN_EXE_node_id")),
    ("proxy_header", env!("CARGO_BIN_EXE_proxy_header")),
    ("relay_message", env!("CARGO_BIN_EXE_relay_message")),
    ("signed_envelope", env!("CARGO_BIN_EXE_signed_envelope")),
    ("store_bitswap", env!("CARGO_BIN_EXE_store_bitswap")),
    ("store_car", env!("CARGO_BIN_EXE_store_car")),
    ("store_dag", env!("CARGO_BIN_EXE_store_dag")),
    ("store_segment", env!("CARGO_BIN_EXE_store_segment")),
    ("ticket", env!("CARGO_BIN_EXE_ticket")),
    ("tunnel_head", env!("CARGO_BIN_EXE_tunnel_head")),
];

/// Nothing, a varint without end, a length beyond the message, nested JSON, a path, a node id, a CAR file
/// with an identity block, a shard without links, halves of tickets.
const INPUTS: &[&[u8]] = &[
    b"",
    &[0xff; 11],
    &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x00],
    b"[[[[[[[[{\"jsonrpc\":\"2.0\",\"id\":1e999,\"method\":\"\\u0000\"}",
    b"/edge/16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi/0/%00/..//",
    b"16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi",
    b"\x11\xa2eroots\x80gversion\x01\x04\x01\x55\x00\x00",
    &[0x0a, 10, 8, 5, 0x12, 2, 1, 1, 0x28, 0x22, 0x30, 8],
    b"peerwork1 aaaa\xe2\x80\x8b peerwork9bbbbbbbbbbbbbbbb peerwork1",
];

#[test]
fn every_target_decodes_strange_bytes_without_a_panic() -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    for (number, input) in INPUTS.iter().enumerate() {
        fs::write(folder.path().join(number.to_string()), input)?;
    }
    for (name, program) in PROGRAMS {
        let output = Command::new(program).arg(folder.path()).output()?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {stderr}");
    }
    Ok(())
}

#[test]
fn every_file_of_the_targets_is_run() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz_targets");
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        files.extend(name.strip_suffix(".rs").map(str::to_owned));
    }
    files.sort();
    let names: Vec<&str> = PROGRAMS.iter().map(|(name, _program)| *name).collect();
    assert_eq!(files, names);
    Ok(())
}
