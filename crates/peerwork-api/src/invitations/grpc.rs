//! This module serves gRPC `peerwork.invitations.v1.Invitations` from the trait `InvitationsService`.

use std::time::{Duration, UNIX_EPOCH};

use tonic::{Request, Response, Status, async_trait};

use super::{
    Invitation, Limits, Wanted,
    v1::{self, invitations_server},
};
use crate::{
    operator::{ANSWER_BYTES_MAX, Calls, REQUEST_BYTES_MAX},
    services::NodeServices,
};

/// The gRPC service `Invitations`.
pub(crate) struct Invitations {
    services: NodeServices,
    calls: Calls,
}

/// The tonic server of the service, with its message size bounds.
pub(crate) fn server(
    services: NodeServices,
    calls: Calls,
) -> invitations_server::InvitationsServer<Invitations> {
    invitations_server::InvitationsServer::new(Invitations { services, calls })
        .max_decoding_message_size(REQUEST_BYTES_MAX)
        .max_encoding_message_size(ANSWER_BYTES_MAX)
}

#[async_trait]
impl invitations_server::Invitations for Invitations {
    async fn create(
        &self,
        request: Request<v1::CreateRequest>,
    ) -> Result<Response<v1::Invitation>, Status> {
        let wanted = wanted(request.into_inner());
        let call = async { self.services.invitations()?.create(wanted).await };
        self.calls
            .answer("InvitationsCreate", call, invitation)
            .await
    }
}

fn wanted(request: v1::CreateRequest) -> Wanted {
    let v1::CreateRequest {
        once,
        expires_seconds,
        addresses,
    } = request;
    let expires = Some(expires_seconds).filter(|seconds| *seconds > 0);
    Wanted {
        once,
        expires: expires.map(Duration::from_secs),
        addresses,
    }
}

fn invitation(invitation: Invitation) -> v1::Invitation {
    let Invitation {
        ticket,
        network_id,
        network_name,
        relays,
        has_secret,
        limits,
    } = invitation;
    v1::Invitation {
        ticket,
        network_id,
        network_name,
        relays,
        has_secret,
        limits: limits.map(self::limits),
    }
}

fn limits(limits: Limits) -> v1::Limits {
    let Limits {
        relay,
        once,
        expires_at,
    } = limits;
    let since_1970 = expires_at.duration_since(UNIX_EPOCH);
    v1::Limits {
        relay,
        once,
        expires_at: since_1970.map_or(0, |since| since.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_seconds_are_the_default_and_other_times_are_kept() {
        let expires = |expires_seconds| {
            wanted(v1::CreateRequest {
                expires_seconds,
                ..v1::CreateRequest::default()
            })
            .expires
        };
        assert_eq!(expires(0), None);
        assert_eq!(expires(1), Some(Duration::from_secs(1)));
    }
}
