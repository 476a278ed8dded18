//! Converts the messages of gRPC `peerwork.store.v1.Store` to the values of the store domain, within their
//! bounds, and back.

use super::{
    BLOCKS_BYTES_MAX, BLOCKS_MAX, BlockBytes, CID_BYTES_MAX, Delivery, Dropped, GetItem,
    GetOpening, Got, NAME_BYTES_MAX, Outcome, PAGE_DEFAULT, PAGE_MAX, Pin, PinPage, PinQuery,
    PinWanted, Progress, PutEvent, PutItem, ROOTS_MAX, Sources, Stat, Taken, TaskEvent, Usage, v1,
};
use crate::error::ServiceError;

/// The largest number of nodes that a call names.
const NODES_MAX: usize = 64;
/// The longest id or multiaddress of a node.
const NODE_BYTES_MAX: usize = 1024;

fn invalid(message: impl Into<String>) -> ServiceError {
    ServiceError::invalid_argument(message)
}

/// A binary CID within its bound.
pub(super) fn cid(bytes: Vec<u8>) -> Result<Vec<u8>, ServiceError> {
    match bytes.len() {
        1..=CID_BYTES_MAX => Ok(bytes),
        0 => Err(invalid("a CID is missing")),
        len => Err(invalid(format!(
            "a CID has at most {CID_BYTES_MAX} bytes, and this one has {len}"
        ))),
    }
}

fn blocks(blocks: Vec<v1::Block>) -> Result<Vec<BlockBytes>, ServiceError> {
    if blocks.len() > BLOCKS_MAX {
        return Err(invalid(format!(
            "a message has at most {BLOCKS_MAX} blocks"
        )));
    }
    let bytes: usize = blocks.iter().map(|block| block.data.len()).sum();
    if bytes > BLOCKS_BYTES_MAX {
        return Err(invalid(format!(
            "the blocks of a message have at most {BLOCKS_BYTES_MAX} bytes together, and these have {bytes}"
        )));
    }
    let block = |v1::Block { cid, data }| {
        let cid = self::cid(cid)?;
        Ok(BlockBytes { cid, data })
    };
    blocks.into_iter().map(block).collect()
}

pub(super) fn pin_wanted(pin: v1::PinRequest) -> Result<(PinWanted, Sources), ServiceError> {
    let v1::PinRequest {
        root,
        name,
        sources,
    } = pin;
    if name.len() > NAME_BYTES_MAX {
        return Err(invalid(format!(
            "the name of a pin has at most {NAME_BYTES_MAX} bytes"
        )));
    }
    let root = cid(root)?;
    Ok((PinWanted { root, name }, self::sources(sources)?))
}

/// A part of a `Put`; `None` for a message that only keeps the stream alive.
pub(super) fn put_item(request: v1::PutRequest) -> Result<Option<PutItem>, ServiceError> {
    use v1::put_request::Kind;
    match request.kind {
        Some(Kind::Blocks(v1::Blocks { blocks })) => {
            Ok(Some(PutItem::Blocks(self::blocks(blocks)?)))
        }
        Some(Kind::Finish(v1::Finish { pins })) => {
            if pins.len() > ROOTS_MAX {
                return Err(invalid(format!("one call pins at most {ROOTS_MAX} roots")));
            }
            let pin = |pin| pin_wanted(pin).map(|(pin, _)| pin);
            let pins: Result<_, _> = pins.into_iter().map(pin).collect();
            Ok(Some(PutItem::Finish(pins?)))
        }
        Some(Kind::KeepAlive(v1::KeepAlive {})) => Ok(None),
        None => Err(invalid("a part of a put that this node does not know")),
    }
}

pub(super) fn sources(sources: Option<v1::Sources>) -> Result<Sources, ServiceError> {
    let v1::Sources { offline, nodes } = sources.unwrap_or_default();
    if nodes.len() > NODES_MAX || nodes.iter().any(|node| node.len() > NODE_BYTES_MAX) {
        return Err(invalid(format!(
            "a call names at most {NODES_MAX} nodes, each in at most {NODE_BYTES_MAX} bytes"
        )));
    }
    Ok(Sources { offline, nodes })
}

/// The first message of a `Get`.
pub(super) fn get_opening(request: Option<v1::GetRequest>) -> Result<GetOpening, ServiceError> {
    match request.and_then(|request| request.kind) {
        Some(v1::get_request::Kind::Open(v1::GetOpen { root, sources })) => Ok(GetOpening {
            root: cid(root)?,
            sources: self::sources(sources)?,
        }),
        _ => Err(invalid("the first message of a get opens it")),
    }
}

