//! The port for browsers: passes its WebSockets to the network, and reports the relay's figures.

mod history;
mod report;
mod shape;

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::SystemTime};

use multiaddr::{Multiaddr, Protocol};
use peerwork_api::{
    ErrorKind, FrontService, PageSettings, RelayConfig, RelayReport, ServiceError, WebSocketBytes,
};
use peerwork_identity::{WriteMode, advice, atomic_write};
use peerwork_net::Network;

use self::history::Recorder;

pub(crate) use self::shape::Shape;

/// The name of the file from which pages learn the relay's addresses and settings.
const RELAY_CONFIG: &str = "relay-config.json";

/// The multiaddresses of the port for browsers: the plain one, and the encrypted one where the port has
/// a certificate.
#[derive(Debug, Clone)]
pub(crate) struct Listeners {
    plain: Multiaddr,
    secure: Option<Multiaddr>,
}

impl Listeners {
    pub(crate) fn new(bound: SocketAddr, encrypts: bool) -> Self {
        let tcp = Multiaddr::from(bound.ip()).with(Protocol::Tcp(bound.port()));
        let web_socket = || Protocol::Ws("/".into());
        let secure = encrypts.then(|| tcp.clone().with(Protocol::Tls).with(web_socket()));
        let plain = tcp.with(web_socket());
        Self { plain, secure }
    }

    pub(crate) fn all(&self) -> Vec<Multiaddr> {
        let plain = std::iter::once(&self.plain);
        plain.chain(&self.secure).cloned().collect()
    }
}

/// The error of writing `relay-config.json`.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be written: {source}; {}", advice(source), path = path.display())]
pub struct RelayConfigError {
    path: PathBuf,
    source: io::Error,
}

/// The service behind the port for browsers.
pub(crate) struct FrontSide {
    shape: Shape,
    network: Network,
    listeners: Listeners,
    started: SystemTime,
    recorder: Recorder,
}

impl FrontSide {
    /// Starts to record figures, until [`FrontSide::stop`].
    pub(crate) fn start(shape: Shape, network: Network, listeners: Listeners) -> Arc<Self> {
        Arc::new(Self {
            recorder: Recorder::start(&network),
            started: SystemTime::now(),
            shape,
            network,
            listeners,
        })
    }

    /// Stops recording figures; recorded figures remain.
    pub(crate) async fn stop(&self) {
        self.recorder.stop().await;
    }

    /// Writes `relay-config.json` into `folders`.
    ///
    /// # Errors
    /// The error of the first folder that cannot be written.
    pub(crate) fn write_config(&self, folders: &[PathBuf]) -> Result<(), RelayConfigError> {
        let browsers = self.report().addresses.browsers;
        let config = RelayConfig::new(browsers, self.page_settings());
        let text = serde_json::to_string_pretty(&config);
        let text = text.expect("invariant: the document has text keys only") + "\n";
        folders.iter().try_for_each(|folder| {
            let path = folder.join(RELAY_CONFIG);
            let written = atomic_write(&path, text.as_bytes(), WriteMode::Replace(0o644));
            written.map_err(|source| RelayConfigError { path, source })
        })
    }
}

impl FrontService for FrontSide {
    fn accept(
        &self,
        io: WebSocketBytes,
        remote: SocketAddr,
        secure: bool,
    ) -> Result<(), ServiceError> {
        let listener = self.listeners.secure.as_ref().filter(|_| secure);
        let listener = listener.unwrap_or(&self.listeners.plain).clone();
        let taken = self.network.hand_over(io, listener, remote);
        taken.map_err(|error| ServiceError::new(ErrorKind::Unavailable, error.to_string()))
    }

    fn report(&self) -> RelayReport {
        report::make(
            &self.shape,
            &self.network,
            self.started,
            self.recorder.history(),
        )
    }

    fn page_settings(&self) -> PageSettings {
        self.shape.page.clone()
    }
}
