//! A link that holds bytes back, as a network path with a long delay does.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{
        AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf,
        duplex, split,
    },
    net::TcpStream,
    sync::watch,
    time::timeout,
};

/// Bytes that pass at once.
const CHUNK_BYTES: usize = 256;
/// The silence after which all sent bytes count as held: both ends of a test are on one machine.
const QUIET: Duration = Duration::from_millis(250);
/// Bytes of the pipe behind the link.
const PIPE_BYTES: usize = 1024;

/// Holds back the bytes of a connection in both directions while it is closed; the windows of the
/// connection bound their number. Clones are the same link.
#[derive(Debug, Clone)]
pub struct HeldLink {
    open: Arc<watch::Sender<bool>>,
    /// Bytes that the link holds: towards the far end, and back.
    waiting: Arc<watch::Sender<[usize; 2]>>,
}

impl Default for HeldLink {
    /// An open link.
    fn default() -> Self {
        Self {
            open: Arc::new(watch::Sender::new(true)),
            waiting: Arc::default(),
        }
    }
}

impl HeldLink {
    /// Holds back all bytes from this call on, or lets them pass, a few at a time.
    pub fn set_open(&self, open: bool) {
        self.open.send_replace(open);
    }

    /// Waits until bytes are held in both directions and no more have come for [`QUIET`].
    ///
    /// # Panics
    /// After [`DEADLINE`](crate::DEADLINE).
    pub async fn settles(&self) {
        let mut waiting = self.waiting.subscribe();
        let settled = async {
            let both = |waiting: &[usize; 2]| !waiting.contains(&0);
            while timeout(QUIET, waiting.changed()).await.is_ok() || !both(&waiting.borrow()) {}
        };
        let settled = timeout(crate::DEADLINE, settled).await;
        assert!(settled.is_ok(), "held: {:?}", self.waiting.borrow());
    }

    /// Puts the link before a connection, whose other end is the returned stream.
    #[must_use]
    pub fn before(&self, stream: TcpStream) -> DuplexStream {
        let (near, far) = duplex(PIPE_BYTES);
        let (read_near, write_near) = split(near);
        let (read, write) = split(stream);
        tokio::spawn(self.clone().pass(0, read, write_near));
        tokio::spawn(self.clone().pass(1, read_near, write));
        far
    }

    async fn pass<R, W>(self, way: usize, mut from: ReadHalf<R>, mut to: WriteHalf<W>)
    where
        R: AsyncRead + Send,
        W: AsyncWrite + Send,
    {
        let mut open = self.open.subscribe();
        let (mut held, mut chunk) = (Vec::new(), [0; CHUNK_BYTES]);
        loop {
            self.waiting
                .send_modify(|waiting| waiting[way] = held.len());
            let opened = async { open.wait_for(|open| *open).await.is_ok() };
            let read = tokio::select! {
                read = from.read(&mut chunk) => Some(read),
                _ = opened, if !held.is_empty() => None,
            };
            match read {
                Some(Ok(read @ 1..)) => held.extend_from_slice(&chunk[..read]),
                Some(_) => return,
                None => {
                    let next: Vec<u8> = held.drain(..held.len().min(CHUNK_BYTES)).collect();
                    if to.write_all(&next).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}
