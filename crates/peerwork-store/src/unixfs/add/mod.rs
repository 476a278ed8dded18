//! Adding: files and directories as blocks, with the CIDs that `ipfs add -r` gives them.
//!
//! ```text
//!  reader ──▶ batches of leaves ──▶ threads that hash ──▶ builder: nodes, directories ──▶ Sink, events
//! ```

mod build;
mod directory;
mod error;
mod layout;
mod leaf;
mod options;
mod pipeline;
mod reader;
mod step;

use std::{
    io::Read,
    path::{Component, Path, PathBuf},
};

use self::{build::Builder, reader::Reader};
use crate::Sink;

pub use error::AddError;
pub use options::{AddEvent, AddOptions, Root};

/// Adds files and directories, and gives their roots in the order of `paths`. Blocks the thread.
///
/// The events have the order of `ipfs add -r`: for each path its files and links as they are read, names in
/// the order of their bytes, then its directories, children first. A path may be named twice, and two paths
/// may have the same name: their roots do not know each other.
///
/// # Errors
/// [`AddError`]; what was put into the sink before stays there.
pub fn add(
    paths: &[PathBuf],
    options: &AddOptions,
    sink: &mut dyn Sink,
    on: &mut dyn FnMut(AddEvent),
) -> Result<Vec<Root>, AddError> {
    if paths.is_empty() {
        return Err(AddError::Nothing);
    }
    let mut trees = Vec::with_capacity(paths.len());
    for path in paths {
        trees.push((path.clone(), name_of(path, options)?));
    }
    let parameters = options.parameters();
    let mut builder = Builder::new(&parameters, sink, on);
    let read = |batches: &mut _| {
        let mut reader = Reader {
            options,
            parameters: &parameters,
            batches,
        };
        reader.trees(&trees)
    };
    pipeline::run(&parameters, read, &mut |step| builder.step(step))?;
    Ok(builder.into_roots())
}

/// Adds the content of a reader as a file without a name, as `ipfs add -` does. Blocks the thread.
///
/// # Errors
/// As [`add`].
pub fn add_reader(
    mut reader: impl Read + Send,
    options: &AddOptions,
    sink: &mut dyn Sink,
    on: &mut dyn FnMut(AddEvent),
) -> Result<Root, AddError> {
    let parameters = options.parameters();
    let mut builder = Builder::new(&parameters, sink, on);
    let read = |batches: &mut _| {
        let mut files = Reader {
            options,
            parameters: &parameters,
            batches,
        };
        files.stream(&mut reader)
    };
    pipeline::run(&parameters, read, &mut |step| builder.step(step))?;
    Ok(builder.into_roots().pop().expect("a stream is one file"))
}

/// The name of a path: its last part, and for `.` and `..` the directory's own name.
fn name_of(path: &Path, options: &AddOptions) -> Result<String, AddError> {
    let failed = |source| AddError::File {
        doing: "looking at",
        path: path.to_owned(),
        source,
    };
    let found = std::fs::symlink_metadata(path).map_err(failed)?;
    if found.is_dir() && !options.recursive {
        return Err(AddError::Directory(path.to_owned()));
    }
    let name = match path.components().next_back() {
        Some(Component::Normal(name)) => Some(name.to_owned()),
        _ => {
            let whole = std::fs::canonicalize(path).map_err(failed)?;
            whole.file_name().map(std::ffi::OsStr::to_owned)
        }
    };
    let name = name.ok_or_else(|| AddError::Unnamed(path.to_owned()))?;
    name.into_string()
        .map_err(|_| AddError::Name(path.to_owned()))
}
