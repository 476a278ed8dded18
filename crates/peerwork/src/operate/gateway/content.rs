//! `Content` reads UnixFS and CARs from a source of blocks.

use std::{ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use cid::Cid;
use futures::StreamExt as _;
use peerwork_api::gateway::{
    ByteStream, CarRequest, Dag, DirEntry, Duplicates, Entity, EntityKind, EntryStream,
    GatewayError, Reach, Scope,
};
use peerwork_store::{
    Source, car,
    dag::{DagError, Limits},
    unixfs::{self, Kind, ReadError},
};

use super::failures;

/// The DAGs of a source.
pub(super) struct Content {
    pub(super) source: Arc<dyn Source>,
    pub(super) reach: Reach,
}

#[async_trait]
impl Dag for Content {
    async fn block(&self, cid: &Cid) -> Result<Bytes, GatewayError> {
        let block = self.source.get(cid).await;
        let block = block.map_err(|error| failures::get(error, self.reach))?;
        Ok(block.into_parts().1)
    }

    async fn entity(&self, cid: &Cid) -> Result<Entity, GatewayError> {
        let source = self.source.as_ref();
        match unixfs::resolve(source, cid, "", &Limits::default()).await {
            Ok(entry) => Ok(Entity {
                kind: match entry.kind {
                    Kind::File => EntityKind::File,
                    Kind::Directory => EntityKind::Directory,
                    Kind::Symlink => EntityKind::Symlink(entry.target),
                },
                size: entry.size,
            }),
            Err(ReadError::Dag(DagError::Codec { .. })) => {
                let size = self.block(cid).await?.len() as u64;
                let kind = EntityKind::Block(cid.codec());
                Ok(Entity { kind, size })
            }
            Err(error) => Err(failures::read(error, self.reach)),
        }
    }

    async fn child(&self, directory: &Cid, name: &str) -> Result<Option<Cid>, GatewayError> {
        match unixfs::child(self.source.as_ref(), directory, name).await {
            Ok(link) => Ok(Some(link.cid)),
            Err(ReadError::NotFound { .. } | ReadError::Kind { .. }) => Ok(None),
            Err(error) => Err(failures::read(error, self.reach)),
        }
    }

    fn read(&self, cid: Cid, range: Range<u64>) -> ByteStream {
        let (source, reach) = (Arc::clone(&self.source), self.reach);
        let stream = unixfs::read(source, cid, range, Limits::default());
        Box::pin(stream.map(move |piece| piece.map_err(|error| failures::read(error, reach))))
    }

    fn list(&self, cid: Cid) -> EntryStream {
        let (source, reach) = (Arc::clone(&self.source), self.reach);
        let entry = move |link: Result<unixfs::Link, ReadError>| match link {
            Ok(unixfs::Link { name, cid, size }) => {
                let size = Some(size);
                Ok(DirEntry { name, cid, size })
            }
            Err(error) => Err(failures::read(error, reach)),
        };
        Box::pin(unixfs::list(source, cid, Limits::default()).map(entry))
    }

    fn car(&self, request: CarRequest) -> ByteStream {
        let (source, reach) = (Arc::clone(&self.source), self.reach);
        let CarRequest {
            root,
            names,
            scope,
            bytes,
            duplicates,
        } = request;
        let request = car::Request {
            root,
            path: names.join("/"),
            scope: match scope {
                Scope::Block => car::Scope::Block,
                Scope::Entity => car::Scope::Entity,
                Scope::All => car::Scope::All,
            },
            range: bytes.map(|bytes| car::EntityBytes {
                from: bytes.from,
                to: bytes.to,
            }),
            limits: Limits::default(),
        };
        let failed = move |error| failures::car(error, reach);
        match duplicates {
            Duplicates::Skipped => {
                Box::pin(car::stream(source, request).map(move |piece| piece.map_err(failed)))
            }
            Duplicates::Sent => Box::pin(
                car::stream_with_duplicates(source, request)
                    .map(move |piece| piece.map_err(failed)),
            ),
        }
    }
}
