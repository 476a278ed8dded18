//! UnixFS at its public face.

mod adding;
mod vectors;
