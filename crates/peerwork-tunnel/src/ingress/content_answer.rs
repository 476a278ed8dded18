//! Answers requests below `/ipfs/` by the content service of the node, under the ingress's own rules.
//!
//! The service sees neither keys nor cookies, nor the body of a request. The ingress demands a key and a
//! place as for an app: the key must be one for all nodes, or for all ports of the relay itself.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use peerwork_identity::NodeId;

use super::{
    activity::KeyUse,
    authorize::{Door, authorize},
    content::{BoxError, Content, ContentBody},
    finish::{Finish, Phase},
    headers::Client,
    login::{self, Credentials},
    shared::Shared,
};
use crate::problem::{Failure, Problem};

/// The port that a key must be for: none has it, so that keys for one port of the relay do not count.
const NO_PORT: u16 = 0;

/// A request for content at the ingress.
pub(super) struct Ask<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) client: &'a Client,
    pub(super) content: &'a dyn Content,
}

impl Ask<'_> {
    /// Authorizes, admits and answers a request; the body is counted until its end.
    pub(super) async fn answer(
        self,
        request: Request<Incoming>,
        slot: &mut Option<Finish>,
    ) -> Result<Response<Download>, Problem> {
        let (parts, _body) = request.into_parts();
        let mut request = Request::from_parts(parts, ());
        let Some(finish) = slot else {
            return Err(Problem::new(Failure::RelayStopping, "the request is over"));
        };
        let node = self.shared.connector.node_id();
        finish.phase = Phase::Authorize;
        self.authorize(request.headers_mut(), node, finish)?;
        finish.phase = Phase::Admit;
        let place = self.shared.requests.take(node, self.client.origin);
        finish.place = Some(place?);
        finish.phase = Phase::Forward;
        let mut response = self.content.answer(request).await;
        if self.shared.keys.is_some() {
            keep_private(response.headers_mut());
        }
        if let Some(finish) = slot {
            finish.phase = Phase::Body;
            finish.status = response.status().as_u16();
        }
        let finish = slot.take();
        Ok(response.map(|body| Download { body, finish }))
    }

    fn authorize(
        &self,
        headers: &mut HeaderMap,
        node: NodeId,
        finish: &mut Finish,
    ) -> Result<(), Problem> {
        login::strip(headers);
        let door = Door {
            keys: self.shared.keys.as_ref(),
            node,
            port: NO_PORT,
            browser: Credentials::default(),
        };
        let authorized = authorize(headers, door, || false)?;
        headers.remove(header::AUTHORIZATION);
        headers.remove(header::COOKIE);
        if let Some(id) = authorized.relay_key {
            finish.under_way.uses(KeyUse {
                id,
                node,
                port: NO_PORT,
            });
        }
        Ok(())
    }
}

/// Keeps an answer that a key authorized out of caches that others share.
fn keep_private(headers: &mut HeaderMap) {
    let public = headers
        .get(header::CACHE_CONTROL)
        .and_then(|value| value.to_str().ok());
    let private = public.and_then(|text| text.strip_prefix("public"));
    let private = private.and_then(|rest| HeaderValue::try_from(format!("private{rest}")).ok());
    if let Some(private) = private {
        headers.insert(header::CACHE_CONTROL, private);
    }
}

/// The body of an answer with content on its way to the client.
pub(crate) struct Download {
    body: ContentBody,
    finish: Option<Finish>,
}

impl Download {
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(finish) = &mut self.finish {
            match &frame {
                Some(Ok(frame)) => finish.sent += frame.data_ref().map_or(0, Bytes::len) as u64,
                Some(Err(error)) => finish.broken(error),
                None => finish.complete(),
            }
        }
        Poll::Ready(frame)
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Download {
    /// Completes a body that was read to its end: hyper does not poll for the end of a body of known
    /// length.
    fn drop(&mut self) {
        if self.body.is_end_stream()
            && let Some(finish) = &mut self.finish
        {
            finish.complete();
        }
    }
}
