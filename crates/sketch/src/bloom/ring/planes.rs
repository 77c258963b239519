//! The lines of a ring: at every position one bit for each plane, and what is known of them without reading them.
//!
//! A bucket of event time owns the plane of its id modulo the number of planes. The caller says which planes are live;
//! those that are not may hold what expired buckets left. It is cleared line by line as keys come in, and no plane goes
//! live before it is clean. Nothing that can be read depends on how far that is.

use super::size::Shape;
use crate::Token;

/// Most lines per key.
pub(super) const LINES: usize = super::size::LINES_PER_KEY_MAX as usize;

/// Odd multipliers, one per line of a key: the first outputs of SplitMix64 (Steele et al. 2014) from seed 0, made odd.
const MULTIPLIERS: [u64; LINES] =
    [0xE220_A839_7B1D_CDAF, 0x6E78_9E6A_A1B9_65F5, 0x06C4_5D18_8009_454F, 0xF88B_B8A8_724C_81ED];

/// 512 bits in one cache line: 512 / planes positions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(align(64))]
pub(super) struct Line(pub [u64; 8]);

/// Where a key goes: its lines, and 32 bits for each that choose the positions.
#[derive(Clone, Copy, Default)]
pub(super) struct Place {
    lines: [u32; LINES],
    chosen: [u32; LINES],
}

impl Place {
    #[inline]
    pub fn of(token: Token, shape: Shape) -> Place {
        let mixed = token.mixed();
        let mut place = Place::default();
        for (i, multiplier) in MULTIPLIERS.iter().enumerate().take(usize::from(shape.lines_per_key)) {
            let hash = mixed.wrapping_mul(*multiplier);
            // Multiply-shift (fast-range) by the upper half; the lower half alone would not know the upper bits.
            let line = ((hash >> 32) * u64::from(shape.region)) >> 32;
            place.lines[i] = i as u32 * shape.region + line as u32;
            place.chosen[i] = (hash ^ hash >> 32) as u32;
        }
        place
    }
}

#[derive(Clone)]
pub(super) struct Planes {
    shape: Shape,
    lines: Box<[Line]>,
    /// Bits set of each live plane; 0 of all others.
    ones: Box<[u64]>,
    /// Bits of all planes that are being cleared, in every word; those of lines before `swept` are clean.
    sweeping: u64,
    swept: usize,
    /// Planes that expired since that began.
    waiting: u64,
}

impl Planes {
    pub fn new(shape: Shape) -> Planes {
        Planes::of(shape, vec![Line::default(); shape.lines() as usize].into())
    }

    /// Lines in which every plane that holds bits is live.
    pub fn of(shape: Shape, lines: Box<[Line]>) -> Planes {
        let ones = vec![0; shape.planes() as usize].into();
        let mut planes = Planes { shape, lines, ones, sweeping: 0, swept: 0, waiting: 0 };
        planes.count_ones(planes.all());
        planes
    }

    /// A word with the bits of all planes.
    fn all(&self) -> u64 {
        u64::MAX >> (64 - self.shape.planes())
    }

    /// The AND of the key's words: the planes in which all its bits are set.
    #[inline]
    pub fn word_at(&self, place: &Place) -> u64 {
        let shape = self.shape;
        let mut word = u64::MAX;
        for i in 0..usize::from(shape.lines_per_key).min(LINES) {
            let line = &self.lines[place.lines[i] as usize].0;
            for_each_bit(shape, place.chosen[i], |at, shift| word &= line[at] >> shift);
        }
        word & self.all()
    }

