//! The HTTP gateways to the content store: at a port of its own, and below `/ipfs/` at a relay's ingress.

use std::{net::SocketAddr, sync::Arc};

use peerwork_api::gateway::Reach;
use peerwork_tunnel::ingress::Content;

use super::error::StartError;
use crate::{
    Config,
    operate::{AtIngress, Gateway},
    store,
};

/// Serves the gateway of the settings, and gives the address of its port.
pub(super) async fn serve(
    config: &Config,
    api: &peerwork_api::Handle,
    store: Option<store::Part>,
) -> Result<Option<SocketAddr>, StartError> {
    let Some(wanted) = &config.gateway else {
        return Ok(None);
    };
    let no_store = || {
        let reason = "the gateway reads the content store of a data directory; name one, or switch the \
                      gateway off";
        StartError::Settings(reason.to_owned())
    };
    let service = Arc::new(Gateway(store.ok_or_else(no_store)?));
    let address = api.serve_gateway(wanted, service).await;
    address.map(Some).map_err(StartError::Api)
}

/// The content that a relay gives at its ingress: of a store that serves, and only of the blocks in it, so
/// that strangers make the relay fetch nothing.
pub(super) fn at_ingress(store: Option<&store::Part>) -> Option<Arc<dyn Content>> {
    let store = store.filter(|store| store.serves())?;
    let service = Arc::new(Gateway(store.clone()));
    Some(Arc::new(AtIngress::new(service, Reach::Local)))
}
