//! Structured mutation: bytes and words set to telling values, cut, repeated, crossed with another image.

/// Values at which sizes, ranks and weights break.
const TELLING: [u64; 16] = [
    0,
    1,
    2,
    7,
    8,
    0x3F,
    0x7F,
    0x80,
    0xFF,
    0xFFFF,
    0x7FFF_FFFF,
    0xFFFF_FFFF,
    1 << 53,
    0x7FF0_0000_0000_0000,
    i64::MAX as u64,
    u64::MAX,
];

/// A seeded source of mutations.
pub struct Mutator {
    state: u64,
}

impl Mutator {
    pub fn new(seed: u64) -> Self {
        Mutator { state: seed }
    }

    /// SplitMix64.
    pub fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.state ^ self.state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.word() % n.max(1) as u64) as usize
    }

    /// One to four changes of an image; the kind stays in three of four.
    pub fn mutate(&mut self, image: &[u8], other: &[u8]) -> Vec<u8> {
        let mut out = image.to_vec();
        for _ in 0..1 + self.below(4) {
            self.change(&mut out, other);
        }
        if self.below(4) > 0 && !out.is_empty() {
            out[0] = image[0];
        }
        out
    }

    fn change(&mut self, out: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(out.len());
        match self.below(8) {
            0 if !out.is_empty() => out[at] ^= 1 << self.below(8),
            1 if !out.is_empty() => out[at] = out[at].wrapping_add(self.below(5) as u8).wrapping_sub(2),
            2 => {
                let value = TELLING[self.below(TELLING.len())].to_le_bytes();
                self.set(out, at, &value);
            }
            3 => {
                let value = self.word().to_le_bytes();
                self.set(out, at, &value);
            }
            4 => out.truncate(at),
            5 => {
                let piece = out[at..out.len().min(at + 1 + self.below(16))].to_vec();
                let to = self.below(out.len() + 1);
                out.splice(to..to, piece);
            }
            6 => {
                let end = out.len().min(at + 1 + self.below(8));
                out.drain(at..end);
            }
            _ => {
                let from = self.below(other.len());
                let piece = &other[from..other.len().min(from + 1 + self.below(24))];
                let end = out.len().min(at + piece.len());
                out.splice(at..end, piece.iter().copied());
            }
        }
    }

    /// One, two, four or eight bytes of a value, over what is there.
    fn set(&mut self, out: &mut [u8], at: usize, value: &[u8; 8]) {
        let bytes = 1usize << self.below(4);
        let end = out.len().min(at + bytes);
        if at < end {
            out[at..end].copy_from_slice(&value[..end - at]);
        }
    }
}