/// A further message of a `Get`; `None` for one that only keeps the stream alive.
pub(super) fn get_item(request: v1::GetRequest) -> Result<Option<GetItem>, ServiceError> {
    use v1::get_request::Kind;
    match request.kind {
        Some(Kind::Want(wanted)) => Ok(Some(GetItem::Want(cid(wanted)?))),
        Some(Kind::Expect(v1::Expected { cids })) => {
            if cids.len() > ROOTS_MAX {
                return Err(invalid(format!("one hint has at most {ROOTS_MAX} CIDs")));
            }
            let cids: Result<_, _> = cids.into_iter().map(cid).collect();
            Ok(Some(GetItem::Expect(cids?)))
        }
        Some(Kind::KeepAlive(v1::KeepAlive {})) => Ok(None),
        Some(Kind::Deliveries(v1::DeliveriesRequest {})) => Ok(Some(GetItem::Deliveries)),
        Some(Kind::Open(_)) => Err(invalid("a get is opened once")),
        None => Err(invalid("a part of a get that this node does not know")),
    }
}

pub(super) fn put_event(event: PutEvent) -> v1::PutResponse {
    use v1::put_response::Kind;
    let taken = |Taken { blocks, bytes }| v1::Taken { blocks, bytes };
    let kind = match event {
        PutEvent::Taken(sum) => Kind::Taken(taken(sum)),
        PutEvent::Done(sum) => Kind::Done(taken(sum)),
    };
    v1::PutResponse { kind: Some(kind) }
}

pub(super) fn got(got: Got) -> v1::GetResponse {
    use v1::get_response::Kind;
    let kind = match got {
        Got::Block(BlockBytes { cid, data }) => Kind::Block(v1::Block { cid, data }),
        Got::Missing {
            cid,
            reason,
            not_found,
        } => Kind::Missing(v1::Missing {
            cid,
            reason,
            not_found,
        }),
        Got::Deliveries(deliveries) => Kind::Deliveries(v1::Deliveries {
            deliveries: self::deliveries(deliveries),
        }),
        Got::Dropped(dropped) => Kind::Dropped(self::dropped(dropped)),
    };
    v1::GetResponse { kind: Some(kind) }
}

fn deliveries(deliveries: Vec<Delivery>) -> Vec<v1::Delivery> {
    let delivery = |delivery| {
        let Delivery {
            node,
            daemon,
            blocks,
            bytes,
        } = delivery;
        v1::Delivery {
            node,
            daemon,
            blocks,
            bytes,
        }
    };
    deliveries.into_iter().map(delivery).collect()
}

fn dropped(dropped: Dropped) -> v1::Dropped {
    let Dropped { node, reason } = dropped;
    v1::Dropped { node, reason }
}

pub(super) fn keeps_get_alive() -> v1::GetResponse {
    let kind = v1::get_response::Kind::KeepAlive(v1::KeepAlive {});
    v1::GetResponse { kind: Some(kind) }
}

pub(super) fn task_event(event: TaskEvent) -> v1::TaskResponse {
    use v1::task_response::Kind;
    let kind = match event {
        TaskEvent::Progress(at) => Kind::Progress(progress(at)),
        TaskEvent::Finding { cid, text } => Kind::Finding(v1::Finding { cid, text }),
        TaskEvent::Dropped(dropped) => Kind::Dropped(self::dropped(dropped)),
        TaskEvent::Done(outcome) => {
            let Outcome {
                blocks,
                bytes,
                damaged,
                repaired,
                broken_pins,
                deliveries,
            } = outcome;
            Kind::Done(v1::Outcome {
                blocks,
                bytes,
                damaged,
                repaired,
                broken_pins,
                deliveries: self::deliveries(deliveries),
            })
        }
    };
    v1::TaskResponse { kind: Some(kind) }
}

fn progress(progress: Progress) -> v1::Progress {
    let Progress {
        blocks,
        bytes,
        bytes_total,
        providers,
    } = progress;
    v1::Progress {
        blocks,
        bytes,
        bytes_total,
        providers,
    }
}

pub(super) fn pin_query(request: v1::PinsRequest) -> Result<PinQuery, ServiceError> {
    let v1::PinsRequest { limit, after } = request;
    let limit = match usize::try_from(limit) {
        Ok(0) => PAGE_DEFAULT,
        Ok(limit @ 1..=PAGE_MAX) => limit,
        _ => {
            return Err(invalid(format!(
                "a page has 1 to {PAGE_MAX} pins, and {limit} were asked for"
            )));
        }
    };
    if after.len() > CID_BYTES_MAX {
        cid(after.clone())?;
    }
    Ok(PinQuery { limit, after })
}

