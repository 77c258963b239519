//! Images that killed others: each is refused, in a few bytes of memory.
//!
//! The first three are those with which `datasketches` 0.6.0 was made to ask for gigabytes: sizes that are declared in a
//! header of a few bytes and believed. Here the same lie is told to our own decoders.

use sketch::{Any, DecodeError, Limits};

/// Panics when one is not refused for its size, or when refusing it allocates.
pub fn all_are_refused() {
    let limits = Limits::bytes(1 << 20);
    let lies: [(&str, &[u8]); 4] = [
        // A Count-Min of sixteen bytes: five rows of 2^26 counters are 1.25 GiB.
        ("count-min", &[2, 1, 26, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x80, 0x80]),
        // A Bloom filter of 24 bytes that declares 2^22 blocks, 128 MiB.
        ("bloom", &[8, 1, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        // Frequent items in 46 bytes with a table of 2^24 slots.
        (
            "frequent items",
            &[
                3, 1, 24, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 0, 1, 1, 1, 1, 1, 1,
                1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
            ],
        ),
        // A HyperLogLog of four bytes with 2^21 registers.
        ("hll", &[1, 1, 21, 1]),
    ];
    for (name, bytes) in lies {
        let before = super::HEAP.current_usage();
        super::HEAP.reset_peak_usage();
        let refused = Any::from_bytes(bytes, &limits).expect_err(name);
        let peak = super::HEAP.peak_usage() - before;
        let for_its_size = matches!(refused, DecodeError::TooLarge { .. } | DecodeError::Truncated);
        assert!(for_its_size, "{name}: {refused:?}");
        assert!(peak < 4096, "{name}: {peak} bytes to refuse {}", bytes.len());
    }
}
