//! The throughput of one large body.

use std::time::Instant;

use http_body_util::BodyExt;
use hyper::Method;

use crate::load::{Target, connect, request};

/// MiB per second of a body of `bytes`.
pub(crate) async fn throughput(target: &Target, bytes: u64) -> anyhow::Result<f64> {
    let mut sender = connect(target).await?;
    let start = Instant::now();
    let path = format!("/bytes/{bytes}");
    let response = sender
        .send_request(request(target, Method::GET, &path, b"")?)
        .await?;
    let mut body = response.into_body();
    let mut received = 0u64;
    while let Some(frame) = body.frame().await {
        received += frame?.data_ref().map_or(0, |data| data.len() as u64);
    }
    anyhow::ensure!(received == bytes, "{received} of {bytes} bytes came");
    Ok(received as f64 / f64::from(1 << 20) / start.elapsed().as_secs_f64())
}
