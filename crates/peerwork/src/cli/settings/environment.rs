//! Gives settings their access to environment variables.

use std::ffi::OsString;

/// The environment, as far as settings may read it.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;
