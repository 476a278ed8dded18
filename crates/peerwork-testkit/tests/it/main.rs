//! The test kit on itself: meshes of real nodes over loopback.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop where it stands"
)]

mod links;
mod machines;
mod mesh;
