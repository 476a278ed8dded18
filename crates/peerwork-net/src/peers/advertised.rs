//! The addresses of this node, as the event loop publishes them.

use multiaddr::Multiaddr;
use tokio::sync::watch;

use super::{Path, Reachability};

/// Read by the network's calls and by the relay; written by the event loop alone.
#[derive(Debug, Clone)]
pub(crate) struct Advertised {
    pub(crate) listen: watch::Receiver<Vec<Multiaddr>>,
    pub(crate) reachability: watch::Receiver<Reachability>,
}

impl Advertised {
    /// The addresses that other nodes are told for direct connections: the announced or observed ones,
    /// or else those that this node listens on.
    pub(crate) fn addresses(&self) -> Vec<Multiaddr> {
        let mut all = match &*self.reachability.borrow() {
            Reachability::Public(addresses) | Reachability::Assumed(addresses) => addresses.clone(),
            Reachability::Unknown | Reachability::Private => Vec::new(),
        };
        if all.is_empty() {
            all.clone_from(&self.listen.borrow());
        }
        all.retain(|address| Path::of(address) == Path::Direct);
        all
    }
}
