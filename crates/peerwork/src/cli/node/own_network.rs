//! A network of its own: the first start of `peerwork node` with nothing configured makes one.
//!
//! The node is the relay through which others join it. The first start keeps its port in
//! `peerwork.toml`, because tickets name the port.

use std::{
    fmt::Write as _,
    net::{SocketAddr, TcpListener, UdpSocket},
    path::Path,
};

use anyhow::Context as _;
use peerwork_identity::{
    NetworkFile, NetworkFileError, NetworkSecret, WriteMode, advice, atomic_write,
};

use super::flags::NodeFlags;
use crate::cli::{
    network_file::{found_in, path_in},
    settings::{FILE_NAME, Resolved},
    values::Listen,
};

/// The name of the network where the node has no name.
const NAME: &str = "peerwork";
/// The bits of a network's number: JSON readers of other languages keep so many exactly.
const ID_BITS: u32 = 53;
/// The file that each start of a node makes in its data directory.
const LOCK_FILE: &str = "node.lock";
/// The attempts to find a port that is free for TCP and for UDP.
const PORT_ATTEMPTS: usize = 16;

/// Makes the network file where nothing is configured and the data directory never ran a node.
///
/// # Errors
/// When the file cannot be read or written.
pub(super) fn make_where_nothing_is_configured(
    resolved: &Resolved<NodeFlags>,
) -> anyhow::Result<()> {
    let data_dir = &resolved.data_dir;
    if !is_made_by_a_start(resolved) {
        return Ok(());
    }
    crate::cli::files::make_folder(data_dir)?;
    let name = Some(resolved.own.name.clone()).filter(|name| !name.is_empty());
    let file = NetworkFile {
        name: name.unwrap_or_else(|| NAME.to_owned()),
        network_id: random_id(),
        secrets: vec![NetworkSecret::generate()],
        ..NetworkFile::default()
    };
    match file.create_new(&path_in(data_dir)) {
        // Another start at the same time has made the network.
        Ok(()) | Err(NetworkFileError::AlreadyExists { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Whether a start would make a network of its own.
pub(super) fn is_made_by_a_start(resolved: &Resolved<NodeFlags>) -> bool {
    let data_dir = &resolved.data_dir;
    let is_first = !data_dir.join(LOCK_FILE).exists() && found_in(data_dir).is_none();
    is_first && is_unconfigured(resolved)
}

fn random_id() -> i64 {
    let id = rand::random::<u64>() >> (u64::BITS - ID_BITS);
    i64::try_from(id.max(1)).unwrap_or(1)
}

/// Whether the settings name no network, no node of one and no role. Listen addresses and names do not
/// count.
fn is_unconfigured(resolved: &Resolved<NodeFlags>) -> bool {
    let flags = &resolved.own;
    let names_nodes = !flags.bootnode.is_empty() || !flags.relaynode.is_empty();
    let has_role = flags.relay.relay || flags.edge.edge;
    flags.network.is_none()
        && flags.join.is_none()
        && !names_nodes
        && !has_role
        && !flags.p2p.mdns
        && !resolved.file_has_settings
}

/// Whether the node is the first of a network of its own: the network file of the data directory names
/// no other node.
pub(super) fn is_own(resolved: &Resolved<NodeFlags>) -> bool {
    let flags = &resolved.own;
    if flags.network.is_some() {
        return false;
    }
    let file = found_in(&resolved.data_dir).map(|path| NetworkFile::load(&path));
    matches!(file, Some(Ok(file)) if file.bootnodes.is_empty() && file.relaynodes.is_empty())
}

/// The settings of the first node of its own network: the relay role without HTTP calls, unless
/// `--relay=false` says otherwise, and a port that stays. `None` where the settings are the user's.
pub(super) fn settings(resolved: &Resolved<NodeFlags>) -> Option<NodeFlags> {
    if !is_own(resolved) || !is_unconfigured(resolved) {
        return None;
    }
    let mut flags = with_role(resolved);
    if let Some(at) = flags.p2p.libp2p.address()
        && at.port() == 0
        && let Some(port) = free_port(at)
    {
        flags.p2p.libp2p = Listen::At(SocketAddr::new(at.ip(), port));
    }
    Some(flags)
}

/// The settings with the relay role, unless `--relay=false` is given.
pub(super) fn with_role(resolved: &Resolved<NodeFlags>) -> NodeFlags {
    let mut flags = resolved.own.clone();
    if !resolved.is_given("relay") {
        flags.relay.relay = true;
        if !resolved.is_given("relay-ingress") {
            flags.relay.relay_ingress = Listen::Off;
        }
    }
    flags
}

/// A port that is free for TCP and for UDP at this moment.
fn free_port(at: SocketAddr) -> Option<u16> {
    let attempt = || {
        let tcp = TcpListener::bind((at.ip(), 0)).ok()?;
        let port = tcp.local_addr().ok()?.port();
        UdpSocket::bind((at.ip(), port)).ok().map(|_| port)
    };
    (0..PORT_ATTEMPTS).find_map(|_| attempt())
}

/// Writes the settings of the first start into `peerwork.toml`, behind the comments of a file that
/// `peerwork node init` wrote.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn keep(flags: &NodeFlags, resolved: &Resolved<NodeFlags>) -> anyhow::Result<()> {
    let path = resolved.data_dir.join(FILE_NAME);
    if resolved.file.as_ref().is_some_and(|file| *file != path) {
        // Another settings file counts, which is the user's own.
        return Ok(());
    }
    let former = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| unwritten(&path)),
    };
    let text = former + &text(flags);
    // The file is readable by its owner alone, because it may get tokens.
    atomic_write(&path, text.as_bytes(), WriteMode::Replace(0o600))
        .map_err(|error| anyhow::anyhow!("{}: {error}; {}", unwritten(&path), advice(&error)))
}

fn unwritten(path: &Path) -> String {
    format!(
        "cannot write {}, so the next start takes another port",
        path.display()
    )
}

fn text(flags: &NodeFlags) -> String {
    let mut text = String::from(
        "# The settings of the first start: a network of its own, which others join through this node.\n",
    );
    let listen = match flags.p2p.libp2p.address() {
        Some(at) => at.to_string(),
        None => "off".to_owned(),
    };
    writeln!(text, "libp2p = \"{listen}\"").expect("invariant: writing to a String succeeds");
    if flags.relay.relay {
        text += "\n[relay]\n# No HTTP calls; remove this line to take them.\ningress = \"off\"\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_numbers_are_kept_exactly_by_readers_with_floating_point() {
        for _ in 0..1000 {
            let id = random_id();
            assert!((1..1_i64 << ID_BITS).contains(&id), "{id}");
        }
    }

    #[test]
    fn a_free_port_is_free_for_tcp_and_udp() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        assert!(free_port(any).is_some_and(|port| port > 0));
    }
}
