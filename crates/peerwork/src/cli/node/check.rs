//! `peerwork node check`: describes the node from its settings, without opening a listener, file or
//! connection.

use peerwork::{Config, config::Edge};
use peerwork_identity::{KeyType, Keypair, SecretName, SecretsDir};
use serde::Serialize;

use super::{
    compose::{config, network, roles},
    flags::NodeFlags,
    own_network,
};
use crate::cli::{
    apps::place,
    output::{Answer, Form, block},
    running::Found,
    settings::Resolved,
    store::ByteSize,
};

/// Prints roles, listeners and contacts of the node.
///
/// # Errors
/// All mistakes in the settings, or when the network file or the key cannot be read.
pub(super) fn run(resolved: &Resolved<NodeFlags>, form: Form) -> anyhow::Result<()> {
    let keys = SecretsDir::new(&resolved.data_dir);
    let keypair = match keys.contains(SecretName::NetworkKey) {
        true => Some(keys.network_key()?),
        false => None,
    };
    let node_id = keypair
        .as_ref()
        .map(|keypair| keypair.node_id().to_string());
    let found = Found {
        data_dir: resolved.data_dir.clone(),
        grpc_address: resolved.global.grpc_address.as_deref(),
        keypair: keypair.unwrap_or_else(|| Keypair::generate(KeyType::default())),
        network: network(&resolved.own, &resolved.data_dir)?,
    };
    let made = own_network::is_made_by_a_start(resolved);
    let own = made.then(|| own_network::with_role(resolved));
    let config = config(own.as_ref().unwrap_or(&resolved.own), found)?;
    let checked = Checked::of(&config);
    form.show(&Checked {
        file: resolved
            .file
            .as_ref()
            .map(|file| file.display().to_string()),
        data_dir: resolved.data_dir.display().to_string(),
        node_id,
        network: match made {
            true => "a network of its own, which the first start makes".to_owned(),
            false => checked.network,
        },
        ..checked
    })
}

/// The description of a node, made from its settings.
#[derive(Debug, Default, Serialize)]
struct Checked {
    roles: Vec<&'static str>,
    /// The node's id; absent where the first start will make the key.
    node_id: Option<String>,
    network: String,
    data_dir: String,
    file: Option<String>,
    listens: Vec<Listens>,
    told: Vec<String>,
    /// The app host's ports that the edge offers.
    offers: Vec<String>,
    /// The nodes and networks that the node contacts by itself, each with the reason.
    contacts: Vec<String>,
    remarks: Vec<&'static str>,
}

/// A listener of the node; port 0 takes a free port.
#[derive(Debug, Serialize)]
struct Listens {
    what: &'static str,
    address: String,
}

impl Checked {
    fn of(config: &Config) -> Self {
        Self {
            roles: roles(config),
            network: format!("{} ({})", config.network.name, config.network.network_id),
            listens: listens(config),
            told: config
                .net
                .announce
                .iter()
                .map(ToString::to_string)
                .collect(),
            offers: offers(config),
            contacts: contacts(config),
            remarks: remarks(config),
            ..Self::default()
        }
    }
}

fn listens(config: &Config) -> Vec<Listens> {
    let nodes = config.net.listen.iter().map(|at| Listens {
        what: "nodes",
        address: at.to_string(),
    });
    let ingress = config.ingress();
    let api = &config.api;
    let http = [
        ("HTTP calls", ingress.map(|ingress| ingress.settings.listen)),
        ("JSON-RPC", api.json_rpc.as_ref().map(|at| at.address)),
        ("operators", api.operator.as_ref().map(|at| at.address)),
        ("metrics", api.metrics_address),
        (
            "readers of content",
            config.gateway.as_ref().map(|at| at.address),
        ),
    ];
    let http = http.into_iter().filter_map(|(what, at)| {
        let address = at?.to_string();
        Some(Listens { what, address })
    });
    let apps = ingress.iter().flat_map(|ingress| &ingress.settings.apps);
    let apps = apps.map(|app| Listens {
        what: "one app",
        address: app.listen.to_string(),
    });
    nodes.chain(http).chain(apps).collect()
}

fn offers(config: &Config) -> Vec<String> {
    let store = config.store.serve.then(|| {
        let max = ByteSize(config.store.max);
        format!("the content store, of at most {max} bytes, to the nodes of the network")
    });
    let ports = config.edge.as_ref().map(ports).unwrap_or_default();
    ports.into_iter().chain(store).collect()
}

fn ports(edge: &Edge) -> Vec<String> {
    let callers = match (edge.auth, &edge.settings.callers) {
        (true, None) => "to holders of a key".to_owned(),
        (false, None) => "to every node".to_owned(),
        (true, Some(nodes)) => format!("to holders of a key at {} named nodes", nodes.len()),
        (false, Some(nodes)) => format!("to {} named nodes", nodes.len()),
    };
    let settings = &edge.settings;
    let ports = settings.ports.iter();
    ports
        .map(|port| {
            let place = place(settings, *port);
            match settings.apps.contains_key(port) {
                true => format!("{place} as port {port} {callers}"),
                false => format!("{place} {callers}"),
            }
        })
        .collect()
}

