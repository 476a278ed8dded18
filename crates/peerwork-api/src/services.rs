//! `NodeServices` holds the services that the APIs call, one for each domain of requests: node, peers,
//! relays, directory, invitations, store, events.

use std::sync::Arc;

use crate::{
    directory::DirectoryService, error::ServiceError, events::EventsService,
    invitations::InvitationsService, node::NodeService, peers::PeersService, relays::RelaysService,
    store::StoreService,
};

/// Declares [`NodeServices`] from one line for each domain.
macro_rules! domains {
    ($($(#[$doc:meta])* $domain:ident: $service:ident;)*) => {
        /// The services of a node: one for each domain, `None` when the node lacks that part.
        ///
        /// The crate `peerwork` fills in the services; a call to an absent domain fails as
        /// `Unsupported`. Cloning is cheap.
        #[derive(Clone, Default)]
        pub struct NodeServices {
            $($(#[$doc])* pub $domain: Option<Arc<dyn $service>>,)*
        }

        impl NodeServices {
            $(pub(crate) fn $domain(&self) -> Result<&dyn $service, ServiceError> {
                self.$domain.as_deref().ok_or_else(|| absent(stringify!($domain)))
            })*
        }
    };
}

domains! {
    /// The node itself: network, status, readiness.
    node: NodeService;
    /// Connected and known peers.
    peers: PeersService;
    /// Reservations, and the node's own relay.
    relays: RelaysService;
    /// The directory of the network's nodes.
    directory: DirectoryService;
    /// Tickets, which invite to the network.
    invitations: InvitationsService;
    /// The content store.
    store: StoreService;
    /// Node events.
    events: EventsService;
}

impl std::fmt::Debug for NodeServices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NodeServices")
    }
}

fn absent(domain: &str) -> ServiceError {
    ServiceError::unsupported(format!("this node has no {domain} service"))
}
