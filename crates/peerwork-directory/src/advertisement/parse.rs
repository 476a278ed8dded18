//! Converts wire messages into checked values, so that the code behind this file checks no bound again.

use std::time::Duration;

use multiaddr::{Multiaddr, Protocol};
use peerwork_identity::{NodeAddress, NodeId};

use super::{
    ADDRESS_BYTES_MAX, ADDRESSES_MAX, APP_ORIGIN_BYTES_MAX, Advertisement, EXPIRES_IN_MAX,
    GPU_INFO_BYTES_MAX, Goodbye, Heartbeat, NAME_BYTES_MAX, RELAYS_MAX, ROLES_MAX, Role,
    SERVICES_MAX, Service, TEXT_BYTES_MAX, millis,
};
use crate::{error::Invalid, protocol as wire};

impl TryFrom<wire::Advertisement> for Advertisement {
    type Error = Invalid;

    fn try_from(wire: wire::Advertisement) -> Result<Self, Invalid> {
        Ok(Self {
            node: node("node", &wire.node)?,
            network: text("network", wire.network, NAME_BYTES_MAX)?,
            sequence: wire.sequence,
            issued_at_ms: wire.issued_at_ms,
            expires_in: expires_in(wire.expires_in_ms)?,
            name: text("name", wire.name, TEXT_BYTES_MAX)?,
            version: text("version", wire.version, TEXT_BYTES_MAX)?,
            roles: roles(&wire.roles)?,
            relays: relays(&wire.relays)?,
            addresses: addresses(wire.addresses)?,
            services: services(&wire.services)?,
            requires_key: wire.requires_key,
            started_at_ms: wire.started_at_ms,
            uptime: Duration::from_millis(wire.uptime_ms),
            app_origin: text("app_origin", wire.app_origin, APP_ORIGIN_BYTES_MAX)?,
            model_hash: text("model_hash", wire.model_hash, TEXT_BYTES_MAX)?,
            mac: text("mac", wire.mac, NAME_BYTES_MAX)?,
            mem_info: text("mem_info", wire.mem_info, TEXT_BYTES_MAX)?,
            cpu_info: text("cpu_info", wire.cpu_info, TEXT_BYTES_MAX)?,
            gpu_info: text("gpu_info", wire.gpu_info, GPU_INFO_BYTES_MAX)?,
            average_power: power(wire.average_power)?,
            relay_proxy_port: optional_port("relay_proxy_port", wire.relay_proxy_port)?,
            offers: wire.offers.try_into()?,
        })
    }
}

impl TryFrom<wire::Heartbeat> for Heartbeat {
    type Error = Invalid;

    fn try_from(wire: wire::Heartbeat) -> Result<Self, Invalid> {
        let mem_info = wire
            .mem_info
            .map(|info| text("mem_info", info, TEXT_BYTES_MAX));
        Ok(Self {
            node: node("node", &wire.node)?,
            network: text("network", wire.network, NAME_BYTES_MAX)?,
            sequence: wire.sequence,
            beat: wire.beat,
            issued_at_ms: wire.issued_at_ms,
            uptime: Duration::from_millis(wire.uptime_ms),
            mem_info: mem_info.transpose()?,
        })
    }
}

impl TryFrom<wire::Goodbye> for Goodbye {
    type Error = Invalid;

    fn try_from(wire: wire::Goodbye) -> Result<Self, Invalid> {
        Ok(Self {
            node: node("node", &wire.node)?,
            network: text("network", wire.network, NAME_BYTES_MAX)?,
            sequence: wire.sequence,
            issued_at_ms: wire.issued_at_ms,
        })
    }
}

fn node(field: &'static str, bytes: &[u8]) -> Result<NodeId, Invalid> {
    NodeId::from_bytes(bytes).map_err(|error| Invalid::new(field, error))
}

fn text(field: &'static str, text: String, bytes_max: usize) -> Result<String, Invalid> {
    bounded(field, text.len(), bytes_max)?;
    Ok(text)
}

fn bounded(field: &'static str, got: usize, max: usize) -> Result<(), Invalid> {
    if got > max {
        return Err(Invalid::new(
            field,
            format_args!("{got} where at most {max} are allowed"),
        ));
    }
    Ok(())
}

fn expires_in(ms: u64) -> Result<Duration, Invalid> {
    if ms == 0 || ms > millis(EXPIRES_IN_MAX) {
        let reason = format_args!("{ms} ms is not within 1 ms and {EXPIRES_IN_MAX:?}");
        return Err(Invalid::new("expires_in", reason));
    }
    Ok(Duration::from_millis(ms))
}

fn roles(names: &[String]) -> Result<Vec<Role>, Invalid> {
    bounded("roles", names.len(), ROLES_MAX)?;
    for name in names {
        bounded("role", name.len(), NAME_BYTES_MAX)?;
    }
    let mut roles: Vec<_> = names.iter().filter_map(|name| Role::named(name)).collect();
    roles.sort_unstable();
    roles.dedup();
    Ok(roles)
}

