//! A node event is the JSON object that `edge_subscribe` delivers, with the keys of EdgeMatrix
//! (spec 6.6).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::{Serialize, Serializer};

/// A node that appeared or changed.
///
/// The event serialises to a JSON object with exactly these 18 keys in this order; no key is ever
/// left out.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct NodeEvent {
    /// Name that the node's owner chose.
    pub name: String,
    /// Tag, free for any use; empty in this network.
    pub tag: String,
    /// Version of the node's program.
    pub version: String,
    /// Node id in text form, `16Uiu2HA…`.
    #[serde(rename = "PeerID")]
    pub peer_id: String,
    /// First two octets of the node's IPv4 address, `203.0.*.*`, or empty ([`ip_addr_masked`]).
    pub ip_addr: String,
    /// Origin of the app that the node serves; a string that may hold JSON.
    pub app_origin: String,
    /// Hash of the model that the app serves.
    pub model_hash: String,
    /// Hardware (MAC) address, lower case with colons.
    pub mac: String,
    /// `{"total": T, "free":F, "used_percent":P}` with exactly this spacing (spec 6.7).
    pub mem_info: String,
    /// JSON of the CPU (spec 6.7).
    pub cpu_info: String,
    /// JSON of the graphics cards (spec 6.7).
    pub gpu_info: String,
    /// Milliseconds since 1970 at which the node started.
    pub startup_time: u64,
    /// Milliseconds since the node started.
    pub uptime: u64,
    /// Load of the node; 0 when it is not measured.
    pub guage_height: u64,
    /// Highest load that the node accepts; 0 when it is not measured.
    pub guage_max: u64,
    /// Average computing power. Whole numbers are written without a fraction, infinities as 0.
    #[serde(serialize_with = "shortest_number")]
    pub average_power: f32,
    /// Host part of the address of the relay through which the node can be called, or empty
    /// ([`relay_host`]).
    pub relay_host: String,
    /// Port of the HTTP ingress of that relay, or 0.
    pub relay_proxy_port: u16,
}

/// Whole numbers below this bound are exact in an `f32`.
const WHOLE_MAX: f32 = 16_777_216.0;

fn shortest_number<S: Serializer>(value: &f32, serializer: S) -> Result<S::Ok, S::Error> {
    if !value.is_finite() {
        return serializer.serialize_i32(0);
    }
    if value.fract() == 0.0 && value.abs() < WHOLE_MAX {
        #[expect(clippy::cast_possible_truncation, reason = "whole and within 24 bits")]
        return serializer.serialize_i32(*value as i32);
    }
    serializer.serialize_f32(*value)
}

/// The first two octets of the IPv4 address in `address`, then `.*.*`: `203.0.*.*`.
///
/// `address` is a multiaddress, an IP address or `ip:port`. The result is empty when `address` has
/// no IPv4 part.
#[must_use]
pub fn ip_addr_masked(address: &str) -> String {
    ipv4_of(address).map_or_else(String::new, |ip| {
        let [a, b, _, _] = ip.octets();
        format!("{a}.{b}.*.*")
    })
}

fn ipv4_of(address: &str) -> Option<Ipv4Addr> {
    if let Ok(ip) = address.parse() {
        return Some(ip);
    }
    if let Ok(SocketAddr::V4(socket)) = address.parse() {
        return Some(*socket.ip());
    }
    components(address)
        .find(|(protocol, _)| *protocol == "ip4")
        .and_then(|(_, value)| value.parse().ok())
}

/// The value of the first `ip4`, `ip6`, `dns`, `dns4` or `dns6` component of the multiaddress
/// `relay`.
///
/// An IP address is returned in its canonical text form. The result is empty when there is no such
/// component.
#[must_use]
pub fn relay_host(relay: &str) -> String {
    components(relay)
        .find_map(|(protocol, value)| match protocol {
            "ip4" | "ip6" => value.parse().ok().map(|ip: IpAddr| ip.to_string()),
            "dns" | "dns4" | "dns6" => Some(value.to_owned()),
            _ => None,
        })
        .unwrap_or_default()
}

/// Pairs of adjacent parts of a multiaddress. Each protocol is paired with its value.
///
/// The list also holds pairs that begin with a value. They are harmless, because no value equals
/// the name of a host protocol.
fn components(address: &str) -> impl Iterator<Item = (&str, &str)> {
    let parts = address.split('/').skip(1);
    parts.clone().zip(parts.skip(1))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_event_has_the_eighteen_keys_in_their_order() {
        let event = NodeEvent {
            name: "n".into(),
            relay_proxy_port: 50005,
            ..NodeEvent::default()
        };
        assert_eq!(
            serde_json::to_string(&event).unwrap(),
            concat!(
                r#"{"Name":"n","Tag":"","Version":"","PeerID":"","IpAddr":"","AppOrigin":"","#,
                r#""ModelHash":"","Mac":"","MemInfo":"","CpuInfo":"","GpuInfo":"","StartupTime":0,"#,
                r#""Uptime":0,"GuageHeight":0,"GuageMax":0,"AveragePower":0,"RelayHost":"","#,
                r#""RelayProxyPort":50005}"#
            )
        );
    }

    #[test]
    fn average_power_is_written_as_short_as_possible() {
        let power = |average_power| {
            let event = NodeEvent {
                average_power,
                ..NodeEvent::default()
            };
            serde_json::to_value(event).unwrap()["AveragePower"].to_string()
        };
        assert_eq!(power(0.0), "0");
        assert_eq!(power(-0.0), "0");
        assert_eq!(power(12.0), "12");
        assert!(power(0.5).starts_with("0.5"));
        assert_eq!(power(f32::NAN), "0");
        assert_eq!(power(f32::INFINITY), "0");
    }

    #[test]
    fn an_address_shows_only_its_first_half() {
        assert_eq!(ip_addr_masked("/ip4/203.0.113.9/tcp/50001"), "203.0.*.*");
        assert_eq!(ip_addr_masked("203.0.113.9"), "203.0.*.*");
        assert_eq!(ip_addr_masked("203.0.113.9:80"), "203.0.*.*");
        for none in [
            "",
            "/ip6/::1/tcp/1",
            "/dns4/a.example/tcp/1",
            "/ip4/300.1.1.1",
            "/ip4",
            "x",
        ] {
            assert_eq!(ip_addr_masked(none), "", "{none}");
        }
    }

    #[test]
    fn the_relay_host_is_the_first_host_of_the_address() {
        assert_eq!(
            relay_host("/ip4/203.0.113.9/tcp/50004/p2p/16U"),
            "203.0.113.9"
        );
        assert_eq!(
            relay_host("/ip6/2001:db8:0:0::1/udp/1/quic-v1"),
            "2001:db8::1"
        );
        assert_eq!(relay_host("/dns4/relay.example/tcp/1"), "relay.example");
        assert_eq!(relay_host(""), "");
        assert_eq!(relay_host("/p2p/16U"), "");
    }
}
