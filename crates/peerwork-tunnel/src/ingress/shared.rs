//! The state that all requests of an ingress share.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use peerwork_listener::{Lifetime, Proxies};

use super::{
    admission::Requests,
    config::{AppPaths, Deadlines},
    content::Content,
    cors::Cors,
    login::Login,
};
use crate::{connect::Connector, keys::KeyStore, metrics::IngressMetrics, pool::Pool};

/// The state that all requests share.
pub(crate) struct Shared {
    pub(crate) connector: Connector,
    pub(crate) keys: Option<KeyStore>,
    pub(crate) login: Login,
    pub(crate) cors: Cors,
    pub(crate) app_paths: AppPaths,
    pub(crate) content: Option<Arc<dyn Content>>,
    pub(crate) about: Bytes,
    pub(crate) requests: Requests,
    pub(crate) deadlines: Deadlines,
    /// How long a connection may stay open without a request.
    pub(crate) idle: Duration,
    /// How long an upgraded client may read nothing.
    pub(crate) stuck: Duration,
    pub(crate) proxies: Proxies,
    pub(crate) metrics: IngressMetrics,
    pub(crate) pool: Pool,
    pub(crate) lifetime: Lifetime,
}
