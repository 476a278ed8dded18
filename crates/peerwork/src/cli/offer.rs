//! The text about the ports that an edge offers, which the start of an edge and `peerwork status` share.

use peerwork_api::{node, operator::v1};
use serde::Serialize;

/// The port of the example app, which `server` and `node` offer when no flag names a port.
pub(crate) const EXAMPLE_PORT: u16 = 9527;

/// The ports that an edge offers, and the conditions for their callers.
#[derive(Debug, Serialize)]
pub(crate) struct Offer {
    /// The URL that callers complete with a relay and a port.
    share: String,
    ports: Vec<Port>,
    keys_needed: bool,
    callers_allowed: Option<u64>,
}

/// An offered port with the host or the URL of its app.
#[derive(Debug, Serialize)]
struct Port {
    port: u32,
    app: String,
}

impl Offer {
    /// The offer of an edge that this process runs.
    pub(crate) fn of_edge(offer: node::EdgeOffer, node_id: &str) -> Self {
        let node::EdgeOffer {
            ports,
            keys_needed,
            callers_allowed,
        } = offer;
        let port = |node::OfferedPort { port, app }| Port {
            port: port.into(),
            app,
        };
        Self {
            share: share(node_id),
            ports: ports.into_iter().map(port).collect(),
            keys_needed,
            callers_allowed,
        }
    }

    /// The offer that the operator API of a running node tells.
    pub(crate) fn of_answer(offer: v1::EdgeOffer, node_id: &str) -> Self {
        let v1::EdgeOffer {
            ports,
            keys_needed,
            callers_allowed,
        } = offer;
        let port = |v1::OfferedPort { port, app }| Port { port, app };
        Self {
            share: share(node_id),
            ports: ports.into_iter().map(port).collect(),
            keys_needed,
            callers_allowed,
        }
    }

    /// The address at which callers reach a port.
    pub(crate) fn reached_at(&self) -> String {
        format!("{} of any relay", self.share)
    }

    /// The ports with the hosts of their apps, and whether the port of the example app is closed.
    pub(crate) fn ports(&self) -> String {
        let by_app = self.ports.chunk_by(|one, next| one.app == next.app);
        let groups = by_app.map(|group| {
            let ports: Vec<_> = group.iter().map(|port| port.port.to_string()).collect();
            let app = &group[0].app;
            let relation = if app.contains(":/") { "as" } else { "of" };
            format!("{} {relation} {app}", ports.join(", "))
        });
        let mut text = groups.collect::<Vec<_>>().join(", ");
        let example = u32::from(EXAMPLE_PORT);
        if !self.ports.iter().any(|port| port.port == example) {
            text += &format!("; {EXAMPLE_PORT} is closed");
        }
        text
    }

    /// The conditions for callers.
    pub(crate) fn callers(&self) -> String {
        let keys = keys(self.keys_needed);
        match self.callers_allowed {
            Some(nodes) => format!("{keys}; only {nodes} calling nodes are allowed"),
            None => keys.to_owned(),
        }
    }
}

/// Whether callers need a key of the node.
pub(crate) fn keys(needed: bool) -> &'static str {
    match needed {
        true => "callers need a key of this node (`peerwork key create`)",
        false => "callers need no key of this node",
    }
}

fn share(node_id: &str) -> String {
    format!("http://RELAY/edge/{node_id}/PORT/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(ports: &[(u32, &str)], callers_allowed: Option<u64>) -> Offer {
        let port = |(port, app): &(u32, &str)| v1::OfferedPort {
            port: *port,
            app: (*app).to_owned(),
        };
        let answer = v1::EdgeOffer {
            ports: ports.iter().map(port).collect(),
            keys_needed: callers_allowed.is_none(),
            callers_allowed,
        };
        Offer::of_answer(answer, "16U")
    }

    #[test]
    fn an_edge_says_which_ports_are_open_and_whether_keys_are_needed() {
        let named = offer(&[(3000, "127.0.0.1"), (8080, "127.0.0.1")], None);
        assert_eq!(named.ports(), "3000, 8080 of 127.0.0.1; 9527 is closed");
        let keys = "callers need a key of this node (`peerwork key create`)";
        assert_eq!(named.callers(), keys);
        let default = offer(&[(22, "a"), (80, "b"), (9527, "b")], Some(0));
        assert_eq!(default.ports(), "22 of a, 80, 9527 of b");
        let url = "https://localhost:8080";
        let own = offer(&[(3000, "127.0.0.1"), (8080, url)], None);
        let text = "3000 of 127.0.0.1, 8080 as https://localhost:8080; 9527 is closed";
        assert_eq!(own.ports(), text);
        let callers = "callers need no key of this node; only 0 calling nodes are allowed";
        assert_eq!(default.callers(), callers);
        let share = "http://RELAY/edge/16U/PORT/ of any relay";
        assert_eq!(default.reached_at(), share);
    }
}