fn contacts(config: &Config) -> Vec<String> {
    let network = &config.network;
    let bootnodes = network.bootnodes.iter();
    let mut contacts: Vec<String> = bootnodes
        .map(|node| format!("{node} to stay connected"))
        .collect();
    let why = match (&config.relay, config.directory.keep_reservations) {
        (_, true) => Some("to hold a reservation"),
        (Some(relay), false) => relay.join_relays.then_some("to join its relays"),
        (None, false) => Some("to stay connected"),
    };
    if let Some(why) = why {
        let relays = network.relaynodes.iter();
        contacts.extend(relays.map(|node| format!("{node} {why}")));
    }
    let further = [
        (config.net.mdns, "the local network, for nodes (mDNS)"),
        (config.net.upnp, "the router, for port mappings (UPnP)"),
    ];
    let further = further.into_iter().filter(|(on, _)| *on);
    contacts.extend(further.map(|(_, what)| what.to_owned()));
    contacts
}

fn remarks(config: &Config) -> Vec<&'static str> {
    let relay = config.relay.as_ref();
    let open = config
        .ingress()
        .is_some_and(|i| !i.auth && !i.settings.listen.ip().is_loopback());
    let alone = contacts(config).is_empty() && relay.is_none();
    let unreachable = config.edge.is_some()
        && relay.is_none()
        && !config.directory.keep_reservations
        && config.net.listen.is_empty();
    let all = [
        (
            open,
            "the ingress accepts calls without a key, from other machines too",
        ),
        (
            alone,
            "no other node is named: the node waits until `peerwork peers add` names one",
        ),
        (
            unreachable,
            "the edge has no listen address and holds no reservation: no node can reach it",
        ),
    ];
    let true_ones = all.into_iter().filter(|(holds, _)| *holds);
    true_ones.map(|(_, remark)| remark).collect()
}

impl Answer for Checked {
    fn text(&self) -> String {
        let new = || "made at the first start".to_owned();
        let file = || "none".to_owned();
        let mut rows = vec![
            ("Roles", self.roles.join(", ")),
            ("Node ID", self.node_id.clone().unwrap_or_else(new)),
            ("Network", self.network.clone()),
            ("Data directory", self.data_dir.clone()),
            ("Settings file", self.file.clone().unwrap_or_else(file)),
        ];
        let listens = self.listens.iter();
        rows.extend(listens.map(|l| ("Listens for", format!("{} at {}", l.what, l.address))));
        rows.extend(self.told.iter().map(|at| ("Announces", at.clone())));
        rows.extend(self.offers.iter().map(|offer| ("Offers", offer.clone())));
        match self.contacts.is_empty() {
            true => rows.push(("Contacts", "no other node".to_owned())),
            false => rows.extend(self.contacts.iter().map(|c| ("Contacts", c.clone()))),
        }
        let remarks = self.remarks.iter();
        rows.extend(remarks.map(|remark| ("Remark", (*remark).to_owned())));
        block("NODE CHECK", &rows)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use peerwork::config::{Edge, Ingress, Relay};
    use peerwork_identity::NetworkFile;

    use super::*;

    const RELAY: &str =
        "/ip4/127.0.0.1/tcp/7/p2p/16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi";

    fn peer() -> Config {
        let network = NetworkFile {
            relaynodes: vec![RELAY.parse().unwrap()],
            ..NetworkFile::default()
        };
        Config::new(Keypair::generate(KeyType::Ed25519), network, "v1")
    }

    #[test]
    fn contacts_follow_from_the_roles_and_the_switches() {
        let mut config = peer();
        assert_eq!(contacts(&config), [format!("{RELAY} to stay connected")]);
        config.edge = Some(Edge::new("127.0.0.1", [9527]));
        config.directory.keep_reservations = true;
        assert_eq!(
            contacts(&config),
            [format!("{RELAY} to hold a reservation")]
        );
        config.directory.keep_reservations = false;
        config.relay = Some(Relay::default());
        assert!(contacts(&config).is_empty());
        config.net.mdns = true;
        assert!(Checked::of(&config).text().contains("mDNS"));
    }

    #[test]
    fn an_open_ingress_and_a_lonely_or_unreachable_node_get_a_remark() {
        let mut config = peer();
        assert!(remarks(&config).is_empty());
        config.network.relaynodes.clear();
        assert_eq!(remarks(&config).len(), 1);
        config.edge = Some(Edge::new("127.0.0.1", [9527]));
        assert_eq!(remarks(&config).len(), 2);
        let mut ingress = Ingress::new("0.0.0.0:1".parse().unwrap());
        ingress.auth = false;
        config.relay = Some(Relay {
            ingress: Some(ingress),
            ..Relay::default()
        });
        assert_eq!(remarks(&config).len(), 1);
        assert!(Checked::of(&config).text().contains("without a key"));
    }
}
