//! Admission of requests: places in all, for one node, and for one network address.
//!
//! A network address has at most half of the places of each bound, because a client with HTTP/2 needs
//! few connections for many requests: so no client alone keeps the others from a node or the relay.

use peerwork_identity::NodeId;
use peerwork_limits::{Bounds, Full as PlacesFull, Origin, Places, Share, Shares};

use super::config::Limits;
use crate::problem::{Failure, Problem};

/// The requests that are under way. Clones count together.
#[derive(Debug, Clone)]
pub(crate) struct Requests {
    places: Places<NodeId>,
    /// The requests to a node that count for one network address.
    by_address: Shares<(NodeId, Origin)>,
}

/// The place of a request, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _place: peerwork_limits::Place<NodeId>,
    _of_address: Option<Share<(NodeId, Origin)>>,
}

impl Requests {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            places: Places::new(Bounds {
                all: limits.requests_max,
                per_key: limits.requests_per_node_max,
                per_origin: half(limits.requests_max),
            }),
            by_address: Shares::new(half(limits.requests_per_node_max)),
        }
    }

    /// Requests under way at this moment.
    pub(crate) fn taken(&self) -> usize {
        self.places.taken()
    }

    /// Takes a place for a request to a node; `None` is a client that is not counted by its address.
    ///
    /// # Errors
    /// The bound that is reached, as the answer to the client.
    pub(crate) fn take(&self, node: NodeId, origin: Option<Origin>) -> Result<Place, Problem> {
        let address_full = || {
            let detail =
                "as many requests of your network address are under way as this relay allows";
            Problem::new(Failure::AddressFull, detail)
        };
        let of_address = origin.map(|origin| self.by_address.take((node, origin)));
        let of_address = of_address.map(|share| share.ok_or_else(address_full));
        let of_address = of_address.transpose()?;
        let place = self.places.take(node, origin).map_err(|full| match full {
            PlacesFull::All => {
                let detail = "as many requests are under way as this relay allows";
                Problem::new(Failure::RelayFull, detail)
            }
            PlacesFull::Key => {
                let detail = "as many requests are under way to this node as the relay allows";
                Problem::new(Failure::NodeFull, detail)
            }
            PlacesFull::Origin => address_full(),
        })?;
        Ok(Place {
            _place: place,
            _of_address: of_address,
        })
    }
}

/// At least one.
fn half(bound: usize) -> usize {
    bound.div_ceil(2)
}
