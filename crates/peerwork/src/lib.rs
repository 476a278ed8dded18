//! peerwork
