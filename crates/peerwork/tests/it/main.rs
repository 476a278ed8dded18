//! The program and the library as their users see them, over loopback.

#![allow(clippy::unwrap_used)]

mod browser_relay;
mod cli;
mod flow;
mod foreign;
mod network;
mod program;
mod secure;
#[cfg(unix)]
mod signals;
mod weaknesses;
mod webapp;
