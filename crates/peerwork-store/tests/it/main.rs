//! Behaviour of the store at its public face.
