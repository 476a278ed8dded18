//! Writers and holds, which keep blocks until they are dropped.

use cid::Cid;

use super::{Hold, Writer};
use crate::{
    Block, Sink, StoreError,
    disk::{engine::Put, format::Key, fruitless::Kept, space},
};

impl Writer {
    /// Whether a block is here already; from then on this writer keeps it.
    ///
    /// # Errors
    /// [`StoreError`] when the disk fails.
    pub fn touch(&mut self, cid: &Cid) -> Result<bool, StoreError> {
        if Block::of_identity(cid).is_some() {
            return Ok(true);
        }
        self.begin(Kept::Found);
        Ok(self
            .store
            .engine()
            .touch(&Key::of(cid), self.number)?
            .is_some())
    }

    /// Notes that blocks follow that may be kept.
    pub(super) fn begin(&mut self, kept: Kept) {
        self.kept = self.kept.max(kept);
        if self.failures.is_none() {
            self.failures = Some(self.store.engine().state.lock().failures);
        }
    }

    /// Makes all that was put durable; several writers that commit at once share one sync.
    ///
    /// # Errors
    /// [`StoreError`]; what was put before may be lost then. After [`StoreError::Stalled`] it may become
    /// durable yet, and a further commit waits for it.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        let Some(failures) = self.failures else {
            return Ok(());
        };
        let result = self.store.engine().sync(failures);
        let is_open = matches!(
            result,
            Err(StoreError::Stalled { .. } | StoreError::Stopped { .. })
        );
        self.failures = self.failures.filter(|_failures| is_open);
        result
    }
}

impl Sink for Writer {
    fn put(&mut self, block: Block) -> Result<(), StoreError> {
        if Block::of_identity(block.cid()).is_some() {
            return Ok(());
        }
        self.begin(Kept::Nothing);
        let engine = self.store.engine();
        loop {
            let kept = match engine.put(&block, self.number)? {
                Put::Here => Kept::Found,
                Put::Appended => Kept::Put,
                Put::NoRoom(needs) => {
                    space::make_room(engine, needs)?;
                    continue;
                }
            };
            self.kept = self.kept.max(kept);
            return Ok(());
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.store
            .engine()
            .state
            .lock()
            .end_writer(self.number, self.kept);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.store.engine().state.lock().end_hold(&self.root);
    }
}
