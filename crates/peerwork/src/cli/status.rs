//! `peerwork status`: prints the state and figures of the running node.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use clap::Args;
use peerwork_api::{
    operator::{
        Client, Connection, system,
        v1::{self, ServerStatus},
    },
    store::v1::{StatRequest, store_client::StoreClient},
};
use serde::Serialize;
use tonic::Code;

use super::{
    command::{Call, Command},
    offer::{self, Offer},
    operator::{connection, refused},
    output::{Answer, Form, block, show_note},
    runtime::block_on,
    settings::Resolved,
    size::size,
    store::StoreStat,
};

/// `peerwork status`
#[derive(Args, Debug)]
pub(crate) struct StatusArgs {}

impl Command for StatusArgs {
    const NAME: &'static str = "status";
    const ABOUT: &'static str = "Show the state of the running node";

    /// Fails when no node answers, or the node refuses the call.
    fn run(self, call: &Call<'_>) -> anyhow::Result<()> {
        let (resolved, form) = call.global()?;
        block_on(run(&resolved, form))
    }
}

async fn run(resolved: &Resolved, form: Form) -> anyhow::Result<()> {
    let connection = connection(resolved).await?;
    let mut client = system(connection.clone());
    let answer = client
        .get_status(())
        .await
        .map_err(|status| refused(&status))?;
    form.show(&Status {
        store: store(connection).await?,
        ..Status::from(answer.into_inner())
    })
}

/// The amounts of the node's content store; `None` when it is not open, or the node has none.
async fn store(connection: Connection) -> anyhow::Result<Option<StoreStat>> {
    let request = StatRequest {
        only_if_open: true,
        ..StatRequest::default()
    };
    match StoreClient::new(connection).stat(request).await {
        Ok(answer) => Ok(StoreStat::of_answer(answer.into_inner())),
        Err(status) if status.code() == Code::Unimplemented => Ok(None),
        Err(status) => Err(refused(&status)),
    }
}

/// The node's status; figures that do not apply to it are absent.
#[derive(Serialize)]
struct Status {
    node_id: String,
    mode: String,
    version: String,
    network_name: String,
    network_id: u64,
    uptime_seconds: u64,
    address: String,
    listen_addresses: Vec<String>,
    reachability: String,
    peers_connected: u64,
    reservations_held: u64,
    reservations_given: Option<u64>,
    edges_known: Option<u64>,
    tunnels_active: u64,
    bytes_received: u64,
    bytes_sent: u64,
    /// The addresses of HTTP and gRPC, by purpose.
    endpoints: BTreeMap<String, String>,
    /// The names of the endpoints that speak TLS, beside the plain protocol on the same port.
    tls_endpoints: BTreeSet<String>,
    /// The ports that an edge offers.
    edge: Option<Offer>,
    /// Whether callers of the node's ingress need a key of this node.
    ingress_keys_needed: Option<bool>,
    /// The nodes of the network file with which no connection holds, because of a refusal.
    refused: Vec<Refused>,
    /// The content store, where it is open.
    store: Option<StoreStat>,
}

/// A node that refuses the running node, or that the running node refuses.
#[derive(Serialize)]
pub(super) struct Refused {
    node_id: String,
    reason: String,
}

impl From<v1::Refused> for Refused {
    fn from(refused: v1::Refused) -> Self {
        let v1::Refused { node_id, reason } = refused;
        Self { node_id, reason }
    }
}

/// Says on standard error which relays do not take part in the running node's network, for commands that
/// list relays or peers and would show less than their callers expect.
pub(super) async fn note_refused(client: &mut Client, form: Form) -> anyhow::Result<()> {
    let answer = client.get_status(()).await;
    let status = answer.map_err(|status| refused(&status))?.into_inner();
    for each in status.refused {
        let v1::Refused { node_id, reason } = each;
        show_note(form, &format!("no connection to {node_id}: {reason}"));
    }
    Ok(())
}

impl From<ServerStatus> for Status {
    fn from(status: ServerStatus) -> Self {
        let ServerStatus {
            p2p_addr,
            node_id,
            mode,
            version,
            network_name,
            network_id,
            uptime_seconds,
            listen_addresses,
            reachability,
            peers_connected,
            reservations_held,
            reservations_given,
            edges_known,
            tunnels_active,
            bytes_received,
            bytes_sent,
            endpoints,
            edge,
            ingress_keys_needed,
            refused,
        } = status;
        let secure = endpoints.iter().filter(|endpoint| endpoint.tls);
        let secure = secure.map(|endpoint| endpoint.name.clone()).collect();
        let endpoints = endpoints
            .into_iter()
            .map(|endpoint| (endpoint.name, endpoint.address));
        Self {
            edge: edge.map(|offer| Offer::of_answer(offer, &node_id)),
            ingress_keys_needed,
            node_id,
            mode,
            version,
            network_name,
            network_id,
            uptime_seconds,
            address: p2p_addr,
            listen_addresses,
            reachability,
            peers_connected,
            reservations_held,
            reservations_given,
            edges_known,
            tunnels_active,
            bytes_received,
            bytes_sent,
            endpoints: endpoints.collect(),
            tls_endpoints: secure,
            refused: refused.into_iter().map(Refused::from).collect(),
            store: None,
        }
    }
}

