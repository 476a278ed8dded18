//! Runs the dials that operators request: in the background, bounded, and owned by one value.

use std::{sync::Arc, time::Duration};

use peerwork_api::{ErrorKind, ServiceError};
use peerwork_identity::NodeAddress;
use peerwork_net::Network;
use tokio::{sync::Semaphore, time::Instant};

use crate::tasks::Tasks;

/// How long one dial may take; the operator does not wait for it.
const DEADLINE: Duration = Duration::from_secs(30);
/// The most dials under way at once; further dials are refused.
const DIALS_MAX: usize = 64;

/// Runs the dials until [`Dials::stop`].
pub(crate) struct Dials {
    network: Network,
    places: Arc<Semaphore>,
    tasks: Tasks,
}

impl Dials {
    pub(crate) fn new(network: Network) -> Self {
        Self {
            network,
            places: Arc::new(Semaphore::new(DIALS_MAX)),
            tasks: Tasks::default(),
        }
    }

    /// Dials `to` in the background.
    ///
    /// # Errors
    /// `Busy` when [`DIALS_MAX`] dials are under way.
    pub(crate) fn start(&self, to: NodeAddress) -> Result<(), ServiceError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let text = format!("{DIALS_MAX} dials are under way; try again when some have ended");
            ServiceError::new(ErrorKind::Busy, text)
        })?;
        let network = self.network.clone();
        network.trust(&to.transport);
        self.tasks.spawn(async move {
            let _place = place;
            let deadline = Instant::now() + DEADLINE;
            if let Err(error) = network.dial(to.node, vec![to.transport], deadline).await {
                tracing::info!(node = %to.node, %error, "the peer that was added is not reachable");
            }
        });
        Ok(())
    }

    pub(crate) async fn stop(&self) {
        self.tasks.stop().await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use peerwork_identity::{KeyType, Keypair};
    use prometheus_client::registry::Registry;

    use super::*;

    #[tokio::test]
    async fn sixty_four_dials_are_under_way_and_one_more_is_refused_until_the_stop() {
        let keypair = Keypair::generate(KeyType::Ed25519);
        let config = peerwork_net::Config::new(keypair, "test");
        let network = Network::start(config, &mut Registry::default()).await;
        let dials = Dials::new(network.unwrap());
        // The listener never accepts, so the dial waits for the handshake.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let dial = || {
            let node = Keypair::generate(KeyType::Ed25519).node_id();
            let to = format!("/ip4/127.0.0.1/tcp/{port}/p2p/{node}");
            dials.start(to.parse().unwrap())
        };
        // No task runs before the first await, so all dials are under way.
        for _ in 0..DIALS_MAX {
            dial().unwrap();
        }
        assert_eq!(dial().unwrap_err().kind, ErrorKind::Busy);
        dials.stop().await;
        assert_eq!(dials.places.available_permits(), DIALS_MAX);
        dials.network.stop().await;
    }
}
