//! Builds this node's own announcements, as pure state.

use std::time::Duration;

use multiaddr::{Multiaddr, Protocol};
use peerwork_identity::{NodeAddress, NodeId};
use peerwork_net::{DialPolicy, Reachability};
use prost::Message;

use crate::{
    advertisement::{
        ADDRESS_BYTES_MAX, ADDRESSES_MAX, Advertisement, GPU_INFO_BYTES_MAX, Heartbeat, RELAYS_MAX,
        TEXT_BYTES_MAX, millis,
    },
    config::Description,
    inventory::Inventory,
    offer::Offers,
    protocol::{self as wire, ADVERTISEMENT_BYTES_MAX},
    state::Moment,
};

/// The part of an advertisement whose changes are announced at once. Memory and uptime change all the
/// time and are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) relays: Vec<NodeAddress>,
    pub(crate) addresses: Vec<Multiaddr>,
    pub(crate) mac: String,
    pub(crate) cpu_info: String,
    pub(crate) gpu_info: String,
    pub(crate) offers: Offers,
}

impl Content {
    pub(crate) fn new(
        relays: Vec<NodeAddress>,
        addresses: Vec<Multiaddr>,
        inventory: &Inventory,
        offers: Offers,
    ) -> Self {
        let mut relays = relays;
        relays.truncate(RELAYS_MAX);
        Self {
            relays,
            addresses,
            mac: inventory.mac.clone(),
            cpu_info: within(&inventory.cpu_info, TEXT_BYTES_MAX),
            gpu_info: within(&inventory.gpu_info, GPU_INFO_BYTES_MAX),
            offers,
        }
    }
}

/// Leaves out the graphics cards where an advertisement with all its offers and addresses would not fit
/// into an envelope; without them it always does.
fn within_envelope(mut advertisement: Advertisement) -> Advertisement {
    if wire::Advertisement::from(&advertisement).encoded_len() > ADVERTISEMENT_BYTES_MAX {
        advertisement.gpu_info.clear();
    }
    advertisement
}

/// Leaves out a text that is too long, because a JSON text that is cut short would be invalid.
fn within(text: &str, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        return String::new();
    }
    text.to_owned()
}

/// The step of the system's clock after which the dates of the last advertisement count as wrong. It is
/// far above the corrections of a running time service, and far below the difference that others accept.
const CLOCK_STEP: Duration = Duration::from_secs(10);

/// This node's announcements in their order.
#[derive(Debug)]
pub(crate) struct Own {
    node: NodeId,
    network: String,
    description: Description,
    validity: Duration,
    started: Moment,
    sequence: u64,
    beat: u64,
    /// The moment of the last advertisement.
    issued: Moment,
    last: Option<Content>,
}

impl Own {
    /// Sequences begin with the time, so that those of a later run are greater.
    pub(crate) fn new(
        node: NodeId,
        network: String,
        description: Description,
        validity: Duration,
        started: Moment,
    ) -> Self {
        Self {
            node,
            network,
            description,
            validity,
            started,
            sequence: started.unix_ms,
            beat: 0,
            issued: started,
            last: None,
        }
    }

    pub(crate) fn differs(&self, content: &Content) -> bool {
        self.last.as_ref() != Some(content)
    }

    /// Continues after a sequence that other nodes know from an earlier run, whose clock was ahead.
    /// True when this node has to announce itself again.
    pub(crate) fn skip_past(&mut self, seen: u64) -> bool {
        let behind = seen > self.sequence;
        self.sequence = self.sequence.max(seen);
        behind
    }

    /// Whether the system's clock was set since the last advertisement, or the machine slept: other nodes
    /// refuse the dates of that advertisement then.
    pub(crate) fn clock_stepped(&self, now: Moment) -> bool {
        let passed = millis(now.elapsed.saturating_sub(self.issued.elapsed));
        let expected = self.issued.unix_ms.saturating_add(passed);
        now.unix_ms.abs_diff(expected) > millis(CLOCK_STEP)
    }