    /// Sets the key's bits in one live plane and returns the word of before. Clears a line of what expired.
    #[inline]
    pub fn insert_at(&mut self, place: &Place, plane: u32) -> u64 {
        let shape = self.shape;
        let (mut word, mut new) = (u64::MAX, 0);
        for i in 0..usize::from(shape.lines_per_key).min(LINES) {
            let line = &mut self.lines[place.lines[i] as usize].0;
            for_each_bit(shape, place.chosen[i], |at, shift| {
                let before = line[at];
                word &= before >> shift;
                let bit = 1 << (shift + plane);
                new += u64::from(before & bit == 0);
                line[at] = before | bit;
            });
        }
        self.ones[plane as usize] += new;
        if self.sweeping != 0 {
            self.sweep_line();
        }
        word & self.all()
    }

    /// Sets the key's bits in all these planes.
    pub fn insert_word(&mut self, place: &Place, mut planes: u64) {
        while planes != 0 {
            self.insert_at(place, planes.trailing_zeros());
            planes &= planes - 1;
        }
    }

    /// These planes are live no longer. O(planes): what they hold is cleared later.
    pub fn expire(&mut self, planes: u64) {
        for (plane, ones) in self.ones.iter_mut().enumerate() {
            if planes >> plane & 1 != 0 && std::mem::take(ones) > 0 {
                self.waiting |= 1 << plane;
            }
        }
        if self.sweeping == 0 {
            self.start();
        }
    }

    /// Makes sure that these planes are clean: they go live. O(1) when the sweep is past them, else O(bytes).
    pub fn clean(&mut self, planes: u64) {
        let waiting = self.repeated(self.waiting);
        let wanted = self.repeated(planes);
        if (self.sweeping | waiting) & wanted == 0 {
            return;
        }
        let (from, mask) = if waiting & wanted == 0 {
            (self.swept, self.sweeping)
        } else {
            self.waiting = 0;
            (0, self.sweeping | waiting)
        };
        for line in &mut self.lines[from..] {
            line.0.iter_mut().for_each(|word| *word &= !mask);
        }
        self.start();
    }

    fn start(&mut self) {
        self.sweeping = self.repeated(self.waiting);
        (self.swept, self.waiting) = (0, 0);
    }

    #[inline]
    fn sweep_line(&mut self) {
        let mask = self.sweeping;
        if let Some(line) = self.lines.get_mut(self.swept) {
            line.0.iter_mut().for_each(|word| *word &= !mask);
            self.swept += 1;
        } else {
            self.start();
        }
    }

    /// Adds the bits of another ring of this shape in these planes, all of them live here. O(bytes).
    pub fn merge(&mut self, other: &Planes, planes: u64) {
        let mask = self.repeated(planes);
        for (line, more) in self.lines.iter_mut().zip(&other.lines) {
            line.0.iter_mut().zip(more.0).for_each(|(word, more)| *word |= more & mask);
        }
        self.count_ones(planes);
    }

    fn count_ones(&mut self, planes: u64) {
        for plane in (0..self.shape.planes()).filter(|plane| planes >> plane & 1 != 0) {
            let mask = self.repeated(1 << plane);
            let ones =
                |line: &Line| line.0.iter().map(|word| u64::from((word & mask).count_ones())).sum::<u64>();
            self.ones[plane as usize] = self.lines.iter().map(ones).sum();
        }
    }

    /// The bits of these planes at every position of a word.
    fn repeated(&self, planes: u64) -> u64 {
        let step = u64::MAX / self.all();
        (planes & self.all()).wrapping_mul(step)
    }

    /// Share of a live plane's bits that are set.
    pub fn fill(&self, plane: u32) -> f64 {
        let bits = self.shape.lines() * 512 / u64::from(self.shape.planes());
        self.ones[plane as usize] as f64 / bits as f64
    }

    /// The false-positive rate of one plane for exactly these bits: per region the mean over its lines of the product
    /// over their parts of the share of bits set, and the product of the regions. O(bytes).
    pub fn plane_rate_of_bits(&self, plane: u32) -> f64 {
        let mask = self.repeated(1 << plane);
        let words = 8usize >> self.shape.lg_parts;
        let positions = f64::from(1u32 << self.shape.lg_positions());
        let share = |part: &[u64]| {
            f64::from(part.iter().map(|word| (word & mask).count_ones()).sum::<u32>()) / positions
        };
        let line = |line: &Line| line.0.chunks(words).map(share).product::<f64>();
        self.lines
            .chunks(self.shape.region as usize)
            .map(|region| region.iter().map(line).sum::<f64>() / f64::from(self.shape.region))
            .product()
    }

