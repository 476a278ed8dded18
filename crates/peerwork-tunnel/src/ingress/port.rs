//! The listening ports of an ingress: the port of the shared prefix, and ports that belong to one app.

use std::{net::SocketAddr, sync::Arc};

use peerwork_listener::Bound;

use super::{
    app::App,
    config::{APP_PORTS_MAX, AppPort, Config},
    shared::Shared,
};
use crate::error::StartError;

/// The bound ports of an ingress that is not served yet.
#[derive(Debug)]
pub struct Ports {
    pub(crate) shared: Bound,
    /// In the order of [`Config::apps`].
    pub(crate) apps: Vec<Bound>,
}

impl Ports {
    /// Binds all ports of `config`; port 0 takes a free port.
    pub(crate) async fn bind(config: &Config) -> Result<Self, StartError> {
        if config.apps.len() > APP_PORTS_MAX {
            return Err(setting(format!("an ingress has at most {APP_PORTS_MAX}")));
        }
        if config.http.preamble.tls.is_none() && config.apps.iter().any(|app| app.https) {
            return Err(setting("https needs a certificate of the ingress".into()));
        }
        let address = config.listen;
        let shared = Bound::take(address).await;
        let shared = shared.map_err(|source| StartError::Listen { address, source })?;
        let mut apps = Vec::new();
        for app in &config.apps {
            let AppPort { node, port, .. } = *app;
            let (address, bound) = (app.listen, Bound::take(app.listen).await);
            let in_use = |source| StartError::AppListen {
                address,
                app: format!("{node}:{port}"),
                source,
            };
            apps.push(bound.map_err(in_use)?);
        }
        Ok(Self { shared, apps })
    }

    /// The address of the port of the shared prefix.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.shared.address()
    }

    /// The addresses of the apps' own ports, in the order of [`Config::apps`].
    pub fn apps(&self) -> impl Iterator<Item = SocketAddr> {
        self.apps.iter().map(Bound::address)
    }
}

fn setting(reason: String) -> StartError {
    let setting = "app-listen";
    StartError::Setting { setting, reason }
}

/// A listening port with the app that its requests lead to.
pub(crate) struct Port {
    pub(crate) shared: Arc<Shared>,
    /// The app to which all requests of the port go; `None` for the port of the shared prefix.
    pub(crate) app: Option<App>,
}
