//! `peerwork relay list` and `status`: print the relays of the running node.

use peerwork_api::operator::v1::Peer;
use serde::Serialize;

use crate::cli::{
    operator::{connect, refused},
    output::{Answer, Form, block, numbered, section},
    settings::Resolved,
    status::note_refused,
};

/// Prints the relays that the node knows.
///
/// # Errors
/// When no node answers, or the node refuses the call.
pub(super) async fn list(resolved: &Resolved, form: Form) -> anyhow::Result<()> {
    let mut client = connect(resolved).await?;
    let answer = client.peers_relay_list(()).await;
    let peers = answer
        .map_err(|status| refused(&status))?
        .into_inner()
        .peers;
    note_refused(&mut client, form).await?;
    form.show(&Relays {
        peers: peers.iter().map(protobuf_text).collect(),
    })
}

/// Prints the relay at which the node holds a reservation.
///
/// # Errors
/// When no node answers, or the node refuses the call.
pub(super) async fn status(resolved: &Resolved, form: Form) -> anyhow::Result<()> {
    let mut client = connect(resolved).await?;
    let answer = client.relay_status(()).await;
    let peer = answer.map_err(|status| refused(&status))?.into_inner();
    note_refused(&mut client, form).await?;
    form.show(&Connection {
        id: peer.id,
        addresses: peer.addrs,
        reservation: peer.reservation,
    })
}

/// The relays at which the node may reserve.
#[derive(Serialize)]
struct Relays {
    peers: Vec<String>,
}

impl Answer for Relays {
    fn text(&self) -> String {
        section(
            "RELAY NODE LIST",
            &numbered("Number of peers", "No peers found", &self.peers),
        )
    }
}

/// The relay at which the node holds a reservation.
#[derive(Serialize)]
struct Connection {
    id: String,
    addresses: Vec<String>,
    reservation: String,
}

impl Answer for Connection {
    fn text(&self) -> String {
        let rows = [
            ("ID", self.id.clone()),
            ("Addresses", format!("[{}]", self.addresses.join(" "))),
            ("Reservation", self.reservation.clone()),
        ];
        block("CONNECTION STATUS", &rows)
    }
}

/// Formats the relay in the text form of protobuf, on one line, without empty fields.
fn protobuf_text(peer: &Peer) -> String {
    let one =
        |name: &str, value: &str| (!value.is_empty()).then(|| format!("{name}:{}", quoted(value)));
    let id = one("id", &peer.id);
    let protocols = peer
        .protocols
        .iter()
        .filter_map(|value| one("protocols", value));
    let addrs = peer.addrs.iter().filter_map(|value| one("addrs", value));
    let reservation = one("reservation", &peer.reservation);
    let fields: Vec<String> = id
        .into_iter()
        .chain(protocols)
        .chain(addrs)
        .chain(reservation)
        .collect();
    fields.join(" ")
}

fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_relay_is_listed_in_protobuf_text_form() {
        let peer = Peer {
            id: "16Uiu2".into(),
            addrs: vec![
                "/ip4/1.2.3.4/tcp/5".into(),
                "/ip4/1.2.3.4/udp/5/quic-v1".into(),
            ],
            ..Peer::default()
        };
        let entry = protobuf_text(&peer);
        assert_eq!(
            entry,
            r#"id:"16Uiu2" addrs:"/ip4/1.2.3.4/tcp/5" addrs:"/ip4/1.2.3.4/udp/5/quic-v1""#
        );
        let text = Relays { peers: vec![entry] }.text();
        assert!(
            text.starts_with("\n[RELAY NODE LIST]\nNumber of peers: 1\n\n[0] = id:\"16Uiu2\" ")
        );
    }

    #[test]
    fn quotes_and_backslashes_are_escaped() {
        assert_eq!(quoted(r#"a"\b"#), r#""a\"\\b""#);
    }

    #[test]
    fn a_node_without_a_reservation_says_so() {
        let none = Connection {
            id: String::new(),
            addresses: Vec::new(),
            reservation: String::new(),
        };
        assert_eq!(
            none.text(),
            "\n[CONNECTION STATUS]\nID          = <none>\nAddresses   = []\nReservation = <none>\n"
        );
        assert_eq!(
            serde_json::to_string(&none).unwrap(),
            r#"{"id":"","addresses":[],"reservation":""}"#
        );
    }
}
