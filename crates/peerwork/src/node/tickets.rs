//! Serves the redemption of tickets at a relay.

use peerwork_net::{Network, Served};
use peerwork_ticket::{Redeemer, UsedTokens};

use super::{error::StartError, network_file::of_the_moment};
use crate::Config;

/// The name of the file with the one-time tokens that were used, in the data directory.
const USED_FILE: &str = "used-tickets.json";

/// Serves `/peerwork/join/1` at a relay; any other node redeems no tickets. Joiners get the contents of
/// the network file that the node was started with, and the secrets that are valid at the time.
pub(super) fn serve(network: &Network, config: &Config) -> Result<Option<Served>, StartError> {
    if config.relay.is_none() {
        return Ok(None);
    }
    let path = config.data_dir.as_ref().map(|path| path.join(USED_FILE));
    let used = path.as_deref().map(UsedTokens::open).transpose()?;
    let (secrets_of, file) = (network.clone(), config.network.clone());
    let current = move || of_the_moment(&file, &secrets_of);
    let redeemer = Redeemer::new(&config.net.keypair, used, current);
    let served = peerwork_ticket::serve(network, redeemer);
    served.map(Some).map_err(StartError::Join)
}
