//! The directory service: lists the nodes in this node's directory.

use async_trait::async_trait;
use peerwork_api::{
    ServiceError,
    directory::{self as dto, DirectoryService, Page, Query},
};
use peerwork_directory::{Directory, Entry, advertisement::Role, offer::Offer};
use peerwork_identity::NodeId;

/// Implements the directory service over the directory.
pub(super) struct Nodes(pub(super) Directory);

#[async_trait]
impl DirectoryService for Nodes {
    async fn list(&self, query: Query) -> Result<Page, ServiceError> {
        let entries = match &query.offering {
            None => self.0.all(),
            Some(kind) => {
                let kind = kind
                    .parse()
                    .map_err(|error| ServiceError::invalid_argument(format!("{error}")))?;
                self.0.offering(&kind)
            }
        };
        let mut fitting: Vec<_> = entries.iter().map(|entry| node(entry)).collect();
        fitting.retain(|node| query.role.is_none_or(|role| node.roles.contains(&role)));
        fitting.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        let total = fitting.len();
        let after = fitting.into_iter().filter(|node| node.id > query.after);
        let nodes = after.take(query.limit).collect();
        Ok(Page { nodes, total })
    }

    async fn get(&self, id: &str) -> Result<dto::Node, ServiceError> {
        let id: NodeId = id
            .parse()
            .map_err(|error| ServiceError::invalid_argument(format!("{error}")))?;
        let known = self.0.get(id);
        let known = known
            .ok_or_else(|| ServiceError::not_found(format!("the directory has no node {id}")))?;
        Ok(node(&known))
    }
}

fn node(entry: &Entry) -> dto::Node {
    let advertisement = &entry.advertisement;
    dto::Node {
        id: advertisement.node.to_string(),
        name: advertisement.name.clone(),
        version: advertisement.version.clone(),
        roles: advertisement.roles.iter().map(|&each| role(each)).collect(),
        addresses: advertisement
            .addresses
            .iter()
            .map(ToString::to_string)
            .collect(),
        relays: advertisement
            .relays
            .iter()
            .map(|relay| relay.node.to_string())
            .collect(),
        ports: advertisement
            .services
            .iter()
            .map(|service| service.port)
            .collect(),
        requires_key: advertisement.requires_key,
        uptime: entry.uptime,
        offers: advertisement.offers.iter().map(offer).collect(),
    }
}

fn offer(offer: &Offer) -> dto::Offer {
    dto::Offer {
        kind: offer.kind.to_string(),
        version: offer.version,
        body: offer.body.to_vec(),
    }
}

fn role(role: Role) -> dto::Role {
    match role {
        Role::Relay => dto::Role::Relay,
        Role::Edge => dto::Role::Edge,
        Role::Peer => dto::Role::Peer,
        Role::Worker => dto::Role::Worker,
    }
}
