//! Kademlia's settings.

use std::time::Duration;

use libp2p::{
    PeerId, StreamProtocol,
    kad::{self, Mode},
    swarm::behaviour::toggle::Toggle,
};

use super::store::Store;
use crate::{
    config::{Dht, DhtKeys},
    error::StartError,
};

/// How long a query may take; the deadline of its caller may be earlier.
const QUERY_TIMEOUT: Duration = Duration::from_secs(30);

/// Kademlia, when it is switched on.
pub(crate) type Behaviour = Toggle<kad::Behaviour<Store>>;

/// Builds the behaviour for a network's own DHT, `/peerwork/{network}/kad/1.0.0`.
pub(crate) fn build(
    this: PeerId,
    network: &str,
    dht: Dht,
    keys: DhtKeys,
) -> Result<Behaviour, StartError> {
    if dht == Dht::Off {
        return Ok(Toggle::from(None));
    }
    let name = format!("/peerwork/{network}/kad/1.0.0");
    let name = StreamProtocol::try_from_owned(name).map_err(|error| StartError::Behaviour {
        protocol: "kademlia",
        reason: error.to_string(),
    })?;
    let mut config = kad::Config::new(name);
    config.set_query_timeout(QUERY_TIMEOUT);
    let mut behaviour = kad::Behaviour::with_config(this, Store::new(this, keys), config);
    behaviour.set_mode(Some(match dht {
        Dht::Server => Mode::Server,
        Dht::Client | Dht::Off => Mode::Client,
    }));
    Ok(Toggle::from(Some(behaviour)))
}
