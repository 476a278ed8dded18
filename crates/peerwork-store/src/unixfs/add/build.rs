//! Building a DAG from steps: blocks go to the sink in the order of the steps, events to the caller.

use super::{
    super::{
        message::{Attributes, Kind, Message, Type},
        profile::Parameters,
    },
    directory::{self, Entry},
    error::AddError,
    layout::{Layout, Part},
    options::{AddEvent, Root},
    pipeline::Hashed,
    step::Step,
};
use crate::{
    Block, Sink,
    dag::{self, NodeWriter},
};

/// Builds trees.
pub(crate) struct Builder<'a> {
    parameters: &'a Parameters,
    sink: &'a mut dyn Sink,
    on: &'a mut dyn FnMut(AddEvent),
    file: Layout,
    content: u64,
    open: Vec<Directory>,
    finished: Vec<AddEvent>,
    roots: Vec<Root>,
}

/// A directory whose entries are not complete.
struct Directory {
    name: String,
    path: String,
    attributes: Attributes,
    entries: Vec<Entry>,
    content: u64,
}

/// A file, directory or link that is complete.
struct Finished {
    part: Part,
    kind: Kind,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(
        parameters: &'a Parameters,
        sink: &'a mut dyn Sink,
        on: &'a mut dyn FnMut(AddEvent),
    ) -> Self {
        Self {
            parameters,
            sink,
            on,
            file: Layout::default(),
            content: 0,
            open: Vec::new(),
            finished: Vec::new(),
            roots: Vec::new(),
        }
    }

    /// The roots of all trees that are complete.
    pub(crate) fn into_roots(self) -> Vec<Root> {
        self.roots
    }

    /// Takes one step.
    pub(crate) fn step(&mut self, step: Step<Hashed>) -> Result<(), AddError> {
        match step {
            Step::Directory { name, attributes } => {
                let path = self.path_of(&name);
                self.open.push(Directory {
                    name,
                    path,
                    attributes,
                    entries: Vec::new(),
                    content: 0,
                });
                Ok(())
            }
            Step::DirectoryEnd => self.directory_end(),
            Step::Leaf((block, part)) => self.leaf(block, part),
            Step::FileEnd { name, attributes } => self.file_end(name, attributes),
            Step::Symlink {
                name,
                target,
                attributes,
            } => self.symlink(name, target, attributes),
            Step::Failed(error) => Err(error),
        }
    }

    fn leaf(&mut self, block: Block, part: Part) -> Result<(), AddError> {
        self.sink.put(block)?;
        let sink = &mut *self.sink;
        let mut put = |block| sink.put(block).map_err(AddError::from);
        self.file.push(part, self.parameters, &mut put)?;
        self.content += part.content;
        (self.on)(AddEvent::Bytes(part.content));
        Ok(())
    }

    fn file_end(&mut self, name: String, attributes: Attributes) -> Result<(), AddError> {
        let sink = &mut *self.sink;
        let mut put = |block| sink.put(block).map_err(AddError::from);
        let part = self.file.finish(self.parameters, attributes, &mut put)?;
        let part = part.expect("the reader gives each file at least one leaf");
        self.content = 0;
        self.finish(
            name,
            Finished {
                part,
                kind: Kind::File,
            },
        );
        Ok(())
    }

    fn symlink(
        &mut self,
        name: String,
        target: Vec<u8>,
        attributes: Attributes,
    ) -> Result<(), AddError> {
        let mut message = Message::new(Type::Symlink);
        message.data = target.into();
        message.attributes = attributes;
        let data = NodeWriter::default().finish(Some(&message.encode()));
        let block = dag::block(self.parameters.version, data)?;
        let part = Part {
            cid: *block.cid(),
            content: 0,
            tsize: block.data().len() as u64,
        };
        self.sink.put(block)?;
        self.finish(
            name,
            Finished {
                part,
                kind: Kind::Symlink,
            },
        );
        Ok(())
    }

    fn directory_end(&mut self) -> Result<(), AddError> {
        let ended = self.open.pop().expect("the reader ends what it began");
        let sink = &mut *self.sink;
        let mut put = |block| sink.put(block).map_err(AddError::from);
        let (cid, tsize) =
            directory::build(&ended.entries, self.parameters, ended.attributes, &mut put)?;
        let part = Part {
            cid,
            content: ended.content,
            tsize,
        };
        self.finish(
            ended.name,
            Finished {
                part,
                kind: Kind::Directory,
            },
        );
        Ok(())
    }

    /// Enters what is complete into its directory. `ipfs add -r` says files as they come, and the
    /// directories of a tree at its end.
    fn finish(&mut self, name: String, Finished { part, kind }: Finished) {
        let path = match self.open.is_empty() && name.is_empty() {
            true => part.cid.to_string(),
            false => self.path_of(&name),
        };
        let added = AddEvent::Added {
            cid: part.cid,
            path: path.clone(),
            size: part.tsize,
            kind,
        };
        match kind {
            Kind::Directory => self.finished.push(added),
            Kind::File | Kind::Symlink => (self.on)(added),
        }
        if let Some(directory) = self.open.last_mut() {
            directory.content += part.content;
            directory.entries.push(Entry {
                name: name.into(),
                cid: part.cid,
                tsize: part.tsize,
            });
            return;
        }
        for added in self.finished.drain(..) {
            (self.on)(added);
        }
        self.roots.push(Root {
            cid: part.cid,
            path,
            size: part.tsize,
            content: part.content,
        });
    }

    fn path_of(&self, name: &str) -> String {
        match self.open.last() {
            Some(directory) => format!("{}/{name}", directory.path),
            None => name.to_owned(),
        }
    }
}
