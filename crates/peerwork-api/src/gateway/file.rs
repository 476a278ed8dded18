//! Answers with the bytes of a file or of a block: whole, in parts, or their headers alone.

use std::ops::Range;

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
};
use bytes::Bytes;
use cid::Cid;
use futures::{StreamExt as _, stream};
use uuid::Uuid;

use super::{
    body::Begun,
    call::Call,
    etag,
    finish::Finish,
    headers, media_type,
    problem::Problem,
    range::Ranges,
    service::{ByteStream, Dag},
};

/// Bytes that can be read in parts.
pub(super) enum Content {
    /// A block that was read.
    Block(Bytes),
    /// A file of the service.
    File(Cid),
}

/// A file to send.
pub(super) struct File {
    pub(super) content: Content,
    pub(super) size: u64,
    pub(super) etag: String,
    /// The media type, where it is known before the content.
    pub(super) media_type: Option<String>,
    /// The header `Content-Disposition`, where there is one.
    pub(super) disposition: Option<HeaderValue>,
}

impl File {
    /// The header of the query parameters `filename` and `download`.
    pub(super) fn disposition(call: &Call<'_>) -> Option<HeaderValue> {
        match (call.query.download, &call.query.filename) {
            (true, _) => Some(headers::disposition("attachment", call.filename())),
            (false, Some(name)) => Some(headers::disposition("inline", Some(name))),
            (false, None) => None,
        }
    }

    fn read(&self, dag: &dyn Dag, range: Range<u64>) -> ByteStream {
        match &self.content {
            Content::File(cid) => dag.read(*cid, range),
            Content::Block(bytes) => {
                // The range is within the block, which has at most 2 MiB.
                let range = usize::try_from(range.start)
                    .ok()
                    .zip(usize::try_from(range.end).ok());
                let part = range
                    .and_then(|(start, end)| (end <= bytes.len()).then(|| bytes.slice(start..end)));
                Box::pin(stream::iter(part.map(Ok)))
            }
        }
    }

    /// Reads the first bytes for the media type, when the name does not tell the type.
    async fn sniff(&self, call: &Call<'_>, dag: &dyn Dag) -> Result<String, Problem> {
        let bytes = media_type::SNIFFED_BYTES;
        let range = 0..self.size.min(bytes as u64);
        let begun = Begun::read(self.read(dag, range), bytes, call.progress).await?;
        Ok(media_type::by_content(&begun.first(bytes)))
    }

    /// Answers with the file, or with the parts of it that the request asks for.
    pub(super) async fn send(
        self,
        call: &Call<'_>,
        finish: &mut Option<Finish>,
    ) -> Result<Response<Body>, Problem> {
        let mut response = call.response(&self.etag, headers::IMMUTABLE);
        if etag::is_known(call.headers, &self.etag) {
            return Ok(call.unchanged(response));
        }
        let headers = response.headers_mut();
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        if let Some(disposition) = &self.disposition {
            headers.insert(header::CONTENT_DISPOSITION, disposition.clone());
        }
        if call.is_head() {
            let media_type = match &self.media_type {
                Some(known) => known.clone(),
                None => self.sniff(call, call.dag.as_ref()).await?,
            };
            set_type(&mut response, media_type);
            response
                .headers_mut()
                .insert(header::CONTENT_LENGTH, self.size.into());
            return Ok(response);
        }
        match Ranges::of(call.headers, self.size, &self.etag) {
            Ranges::Whole => self.whole(call, response, finish).await,
            Ranges::Parts(parts) => self.parts(call, parts, response, finish).await,
            Ranges::Unsatisfiable => {
                let detail = format!(
                    "the range is not within the {} bytes of this file",
                    self.size
                );
                let mut refused =
                    Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, detail).response();
                if let Ok(size) = HeaderValue::try_from(format!("bytes */{}", self.size)) {
                    refused.headers_mut().insert(header::CONTENT_RANGE, size);
                }
                Ok(refused)
            }
        }
    }

    async fn whole(
        self,
        call: &Call<'_>,
        mut response: Response<Body>,
        finish: &mut Option<Finish>,
    ) -> Result<Response<Body>, Problem> {
        let bytes = match self.media_type {
            Some(_) => 1,
            None => media_type::SNIFFED_BYTES,
        };
        let stream = self.read(call.dag.as_ref(), 0..self.size);
        let begun = Begun::read(stream, bytes, call.progress).await?;
        let media_type = self.media_type.unwrap_or_else(|| {
            let first = begun.first(media_type::SNIFFED_BYTES);
            media_type::by_content(&first)
        });
        set_type(&mut response, media_type);
        send(response, begun, self.size, finish)
    }

    async fn parts(
        self,
        call: &Call<'_>,
        parts: Vec<Range<u64>>,
        mut response: Response<Body>,
        finish: &mut Option<Finish>,
    ) -> Result<Response<Body>, Problem> {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let media_type = match &self.media_type {
            Some(known) => known.clone(),
            // The begin of the file was not asked for: it need not be fetched from others.
            None => {
                let local = call.local().await?;
                let sniffed = self.sniff(call, local.as_ref()).await;
                sniffed.unwrap_or_else(|_| media_type::UNKNOWN.to_owned())
            }
        };
        if let [part] = parts.as_slice() {
            let range = content_range(part, self.size);
            if let Ok(range) = HeaderValue::try_from(range) {
                response.headers_mut().insert(header::CONTENT_RANGE, range);
            }
            set_type(&mut response, media_type);
            let length = part.end - part.start;
            let stream = self.read(call.dag.as_ref(), part.clone());
            let begun = Begun::read(stream, 1, call.progress).await?;
            return send(response, begun, length, finish);
        }
        let boundary = Uuid::new_v4().simple().to_string();
        let mut length = 0;
        let mut stream: ByteStream = Box::pin(stream::empty());
        for part in parts {
            let range = content_range(&part, self.size);
            let head = format!(
                "\r\n--{boundary}\r\nContent-Type: {media_type}\r\nContent-Range: {range}\r\n\r\n"
            );
            length += head.len() as u64 + (part.end - part.start);
            let head = stream::iter([Ok(Bytes::from(head))]);
            stream = Box::pin(stream.chain(head).chain(self.read(call.dag.as_ref(), part)));
        }
        let tail = Bytes::from(format!("\r\n--{boundary}--\r\n"));
        length += tail.len() as u64;
        let stream = stream.chain(stream::iter([Ok(tail)]));
        set_type(
            &mut response,
            format!("multipart/byteranges; boundary={boundary}"),
        );
        // The head of the first part, and its first byte.
        let begun = Begun::read(Box::pin(stream), 256, call.progress).await?;
        send(response, begun, length, finish)
    }
}

fn content_range(part: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", part.start, part.end - 1)
}

fn set_type(response: &mut Response<Body>, media_type: String) {
    let value = HeaderValue::try_from(media_type);
    let value = value.unwrap_or(HeaderValue::from_static(media_type::UNKNOWN));
    response.headers_mut().insert(header::CONTENT_TYPE, value);
}

fn send(
    mut response: Response<Body>,
    begun: Begun,
    length: u64,
    finish: &mut Option<Finish>,
) -> Result<Response<Body>, Problem> {
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, length.into());
    if let Some(mut finish) = finish.take() {
        finish.answered(response.status());
        *response.body_mut() = begun.body(Some(length), finish);
    }
    Ok(response)
}