pub(super) fn pin_page(page: PinPage) -> v1::PinsResponse {
    let PinPage { pins, total } = page;
    let entry = |pin| {
        let Pin {
            root,
            name,
            pinned_at,
        } = pin;
        v1::PinEntry {
            root,
            name,
            pinned_at,
        }
    };
    v1::PinsResponse {
        pins: pins.into_iter().map(entry).collect(),
        total,
    }
}

pub(super) fn stat(stat: Stat) -> v1::StatResponse {
    let Stat {
        serves,
        usage,
        block_bytes,
    } = stat;
    v1::StatResponse {
        serves,
        usage: usage.map(self::usage),
        block_bytes,
    }
}

fn usage(usage: Usage) -> v1::Usage {
    let Usage {
        blocks,
        bytes,
        segment_bytes,
        disk_bytes,
        pins,
        max,
        free,
    } = usage;
    v1::Usage {
        blocks,
        bytes,
        segment_bytes,
        disk_bytes,
        pins,
        max,
        free,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bytes::Bytes;

    use super::*;

    fn put(blocks: Vec<v1::Block>) -> Result<Option<PutItem>, ServiceError> {
        let kind = v1::put_request::Kind::Blocks(v1::Blocks { blocks });
        put_item(v1::PutRequest { kind: Some(kind) })
    }

    fn block(bytes: usize) -> v1::Block {
        v1::Block {
            cid: vec![1],
            data: Bytes::from(vec![0; bytes]),
        }
    }

    #[test]
    fn the_blocks_of_a_message_have_bounds_in_number_and_bytes() {
        assert!(put(vec![block(BLOCKS_BYTES_MAX)]).unwrap().is_some());
        assert!(put(vec![block(BLOCKS_BYTES_MAX), block(1)]).is_err());
        assert!(put(vec![block(1); BLOCKS_MAX]).unwrap().is_some());
        assert!(put(vec![block(1); BLOCKS_MAX + 1]).is_err());
    }

    #[test]
    fn cids_names_and_lists_have_bounds() {
        assert!(cid(vec![1; CID_BYTES_MAX]).is_ok());
        assert!(cid(vec![1; CID_BYTES_MAX + 1]).is_err());
        assert!(cid(Vec::new()).is_err());
        let named = |bytes| v1::PinRequest {
            root: vec![1],
            name: "x".repeat(bytes),
            sources: None,
        };
        assert!(pin_wanted(named(NAME_BYTES_MAX)).is_ok());
        assert!(pin_wanted(named(NAME_BYTES_MAX + 1)).is_err());
        let finish = |roots| {
            let pins = vec![named(1); roots];
            let kind = v1::put_request::Kind::Finish(v1::Finish { pins });
            put_item(v1::PutRequest { kind: Some(kind) })
        };
        assert!(finish(ROOTS_MAX).is_ok() && finish(ROOTS_MAX + 1).is_err());
        let expect = |cids| {
            let cids = vec![vec![1]; cids];
            let kind = v1::get_request::Kind::Expect(v1::Expected { cids });
            get_item(v1::GetRequest { kind: Some(kind) })
        };
        assert!(expect(ROOTS_MAX).is_ok() && expect(ROOTS_MAX + 1).is_err());
        let nodes = |count: usize, bytes: usize| {
            let nodes = vec!["x".repeat(bytes); count];
            sources(Some(v1::Sources {
                offline: false,
                nodes,
            }))
        };
        assert!(nodes(NODES_MAX, NODE_BYTES_MAX).is_ok());
        assert!(nodes(NODES_MAX + 1, 1).is_err() && nodes(1, NODE_BYTES_MAX + 1).is_err());
    }

    #[test]
    fn a_page_of_pins_has_a_default_and_a_bound() {
        let of = |limit| {
            let after = Vec::new();
            pin_query(v1::PinsRequest { limit, after }).map(|query| query.limit)
        };
        assert_eq!(of(0).unwrap(), PAGE_DEFAULT);
        assert_eq!(of(1000).unwrap(), PAGE_MAX);
        assert!(of(1001).unwrap_err().message.contains("1 to 1000"));
    }

    #[test]
    fn a_get_begins_with_its_opening_and_is_opened_once() {
        let open = v1::GetRequest {
            kind: Some(v1::get_request::Kind::Open(v1::GetOpen {
                root: vec![1],
                sources: None,
            })),
        };
        assert!(get_opening(Some(open.clone())).is_ok());
        assert!(get_item(open).is_err());
        let want = v1::GetRequest {
            kind: Some(v1::get_request::Kind::Want(vec![1])),
        };
        assert!(get_opening(Some(want.clone())).is_err());
        assert!(get_opening(None).is_err());
        assert_eq!(get_item(want).unwrap(), Some(GetItem::Want(vec![1])));
    }
}
