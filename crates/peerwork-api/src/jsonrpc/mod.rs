//! This module serves JSON-RPC 2.0 over HTTP, and over WebSocket at `/edge_ws` with node events
//! (spec 7).
//!
//! ```text
//!  http ────┐                        ┌─ filter
//!           ├─▶ dispatch ─▶ wire     │
//!  socket ──┘       └──▶ subscriptions ◀── node events
//! ```
//!
//! HTTP and WebSocket come from axum. The dispatcher is our own, because the available JSON-RPC
//! servers start a task for every frame without a bound, wait without a deadline for a client that
//! does not read, and answer a subscription over HTTP with an internal error.
//!
//! The method `edge_sendRawTelegram` of EdgeMatrix is absent on purpose: it let anyone send
//! requests to any app of any edge.

mod dispatch;
mod endpoint;
mod filter;
mod http;
mod socket;
mod subscriptions;
pub(crate) mod wire;

pub(crate) use endpoint::Endpoint;
pub(crate) use http::router;
