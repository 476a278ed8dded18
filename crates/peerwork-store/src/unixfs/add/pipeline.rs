//! The pipeline of adding: one thread reads, several hash, and the caller's thread builds in the order of
//! reading.
//!
//! In memory are at most [`AHEAD`] batches that wait for the builder, one at each end, and one at each
//! thread that hashes, each of about [`BATCH_BYTES`]: below 24 MiB with four threads.

use std::{
    num::NonZero,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use parking_lot::Mutex;

use super::{super::profile::Parameters, error::AddError, layout::Part, leaf::Leaf, step::Step};
use crate::Block;

/// Batches between the reader and the builder.
const AHEAD: usize = 12;
/// A batch is closed when it has so many bytes of content; the last leaf may go beyond.
const BATCH_BYTES: usize = 512 << 10;
/// A batch is closed when it has so many steps.
const BATCH_STEPS: usize = 256;
/// More threads than these bring nothing: two hash as fast as one reads.
const THREADS_MAX: usize = 4;

/// The builder is gone: it met an error of its own.
#[derive(Debug)]
pub(crate) struct Closed;

/// A block and its place in the file.
pub(crate) type Hashed = (Block, Part);

struct Job {
    steps: Vec<Step<Leaf>>,
    done: SyncSender<Vec<Step<Hashed>>>,
}

/// The reader's end.
pub(crate) struct Batches {
    steps: Vec<Step<Leaf>>,
    bytes: usize,
    jobs: SyncSender<Job>,
    order: SyncSender<Receiver<Vec<Step<Hashed>>>>,
}

impl Batches {
    /// Appends a step; waits when the builder is far behind.
    pub(crate) fn push(&mut self, step: Step<Leaf>) -> Result<(), Closed> {
        if let Step::Leaf(leaf) = &step {
            self.bytes += leaf.content();
        }
        self.steps.push(step);
        match self.bytes >= BATCH_BYTES || self.steps.len() >= BATCH_STEPS {
            true => self.flush(),
            false => Ok(()),
        }
    }

    /// Gives what was appended to the threads that hash.
    pub(crate) fn flush(&mut self) -> Result<(), Closed> {
        let steps = std::mem::take(&mut self.steps);
        self.bytes = 0;
        let (done, hashed) = sync_channel(1);
        self.order.send(hashed).map_err(|_| Closed)?;
        self.jobs.send(Job { steps, done }).map_err(|_| Closed)
    }
}

/// Runs `read` beside `build`; the first error of either ends both.
pub(crate) fn run(
    parameters: &Parameters,
    read: impl FnOnce(&mut Batches) -> Result<(), Closed> + Send,
    build: &mut dyn FnMut(Step<Hashed>) -> Result<(), AddError>,
) -> Result<(), AddError> {
    let threads = thread::available_parallelism()
        .map_or(1, NonZero::get)
        .min(THREADS_MAX);
    let (jobs, queue) = sync_channel::<Job>(AHEAD);
    let (order, hashed) = sync_channel(AHEAD);
    let queue = Mutex::new(queue);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| hash(&queue, parameters));
        }
        scope.spawn(move || {
            let mut batches = Batches {
                steps: Vec::new(),
                bytes: 0,
                jobs,
                order,
            };
            // An error here is the builder's, which returns it.
            let _ = read(&mut batches).and_then(|()| batches.flush());
        });
        build_all(hashed, build)
    })
}

fn hash(queue: &Mutex<Receiver<Job>>, parameters: &Parameters) {
    loop {
        // The lock is held while this thread waits: the others wait for it in turn.
        let job = queue.lock().recv();
        let Ok(Job { steps, done }) = job else {
            return;
        };
        let hashed = |leaf: Leaf| leaf.block(parameters).map_err(AddError::from);
        let steps = steps.into_iter().map(|step| step.map(hashed)).collect();
        // The builder may be gone after an error.
        let _ = done.send(steps);
    }
}

/// Dropping `hashed` at an error ends the reader, which waits for room in it.
fn build_all(
    hashed: Receiver<Receiver<Vec<Step<Hashed>>>>,
    build: &mut dyn FnMut(Step<Hashed>) -> Result<(), AddError>,
) -> Result<(), AddError> {
    for batch in hashed {
        let Ok(steps) = batch.recv() else { break };
        for step in steps {
            match step {
                Step::Failed(error) => return Err(error),
                step => build(step)?,
            }
        }
    }
    Ok(())
}
