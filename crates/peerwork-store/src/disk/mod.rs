//! The durable store of blocks on a disk.
//!
//! ```text
//!  put ─▶ State: chunk, queue ─▶ thread store-write ─▶ segments/*.seg ─▶ thread store-sync ─▶ commit returns
//!              │ changes (slots)                          ▲
//!              └────────▶ thread store-index ─▶ index.redb │ get: index, then one read
//!  pin ─▶ pins.log                                         │
//!  collect: pins + holds ─▶ marks ─▶ sweep ─▶ compact ─────┘
//! ```

mod backend;
mod chunk;
pub(crate) mod claim;
pub(crate) mod collect;
pub(crate) mod compact;
#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod costs;
pub(crate) mod engine;
pub(crate) mod entry;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod faults;
pub(crate) mod files;
mod folder;
pub(crate) mod format;
pub(crate) mod fruitless;
pub(crate) mod fuzzing;
pub(crate) mod index;
pub(crate) mod keeper;
pub(crate) mod marks;
mod metrics;
pub(crate) mod pin_record;
pub(crate) mod pins;
pub(crate) mod recover;
#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod refused;
mod reopen;
pub(crate) mod scan;
pub(crate) mod space;
mod spare;
mod state;
mod syncing;
pub(crate) mod verify;
mod waiting;
pub(crate) mod watch;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod watched;
mod writing;
