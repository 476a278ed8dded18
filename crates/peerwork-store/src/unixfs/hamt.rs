//! The hash of sharded directories: MurmurHash3 x64, its first 64 bits, read from the highest bit on.

/// The multihash code of the hash function, which every shard names.
pub(crate) const MURMUR3: u64 = 0x22;
/// The largest fanout that is read; writers use 256.
pub(crate) const FANOUT_MAX: u64 = 1024;

/// The hash of a name.
pub(crate) fn hash(name: &[u8]) -> u64 {
    const C1: u64 = 0x87c3_7b91_1142_53d5;
    const C2: u64 = 0x4cf5_ad43_2745_937f;
    let mix1 = |k: u64| k.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2);
    let mix2 = |k: u64| k.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1);
    let (mut h1, mut h2) = (0u64, 0u64);
    let mut blocks = name.chunks_exact(16);
    for block in &mut blocks {
        let (low, high) = block.split_at(8);
        h1 ^= mix1(little_endian(low));
        h1 = h1.rotate_left(27).wrapping_add(h2);
        h1 = h1.wrapping_mul(5).wrapping_add(0x52dc_e729);
        h2 ^= mix2(little_endian(high));
        h2 = h2.rotate_left(31).wrapping_add(h1);
        h2 = h2.wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    let rest = blocks.remainder();
    let (low, high) = rest.split_at(rest.len().min(8));
    h2 ^= mix2(little_endian(high));
    h1 ^= mix1(little_endian(low));
    h1 ^= name.len() as u64;
    h2 ^= name.len() as u64;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    finish(h1).wrapping_add(finish(h2))
}

fn little_endian(bytes: &[u8]) -> u64 {
    (bytes.iter().rev()).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn finish(mut k: u64) -> u64 {
    k ^= k >> 33;
    k = k.wrapping_mul(0xff51_afd7_ed55_8ccd);
    k ^= k >> 33;
    k = k.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    k ^ k >> 33
}

/// The place of a hash in a shard that is `depth` shards below the root; `None` below the last bit.
pub(crate) fn index(hash: u64, bits: u32, depth: u32) -> Option<usize> {
    let used = bits.checked_mul(depth)?;
    if used + bits > 64 {
        return None;
    }
    Some((hash << used >> (64 - bits)) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_murmur3() {
        // Reference values of the algorithm's author for the seed 0.
        assert_eq!(hash(b""), 0);
        assert_eq!(hash(b"hello"), 0xcbd8_a7b3_41bd_9b02);
        assert_eq!(
            hash(b"The quick brown fox jumps over the lazy dog"),
            0xe34b_bc7b_bc07_1b6c
        );
    }

    #[test]
    fn bits_are_taken_from_the_highest_on_and_end() {
        let hash = 0x12_34_56_78_9a_bc_de_f0;
        assert_eq!(index(hash, 8, 0), Some(0x12));
        assert_eq!(index(hash, 8, 7), Some(0xf0));
        assert_eq!(index(hash, 8, 8), None);
        assert_eq!(index(hash, 3, 20), Some(0b1000 & 7));
        assert_eq!(index(hash, 3, 21), None);
    }
}
