//! Tests of the program and the library as users see them, over loopback.

#![allow(clippy::unwrap_used)]

#[cfg(unix)]
mod apps;
mod browser_relay;
mod cli;
mod data_dir;
mod environment;
mod flow;
mod foreign;
mod forward;
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
mod weaknesses;
mod webapp;
