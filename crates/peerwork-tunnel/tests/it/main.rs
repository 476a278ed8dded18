//! Tests of the tunnel over loopback, with real nodes and real HTTP.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop where it stands"
)]

mod app_port;
mod apps;
mod content;
mod cors;
mod cutting;
mod desk;
mod failures;
mod flood;
mod framing;
mod goaway;
mod grpc;
mod grpc_port;
mod heads;
mod heads_http2;
mod kept;
mod keys;
mod login;
mod login_browser;
mod login_foreign;
mod login_keys;
mod login_lost;
mod memory;
mod own;
mod passing;
mod paths;
mod prefix;
mod prefix_clients;
mod repeated;
mod secure;
mod slow_link;
mod stopping;
mod streaming;
mod tcp;
mod websocket;
mod world;
