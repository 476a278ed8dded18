//! Merges a ticket's network into the network file of a data directory.

use std::path::Path;

use peerwork::join::add_first;
use peerwork_identity::{NetworkFile, NodeAddress, network_file::ENTRIES_MAX};
use peerwork_ticket::Ticket;

use crate::cli::network_file::{found_in, path_in};

/// Loads the network file of a data directory; `None` when there is none.
///
/// # Errors
/// When the file cannot be read, or the data directory belongs to another network than the ticket.
pub(super) fn member_of(data_dir: &Path, ticket: &Ticket) -> anyhow::Result<Option<NetworkFile>> {
    let Some(path) = found_in(data_dir) else {
        return Ok(None);
    };
    let file = NetworkFile::load(&path)?;
    anyhow::ensure!(
        file.network_id == ticket.network_id,
        "{} belongs to the network {} ({}), and the ticket is for {} ({}): name another --data-dir, or \
         move {} away to leave the former network",
        data_dir.display(),
        file.name,
        file.network_id,
        ticket.name,
        ticket.network_id,
        path.display()
    );
    Ok(Some(file))
}

/// Merges what a ticket offers into a network file: the entries of both, and the offered secrets in the
/// place of the former ones. A ticket of a network without a secret leaves secrets as they are.
pub(super) fn merged(former: NetworkFile, offered: NetworkFile) -> NetworkFile {
    NetworkFile {
        name: former.name,
        network_id: former.network_id,
        bootnodes: entries(former.bootnodes, &offered.bootnodes),
        relaynodes: entries(former.relaynodes, &offered.relaynodes),
        secrets: match offered.secrets.is_empty() {
            true => former.secrets,
            false => offered.secrets,
        },
    }
}

fn entries(mut former: Vec<NodeAddress>, offered: &[NodeAddress]) -> Vec<NodeAddress> {
    add_first(&mut former, offered);
    former.truncate(ENTRIES_MAX);
    former
}

/// Writes the network file of a data directory, or replaces it as a whole.
///
/// # Errors
/// When the file cannot be written. The former file stays then.
pub(super) fn write(data_dir: &Path, file: &NetworkFile) -> anyhow::Result<()> {
    Ok(file.replace(&path_in(data_dir))?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use peerwork_identity::NetworkSecret;

    use super::*;

    fn at(port: usize) -> NodeAddress {
        let node = "16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi";
        format!("/ip4/127.0.0.1/tcp/{port}/p2p/{node}")
            .parse()
            .unwrap()
    }

    #[test]
    fn entries_of_both_are_kept_up_to_the_bound_and_offered_secrets_replace_the_former() {
        let (old, new) = (NetworkSecret::generate(), NetworkSecret::generate());
        let former = NetworkFile {
            name: "N".to_owned(),
            network_id: 7,
            bootnodes: (1..=ENTRIES_MAX).map(at).collect(),
            relaynodes: vec![at(1)],
            secrets: vec![old.clone()],
        };
        let mut offered = NetworkFile {
            network_id: 7,
            bootnodes: vec![at(ENTRIES_MAX + 1)],
            relaynodes: vec![at(2), at(1)],
            ..NetworkFile::default()
        };
        let open = merged(former.clone(), offered.clone());
        assert_eq!(open.secrets, [old]);
        assert_eq!(
            (open.bootnodes.len(), &open.bootnodes[0]),
            (ENTRIES_MAX, &at(ENTRIES_MAX + 1))
        );
        assert_eq!(open.relaynodes, [at(2), at(1)]);
        offered.secrets = vec![new.clone()];
        let secret = merged(former, offered);
        assert_eq!((secret.secrets, secret.name.as_str()), (vec![new], "N"));
    }
}
