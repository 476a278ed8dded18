//! Frames: a message behind its length.

use std::{io, time::Duration};

use bytes::{BufMut as _, Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    time::timeout,
};

use super::message::{MESSAGE_BYTES_MAX, WireError};

/// Bytes that are reserved before any of a message has arrived.
const FIRST_BYTES: usize = 256 * 1024;

/// Reads one frame; `None` at the end of the stream. `on` is called whenever bytes arrived. The frame may
/// begin within `idle`, and its next bytes may take `step`.
///
/// # Errors
/// Those of the stream, `InvalidData` for a frame that is too long, and `TimedOut`.
pub async fn read_frame(
    stream: &mut (impl AsyncRead + Unpin),
    on: &mut (dyn FnMut(usize) + Send),
    idle: Duration,
    step: Duration,
) -> io::Result<Option<Bytes>> {
    let Some(len) = timeout(idle, read_length(stream)).await?? else {
        return Ok(None);
    };
    if len > MESSAGE_BYTES_MAX as u64 {
        return Err(WireError::TooLong(len).into());
    }
    let len = usize::try_from(len).unwrap_or(MESSAGE_BYTES_MAX);
    let mut frame = BytesMut::with_capacity(len.min(FIRST_BYTES));
    while frame.len() < len {
        if frame.len() == frame.capacity() {
            frame.reserve(len - frame.len());
        }
        // The rest of the message and no byte of the next one.
        let left = len - frame.len();
        let mut rest = (&mut frame).limit(left);
        let read = timeout(step, stream.read_buf(&mut rest)).await??;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        on(read);
    }
    Ok(Some(frame.freeze()))
}

/// Reads an unsigned varint of at most five bytes; `None` when the stream ends before it.
async fn read_length(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<u64>> {
    let mut value = 0;
    for at in 0..5 {
        let byte = match stream.read_u8().await {
            Ok(byte) => byte,
            Err(error) if at == 0 && error.kind() == io::ErrorKind::UnexpectedEof => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some(value));
        }
    }
    Err(WireError::TooLong(value).into())
}
