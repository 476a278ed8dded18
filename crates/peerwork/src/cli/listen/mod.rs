//! Listen addresses and ports from the flags of a node.

mod addresses;
mod ports;

pub(crate) use self::{
    addresses::{Listener, announced, loopback_only, quic, tcp, web_socket},
    ports::{Claim, clashes},
};
