//! Snapshots of [`SeenRing`]. Table in docs/FORMATS.md.
//!
//! What follows from the size (planes, lines, bits of a key) is not written. Expired planes are written as zeros, however
//! far they are cleared in memory.

use super::planes::{Line, Planes};
use super::{LINE_BYTES, LINES_PER_KEY_MAX, Map, RingSize, SLOT_BYTES, SeenRing, State, Window};
use crate::codec::{DecodeError, Limits, Reader, expect_head, kind};
use crate::{Outflow, Token};

const VERSION: u8 = 1;
const UNOPENED: u8 = 0;
const EXACT: u8 = 1;
const PLANES: u8 = 2;

impl SeenRing {
    /// Appends the whole state: 21 bytes before the first bucket, 33 + 16n while it is a map of n keys, else 29 and the
    /// bytes of the filter.
    pub fn snapshot(&self, out: &mut Vec<u8>) {
        Outflow::append(out, |out| self.send(out));
    }

    /// The same for a ring that need not stand in memory twice.
    pub fn send(&self, flow: &mut Outflow<'_>) {
        if cfg!(debug_assertions) {
            self.check_invariants();
        }
        let out = flow.bytes();
        out.extend_from_slice(&[kind::SEEN_RING, VERSION]);
        out.extend_from_slice(&self.size.keys().to_le_bytes());
        out.extend_from_slice(&self.size.rate().to_bits().to_le_bytes());
        out.extend_from_slice(&[self.size.buckets(), self.size.lines_per_key()]);
        if !self.window.is_open() {
            out.push(UNOPENED);
            return;
        }
        out.push(if self.is_exact() { EXACT } else { PLANES });
        out.extend_from_slice(&self.window.head.to_le_bytes());
        match &self.state {
            State::Exact(map) => {
                out.extend_from_slice(&(map.len() as u32).to_le_bytes());
                for (token, held) in map.sorted() {
                    out.extend_from_slice(&token.0.to_le_bytes());
                    out.extend_from_slice(&self.window.by_age(held).to_le_bytes());
                }
            }
            State::Planes(planes) => {
                for line in planes.lines(self.window.live) {
                    flow.bytes().extend(line.0.into_iter().flat_map(u64::to_le_bytes));
                    flow.ease();
                }
            }
        }
    }

    /// Reads what [`SeenRing::snapshot`] wrote and leaves the reader behind it. Survives any bytes; refuses a size whose
    /// filter is beyond `limits`, also while it is exact, and allocates no more than it reads.
    ///
    /// # Errors
    /// [`DecodeError`] on anything that [`SeenRing::snapshot`] does not write.
    pub fn restore(r: &mut Reader<'_>, limits: &Limits) -> Result<SeenRing, DecodeError> {
        expect_head(r, kind::SEEN_RING, VERSION, "not a ring of version 1")?;
        let size = read_size(r)?;
        limits.allow("lines of a ring", size.shape().lines(), LINE_BYTES as usize)?;
        let mut ring = SeenRing::new(size);
        let mode = r.u8()?;
        if mode == UNOPENED {
            return Ok(ring);
        }
        ring.window = ring.window.at(r.u64()?);
        ring.state = match mode {
            EXACT => State::Exact(read_map(r, &ring.window, ring.exact_max)?),
            PLANES => State::Planes(read_planes(r, &ring)?),
            _ => return Err(DecodeError::Invalid("state of a ring")),
        };
        if cfg!(debug_assertions) {
            ring.check_invariants();
        }
        Ok(ring)
    }
}

fn read_size(r: &mut Reader<'_>) -> Result<RingSize, DecodeError> {
    let (keys, rate) = (r.u64()?, r.f64()?);
    let (buckets, lines) = (r.u8()?, r.u8()?);
    if !(1..=LINES_PER_KEY_MAX).contains(&lines) {
        return Err(DecodeError::Invalid("cache lines per key"));
    }
    RingSize::with_lines(keys, rate, buckets, lines).map_err(|_| DecodeError::Invalid("size of a ring"))
}

fn read_map(r: &mut Reader<'_>, window: &Window, exact_max: usize) -> Result<Map, DecodeError> {
    let count = r.count("keys of a ring", exact_max, SLOT_BYTES)?;
    let mut map = Map::with_room_for(count);
    let mut before = None;
    let ages_max = u64::MAX >> (63 - (window.head - window.oldest));
    for _ in 0..count {
        let (token, ages) = (r.u64()?, r.u64()?);
        if before.is_some_and(|before| before >= token) {
            return Err(DecodeError::Invalid("tokens do not ascend"));
        }
        if ages == 0 || ages > ages_max {
            return Err(DecodeError::Invalid("buckets of a key"));
        }
        map.add(Token(token), window.of_age(ages));
        before = Some(token);
    }
    Ok(map)
}

fn read_planes(r: &mut Reader<'_>, ring: &SeenRing) -> Result<Planes, DecodeError> {
    let shape = ring.size.shape();
    let bytes = r.bytes((shape.lines() * LINE_BYTES) as usize)?;
    let (words, _) = bytes.as_chunks::<8>();
    let (lines, _) = words.as_chunks::<8>();
    let planes = Planes::of(shape, lines.iter().map(|words| Line(words.map(u64::from_le_bytes))).collect());
    match planes.complaint(ring.window.live) {
        Some(complaint) => Err(DecodeError::Invalid(complaint)),
        None => Ok(planes),
    }
}
