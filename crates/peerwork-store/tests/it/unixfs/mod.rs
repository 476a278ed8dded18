//! UnixFS at its public face.

mod adding;
mod bounded;
mod exporting;
mod hostile;
mod oracle;
mod reading;
mod shards;
mod vectors;
