//! Addresses and ports that the flags of a node ask for.

mod addresses;
mod ports;

pub(crate) use self::{
    addresses::{Listener, announced, loopback_only, quic, tcp, web_socket},
    ports::{Claim, clashes},
};
