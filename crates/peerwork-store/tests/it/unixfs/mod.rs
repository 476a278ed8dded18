//! UnixFS at its public face.

mod vectors;
