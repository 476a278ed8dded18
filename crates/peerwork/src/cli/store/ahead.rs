//! The blocks that a reader waits for or will want next. Without IO.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use cid::Cid;
use peerwork_api::store::v1;
use peerwork_store::{Block, GetError};
use tokio::sync::oneshot;

/// Blocks that are asked for at once, as many as a node gives at once.
const ASKED_MAX: usize = 16;
/// Bytes of blocks that came before they were wanted. With those that are asked for, at most 48 MiB.
const KEPT_BYTES_MAX: usize = 16 << 20;
/// Blocks that were taken, in the order of those that are kept, before the order is cleaned.
const TAKEN_MAX: usize = 64;
/// Blocks that are expected and not asked for yet.
const EXPECTED_MAX: usize = 4096;

/// The data that a want gets, which nothing has checked, or the reason why none.
pub(super) type Reply = Result<Bytes, GetError>;
type Sender = oneshot::Sender<Reply>;

/// The state of a block that a reader wants.
pub(super) enum Wanted {
    /// The block came ahead.
    Here(Bytes),
    /// The block will come; the flag says whether the node was asked for it before.
    Coming {
        reply: oneshot::Receiver<Reply>,
        is_asked: bool,
    },
    /// No block comes any more, for this reason.
    Ended(String),
}

/// Wants by their CIDs, with those who wait for each.
#[derive(Default)]
pub(super) struct Waiting {
    /// Blocks that the node was asked for. Nobody waits for those that were asked for ahead.
    wants: HashMap<Vec<u8>, Vec<Sender>>,
    kept: HashMap<Vec<u8>, Bytes>,
    /// The kept blocks in the order in which they came, and some that were taken.
    order: VecDeque<Vec<u8>>,
    kept_bytes: usize,
    expected: VecDeque<Cid>,
    /// The caller that asked where the blocks came from.
    pub(super) deliveries: Option<oneshot::Sender<Vec<v1::Delivery>>>,
    /// The reason why no further block comes.
    ended: Option<String>,
}

impl Waiting {
    /// Notes the want of a reader.
    pub(super) fn want(&mut self, cid: &Cid) -> Wanted {
        let key = cid.to_bytes();
        if let Some(data) = self.kept.remove(&key) {
            self.kept_bytes -= data.len();
            return Wanted::Here(data);
        }
        if let Some(reason) = &self.ended {
            return Wanted::Ended(reason.clone());
        }
        let (sender, reply) = oneshot::channel();
        let is_asked = self.wants.contains_key(&key);
        self.wants.entry(key).or_default().push(sender);
        Wanted::Coming { reply, is_asked }
    }

    /// Notes blocks that will be wanted next, before all that were expected so far. Blocks that wait for a later
    /// use make room for them.
    pub(super) fn expect(&mut self, cids: &[Cid]) {
        for cid in cids.iter().rev() {
            self.expected.push_front(*cid);
        }
        self.expected.truncate(EXPECTED_MAX);
        while self.kept_bytes > KEPT_BYTES_MAX / 2
            && let Some(last) = self.order.pop_back()
        {
            let dropped = self.kept.remove(&last);
            self.kept_bytes -= dropped.map_or(0, |data| data.len());
        }
    }

    /// The next block to ask for ahead; `None` where enough are asked for, or wait for their reader.
    pub(super) fn next_ahead(&mut self) -> Option<Cid> {
        while self.ended.is_none()
            && self.wants.len() < ASKED_MAX
            && self.kept_bytes < KEPT_BYTES_MAX
        {
            let cid = self.expected.pop_front()?;
            let key = cid.to_bytes();
            let known = self.wants.contains_key(&key) || self.kept.contains_key(&key);
            if !known && Block::of_identity(&cid).is_none() {
                self.wants.insert(key, Vec::new());
                return Some(cid);
            }
        }
        None
    }

    /// The data of a block came. Data that was not asked for is dropped.
    pub(super) fn came(&mut self, key: &[u8], data: &Bytes) {
        let Some(senders) = self.wants.remove(key) else {
            return;
        };
        let mut is_taken = false;
        for sender in senders {
            is_taken |= sender.send(Ok(data.clone())).is_ok();
        }
        if is_taken {
            return;
        }
        self.kept_bytes += data.len();
        self.kept.insert(key.to_vec(), data.clone());
        self.order.push_back(key.to_vec());
        // A block that stays at the front must not keep the names behind it of blocks that were taken.
        if self.order.len() > 2 * self.kept.len() + TAKEN_MAX {
            self.order.retain(|key| self.kept.contains_key(key));
        }
    }

    /// A block cannot be had; gives those who wait for it. A block that was asked for ahead is asked for again
    /// when it is wanted.
    pub(super) fn missing(&mut self, key: &[u8]) -> Vec<Sender> {
        self.wants.remove(key).unwrap_or_default()
    }