fn relays(relays: &[wire::RelayHeld]) -> Result<Vec<NodeAddress>, Invalid> {
    bounded("relays", relays.len(), RELAYS_MAX)?;
    relays
        .iter()
        .map(|relay| {
            bounded("relay address", relay.address.len(), TEXT_BYTES_MAX)?;
            let transport: Multiaddr = relay
                .address
                .parse()
                .map_err(|error| Invalid::new("relay address", error))?;
            let node = node("relay", &relay.node)?;
            let transport = direct("relay address", transport, node)?;
            Ok(NodeAddress { node, transport })
        })
        .collect()
}

/// Checks an address without circuits, and removes the id of its own node.
fn direct(field: &'static str, mut address: Multiaddr, of: NodeId) -> Result<Multiaddr, Invalid> {
    if address.iter().last() == Some(Protocol::P2p(of.into())) {
        address.pop();
    }
    let mut parts = address.iter();
    if parts.any(|part| matches!(part, Protocol::P2pCircuit | Protocol::P2p(_))) {
        return Err(Invalid::new(field, "names another node"));
    }
    if address.is_empty() {
        return Err(Invalid::new(field, "empty"));
    }
    Ok(address)
}

fn addresses(addresses: Vec<Vec<u8>>) -> Result<Vec<Multiaddr>, Invalid> {
    bounded("addresses", addresses.len(), ADDRESSES_MAX)?;
    let parse = |bytes: Vec<u8>| {
        bounded("address", bytes.len(), ADDRESS_BYTES_MAX)?;
        let address = Multiaddr::try_from(bytes).map_err(|error| Invalid::new("address", error))?;
        let names_a_node = |part| matches!(part, Protocol::P2pCircuit | Protocol::P2p(_));
        if address.is_empty() || address.iter().any(names_a_node) {
            return Err(Invalid::new("address", "not a direct address"));
        }
        Ok(address)
    };
    addresses.into_iter().map(parse).collect()
}

fn services(services: &[wire::Service]) -> Result<Vec<Service>, Invalid> {
    bounded("services", services.len(), SERVICES_MAX)?;
    let parse = |service: &wire::Service| {
        let port = optional_port("service port", service.port)?;
        let port = port.ok_or_else(|| Invalid::new("service port", "0"))?;
        Ok(Service { port })
    };
    services.iter().map(parse).collect()
}

fn optional_port(field: &'static str, port: u32) -> Result<Option<u16>, Invalid> {
    let port = u16::try_from(port).map_err(|error| Invalid::new(field, error))?;
    Ok((port != 0).then_some(port))
}

