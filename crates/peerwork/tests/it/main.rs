//! Tests of the program and the library as users see them, over loopback.

#![allow(clippy::unwrap_used)]

mod app_listen;
#[cfg(unix)]
mod apps;
mod browser_relay;
mod cli;
mod data_dir;
mod edge_log;
mod environment;
mod export;
mod finding;
mod flow;
mod foreign;
mod forward;
mod gateway;
mod genesis;
mod go_libp2p;
mod http_clients;
mod joining;
#[cfg(target_os = "linux")]
mod joining_page;
mod js_versions;
mod keys;
#[cfg(target_os = "linux")]
mod local_network;
mod network;
mod node;
#[cfg(unix)]
mod open_files;
mod page_config;
mod program;
#[cfg(target_os = "linux")]
mod readme;
mod relay_log;
mod secure;
#[cfg(unix)]
mod signals;
#[cfg(unix)]
mod stopping;
#[cfg(unix)]
mod store;
mod talk;
#[cfg(target_os = "linux")]
mod terminal;
mod weaknesses;
mod webapp;
mod webrtc_direct;
