//! The bytes of the log: the head of a segment, and the frame of a body. Tables in docs/FORMATS.md.
//!
//! Every log has a random salt that is part of the checksum of its frames, so that a body that holds a copy of a frame is
//! not taken for one when a damaged file is searched.

use super::producers::Producers;
use crate::checkpoint::checksum;
use engine::inbox::{PRODUCER_BYTES_MAX, Stamp};
use sketch::codec::write_varint;
use sketch::hash::xxh3_128;
use sketch::{DecodeError, Reader};

const MAGIC: &[u8; 8] = b"SGINBOXS";
const VERSION: u16 = 1;
const CHECKSUM_BYTES: usize = 16;
/// Magic, version and length: what must be read to know how long the head is.
pub(super) const PRELUDE_BYTES: usize = 8 + 2 + 4;
/// Longer than the head of any segment that is written: 16 million bytes of producers would be some 100,000 of the longest.
const HEAD_BYTES_MAX: usize = 1 << 28;

/// The first bytes of every frame.
pub(super) const MARK: &[u8; 4] = b"\xf5SGF";
/// A frame without name and body.
pub(super) const FRAME_BYTES: usize = 4 + 4 + 2 + 2 + 8 + 8 + 8 + 8 + 8 + 8;
/// The first bytes of a frame that its checksum covers.
const SUMMED_BYTES: usize = FRAME_BYTES - 8;

const STAMPED: u16 = 1;
const SEAL: u16 = 2;

/// The head of a segment.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub salt: u64,
    /// Offset of the first body.
    pub base: u64,
    /// What was known of producers at that offset.
    pub producers: Producers,
}

impl Head {
    /// The bytes of a head.
    pub fn write(salt: u64, base: u64, producers: &Producers) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&salt.to_le_bytes());
        out.extend_from_slice(&base.to_le_bytes());
        write_varint(producers.len() as u64, &mut out);
        producers.write(&mut out);
        let length = (out.len() + CHECKSUM_BYTES) as u32;
        out[10..14].copy_from_slice(&length.to_le_bytes());
        let sum = checksum(&out);
        out.extend_from_slice(&sum);
        out
    }

    /// How many bytes the head has, by its first ones.
    pub fn length(prelude: &[u8]) -> Result<usize, String> {
        let Some((magic, rest)) = prelude.split_first_chunk::<8>() else {
            return Err("it is cut off".into());
        };
        if magic != MAGIC {
            return Err("it does not begin as a segment of an inbox does".into());
        }
        let [v0, v1, l0, l1, l2, l3] = *rest.first_chunk::<6>().ok_or("it is cut off")?;
        let version = u16::from_le_bytes([v0, v1]);
        if version > VERSION {
            return Err(format!(
                "it is of version {version}, and this program reads version {VERSION}: take a newer program"
            ));
        }
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let least = PRELUDE_BYTES + 8 + 8 + 1 + CHECKSUM_BYTES;
        if (least..=HEAD_BYTES_MAX).contains(&length) {
            Ok(length)
        } else {
            Err("its head has no length".into())
        }
    }

    /// Reads a whole head. Survives any bytes.
    pub fn read(bytes: &[u8], producers_max: usize) -> Result<Head, String> {
        let length = Head::length(bytes)?;
        let bytes = bytes.get(..length).ok_or("it is cut off in its head")?;
        let (summed, sum) = bytes.split_at(length - CHECKSUM_BYTES);
        if checksum(summed) != sum {
            return Err("the checksum of its head does not hold".into());
        }
        let mut r = Reader::new(&summed[PRELUDE_BYTES..]);
        Head::read_fields(&mut r, producers_max).map_err(|error| error.to_string())
    }

    fn read_fields(r: &mut Reader<'_>, producers_max: usize) -> Result<Head, DecodeError> {
        let (salt, base) = (r.u64()?, r.u64()?);
        let count = r.varint()?;
        let producers = Producers::read(r, count, producers_max)?;
        r.clone().finish()?;
        Ok(Head { salt, base, producers })
    }
}

/// What stands before a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    /// Offset of the body.
    pub offset: u64,
    /// All before this was durable when the frame was written.
    pub durable: u64,
    /// Processing time at which the body was handed in.
    pub arrival_ms: u64,
    pub stamp: Option<Stamp>,
    /// Whether it only says that all before it is durable.
    pub seal: bool,
    pub body_bytes: u32,
    pub body_sum: u64,
}

impl Frame {
    /// The frame of a body.
    pub fn of(offset: u64, durable: u64, arrival_ms: u64, stamp: Option<Stamp>, body: &[u8]) -> Frame {
        let body_bytes = u32::try_from(body.len()).expect("bodies are bounded where they are handed in");
        Frame { offset, durable, arrival_ms, stamp, seal: false, body_bytes, body_sum: body_sum(body) }
    }

    /// A frame that says that all before `offset` is durable.
    pub fn seal(offset: u64) -> Frame {
        let frame = Frame::of(offset, offset, 0, None, &[]);
        Frame { seal: true, ..frame }
    }

