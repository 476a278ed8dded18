//! Copies bytes in both directions after `101 Switching Protocols`, whatever the protocol.

use std::{io, pin::pin, sync::Arc, time::Duration};

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio_io_timeout::TimeoutStream;

use super::{finish::Finish, shared::Shared};
use crate::{
    copy::{Copied, copy_both},
    pool::AppStream,
    stream::TunnelStream,
};

/// Copies bytes between client and app until either closes, the request's key is revoked, or the
/// ingress stops. Then the request ends.
pub(crate) fn bridge(shared: &Arc<Shared>, client: OnUpgrade, app: OnUpgrade, finish: Finish) {
    let (stop, keys) = (shared.lifetime.stop.clone(), shared.keys.clone());
    let stuck = shared.stuck;
    let work = async move {
        let mut finish = finish;
        let mut copied = Copied::default();
        let carried = carry(client, app, &mut copied, stuck);
        let complete = tokio::select! {
            biased;
            () = stop.cancelled() => false,
            () = finish.under_way.revoked(keys.as_ref()) => false,
            result = carried => result.is_ok(),
        };
        if complete {
            finish.complete();
        }
        finish.received = copied.forth;
        finish.sent = copied.back;
    };
    shared.lifetime.tasks.spawn(work);
}

async fn carry(
    client: OnUpgrade,
    app: OnUpgrade,
    copied: &mut Copied,
    stuck: Duration,
) -> io::Result<()> {
    let (client, app) = futures::try_join!(client, app).map_err(io::Error::other)?;
    // The listener's deadline for clients that read nothing knows no single streams of HTTP/2.
    let mut client = TimeoutStream::new(TokioIo::new(client));
    client.set_write_timeout(Some(stuck));
    let mut client = pin!(client);
    let (mut app, early) = app_stream(app)?;
    // The app may send its first bytes in the same read as its 101 response.
    client.write_all(&early).await?;
    client.flush().await?;
    copied.back += early.len() as u64;
    copy_both(&mut client, &mut app, copied, None).await
}

fn app_stream(app: Upgraded) -> io::Result<(TunnelStream, bytes::Bytes)> {
    let parts = app.downcast::<TokioIo<AppStream>>();
    let parts = parts.map_err(|_| io::Error::other("the upgraded connection is not a tunnel"))?;
    Ok((parts.io.into_inner().into_inner(), parts.read_buf))
}
