//! The accounts and their budget alone, and under connections whose nodes never read.
#![allow(clippy::unwrap_used)]

use std::{future::poll_fn, io, time::Duration};

use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::core::{
    muxing::StreamMuxerExt as _,
    upgrade::{InboundConnectionUpgrade as _, OutboundConnectionUpgrade as _},
};
use peerwork_testkit::eventually;
use tokio_util::{compat::TokioAsyncReadCompatExt as _, task::TaskTracker};

use super::*;
use crate::transport::{budget::Bounds, driven::Driven, muxer::Stream, yamux::Yamux};

const WINDOW: usize = 256 << 10;
const BOUNDS: Bounds = Bounds {
    unread: 12 << 20,
    unread_per_connection: 8 << 20,
    unsent: 4 << 20,
    unsent_per_connection: 1 << 20,
};

#[derive(Default)]
struct Recorder(AtomicBool);

impl Victim for Recorder {
    fn reset(&self) {
        self.0.store(true, Relaxed);
    }
}

impl Recorder {
    fn is_reset(&self) -> bool {
        self.0.load(Relaxed)
    }
}

/// A data frame, which opens its stream.
fn frame(stream: u32, bytes: usize) -> Vec<u8> {
    let mut frame = vec![0, 0, 0, 1];
    frame.extend(stream.to_be_bytes());
    frame.extend(u32::try_from(bytes).unwrap().to_be_bytes());
    frame.resize(frame.len() + bytes, 7);
    frame
}

fn attach(account: &Account, stream: u32) -> Arc<Recorder> {
    let recorder = Arc::new(Recorder::default());
    let weak: Weak<Recorder> = Arc::downgrade(&recorder);
    account.attach(stream, weak);
    recorder
}

/// Sets the last read of a stream to so many seconds ago.
fn age(account: &Account, stream: u32, seconds: u64) {
    let mut state = account.state.lock();
    let held = state.streams.get_mut(&stream).unwrap();
    held.read_at = Instant::now() - Duration::from_secs(seconds);
}

fn small() -> Budget {
    Budget::new(Bounds {
        unread: 3000,
        unread_per_connection: 2000,
        unsent: 300_000,
        unsent_per_connection: 100_000,
    })
}

#[test]
fn a_connection_at_its_bound_keeps_its_streams_and_one_byte_more_costs_the_largest() {
    let budget = small();
    let account = Account::open(&budget);
    let streams: Vec<_> = [1, 3].map(|stream| attach(&account, stream)).into();
    account.received(&frame(1, 500 - FRAME_BYTES));
    account.received(&frame(3, 1500 - FRAME_BYTES));
    assert_eq!(budget.unread(), 2000);
    assert!(
        streams.iter().all(|stream| !stream.is_reset()),
        "at the bound"
    );
    account.received(&frame(1, 1));
    assert!(streams[1].is_reset() && !streams[0].is_reset());
    account.settle();
    assert_eq!(budget.unread(), 500 + 1 + FRAME_BYTES);
}

#[test]
fn small_frames_count_with_their_buffers_and_are_given_back_when_read() {
    let budget = small();
    let account = Account::open(&budget);
    let _stream = attach(&account, 1);
    for _ in 0..10 {
        account.received(&frame(1, 1));
    }
    assert_eq!(budget.unread(), 10 * (1 + FRAME_BYTES));
    account.read(1, 4);
    assert_eq!(budget.unread(), 6 * (1 + FRAME_BYTES));
    account.detach(1);
    assert_eq!(
        budget.unread(),
        6 * (1 + FRAME_BYTES),
        "the muxer has it still"
    );
    account.settle();
    assert_eq!(budget.unread(), 0);
}

