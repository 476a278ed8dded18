//! This module serves gRPC `peerwork.directory.v1.Directory` from the trait `DirectoryService`.

use tonic::{Request, Response, Status, async_trait};

use super::{
    Node, Offer, PAGE_DEFAULT, PAGE_MAX, Page, Query, Role,
    v1::{self, directory_server},
};
use crate::{
    error::ServiceError,
    operator::{ANSWER_BYTES_MAX, Calls, REQUEST_BYTES_MAX},
    services::NodeServices,
};

/// The gRPC service `Directory`.
pub(crate) struct Directory {
    services: NodeServices,
    calls: Calls,
}

/// The tonic server of the service, with its message size bounds.
pub(crate) fn server(
    services: NodeServices,
    calls: Calls,
) -> directory_server::DirectoryServer<Directory> {
    directory_server::DirectoryServer::new(Directory { services, calls })
        .max_decoding_message_size(REQUEST_BYTES_MAX)
        .max_encoding_message_size(ANSWER_BYTES_MAX)
}

#[async_trait]
impl directory_server::Directory for Directory {
    async fn list(
        &self,
        request: Request<v1::ListRequest>,
    ) -> Result<Response<v1::ListResponse>, Status> {
        let request = request.into_inner();
        let call = async { self.services.directory()?.list(query(request)?).await };
        self.calls.answer("DirectoryList", call, page).await
    }

    async fn get(&self, request: Request<v1::GetRequest>) -> Result<Response<v1::Node>, Status> {
        let id = request.into_inner().id;
        let call = async { self.services.directory()?.get(&id).await };
        self.calls.answer("DirectoryGet", call, node).await
    }
}

fn query(request: v1::ListRequest) -> Result<Query, ServiceError> {
    let v1::ListRequest {
        limit,
        after,
        role,
        offering,
    } = request;
    let limit = match usize::try_from(limit) {
        Ok(0) => PAGE_DEFAULT,
        Ok(limit @ 1..=PAGE_MAX) => limit,
        _ => {
            let message = format!("a page has 1 to {PAGE_MAX} nodes, and {limit} were asked for");
            return Err(ServiceError::invalid_argument(message));
        }
    };
    let role = match role.as_str() {
        "" => None,
        name => Some(Role::parse(name).ok_or_else(|| {
            let message = "a role is relay, edge, peer or worker";
            ServiceError::invalid_argument(message)
        })?),
    };
    Ok(Query {
        limit,
        after,
        role,
        offering: Some(offering).filter(|kind| !kind.is_empty()),
    })
}

fn page(page: Page) -> v1::ListResponse {
    let Page { nodes, total } = page;
    v1::ListResponse {
        nodes: nodes.into_iter().map(node).collect(),
        total: total as u64,
    }
}

fn node(node: Node) -> v1::Node {
    let Node {
        id,
        name,
        version,
        roles,
        addresses,
        relays,
        ports,
        requires_key,
        uptime,
        offers,
    } = node;
    v1::Node {
        id,
        name,
        version,
        roles: roles.iter().map(|role| role.as_str().to_owned()).collect(),
        addresses,
        relays,
        ports: ports.into_iter().map(u32::from).collect(),
        requires_key,
        uptime_seconds: uptime.as_secs(),
        offers: offers.into_iter().map(offer).collect(),
    }
}

fn offer(offer: Offer) -> v1::Offer {
    let Offer {
        kind,
        version,
        body,
    } = offer;
    v1::Offer {
        kind,
        version,
        body,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn parsed(limit: u32, role: &str) -> Result<Query, ServiceError> {
        query(v1::ListRequest {
            limit,
            after: "x".into(),
            role: role.into(),
            offering: String::new(),
        })
    }

    #[test]
    fn a_page_has_a_default_and_a_bound() {
        assert_eq!(parsed(0, "").unwrap().limit, PAGE_DEFAULT);
        assert_eq!(parsed(1000, "").unwrap().limit, PAGE_MAX);
        let error = parsed(1001, "").unwrap_err();
        assert!(error.message.contains("1 to 1000"), "{error}");
    }

    #[test]
    fn roles_have_names_and_others_are_refused() {
        for role in Role::ALL {
            assert_eq!(parsed(1, role.as_str()).unwrap().role, Some(role));
        }
        assert!(parsed(1, "king").is_err());
    }
}
