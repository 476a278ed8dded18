//! The addresses of this node, as the event loop publishes them.

use multiaddr::Multiaddr;
use tokio::sync::watch;

use super::{Path, Reachability};

/// The snapshots of this node's addresses. The event loop alone writes them; the network's calls and
/// the relay read them.
#[derive(Debug, Clone)]
pub(crate) struct Advertised {
    pub(crate) listen: watch::Receiver<Vec<Multiaddr>>,
    pub(crate) reachability: watch::Receiver<Reachability>,
}

impl Advertised {
    /// The addresses that this node advertises for direct connections: the announced or observed ones,
    /// or else those that it listens on.
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
