//! `Watched` and `StreamTasks` reset HTTP/2 streams whose client does not read the response.
//!
//! Over HTTP/1.1 such a client blocks its socket, and the deadline for writes ends the connection.
//! An HTTP/2 client can go on reading the socket and give one stream no flow-control window. Its
//! other streams work, so only the blocked stream is reset. hyper polls a response body only when
//! the stream has window, and runs each stream in a task of its own. So the body records in its
//! task the time at which it last handed out a frame, and the task ends the stream when that is too
//! long ago.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;

use crate::messages::UnderWay;

tokio::task_local! {
    /// The time since which the body of this task's stream waits for window from the client; `None`
    /// while the client waits for the body.
    static WAITING_SINCE: Cell<Option<Instant>>;
}

/// Records the time in the task of a stream. Outside such a task (HTTP/1.1) the call does nothing.
fn note(since: impl FnOnce() -> Option<Instant>) {
    let _ = WAITING_SINCE.try_with(|waiting| waiting.set(since()));
}

/// A response body that records in its task whether body or client is waiting.
#[derive(Debug)]
pub struct Watched<B> {
    body: B,
    /// Keeps the request under way until the body was taken.
    _under_way: UnderWay,
}

impl<B> Watched<B> {
    /// Wraps a body. The call must run in the task that will poll the body: the time for the client
    /// counts from here.
    pub(crate) fn new(body: B, under_way: UnderWay) -> Self {
        note(|| Some(Instant::now()));
        Self {
            body,
            _under_way: under_way,
        }
    }
}

impl<B: Body + Unpin> Body for Watched<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        note(|| frame.is_ready().then(Instant::now));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Spawns the tasks of HTTP/2 streams into a tracker, and ends a task whose client reads nothing
/// for too long; the client sees the stream reset.
#[derive(Debug, Clone)]
pub(crate) struct StreamTasks {
    pub(crate) tasks: TaskTracker,
    pub(crate) stuck: Duration,
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for StreamTasks {
    fn execute(&self, stream: F) {
        self.tasks.spawn(watched(stream, self.stuck));
    }
}

async fn watched(stream: impl Future<Output = ()>, stuck: Duration) {
    let work = async {
        let mut stream = pin!(stream);
        // The timer is created lazily: it is not registered before the stream waits for its client.
        let mut late = pin!(sleep(stuck));
        poll_fn(|cx| {
            if stream.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            let Some(since) = WAITING_SINCE.with(Cell::get) else {
                return Poll::Pending;
            };
            if late.deadline() != since + stuck {
                late.as_mut().reset(since + stuck);
            }
            late.as_mut().poll(cx)
        })
        .await;
    };
    WAITING_SINCE.scope(Cell::default(), work).await;
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::time::timeout;

    use super::*;

    const STUCK: Duration = Duration::from_millis(100);

    /// A body with one frame.
    struct OneFrame(Option<Bytes>);

    impl Body for OneFrame {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            match self.0.take() {
                Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                None => Poll::Pending,
            }
        }
    }

    fn next(body: &mut Watched<OneFrame>) -> Poll<Option<()>> {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let frame = Pin::new(body).poll_frame(&mut cx);
        frame.map(|frame| frame.map(|_| ()))
    }

    #[tokio::test]
    async fn a_stream_ends_only_while_its_body_waits_for_the_client() {
        for (frames_asked, ends) in [(0, true), (1, true), (2, false)] {
            let stream = async move {
                let mut body = Watched::new(
                    OneFrame(Some(Bytes::from_static(b"x"))),
                    UnderWay::default(),
                );
                for _ in 0..frames_asked {
                    let _ = next(&mut body);
                }
                std::future::pending::<()>().await;
            };
            let ended = timeout(STUCK * 5, watched(stream, STUCK)).await;
            assert_eq!(ended.is_ok(), ends, "{frames_asked}");
        }
    }
}