    pub fn write(&self, salt: u64, out: &mut Vec<u8>) {
        let start = out.len();
        let name = self.stamp.as_ref().map_or("", |stamp| stamp.producer()).as_bytes();
        let flags = (u16::from(self.stamp.is_some()) * STAMPED) | (u16::from(self.seal) * SEAL);
        out.extend_from_slice(MARK);
        out.extend_from_slice(&self.body_bytes.to_le_bytes());
        out.extend_from_slice(&flags.to_le_bytes());
        out.extend_from_slice(&(name.len() as u16).to_le_bytes());
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.durable.to_le_bytes());
        out.extend_from_slice(&self.arrival_ms.to_le_bytes());
        out.extend_from_slice(&self.stamp.as_ref().map_or(0, Stamp::sequence).to_le_bytes());
        out.extend_from_slice(&self.body_sum.to_le_bytes());
        let sum = frame_sum(salt, &out[start..], name);
        out.extend_from_slice(&sum.to_le_bytes());
        out.extend_from_slice(name);
    }

    /// How long the name behind the first [`FRAME_BYTES`] is; `None` when they are no frame.
    pub fn name_bytes(bytes: &[u8]) -> Option<usize> {
        let fixed = bytes.first_chunk::<FRAME_BYTES>().filter(|fixed| fixed.starts_with(MARK))?;
        let name = usize::from(u16::from_le_bytes([fixed[10], fixed[11]]));
        (name <= PRODUCER_BYTES_MAX).then_some(name)
    }

    /// Reads a frame and its name; `None` when these bytes are no frame of this log. Survives any bytes.
    pub fn read(salt: u64, bytes: &[u8]) -> Option<Frame> {
        let name_bytes = Frame::name_bytes(bytes)?;
        let (fixed, rest) = bytes.split_at(FRAME_BYTES);
        let name = rest.get(..name_bytes)?;
        let (summed, sum) = fixed.split_at(SUMMED_BYTES);
        if frame_sum(salt, summed, name).to_le_bytes() != sum {
            return None;
        }
        Frame::read_fields(&mut Reader::new(&summed[MARK.len()..]), name).ok().flatten()
    }

    fn read_fields(r: &mut Reader<'_>, name: &[u8]) -> Result<Option<Frame>, DecodeError> {
        let (body_bytes, flags, _) = (r.u32()?, r.u16()?, r.u16()?);
        let (offset, durable, arrival_ms) = (r.u64()?, r.u64()?, r.u64()?);
        let (sequence, body_sum) = (r.u64()?, r.u64()?);
        let stamp = match flags & STAMPED {
            0 => None,
            _ => match std::str::from_utf8(name).ok().and_then(|name| Stamp::new(name, sequence)) {
                Some(stamp) => Some(stamp),
                None => return Ok(None),
            },
        };
        let seal = flags & SEAL != 0;
        Ok(Some(Frame { offset, durable, arrival_ms, stamp, seal, body_bytes, body_sum }))
    }

    /// Bytes of frame, name and body.
    pub fn length(&self) -> usize {
        FRAME_BYTES + self.stamp.as_ref().map_or(0, |stamp| stamp.producer().len()) + self.body_bytes as usize
    }

    /// The offset behind the body.
    pub fn next(&self) -> u64 {
        self.offset + u64::from(self.body_bytes)
    }
}

pub(super) fn body_sum(body: &[u8]) -> u64 {
    xxh3_128(body).0
}

fn frame_sum(salt: u64, summed: &[u8], name: &[u8]) -> u64 {
    let mut bytes = [0; 8 + SUMMED_BYTES + PRODUCER_BYTES_MAX];
    let (first, rest) = bytes.split_at_mut(8);
    first.copy_from_slice(&salt.to_le_bytes());
    rest[..SUMMED_BYTES].copy_from_slice(summed);
    rest[SUMMED_BYTES..SUMMED_BYTES + name.len()].copy_from_slice(name);
    xxh3_128(&bytes[..8 + SUMMED_BYTES + name.len()]).0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        Frame::of(1_000, 900, 1_700_000_000_000, Stamp::new("web-1", 42), b"{\"a\":1}\n")
    }

    #[test]
    fn a_frame_is_read_as_written_and_no_flipped_bit_passes() {
        for frame in [frame(), Frame { stamp: None, ..frame() }, Frame::seal(77)] {
            let mut bytes = Vec::new();
            frame.write(5, &mut bytes);
            assert_eq!(bytes.len(), frame.length() - frame.body_bytes as usize);
            assert_eq!(Frame::read(5, &bytes), Some(frame.clone()));
            assert_eq!(Frame::read(6, &bytes), None, "another log");
            for at in 0..bytes.len() {
                for bit in 0..8 {
                    let mut bad = bytes.clone();
                    bad[at] ^= 1 << bit;
                    assert_eq!(Frame::read(5, &bad), None, "bit {bit} of byte {at}");
                }
                assert_eq!(Frame::read(5, &bytes[..at]), None, "{at} bytes");
            }
        }
    }

    #[test]
    fn a_head_is_read_as_written_and_no_flipped_bit_passes() {
        let mut producers = Producers::new(10, 1_000_000);
        producers.note(&Stamp::new("web-1", 42).unwrap(), 5_000);
        producers.note(&Stamp::new("web-2", 1).unwrap(), 6_000);
        let bytes = Head::write(5, 1 << 40, &producers);
        let read = Head::read(&bytes, 10).unwrap();
        assert_eq!((read.salt, read.base, read.producers.len()), (5, 1 << 40, 2));
        assert_eq!(Head::write(read.salt, read.base, &read.producers), bytes);
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bad = bytes.clone();
                bad[at] ^= 1 << bit;
                assert!(Head::read(&bad, 10).is_err(), "bit {bit} of byte {at}");
            }
            assert!(Head::read(&bytes[..at], 10).is_err(), "{at} bytes");
        }
    }
}
