//! The exchange of blocks between nodes.

mod beside;
mod fetches;
mod floods;
mod frames;
mod helia;
mod hostile;
mod kit;
mod kubo;
mod partial;
mod providing;
mod reasons;
mod room;
mod schema;
mod serving;
mod sources;
mod speed;