#[test]
fn over_the_bound_of_all_connections_the_largest_stream_of_any_is_reset() {
    let budget = small();
    let accounts = [Account::open(&budget), Account::open(&budget)];
    let large = attach(&accounts[0], 1);
    let small = attach(&accounts[1], 1);
    accounts[0].received(&frame(1, 1900 - FRAME_BYTES));
    accounts[1].received(&frame(1, 1100 - FRAME_BYTES));
    assert!(!large.is_reset() && !small.is_reset(), "at the bound");
    accounts.iter().for_each(|account| age(account, 1, 10));
    accounts[1].received(&frame(1, 1));
    assert!(large.is_reset() && !small.is_reset());
    drop(accounts);
    assert_eq!(budget.unread(), 0);
}

#[test]
fn a_stream_that_was_read_lately_is_spared_for_one_that_was_not() {
    let budget = small();
    let account = Account::open(&budget);
    let [slow, stuck] = [1, 3].map(|stream| attach(&account, stream));
    account.received(&frame(1, 1500 - FRAME_BYTES));
    account.received(&frame(3, 500 - FRAME_BYTES));
    age(&account, 1, 1);
    age(&account, 3, 60);
    account.received(&frame(1, 1));
    assert!(stuck.is_reset() && !slow.is_reset());
}

#[test]
fn a_frame_that_does_not_end_counts_and_its_connection_ends_when_no_stream_is_left() {
    let budget = small();
    let account = Account::open(&budget);
    account.received(&frame(1, 2000)[..20]);
    assert_eq!(budget.unread(), 2000);
    assert!(!account.has_failed(), "at the bound");
    let account = Account::open(&budget);
    account.received(&frame(1, 2001)[..20]);
    assert!(account.has_failed());
}

#[test]
fn a_connection_ends_when_the_muxer_cannot_drop_the_streams_that_were_dropped() {
    let budget = small();
    let account = Account::open(&budget);
    for stream in [1, 3] {
        attach(&account, stream);
        account.received(&frame(stream, 1000 - FRAME_BYTES));
        account.detach(stream);
    }
    account.received(&frame(5, 1));
    assert!(!account.has_failed(), "at the bound");
    account.detach(5);
    account.received(&frame(7, 1));
    assert!(account.has_failed());
}

#[test]
fn writers_wait_at_the_bound_and_a_little_is_always_allowed() {
    let budget = small();
    let room = |account: &Account| {
        let mut cx = Context::from_waker(Waker::noop());
        account.poll_room(&mut cx).is_ready()
    };
    let accounts: Vec<_> = (0..4).map(|_| Account::open(&budget)).collect();
    for account in &accounts[..3] {
        account.written(99_999);
        assert!(room(account));
        account.written(1);
        assert!(!room(account));
    }
    // All connections hold as many as they may.
    assert!(room(&accounts[3]));
    accounts[3].written(UNSENT_BYTES_ALWAYS);
    assert!(!room(&accounts[3]));
    accounts[3].sent(&frame(1, 1));
    assert!(room(&accounts[3]));
    accounts[0].close();
    assert!(room(&accounts[0]), "the muxer tells of the end");
    drop(accounts);
    assert_eq!(budget.unsent(), 0);
}

type Muxer = Driven<Stream>;

/// A connection whose near side counts in the budget, and whose far side does not.
async fn pair(budget: &Budget) -> (Muxer, Muxer) {
    let (near, far) = tokio::io::duplex(64 << 10);
    let near_upgrade = Yamux::new(TaskTracker::new(), budget.clone());
    let far_upgrade = Yamux::new(TaskTracker::new(), Budget::wide());
    let near = near_upgrade
        .upgrade_inbound(near.compat(), "")
        .await
        .unwrap();
    let far = far_upgrade
        .upgrade_outbound(far.compat(), "")
        .await
        .unwrap();
    (near, far)
}

async fn open(near: &mut Muxer, far: &mut Muxer) -> io::Result<(Stream, Stream)> {
    let mut there = poll_fn(|cx| far.poll_outbound_unpin(cx)).await?;
    there.write_all(b"x").await?;
    let mut here = poll_fn(|cx| near.poll_inbound_unpin(cx)).await?;
    here.write_all(b"y").await?;
    there.read_exact(&mut [0]).await?;
    Ok((here, there))
}