    /// All lines with the bits of these planes alone.
    pub fn lines(&self, planes: u64) -> impl Iterator<Item = Line> + '_ {
        let mask = self.repeated(planes);
        self.lines.iter().map(move |line| Line(line.0.map(|word| word & mask)))
    }

    pub fn memory_bytes(&self) -> usize {
        size_of_val(&*self.lines) + size_of_val(&*self.ones)
    }

    /// What no keys lead to: a key sets a bit in every part of its line, in one line of every region, and in live planes
    /// only.
    pub fn complaint(&self, live: u64) -> Option<&'static str> {
        let dead = self.repeated(!live & self.all()) & !self.sweeping & !self.repeated(self.waiting);
        let mut regions = self.lines.chunks(self.shape.region as usize).map(|region| {
            let held = region.iter().map(|line| self.planes_of(line)).collect::<Option<Vec<u64>>>();
            held.map(|held| held.iter().fold(0, |all, planes| all | planes) & live)
        });
        let first = regions.next().flatten();
        if self.lines.iter().any(|line| line.0.iter().any(|word| word & dead != 0)) {
            Some("bits of an expired bucket")
        } else if first.is_none() || !regions.all(|region| region == first) {
            Some("a key without all its bits")
        } else {
            None
        }
    }

    /// The planes of which a line holds bits, when all its parts agree. Half-swept planes are not looked at.
    fn planes_of(&self, line: &Line) -> Option<u64> {
        let stale = self.sweeping | self.repeated(self.waiting);
        let fold = |part: &[u64]| {
            let word = part.iter().fold(0, |all, word| all | (word & !stale));
            (self.shape.lg_planes..6).rev().fold(word, |word, lg| word | word >> (1 << lg)) & self.all()
        };
        let mut parts = line.0.chunks(8 >> self.shape.lg_parts).map(fold);
        let first = parts.next()?;
        parts.all(|part| part == first).then_some(first)
    }

    /// # Panics
    /// When the structure is broken, which would be a bug.
    pub fn check_invariants(&self, live: u64) {
        assert_eq!(self.lines.len() as u64, self.shape.lines(), "a ring has its lines");
        assert_eq!(self.complaint(live), None);
        let mut counted = self.clone();
        counted.count_ones(live);
        assert_eq!(self.ones, counted.ones, "bits of live planes are counted, of others none");
        let stale = self.sweeping | self.repeated(self.waiting);
        assert_eq!(stale & self.repeated(live), 0, "a live plane is clean");
    }
}

/// Calls with the word of the line and the shift to the lowest plane of each position that these bits choose. One plain
/// loop of known length for each number of parts.
#[inline(always)]
fn for_each_bit(shape: Shape, chosen: u32, f: impl FnMut(usize, u32)) {
    match shape.lg_parts {
        0 => for_parts::<1>(shape, chosen, f),
        1 => for_parts::<2>(shape, chosen, f),
        2 => for_parts::<4>(shape, chosen, f),
        _ => for_parts::<8>(shape, chosen, f),
    }
}

#[inline(always)]
fn for_parts<const PARTS: u32>(shape: Shape, chosen: u32, mut f: impl FnMut(usize, u32)) {
    let lg_positions = u32::from(shape.lg_positions());
    for part in 0..PARTS {
        let rest = chosen >> (part * lg_positions);
        let position = part << lg_positions | rest & ((1 << lg_positions) - 1);
        let bit = position << shape.lg_planes;
        f((bit >> 6) as usize & 7, bit & 63);
    }
}
