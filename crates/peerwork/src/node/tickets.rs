//! Starts the parts of a node around its network file: the task that reads the secrets again, and the
//! protocol by which a relay redeems tickets.

use peerwork_net::Network;
use peerwork_ticket::{Redeemer, UsedTokens};
use tokio::time::Instant;

use super::{error::StartError, stack::Stack, start::deadline::AT_ONCE};
use crate::{Config, data_dir::DataDir, network_now::NetworkNow, tasks::Tasks};

/// The file of the one-time tickets that were used, in the data directory.
const USED_TICKETS_FILE: &str = "used-tickets.json";

/// Reads the secrets of the network file again when it changes.
pub(super) fn follow_network_file(
    config: &Config,
    now: &NetworkNow,
    network: &Network,
    stack: &mut Stack,
) {
    let Some(file) = config.network_file.clone() else {
        return;
    };
    let tasks = Tasks::default();
    tasks.spawn(now.clone().follow(file, network.clone()));
    stack.push("network file", AT_ONCE, move || async move {
        tasks.stop().await;
    });
}

/// Redeems tickets where the node is a relay.
pub(super) fn redeem(
    config: &Config,
    now: &NetworkNow,
    network: &Network,
    data_dir: Option<&DataDir>,
    stack: &mut Stack,
) -> Result<(), StartError> {
    if config.relay.is_none() {
        return Ok(());
    }
    let used = data_dir.map(|dir| UsedTokens::open(&dir.path().join(USED_TICKETS_FILE)));
    let used = used.transpose().map_err(StartError::UsedTickets)?;
    let now = now.clone();
    let redeemer = Redeemer::new(&config.net.keypair, used, move || now.get());
    let served = peerwork_ticket::serve(network, redeemer).map_err(StartError::Tickets)?;
    stack.push("tickets", AT_ONCE, move || async move {
        // A stop that takes longer is cancelled and logged by the stack.
        let _ = served.stop(Instant::now() + AT_ONCE).await;
    });
    Ok(())
}