/// A request and an answer of a megabyte each over a new stream.
async fn call(near: &mut Muxer, far: &mut Muxer) {
    let (here, there) = open(near, far).await.unwrap();
    let (mut here_read, mut here_write) = here.split();
    let (mut there_read, mut there_write) = there.split();
    let echo = async {
        futures::io::copy(&mut here_read, &mut here_write)
            .await
            .unwrap();
        here_write.close().await.unwrap();
    };
    let ask = async {
        there_write.write_all(&vec![7; 1 << 20]).await.unwrap();
        there_write.close().await.unwrap();
    };
    let mut answer = Vec::new();
    let take = there_read.read_to_end(&mut answer);
    let (_, (), read) = tokio::join!(echo, ask, take);
    // The byte that opened the stream comes back too.
    assert_eq!(read.unwrap(), (1 << 20) + 1);
}

#[tokio::test]
async fn nodes_whose_streams_are_not_read_hold_no_more_than_the_bound_and_others_go_on() {
    let budget = Budget::new(BOUNDS);
    let mut held = Vec::new();
    for _ in 0..3 {
        let (mut near, mut far) = pair(&budget).await;
        for _ in 0..48 {
            let (here, mut there) = open(&mut near, &mut far).await.unwrap();
            let writer = tokio::spawn(async move {
                // The write ends in an error, because the stream is reset.
                let sent = there.write_all(&vec![7; 2 * WINDOW]).await;
                (sent, there)
            });
            held.push((here, writer));
            // A frame may be counted before streams are reset for it.
            assert!(budget.unread() <= BOUNDS.unread + (1 << 20));
        }
        held.push({
            // The connection stays, with its streams.
            let (here, there) = open(&mut near, &mut far).await.unwrap();
            (
                here,
                tokio::spawn(async move {
                    let _connection = (near, far);
                    std::future::pending::<()>().await;
                    (Ok(()), there)
                }),
            )
        });
    }
    // 144 windows are 36 MiB, of which the bound leaves 12.
    let enough = || {
        let reset = held.iter().filter(|(_, writer)| writer.is_finished());
        (reset.count() >= 80).then_some(())
    };
    eventually("streams are reset", enough).await;
    assert!(
        budget.unread() <= BOUNDS.unread + (1 << 20),
        "{}",
        budget.unread()
    );
    let (mut near, mut far) = pair(&budget).await;
    call(&mut near, &mut far).await;
    for (here, writer) in held {
        writer.abort();
        drop(here);
    }
}

#[tokio::test]
async fn nodes_that_never_read_hold_no_more_unsent_bytes_than_the_bound_and_others_go_on() {
    let budget = Budget::new(BOUNDS);
    let mut tasks = Vec::new();
    let mut connections = Vec::new();
    for _ in 0..6 {
        let (near_io, far_io) = tokio::io::duplex(1 << 10);
        let upgrade = Yamux::new(TaskTracker::new(), budget.clone());
        let mut near = upgrade
            .upgrade_outbound(near_io.compat(), "")
            .await
            .unwrap();
        for _ in 0..32 {
            let mut stream = poll_fn(|cx| near.poll_outbound_unpin(cx)).await.unwrap();
            tasks.push(tokio::spawn(async move {
                stream.write_all(&vec![7; WINDOW]).await
            }));
        }
        connections.push((near, far_io));
    }
    // Every connection may hold a megabyte, and all connections together four and a little each.
    eventually("the bound", || {
        (budget.unsent() >= BOUNDS.unsent).then_some(())
    })
    .await;
    let (mut near, mut far) = pair(&budget).await;
    call(&mut near, &mut far).await;
    let frame = 64 << 10;
    let most = BOUNDS.unsent + 7 * (UNSENT_BYTES_ALWAYS + frame);
    assert!(budget.unsent() <= most, "{}", budget.unsent());
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
}