    pub(crate) fn advertise(
        &mut self,
        now: Moment,
        content: Content,
        mem_info: &str,
    ) -> Advertisement {
        self.sequence = self.sequence.saturating_add(1);
        self.beat = 0;
        self.issued = now;
        self.last = Some(content.clone());
        let me = &self.description;
        let advertisement = Advertisement {
            node: self.node,
            network: self.network.clone(),
            sequence: self.sequence,
            issued_at_ms: now.unix_ms,
            expires_in: self.validity,
            name: me.name.clone(),
            version: me.version.clone(),
            roles: me.roles.clone(),
            relays: content.relays,
            addresses: content.addresses,
            services: me.services.clone(),
            requires_key: me.requires_key,
            started_at_ms: self.started.unix_ms,
            uptime: self.uptime(now),
            app_origin: me.app_origin.clone(),
            model_hash: me.model_hash.clone(),
            mac: content.mac,
            mem_info: mem_info.to_owned(),
            cpu_info: content.cpu_info,
            gpu_info: content.gpu_info,
            average_power: 0.0,
            relay_proxy_port: me.relay_proxy_port,
            offers: content.offers,
        };
        within_envelope(advertisement)
    }

    pub(crate) fn beat(&mut self, now: Moment, mem_info: &str) -> Heartbeat {
        self.beat += 1;
        Heartbeat {
            node: self.node,
            network: self.network.clone(),
            sequence: self.sequence,
            beat: self.beat,
            issued_at_ms: now.unix_ms,
            uptime: self.uptime(now),
            mem_info: Some(mem_info.to_owned()),
        }
    }

    /// The uptime in whole milliseconds, as the wire carries it.
    fn uptime(&self, now: Moment) -> Duration {
        Duration::from_millis(millis(now.elapsed.saturating_sub(self.started.elapsed)))
    }
}