impl Answer for Status {
    fn text(&self) -> String {
        let count = |count: Option<u64>| count.map(|count| count.to_string());
        let mut rows = vec![
            ("Node ID", self.node_id.clone()),
            ("Mode", self.mode.clone()),
            ("Version", self.version.clone()),
            (
                "Network",
                format!("{} ({})", self.network_name, self.network_id),
            ),
            (
                "Uptime",
                time_shown(Duration::from_secs(self.uptime_seconds)),
            ),
            ("Reachability", self.reachability.clone()),
            ("Peers", self.peers_connected.to_string()),
            ("Reservations held", self.reservations_held.to_string()),
        ];
        let refused = self.refused.iter();
        rows.extend(
            refused.map(|Refused { node_id, reason }| ("Refused", format!("{node_id}: {reason}"))),
        );
        rows.extend(count(self.reservations_given).map(|count| ("Reservations given", count)));
        rows.extend(count(self.edges_known).map(|count| ("Edges known", count)));
        rows.push(("Tunnels", self.tunnels_active.to_string()));
        rows.push(("Received", size(self.bytes_received)));
        rows.push(("Sent", size(self.bytes_sent)));
        rows.extend(
            self.listen_addresses
                .iter()
                .map(|address| ("Listens on", address.clone())),
        );
        rows.extend(self.endpoints.iter().map(|(name, address)| {
            match name.strip_prefix("app-listen ") {
                Some(setting) => ("App port", setting.to_owned()),
                None => (row_of(name), self.endpoint_shown(name, address)),
            }
        }));
        rows.extend(self.store.iter().map(|store| ("Store", store.line())));
        if let Some(edge) = &self.edge {
            rows.push(("Offers", edge.ports()));
            rows.push(("Keys", edge.callers()));
            rows.push(("Share", edge.reached_at()));
        }
        let ingress_keys = self.ingress_keys_needed.map(offer::keys);
        rows.extend(ingress_keys.map(|text| ("Ingress keys", text.to_owned())));
        block("STATUS", &rows)
    }
}

impl Status {
    fn endpoint_shown(&self, name: &str, address: &str) -> String {
        match self.tls_endpoints.contains(name) {
            true => format!("{address} (TLS, and plain on the same port)"),
            false => address.to_owned(),
        }
    }
}

/// The name of an endpoint's row: the ingress has the name of its flag only in `peerwork server`.
fn row_of(name: &str) -> &str {
    match name {
        "trans-proxy" => "ingress",
        name => name,
    }
}

fn time_shown(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use peerwork_api::operator::v1::{EdgeOffer, Endpoint, OfferedPort};

    use super::*;

    #[test]
    fn times_and_sizes_are_shown_for_people() {
        let time = |seconds| time_shown(Duration::from_secs(seconds));
        assert_eq!(
            [time(5), time(65), time(3725), time(90_000)],
            ["5s", "1m 5s", "1h 2m", "1d 1h"]
        );
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(u64::MAX), "16777216.0 TiB");
    }

    #[test]
    fn figures_that_do_not_apply_are_left_out_of_the_text() {
        let status = Status::from(ServerStatus {
            node_id: "16Uiu2".into(),
            mode: "edge".into(),
            network_name: "N".into(),
            network_id: 7,
            ..ServerStatus::default()
        });
        let text = status.text();
        assert!(
            text.starts_with("\n[STATUS]\nNode ID           = 16Uiu2\n"),
            "{text}"
        );
        assert!(text.contains("Network           = N (7)"), "{text}");
        assert!(!text.contains("Edges known"), "{text}");
    }

    #[test]
    fn an_edge_is_shown_with_its_ports_its_keys_and_the_address_to_share() {
        let status = Status::from(ServerStatus {
            node_id: "16U".into(),
            edge: Some(EdgeOffer {
                ports: vec![OfferedPort {
                    port: 8080,
                    app: "localhost".into(),
                }],
                keys_needed: true,
                callers_allowed: None,
            }),
            ingress_keys_needed: Some(false),
            ..ServerStatus::default()
        });
        let text = status.text();
        for row in [
            "Offers            = 8080 of localhost; 9527 is closed\n",
            "Keys              = callers need a key of this node (`peerwork key create`)\n",
            "Share             = http://RELAY/edge/16U/PORT/ of any relay\n",
            "Ingress keys      = callers need no key of this node\n",
        ] {
            assert!(text.contains(row), "{row}: {text}");
        }
        let json = serde_json::to_value(&status).unwrap();
        let ports = serde_json::json!([{"port": 8080, "app": "localhost"}]);
        assert_eq!(json["edge"]["ports"], ports);
        assert_eq!(json["edge"]["keys_needed"], true);
        assert_eq!(json["edge"]["share"], "http://RELAY/edge/16U/PORT/");
        assert_eq!(json["ingress_keys_needed"], false);
        let relay = Status::from(ServerStatus::default());
        assert!(!relay.text().contains("Offers"), "{}", relay.text());
    }

    #[test]
    fn endpoints_are_shown_with_their_tls() {
        let endpoint = |name: &str, tls| Endpoint {
            name: name.to_owned(),
            address: "0.0.0.0:1".to_owned(),
            tls,
        };
        let status = Status::from(ServerStatus {
            endpoints: vec![
                endpoint("trans-proxy", true),
                endpoint("json-rpc", false),
                endpoint("app-listen https://0.0.0.0:1=16U:80", true),
            ],
            ..ServerStatus::default()
        });
        let text = status.text();
        assert!(
            text.contains("ingress           = 0.0.0.0:1 (TLS, and plain on the same port)\n"),
            "{text}"
        );
        assert!(text.contains("json-rpc          = 0.0.0.0:1\n"), "{text}");
        assert!(
            text.contains("App port          = https://0.0.0.0:1=16U:80\n"),
            "{text}"
        );
        let json = serde_json::to_value(&status).unwrap();
        assert_eq!(json["endpoints"]["trans-proxy"], "0.0.0.0:1");
        let app = "app-listen https://0.0.0.0:1=16U:80";
        assert_eq!(
            json["tls_endpoints"],
            serde_json::json!([app, "trans-proxy"])
        );
    }
}
