//! `peerwork peers …`: lists and adds peers of the running node.

use clap::{Args, Subcommand};
use peerwork_api::operator::{
    Client,
    v1::{PeersAddRequest, PeersStatusRequest},
};
use serde::Serialize;

use super::{
    command::{Call, Command},
    operator::{connect, refused},
    output::{Answer, Form, block, numbered, section},
    runtime::block_on,
    settings::Resolved,
    status::note_refused,
};

/// `peerwork peers …`
#[derive(Args, Debug)]
pub(crate) struct PeersArgs {
    #[command(subcommand)]
    command: PeersCommand,
}

#[derive(Subcommand, Debug)]
enum PeersCommand {
    /// Ask the node to connect to peers
    Add {
        /// The peer's full address, which ends in /p2p/ID (repeatable)
        #[arg(long, value_name = "MULTIADDR", required = true)]
        addr: Vec<String>,
    },
    /// List the peers that the node is connected to, without itself
    List,
    /// Show one peer
    Status {
        /// The peer's node id
        #[arg(long, value_name = "NODE")]
        peer_id: String,
    },
    /// Show the use of the node's own relay
    Relay,
}

impl Command for PeersArgs {
    const NAME: &'static str = "peers";
    const ABOUT: &'static str = "Ask the running node about its peers";

    fn describe(command: clap::Command) -> clap::Command {
        command.arg_required_else_help(true)
    }

    /// Fails when no node answers, or the node refuses the call.
    fn run(self, call: &Call<'_>) -> anyhow::Result<()> {
        let (resolved, form) = call.global()?;
        block_on(run(self.command, &resolved, form))
    }
}

async fn run(command: PeersCommand, resolved: &Resolved, form: Form) -> anyhow::Result<()> {
    let mut client = connect(resolved).await?;
    match command {
        PeersCommand::Add { addr } => {
            let added = add(&mut client, addr).await;
            form.show(&added)?;
            anyhow::ensure!(added.num_added > 0, "the node took none of the addresses");
            Ok(())
        }
        PeersCommand::List => {
            let peers = list(&mut client).await?;
            note_refused(&mut client, form).await?;
            form.show(&peers)
        }
        PeersCommand::Status { peer_id } => form.show(&status(&mut client, peer_id).await?),
        PeersCommand::Relay => form.show(&relay(&mut client).await?),
    }
}

/// The result of `peers add` for the given addresses.
#[derive(Serialize)]
struct Added {
    num_requested: usize,
    num_added: usize,
    peers: Vec<String>,
    errors: Vec<String>,
}

impl Answer for Added {
    fn text(&self) -> String {
        let rows = [
            ("Peers listed", self.num_requested.to_string()),
            ("Peers added", self.num_added.to_string()),
        ];
        let mut text = block("PEERS ADDED", &rows);
        if !self.peers.is_empty() {
            text += &section("LIST OF ADDED PEERS", &self.peers.join("\n"));
        }
        if !self.errors.is_empty() {
            text += &section("ERRORS", &self.errors.join("\n"));
        }
        text
    }
}

async fn add(client: &mut Client, addresses: Vec<String>) -> Added {
    let mut added = Added {
        num_requested: addresses.len(),
        num_added: 0,
        peers: Vec::new(),
        errors: Vec::new(),
    };
    for address in addresses {
        let request = PeersAddRequest {
            id: address.clone(),
        };
        match client.peers_add(request).await {
            Ok(_) => added.peers.push(address),
            Err(status) => added
                .errors
                .push(format!("{address}: {}", status.message())),
        }
    }
    added.num_added = added.peers.len();
    added
}

/// The peers that the node is connected to.
#[derive(Serialize)]
struct Peers {
    peers: Vec<String>,
}

impl Answer for Peers {
    fn text(&self) -> String {
        section(
            "PEERS LIST",
            &numbered("Number of peers", "No peers found", &self.peers),
        )
    }
}