/// Chooses the addresses to advertise: confirmed ones first, then listen addresses, as far as other
/// nodes may dial them.
pub(crate) fn addresses(
    reachability: &Reachability,
    listen: &[Multiaddr],
    allow_private: bool,
) -> Vec<Multiaddr> {
    let confirmed: &[Multiaddr] = match reachability {
        Reachability::Public(addresses) | Reachability::Assumed(addresses) => addresses,
        Reachability::Unknown | Reachability::Private => &[],
    };
    let policy = DialPolicy {
        allow_private,
        own: Vec::new(),
    };
    let mut addresses: Vec<Multiaddr> = Vec::new();
    for address in confirmed.iter().chain(listen) {
        let mut address = address.clone();
        if matches!(address.iter().last(), Some(Protocol::P2p(_))) {
            address.pop();
        }
        let usable = policy.check(&address).is_ok() && address.len() <= ADDRESS_BYTES_MAX;
        if usable && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses.truncate(ADDRESSES_MAX);
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        advertisement::APP_ORIGIN_BYTES_MAX,
        announcement::Announcement,
        offer::{BODY_BYTES_MAX, OFFERS_MAX},
        samples::{NOW_MS, address, key, node, offer, relay},
    };

    fn at(ms: u64) -> Moment {
        Moment {
            elapsed: Duration::from_millis(ms),
            unix_ms: NOW_MS + ms,
        }
    }

    fn own() -> Own {
        let validity = Duration::from_secs(3600);
        Own::new(
            node(1),
            "test".into(),
            Description::default(),
            validity,
            at(0),
        )
    }

    fn content(relays: Vec<NodeAddress>) -> Content {
        Content::new(relays, Vec::new(), &Inventory::default(), Offers::default())
    }

    #[test]
    fn sequences_grow_from_the_start_time_and_beats_begin_anew_with_each() {
        let mut own = own();
        assert_eq!(
            own.advertise(at(5), content(vec![]), "").sequence,
            NOW_MS + 1
        );
        assert_eq!(own.beat(at(5), "m").beat, 1);
        assert_eq!(own.beat(at(6), "m").beat, 2);
        let second = own.advertise(at(9), content(vec![]), "");
        assert_eq!(
            (second.sequence, second.uptime),
            (NOW_MS + 2, Duration::from_millis(9))
        );
        let beat = own.beat(at(9), "m");
        assert_eq!((beat.beat, beat.sequence), (1, NOW_MS + 2));
    }

    #[test]
    fn only_a_change_of_content_is_a_difference() {
        let mut own = own();
        assert!(own.differs(&content(vec![])));
        own.advertise(at(0), content(vec![]), "much");
        assert!(!own.differs(&content(vec![])));
        assert!(own.differs(&content(vec![relay(9)])));
        let mut offering = content(vec![]);
        offering.offers = Offers::new([offer("store", b"full")]).expect("a valid offer");
        assert!(own.differs(&offering));
    }

    #[test]
    fn a_sequence_that_others_saw_is_passed() {
        let mut own = own();
        let first = own.advertise(at(0), content(vec![]), "").sequence;
        assert!(!own.skip_past(first));
        assert!(own.skip_past(first + 1000));
        assert_eq!(
            own.advertise(at(0), content(vec![]), "").sequence,
            first + 1001
        );
    }

    #[test]
    fn a_step_of_the_clock_is_seen_until_the_next_advertisement() {
        let mut own = own();
        own.advertise(at(1000), content(vec![]), "");
        let step_ms = millis(CLOCK_STEP);
        let later = at(900_000);
        for (unix_ms, stepped) in [
            (later.unix_ms, false),
            (later.unix_ms + step_ms, false),
            (later.unix_ms - step_ms, false),
            (later.unix_ms + step_ms + 1, true),
            (later.unix_ms - step_ms - 1, true),
            (0, true),
        ] {
            let now = Moment { unix_ms, ..later };
            assert_eq!(own.clock_stepped(now), stepped, "{unix_ms}");
        }
        let set = Moment {
            unix_ms: 0,
            ..later
        };
        own.advertise(set, content(vec![]), "");
        assert!(!own.clock_stepped(set) && own.clock_stepped(later));
    }

    #[test]
    fn circuits_and_undialable_addresses_are_not_announced() {
        let circuit = format!("/ip4/203.0.113.1/tcp/1/p2p/{}/p2p-circuit", node(2));
        let listen = [
            address("/ip4/127.0.0.1/tcp/4001"),
            address("/ip4/203.0.113.1/tcp/4001"),
            address(&circuit),
        ];
        let confirmed = format!("/ip4/203.0.113.1/tcp/4001/p2p/{}", node(1));
        let public = Reachability::Public(vec![
            address("/dns4/me.example/tcp/4001"),
            address(&confirmed),
        ]);
        assert_eq!(
            addresses(&public, &listen, false),
            [
                address("/dns4/me.example/tcp/4001"),
                address("/ip4/203.0.113.1/tcp/4001")
            ]
        );
        assert_eq!(
            addresses(&Reachability::Unknown, &listen, true),
            listen[..2]
        );
    }

    #[test]
    fn an_inventory_beyond_the_bounds_is_left_out_whole() {
        let inventory = Inventory {
            gpu_info: "x".repeat(GPU_INFO_BYTES_MAX + 1),
            ..Inventory::default()
        };
        let content = Content::new(vec![], vec![], &inventory, Offers::default());
        assert_eq!(content.gpu_info, "");
    }

    #[test]
    fn graphics_cards_are_left_out_where_the_advertisement_would_not_fit() {
        let inventory = Inventory {
            gpu_info: "x".repeat(GPU_INFO_BYTES_MAX),
            cpu_info: "x".repeat(TEXT_BYTES_MAX),
            ..Inventory::default()
        };
        let announced = |offers: usize| {
            let offers = (0..offers).map(|n| offer(&format!("kind-{n}"), &[7; BODY_BYTES_MAX]));
            let offers = Offers::new(offers).expect("within the bounds");
            let relays = vec![relay(9); RELAYS_MAX];
            let long = format!("/dns4/{}/tcp/1", "x".repeat(490));
            let addresses = vec![address(&long); ADDRESSES_MAX];
            let content = Content::new(relays, addresses, &inventory, offers);
            let mut own = own();
            own.description.app_origin = "x".repeat(APP_ORIGIN_BYTES_MAX);
            own.description.name = "x".repeat(TEXT_BYTES_MAX);
            own.description.version = "x".repeat(TEXT_BYTES_MAX);
            own.advertise(at(0), content, &"x".repeat(TEXT_BYTES_MAX))
        };
        let full = announced(OFFERS_MAX);
        assert_eq!((full.gpu_info.len(), full.offers.len()), (0, OFFERS_MAX));
        let envelope = Announcement::from(full).seal(&key(1));
        assert!(Announcement::open(&envelope, "test").is_ok());
        assert_eq!(announced(4).gpu_info.len(), GPU_INFO_BYTES_MAX);
    }
}