fn power(power: f32) -> Result<f32, Invalid> {
    if power.is_finite() && power >= 0.0 {
        Ok(power)
    } else {
        Err(Invalid::new("average_power", power))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::samples;

    type Change = fn(&mut wire::Advertisement);

    fn with(change: Change) -> Result<Advertisement, Invalid> {
        let mut wire = wire::Advertisement::from(&samples::advertisement(1, 1));
        change(&mut wire);
        wire.try_into()
    }

    fn offer(kind: &str, body_bytes: usize) -> wire::Offer {
        wire::Offer {
            kind: kind.to_owned(),
            version: 1,
            body: vec![7; body_bytes],
        }
    }

    fn offers(count: usize) -> Vec<wire::Offer> {
        let kinds = (0..count).map(|number| format!("kind-{number}"));
        kinds.map(|kind| offer(&kind, 1)).collect()
    }

    /// An advertisement as programs without offers read and write it, in the fields that matter here.
    #[derive(Clone, PartialEq, Message)]
    struct WithoutOffers {
        #[prost(bytes = "vec", tag = "1")]
        node: Vec<u8>,
        #[prost(string, tag = "2")]
        network: String,
        #[prost(uint64, tag = "3")]
        sequence: u64,
        #[prost(uint64, tag = "5")]
        expires_in_ms: u64,
        #[prost(string, tag = "6")]
        name: String,
    }

    #[test]
    fn programs_with_and_without_offers_read_each_other() {
        let mut advertisement = wire::Advertisement::from(&samples::advertisement(1, 9));
        advertisement.offers = offers(2);
        let bytes = advertisement.encode_to_vec();
        let old = WithoutOffers::decode(bytes.as_slice()).unwrap();
        assert_eq!((old.name.as_str(), old.sequence), ("edge 1", 9));
        let bytes = old.encode_to_vec();
        let read = wire::Advertisement::decode(bytes.as_slice()).unwrap();
        let read = Advertisement::try_from(read).unwrap();
        assert_eq!((read.name.as_str(), read.offers.len()), ("edge 1", 0));
    }

    #[test]
    fn two_offers_of_one_kind_are_refused() {
        let twice = with(|w| w.offers = vec![offer("store", 1), offer("store", 2)]);
        assert_eq!(twice.unwrap_err().field, "offers");
    }

    #[test]
    fn an_advertisement_survives_the_wire() {
        let original = samples::advertisement(1, 9);
        let bytes = wire::Advertisement::from(&original).encode_to_vec();
        let read = wire::Advertisement::decode(bytes.as_slice()).unwrap();
        assert_eq!(Advertisement::try_from(read).unwrap(), original);
    }

    #[test]
    fn every_bound_holds_at_the_limit_and_refuses_one_more() {
        let pairs: [(&str, Change, Change); 13] = [
            (
                "name",
                |w| w.name = "x".repeat(1024),
                |w| w.name = "x".repeat(1025),
            ),
            (
                "app_origin",
                |w| w.app_origin = "x".repeat(4096),
                |w| w.app_origin = "x".repeat(4097),
            ),
            (
                "gpu_info",
                |w| w.gpu_info = "x".repeat(16_384),
                |w| w.gpu_info = "x".repeat(16_385),
            ),
            (
                "roles",
                |w| w.roles = vec!["edge".into(); 16],
                |w| w.roles = vec!["edge".into(); 17],
            ),
            (
                "role",
                |w| w.roles = vec!["x".repeat(64)],
                |w| w.roles = vec!["x".repeat(65)],
            ),
            (
                "relays",
                |w| w.relays = vec![w.relays[0].clone(); 4],
                |w| w.relays = vec![w.relays[0].clone(); 5],
            ),
            (
                "addresses",
                |w| w.addresses = vec![w.addresses[0].clone(); 16],
                |w| w.addresses = vec![w.addresses[0].clone(); 17],
            ),
            (
                "services",
                |w| w.services = vec![wire::Service { port: 65_535 }; 64],
                |w| w.services = vec![wire::Service { port: 80 }; 65],
            ),
            (
                "service port",
                |w| w.services = vec![wire::Service { port: 1 }],
                |w| w.services = vec![wire::Service { port: 65_536 }],
            ),
            (
                "expires_in",
                |w| w.expires_in_ms = 7_200_000,
                |w| w.expires_in_ms = 7_200_001,
            ),
            (
                "offers",
                |w| w.offers = offers(16),
                |w| w.offers = offers(17),
            ),
            (
                "offer kind",
                |w| w.offers = vec![offer(&"x".repeat(32), 0)],
                |w| w.offers = vec![offer(&"x".repeat(33), 0)],
            ),
            (
                "offer body",
                |w| w.offers = vec![offer("store", 2048)],
                |w| w.offers = vec![offer("store", 2049)],
            ),
        ];
        for (field, at, beyond) in pairs {
            with(at).unwrap_or_else(|error| panic!("{field}: {error}"));
            assert_eq!(with(beyond).unwrap_err().field, field);
        }
    }

    #[test]
    fn addresses_that_name_other_nodes_are_refused() {
        let other = samples::node(2);
        let circuit: Multiaddr = format!("/ip4/203.0.113.1/tcp/1/p2p/{other}/p2p-circuit")
            .parse()
            .unwrap();
        let mut wire = wire::Advertisement::from(&samples::advertisement(1, 1));
        wire.addresses = vec![circuit.to_vec()];
        assert_eq!(Advertisement::try_from(wire).unwrap_err().field, "address");
        let mut wire = wire::Advertisement::from(&samples::advertisement(1, 1));
        wire.relays[0].address = circuit.to_string();
        let error = Advertisement::try_from(wire).unwrap_err();
        assert_eq!(error.field, "relay address");
    }

    #[test]
    fn a_relay_address_may_end_in_the_relays_own_id() {
        let mut wire = wire::Advertisement::from(&samples::advertisement(1, 1));
        let relay = NodeId::from_bytes(&wire.relays[0].node).unwrap();
        wire.relays[0].address = format!("/dns4/relay.example/tcp/1/p2p/{relay}");
        let read = Advertisement::try_from(wire).unwrap();
        let expected: Multiaddr = "/dns4/relay.example/tcp/1".parse().unwrap();
        assert_eq!(read.relays[0].transport, expected);
    }

    #[test]
    fn unknown_roles_are_left_out_and_strange_power_is_refused() {
        let read = with(|w| w.roles = vec!["edge".into(), "mayor".into(), "edge".into()]);
        assert_eq!(read.unwrap().roles, [Role::Edge]);
        assert!(with(|w| w.average_power = f32::NAN).is_err());
        assert!(with(|w| w.average_power = -1.0).is_err());
        assert!(with(|w| w.services = vec![wire::Service { port: 0 }]).is_err());
        assert!(with(|w| w.expires_in_ms = 0).is_err());
        assert!(with(|w| w.node = vec![1, 2, 3]).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_without_a_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..512),
        ) {
            if let Ok(wire) = wire::Advertisement::decode(bytes.as_slice()) {
                let _ = Advertisement::try_from(wire);
            }
            if let Ok(wire) = wire::Heartbeat::decode(bytes.as_slice()) {
                let _ = Heartbeat::try_from(wire);
            }
            if let Ok(wire) = wire::Goodbye::decode(bytes.as_slice()) {
                let _ = Goodbye::try_from(wire);
            }
        }
    }
}
