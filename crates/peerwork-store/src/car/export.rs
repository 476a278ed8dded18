//! Exporting: CAR files of version 1 with whole DAGs, or with the part that a gateway was asked for.
//!
//! Blocks come depth first, parents before children, each once: `order=dfs; dups=n` of the trustless gateway
//! specification. Blocks of identity CIDs are left out, because their CIDs carry them.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use cid::Cid;
use futures::{Stream, stream};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::{
    error::CarError,
    header,
    scope::{Part, Request},
};
use crate::{
    Block, Source,
    dag::{self, Limits, Walk, Walked},
};

/// Writes a CAR file with all blocks below some roots. `on` hears how many more bytes were written.
///
/// # Errors
/// [`CarError`]; what was written before is no complete file.
pub async fn export(
    source: Arc<dyn Source>,
    roots: &[Cid],
    mut writer: impl AsyncWrite + Unpin,
    limits: Limits,
    mut on: impl FnMut(u64),
) -> Result<Walked, CarError> {
    let header = header::encode(roots);
    writer.write_all(&header).await.map_err(CarError::Write)?;
    on(header.len() as u64);
    let mut walked = Walked::default();
    let mut walk = roots.first().map(|root| Walk::new(source, *root, limits));
    for root in roots {
        let Some(mut blocks) = walk.take().map(|walk| walk.again(*root)) else {
            break;
        };
        while let Some(block) = blocks.next().await? {
            for piece in section(&block) {
                writer.write_all(&piece).await.map_err(CarError::Write)?;
                on(piece.len() as u64);
            }
        }
        walked = blocks.walked();
        walk = Some(blocks);
    }
    writer.flush().await.map_err(CarError::Write)?;
    Ok(walked)
}

/// Gives the CAR file that answers a request, piece by piece. The root in its header is that of the request.
pub fn stream(
    source: Arc<dyn Source>,
    request: Request,
) -> impl Stream<Item = Result<Bytes, CarError>> + Send {
    pieces(source, request.root, Part::new(request))
}

/// Gives the CAR file as [`stream`] does, with each block each time that it occurs (`dups=y`), so that its
/// reader need not keep blocks. The limit of blocks counts each time.
pub fn stream_with_duplicates(
    source: Arc<dyn Source>,
    request: Request,
) -> impl Stream<Item = Result<Bytes, CarError>> + Send {
    pieces(source, request.root, Part::new(request).repeating())
}

fn pieces(
    source: Arc<dyn Source>,
    root: Cid,
    part: Part,
) -> impl Stream<Item = Result<Bytes, CarError>> + Send {
    let mut pieces = VecDeque::new();
    pieces.push_back(Bytes::from(header::encode(&[root])));
    let start = (part, pieces, source);
    stream::try_unfold(start, |(mut part, mut pieces, source)| async move {
        loop {
            if let Some(piece) = pieces.pop_front() {
                return Ok(Some((piece, (part, pieces, source))));
            }
            match part.next(&source).await? {
                Some(blocks) => pieces.extend(blocks.iter().flat_map(section)),
                None => return Ok(None),
            }
        }
    })
}

/// The pieces of a block's section: its length and CID, and its data.
fn section(block: &Block) -> Vec<Bytes> {
    if Block::of_identity(block.cid()).is_some() {
        return Vec::new();
    }
    let cid = block.cid().to_bytes();
    let mut head = Vec::with_capacity(cid.len() + 5);
    dag::put_varint(&mut head, (cid.len() + block.data().len()) as u64);
    head.extend(cid);
    vec![head.into(), block.data().clone()]
}
