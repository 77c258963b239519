//! Snapshots of [`Seen`]. Table in docs/FORMATS.md.
//!
//! What follows from the size (blocks and capacity of each layer) is not written but checked.

use super::{Filter, LAYERS_MAX, Layer, Layers, Measured, Seen, Size, State};
use crate::Outflow;
use crate::codec::{DecodeError, Limits, Reader, expect_head, kind};
use crate::hll::set::TokenSet;

const VERSION: u8 = 1;
/// In the place of the number of layers.
const EXACT: u8 = 0;
/// Keys taken, and the head of the filter.
const LAYER_BYTES_MIN: usize = 8 + 6;

impl Seen {
    /// Appends the whole state: 31 + 8n bytes while it is a set of n keys, else 44 and, per layer, 14 and its blocks.
    pub fn snapshot(&self, out: &mut Vec<u8>) {
        Outflow::append(out, |out| self.send(out));
    }

    /// The same for a state that need not stand in memory twice.
    pub fn send(&self, flow: &mut Outflow<'_>) {
        if cfg!(debug_assertions) {
            self.check_invariants();
        }
        let out = flow.bytes();
        out.extend_from_slice(&[kind::SEEN, VERSION]);
        out.extend_from_slice(&self.size.keys().to_le_bytes());
        out.extend_from_slice(&self.size.rate().to_bits().to_le_bytes());
        out.extend_from_slice(&self.bytes_max.to_le_bytes());
        out.push(self.layers() as u8);
        match &self.state {
            State::Exact(set) => set.write(out),
            State::Layers(layers) => {
                out.push(u8::from(layers.last));
                out.extend_from_slice(&layers.misjudged.to_bits().to_le_bytes());
                out.extend_from_slice(&layers.variance.to_bits().to_le_bytes());
                for layer in layers.all() {
                    flow.bytes().extend_from_slice(&layer.taken.to_le_bytes());
                    layer.filter.filter().send(flow);
                }
            }
        }
    }

    /// Reads what [`Seen::snapshot`] wrote and leaves the reader behind it. Survives any bytes and allocates no more than
    /// it reads; how far the state may grow afterwards is `bytes_max`, which the caller compares with its own.
    ///
    /// # Errors
    /// [`DecodeError`] on anything that no sequence of keys leads to.
    pub fn restore(r: &mut Reader<'_>, limits: &Limits) -> Result<Seen, DecodeError> {
        expect_head(r, kind::SEEN, VERSION, "not a seen of version 1")?;
        let (keys, rate, bytes_max) = (r.u64()?, r.f64()?, r.u64()?);
        let size = Size::new(keys, rate).map_err(|_| DecodeError::Invalid("size of a filter"))?;
        let mut seen = Seen::new(size, bytes_max);
        match r.u8()? {
            EXACT => seen.state = State::Exact(TokenSet::read(r, seen.exact_max)?),
            layers => {
                let layers = read_layers(r, limits, size, usize::from(layers))?;
                if let Some(complaint) = layers.complaint(&seen) {
                    return Err(DecodeError::Invalid(complaint));
                }
                seen.state = State::Layers(layers);
            }
        }
        if cfg!(debug_assertions) {
            seen.check_invariants();
        }
        Ok(seen)
    }
}

fn read_layers(r: &mut Reader<'_>, limits: &Limits, size: Size, count: usize) -> Result<Layers, DecodeError> {
    if count > LAYERS_MAX {
        return Err(DecodeError::Invalid("number of layers"));
    }
    let last = match r.u8()? {
        0 => false,
        1 => true,
        _ => return Err(DecodeError::Invalid("flag of a degraded filter")),
    };
    let (misjudged, variance) = (r.f64()?, r.f64()?);
    if count * LAYER_BYTES_MIN > r.remaining() {
        return Err(DecodeError::Truncated);
    }
    let mut older = Vec::with_capacity(count - 1);
    let mut older_pass = 1.0;
    loop {
        let taken = r.u64()?;
        let layer = Layer {
            filter: Measured::of(Filter::restore(r, limits)?),
            taken,
            keys: size.layer_keys(older.len()),
        };
        if older.len() + 1 == count {
            let pass_min = 1.0 - size.rate_max(older.len());
            return Ok(Layers { older, newest: layer, older_pass, pass_min, misjudged, variance, last });
        }
        // In the order in which they were chained, so that the rounding is the same.
        older_pass *= 1.0 - layer.filter.rate();
        older.push(layer);
    }
}