async fn list(client: &mut Client) -> anyhow::Result<Peers> {
    let answer = client
        .peers_list(())
        .await
        .map_err(|status| refused(&status))?;
    let peers = answer.into_inner().peers;
    Ok(Peers {
        peers: peers.into_iter().map(|peer| peer.id).collect(),
    })
}

/// The details of one peer.
#[derive(Serialize)]
struct PeerStatus {
    id: String,
    addresses: Vec<String>,
}

impl Answer for PeerStatus {
    fn text(&self) -> String {
        let rows = [
            ("ID", self.id.clone()),
            ("Addresses", format!("[{}]", self.addresses.join(" "))),
        ];
        block("PEER STATUS", &rows)
    }
}

async fn status(client: &mut Client, id: String) -> anyhow::Result<PeerStatus> {
    let answer = client.peers_status(PeersStatusRequest { id }).await;
    let peer = answer.map_err(|status| refused(&status))?.into_inner();
    Ok(PeerStatus {
        id: peer.id,
        addresses: peer.addrs,
    })
}

/// The use of the node's own relay.
#[derive(Serialize)]
struct Connections {
    connected: u64,
    #[serde(rename = "maxReservation")]
    reservations_max: i64,
}

impl Answer for Connections {
    fn text(&self) -> String {
        let rows = [
            ("MaxReservation", self.reservations_max.to_string()),
            ("Connected", self.connected.to_string()),
        ];
        block("RELAY CONNECTIONS", &rows)
    }
}

async fn relay(client: &mut Client) -> anyhow::Result<Connections> {
    let answer = client
        .relay_connections(())
        .await
        .map_err(|status| refused(&status))?;
    let count = answer.into_inner();
    Ok(Connections {
        connected: count.connected,
        reservations_max: count.max_reservations,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn added_peers_and_errors_have_sections_of_their_own() {
        let added = Added {
            num_requested: 2,
            num_added: 1,
            peers: vec!["/ip4/1.2.3.4/tcp/1/p2p/16Uiu2".into()],
            errors: vec!["x: no".into()],
        };
        let expected = "\n[PEERS ADDED]\nPeers listed = 2\nPeers added  = 1\n\
                        \n[LIST OF ADDED PEERS]\n/ip4/1.2.3.4/tcp/1/p2p/16Uiu2\n\
                        \n[ERRORS]\nx: no\n";
        assert_eq!(added.text(), expected);
        assert_eq!(
            serde_json::to_string(&added).unwrap(),
            r#"{"num_requested":2,"num_added":1,"peers":["/ip4/1.2.3.4/tcp/1/p2p/16Uiu2"],"errors":["x: no"]}"#
        );
    }

    #[test]
    fn peers_are_listed_by_number() {
        let peers = |peers: &[&str]| Peers {
            peers: peers.iter().map(|&peer| peer.to_owned()).collect(),
        };
        assert_eq!(peers(&[]).text(), "\n[PEERS LIST]\nNo peers found\n");
        assert_eq!(
            peers(&["a", "b"]).text(),
            "\n[PEERS LIST]\nNumber of peers: 2\n\n[0] = a\n[1] = b\n"
        );
        assert_eq!(
            serde_json::to_string(&peers(&["a"])).unwrap(),
            r#"{"peers":["a"]}"#
        );
    }

    #[test]
    fn one_peer_and_the_relay_have_the_known_forms() {
        let peer = PeerStatus {
            id: "a".into(),
            addresses: vec!["x".into(), "y".into()],
        };
        assert_eq!(
            peer.text(),
            "\n[PEER STATUS]\nID        = a\nAddresses = [x y]\n"
        );
        let relay = Connections {
            connected: 3,
            reservations_max: 2048,
        };
        assert_eq!(
            relay.text(),
            "\n[RELAY CONNECTIONS]\nMaxReservation = 2048\nConnected      = 3\n"
        );
        assert_eq!(
            serde_json::to_string(&relay).unwrap(),
            r#"{"connected":3,"maxReservation":2048}"#
        );
    }
}
