//! The balanced layout of files: leaves in groups under nodes, these in groups again, up to one root.

use cid::Cid;

use super::{
    super::{
        message::{Attributes, Message, Type},
        profile::Parameters,
    },
    error::{AddError, Put},
};
use crate::dag::{self, NodeWriter};

/// A part of a file, or all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) cid: Cid,
    /// Bytes of content.
    pub(crate) content: u64,
    /// Bytes of the DAG, as a link to it says.
    pub(crate) tsize: u64,
}

/// A file on its way to a root. It holds at most one group of each level.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    levels: Vec<Vec<Part>>,
}

impl Layout {
    /// Appends a leaf; `put` takes the nodes that became complete.
    pub(crate) fn push(
        &mut self,
        leaf: Part,
        parameters: &Parameters,
        put: &mut Put<'_>,
    ) -> Result<(), AddError> {
        self.push_at(0, leaf, parameters, put)
    }

    /// Closes all groups, and gives the root, whose node carries the attributes. A file of one leaf has that
    /// leaf as its root, and a file without a leaf has none.
    pub(crate) fn finish(
        &mut self,
        parameters: &Parameters,
        attributes: Attributes,
        put: &mut Put<'_>,
    ) -> Result<Option<Part>, AddError> {
        let mut level = 0;
        while level + 1 < self.levels.len() {
            let group = std::mem::take(&mut self.levels[level]);
            let part = node(group, parameters, Attributes::default(), put)?;
            level += 1;
            self.push_at(level, part, parameters, put)?;
        }
        match self.levels.pop() {
            Some(mut group) if level == 0 && group.len() == 1 => Ok(group.pop()),
            Some(group) => {
                self.levels.clear();
                node(group, parameters, attributes, put).map(Some)
            }
            None => Ok(None),
        }
    }

    /// A full group is closed by the part behind it, because only then a node above it is sure to be needed.
    fn push_at(
        &mut self,
        mut level: usize,
        mut part: Part,
        parameters: &Parameters,
        put: &mut Put<'_>,
    ) -> Result<(), AddError> {
        loop {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let group = &mut self.levels[level];
            if group.len() < parameters.links {
                group.push(part);
                return Ok(());
            }
            let full = std::mem::replace(group, vec![part]);
            part = node(full, parameters, Attributes::default(), put)?;
            level += 1;
        }
    }
}

/// The node above some parts.
fn node(
    parts: Vec<Part>,
    parameters: &Parameters,
    attributes: Attributes,
    put: &mut Put<'_>,
) -> Result<Part, AddError> {
    let content = parts.iter().map(|part| part.content).sum();
    let mut message = Message::new(Type::File);
    message.filesize = Some(content);
    message.blocksizes = parts.iter().map(|part| part.content).collect();
    message.attributes = attributes;
    let mut writer = NodeWriter::default();
    for part in &parts {
        writer.link(b"", &part.cid, part.tsize);
    }
    let block = dag::block(parameters.version, writer.finish(Some(&message.encode())))?;
    let below: u64 = parts.iter().map(|part| part.tsize).sum();
    let (cid, tsize) = (*block.cid(), below + block.data().len() as u64);
    put(block)?;
    Ok(Part {
        cid,
        content,
        tsize,
    })
}
