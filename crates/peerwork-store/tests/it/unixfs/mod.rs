//! UnixFS at its public face.

mod adding;
mod exporting;
mod hostile;
mod oracle;
mod reading;
mod vectors;
