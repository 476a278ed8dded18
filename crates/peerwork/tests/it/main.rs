//! Tests of the program and the library as users see them, over loopback.

#![allow(clippy::unwrap_used)]

mod browser_relay;
mod cli;
mod data_dir;
mod environment;
mod flow;
mod foreign;
mod forward;
mod go_libp2p;
mod http_clients;
mod js_versions;
mod network;
mod node;
#[cfg(unix)]
mod open_files;
mod program;
mod relay_log;
mod secure;
#[cfg(unix)]
mod signals;
#[cfg(unix)]
mod stopping;
mod talk;
mod weaknesses;
mod webapp;
mod webrtc_direct;
