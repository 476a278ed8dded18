//! Holds the state that the routes of a web app share.

use bytes::Bytes;
use tokio::sync::broadcast;

use super::bodies::Gauge;

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) said: broadcast::Sender<Bytes>,
    /// Event streams, silent requests and upgraded connections under way.
    pub(crate) waiting: Gauge,
}
