//! Frames: a message behind its length.

use std::{io, time::Duration};

use bytes::{BufMut as _, Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    time::timeout,
};

use super::message::{MESSAGE_BYTES_MAX, WireError};

/// The largest message that is read without a place of its own in memory: a wantlist of 1024 wants has about
/// 45 kB.
pub const SMALL_BYTES_MAX: usize = 64 * 1024;
/// The room of one read. A connection hands over 16 KiB at once, and up to 256 KiB that wait.
const READ_BYTES: usize = 64 * 1024;

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
    match read_length(stream, idle).await? {
        Some(len) => read_rest(stream, len, on, step).await.map(Some),
        None => Ok(None),
    }
}

/// Reads the length of the next frame, which may begin within `idle`; `None` at the end of the stream.
///
/// # Errors
/// Those of the stream, `InvalidData` for a frame that is too long, and `TimedOut`.
pub async fn read_length(
    stream: &mut (impl AsyncRead + Unpin),
    idle: Duration,
) -> io::Result<Option<usize>> {
    let Some(len) = timeout(idle, read_varint(stream)).await?? else {
        return Ok(None);
    };
    match usize::try_from(len) {
        Ok(small) if small <= MESSAGE_BYTES_MAX => Ok(Some(small)),
        _ => Err(WireError::TooLong(len).into()),
    }
}

/// Reads the `len` bytes of a frame behind its length. `on` is called whenever bytes arrived; the next bytes
/// may take `step`.
///
/// # Errors
/// Those of the stream, and `TimedOut`.
pub async fn read_rest(
    stream: &mut (impl AsyncRead + Unpin),
    len: usize,
    on: &mut (dyn FnMut(usize) + Send),
    step: Duration,
) -> io::Result<Bytes> {
    let mut frame = BytesMut::with_capacity(len.min(SMALL_BYTES_MAX));
    while frame.len() < len {
        if frame.len() == frame.capacity() {
            frame.reserve(len - frame.len());
        }
        // No byte of the next message. A stream writes zeros to all the room of a read before it reads,
        // so a read has little more room than one delivery of the connection.
        let left = (len - frame.len()).min(READ_BYTES);
        let mut rest = (&mut frame).limit(left);
        let read = timeout(step, stream.read_buf(&mut rest)).await??;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        on(read);
    }
    Ok(frame.freeze())
}

/// Reads an unsigned varint of at most five bytes; `None` when the stream ends before it.
async fn read_varint(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<u64>> {
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
