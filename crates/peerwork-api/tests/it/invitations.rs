//! These tests call `peerwork.invitations.v1.Invitations` with a real gRPC client.

use peerwork_api::{
    invitations::v1::{CreateRequest, Invitation, Limits, invitations_client::InvitationsClient},
    operator::connect,
};
use tonic::Code;

use crate::fake::{PATIENCE, TICKET, start};

#[tokio::test]
async fn an_invitation_has_all_its_fields_and_a_refusal_its_words() {
    let running = start(|_| ()).await;
    let address = running.handle.operator_address().unwrap().to_string();
    let mut client = InvitationsClient::new(connect(&address, None, PATIENCE).await.unwrap());
    let request = CreateRequest {
        once: true,
        expires_seconds: 60,
        addresses: vec!["/dns4/a/tcp/1".into()],
    };
    let invitation = client.create(request.clone()).await.unwrap().into_inner();
    let expected = Invitation {
        ticket: TICKET.into(),
        network_id: -7,
        network_name: "net".into(),
        relays: request.addresses,
        has_secret: true,
        limits: Some(Limits {
            relay: "n1".into(),
            once: true,
            expires_at: 60,
        }),
    };
    assert_eq!(invitation, expected);
    let error = client.create(CreateRequest::default()).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert_eq!(error.message(), "no relay is known");
}
