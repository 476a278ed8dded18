//! `Listener` runs the accept loop of a port.

use std::{net::SocketAddr, sync::Arc};

use peerwork_limits::Full;
use tokio::net::TcpStream;

use crate::{
    AcceptFailures, Bound, CertificateError, Config, Counters, Lifetime, Place, Serve, Wire,
    accept_failures::is_exhaustion,
    admission::Admission,
    bound,
    connection::HttpServer,
    opening::Opening,
    refusal::{self, Refusal},
    tls::Certificates,
};

/// The connections without a request that are evicted at once when no file descriptor is free. Serving
/// a request takes more than one descriptor.
const EVICTED_AT_ONCE: usize = 16;

/// A bound port with its service, ready to be started.
#[derive(Debug)]
pub struct Listener<S> {
    /// The name of the port in log lines.
    pub name: &'static str,
    /// The bound port.
    pub bound: Bound,
    /// The settings of the port.
    pub config: Config,
    /// The versions of HTTP that the port speaks.
    pub wire: Wire,
    /// The service that answers requests.
    pub serve: Arc<S>,
    /// The counters of the port.
    pub counters: Counters,
    /// The owner of the port's tasks.
    pub lifetime: Lifetime,
}

/// The places and the certificate of a started port. Further ports can share them, so that the bounds
/// hold for all of these ports together.
#[derive(Debug, Clone)]
pub struct Started {
    admission: Arc<Admission>,
    certificates: Option<Arc<Certificates>>,
}

struct Port<S> {
    name: &'static str,
    admission: Arc<Admission>,
    opening: Opening,
    http: HttpServer,
    refusal: Refusal,
    serve: Arc<S>,
    lifetime: Lifetime,
}

impl<S: Serve> Listener<S> {
    /// Accepts and serves connections in the background until the lifetime ends.
    ///
    /// # Errors
    /// [`CertificateError`] when the certificate cannot be used; the port is not served then.
    pub async fn start(self) -> Result<Started, CertificateError> {
        let Config {
            preamble, bounds, ..
        } = &self.config;
        let certificates = match &preamble.tls {
            Some(files) => Some(Certificates::load(files.clone()).await?),
            None => None,
        };
        let counters = self.counters.clone();
        let started = Started {
            admission: Admission::new(bounds, preamble.proxies.clone(), counters),
            certificates,
        };
        if let Some(certificates) = started.certificates.clone() {
            let stop = self.lifetime.stop.clone();
            self.lifetime.spawn(async move {
                stop.run_until_cancelled(certificates.keep_fresh()).await;
            });
        }
        self.start_beside(&started);
        Ok(started)
    }

    /// Accepts and serves connections as [`Listener::start`] does, with the places, the counters and the
    /// certificate of `first`. The port speaks TLS where its own settings and those of `first` have TLS;
    /// bounds, counters and files in its own settings do not matter.
    pub fn start_beside(self, first: &Started) {
        let certificates = first.certificates.as_ref();
        let certificates = certificates.filter(|_| self.config.preamble.tls.is_some());
        let port = Arc::new(Port {
            name: self.name,
            admission: Arc::clone(&first.admission),
            opening: Opening::new(&self.config, self.wire, certificates),
            http: HttpServer::new(self.wire, &self.config, &self.lifetime),
            refusal: Refusal::new(self.wire),
            serve: self.serve,
            lifetime: self.lifetime.clone(),
        });
        self.lifetime.spawn(accept(port, self.bound));
    }
}

async fn accept<S: Serve>(port: Arc<Port<S>>, bound: Bound) {
    let mut failures = AcceptFailures::new(port.name);
    let work = async {
        loop {
            match bound.socket.accept().await {
                Ok((stream, remote)) => port.admit(stream, remote),
                Err(error) => {
                    if is_exhaustion(&error) {
                        port.admission.evict(EVICTED_AT_ONCE);
                    }
                    failures.pause(&error).await;
                }
            }
        }
    };
    port.lifetime.stop.run_until_cancelled(work).await;
}

impl<S: Serve> Port<S> {
    fn admit(self: &Arc<Self>, stream: TcpStream, remote: SocketAddr) {
        match self.admission.admit(remote.ip()) {
            Ok(place) => {
                let port = Arc::clone(self);
                self.lifetime.spawn(port.serve(stream, remote, place));
            }
            Err(full) => {
                self.note_refusal(remote, full);
                if let Some(rest) = self.refusal.refuse(stream, self.opening.is_plain()) {
                    self.lifetime.spawn(rest);
                }
            }
        }
    }

    fn note_refusal(&self, client: SocketAddr, reason: Full) {
        self.admission.note_refusal();
        tracing::debug!(listener = self.name, %client, %reason, "connection refused");
    }

    async fn serve(self: Arc<Self>, stream: TcpStream, remote: SocketAddr, place: Place) {
        bound::prepare(&stream);
        let stop = self.lifetime.stop.clone();
        let opened = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = place.evicted() => return,
            opened = self.opening.open(stream, remote) => opened,
        };
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => {
                tracing::debug!(%remote, %error, "a connection failed before its first HTTP byte");
                return;
            }
        };
        let client = opened.caller.address;
        if let Err(full) = place.count_for(client.ip()) {
            self.note_refusal(client, full);
            refusal::answer_opened(opened.io).await;
            return;
        }
        let serve = Arc::clone(&self.serve);
        self.http.serve(opened, serve, place, stop).await;
    }
}
