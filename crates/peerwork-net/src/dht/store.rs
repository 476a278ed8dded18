//! Stores the records of the DHT: the keys that this node provides, apart from the records of other
//! nodes.
//!
//! The records of other nodes have a bound of their own, because those nodes decide how many they send;
//! they cannot take the room of this node's keys.

use std::borrow::Cow;

use libp2p::{
    PeerId,
    kad::{
        ProviderRecord, Record, RecordKey,
        store::{MemoryStore, MemoryStoreConfig, RecordStore, Result},
    },
};

use crate::config::DhtKeys;

pub(crate) struct Store {
    this: PeerId,
    own: MemoryStore,
    others: MemoryStore,
}

impl Store {
    pub(crate) fn new(this: PeerId, keys: DhtKeys) -> Self {
        let of = |max_provided_keys| {
            let config = MemoryStoreConfig {
                max_provided_keys,
                ..MemoryStoreConfig::default()
            };
            MemoryStore::with_config(this, config)
        };
        Self {
            this,
            own: of(keys.provided_max),
            others: of(keys.announced_max),
        }
    }

    fn of(&mut self, provider: &PeerId) -> &mut MemoryStore {
        match *provider == self.this {
            true => &mut self.own,
            false => &mut self.others,
        }
    }
}

impl RecordStore for Store {
    type RecordsIter<'a> = <MemoryStore as RecordStore>::RecordsIter<'a>;
    type ProvidedIter<'a> = <MemoryStore as RecordStore>::ProvidedIter<'a>;

    fn get(&self, key: &RecordKey) -> Option<Cow<'_, Record>> {
        self.others.get(key)
    }

    fn put(&mut self, record: Record) -> Result<()> {
        self.others.put(record)
    }

    fn remove(&mut self, key: &RecordKey) {
        self.others.remove(key);
    }

    fn records(&self) -> Self::RecordsIter<'_> {
        self.others.records()
    }

    fn add_provider(&mut self, record: ProviderRecord) -> Result<()> {
        self.of(&record.provider).add_provider(record)
    }

    fn providers(&self, key: &RecordKey) -> Vec<ProviderRecord> {
        let mut all = self.own.providers(key);
        all.extend(self.others.providers(key));
        all
    }

    fn provided(&self) -> Self::ProvidedIter<'_> {
        self.own.provided()
    }

    fn remove_provider(&mut self, key: &RecordKey, provider: &PeerId) {
        self.of(provider).remove_provider(key, provider);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn record(key: u8, provider: PeerId) -> ProviderRecord {
        ProviderRecord::new(vec![key], provider, Vec::new())
    }

    #[test]
    fn own_keys_and_learned_keys_have_bounds_of_their_own() {
        let (this, other) = (PeerId::random(), PeerId::random());
        let keys = DhtKeys {
            provided_max: 2,
            announced_max: 3,
        };
        let mut store = Store::new(this, keys);
        for key in 0..3 {
            store.add_provider(record(key, other)).unwrap();
        }
        assert!(store.add_provider(record(3, other)).is_err());
        for key in 2..4 {
            store.add_provider(record(key, this)).unwrap();
        }
        assert!(store.add_provider(record(4, this)).is_err());
        // A key that is provided already takes no further room.
        store.add_provider(record(3, this)).unwrap();
        assert_eq!(store.provided().count(), 2);
        assert_eq!(store.providers(&RecordKey::from(vec![2])).len(), 2);
        store.remove_provider(&RecordKey::from(vec![3]), &this);
        assert_eq!(store.provided().count(), 1);
        store.add_provider(record(4, this)).unwrap();
    }
}
