//! Who is in the network.
pub mod advertisement;
pub mod announcement;
pub mod error;
pub mod limiter;
pub mod protocol;
#[cfg(test)]
mod samples;
pub mod state;
