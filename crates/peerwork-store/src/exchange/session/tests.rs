//! Steps of the state of a session.