    /// No block comes any more; gives those who wait.
    pub(super) fn end(&mut self, reason: &str) -> HashMap<Vec<u8>, Vec<Sender>> {
        self.ended = Some(reason.to_owned());
        self.deliveries = None;
        std::mem::take(&mut self.wants)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use cid::Version;
    use peerwork_store::RAW;

    use super::*;

    fn blocks(numbers: std::ops::Range<u32>, bytes: usize) -> Vec<Block> {
        let block = |number: u32| {
            let mut data = vec![0; bytes];
            data[..4].copy_from_slice(&number.to_le_bytes());
            Block::new(Version::V1, RAW, data.into()).unwrap()
        };
        numbers.map(block).collect()
    }

    fn cids(blocks: &[Block]) -> Vec<Cid> {
        blocks.iter().map(|block| *block.cid()).collect()
    }

    fn asked(waiting: &mut Waiting) -> Vec<Cid> {
        std::iter::from_fn(|| waiting.next_ahead()).collect()
    }

    fn came(waiting: &mut Waiting, blocks: &[Block]) {
        for block in blocks {
            waiting.came(&block.cid().to_bytes(), block.data());
        }
    }

    fn is_here(waiting: &mut Waiting, block: &Block) -> bool {
        matches!(waiting.want(block.cid()), Wanted::Here(data) if data == *block.data())
    }

    #[test]
    fn expected_blocks_are_asked_for_ahead_and_each_once() {
        let mut waiting = Waiting::default();
        let all = blocks(0..20, 8);
        waiting.expect(&cids(&all));
        let Wanted::Coming { is_asked, .. } = waiting.want(all[0].cid()) else {
            panic!("nothing came yet");
        };
        assert!(!is_asked);
        assert_eq!(asked(&mut waiting), cids(&all[1..16]));
        let Wanted::Coming { is_asked, .. } = waiting.want(all[1].cid()) else {
            panic!("nothing came yet");
        };
        assert!(is_asked);
        came(&mut waiting, &all[2..4]);
        assert!(is_here(&mut waiting, &all[2]) && !is_here(&mut waiting, &all[2]));
        assert_eq!(asked(&mut waiting), cids(&all[16..17]));
    }

    #[test]
    fn blocks_that_are_kept_are_bounded_and_later_ones_make_room() {
        let mut waiting = Waiting::default();
        let large = blocks(0..40, 1 << 20);
        waiting.expect(&cids(&large));
        let mut number = 0;
        loop {
            let next = asked(&mut waiting).len();
            if next == 0 {
                break;
            }
            came(&mut waiting, &large[number..number + next]);
            number += next;
        }
        assert_eq!(number, KEPT_BYTES_MAX >> 20, "nothing more is asked for");
        let nearer = blocks(100..102, 8);
        waiting.expect(&cids(&nearer));
        assert_eq!(asked(&mut waiting)[..2], cids(&nearer)[..]);
        assert!(is_here(&mut waiting, &large[0]), "the next one stays");
        assert!(!is_here(&mut waiting, &large[15]), "the last one made room");
    }

    #[test]
    fn blocks_that_were_taken_are_forgotten_also_behind_one_that_stays() {
        let mut waiting = Waiting::default();
        for block in blocks(0..1000, 8) {
            waiting.expect(&[*block.cid()]);
            asked(&mut waiting);
            came(&mut waiting, std::slice::from_ref(&block));
            let is_first = block.data()[..4] == [0; 4];
            assert!(is_first || is_here(&mut waiting, &block));
        }
        assert_eq!(waiting.kept.len(), 1, "the first stays");
        assert!(waiting.order.len() <= TAKEN_MAX + 2);
    }

    #[test]
    fn hints_are_bounded() {
        let mut waiting = Waiting::default();
        for _ in 0..3 {
            waiting.expect(&cids(&blocks(0..2000, 8)));
        }
        assert_eq!(waiting.expected.len(), EXPECTED_MAX);
    }

    #[test]
    fn a_block_that_was_missing_ahead_is_asked_for_again() {
        let mut waiting = Waiting::default();
        let all = blocks(0..1, 8);
        waiting.expect(&cids(&all));
        assert_eq!(asked(&mut waiting).len(), 1);
        assert!(waiting.missing(&all[0].cid().to_bytes()).is_empty());
        let wanted = waiting.want(all[0].cid());
        assert!(matches!(
            wanted,
            Wanted::Coming {
                is_asked: false,
                ..
            }
        ));
    }

    #[test]
    fn what_was_not_asked_for_is_not_kept_and_nothing_comes_after_the_end() {
        let mut waiting = Waiting::default();
        let all = blocks(0..3, 8);
        came(&mut waiting, &all);
        assert!(!is_here(&mut waiting, &all[0]));
        waiting.expect(&cids(&all[1..2]));
        asked(&mut waiting);
        came(&mut waiting, &all[1..2]);
        assert_eq!(waiting.end("the node left").len(), 1);
        assert!(is_here(&mut waiting, &all[1]), "what came is good");
        let ended = waiting.want(all[2].cid());
        assert!(matches!(ended, Wanted::Ended(reason) if reason == "the node left"));
    }
}
