//! The bytes of a segment: one part of a state, compressed in frames, so that a pane in it is read without the rest. What
//! it holds is checked by the manifest that names it, and frame by frame when a part is read later.

use super::Codec;
use super::manifest::{CHECKSUM_BYTES, checksum, checksum_of};
use flate2::Compression;
use flate2::read::{GzDecoder, GzEncoder};
use lz4_flex::frame::{BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use sabotage::{Bug, planted};
use sketch::hash::Xxh3Parts;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// The first bytes of a segment.
const MAGIC: &[u8; 8] = b"SGSEGMEN";
/// 2 is cut into frames; 1 is one stream.
const VERSION: u16 = 2;
/// Magic, version and codec.
const HEAD_BYTES: usize = 8 + 2 + 1;
/// Bytes of a frame, unpacked; the last one may be shorter.
const FRAME_BYTES: usize = 256 << 10;
/// Bytes of a frame packed, unpacked, and the checksum of what is packed.
const FRAME_HEAD_BYTES: usize = 4 + 4 + CHECKSUM_BYTES;
/// Level of zstd: the fastest one. State is mostly noise, so higher levels gain little and stall the stream.
const ZSTD_LEVEL: i32 = 1;

/// A stretch of a segment that is packed by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    /// Where its bytes begin in the file.
    at: u64,
    bytes: u64,
    /// Where they begin unpacked.
    pub raw_at: u64,
    pub raw_bytes: u64,
    /// Of its bytes; none in version 1.
    sum: Option<[u8; CHECKSUM_BYTES]>,
    codec: Codec,
}

/// Packs a part of a state.
///
/// # Errors
/// None but those of the compression itself, which has memory to write to.
pub fn pack(raw: &[u8], codec: Codec) -> io::Result<Vec<u8>> {
    let mut packer = Packer::new(Ok(Vec::new()), codec);
    packer.push(raw);
    packer.finish().1
}

/// Packs a part of a state as it comes; holds one frame of it.
#[derive(Debug)]
pub(super) struct Packer<W> {
    codec: Codec,
    /// Of the next frame.
    raw: Vec<u8>,
    /// What is written next.
    packed: Vec<u8>,
    raw_sum: Xxh3Parts,
    sum: Xxh3Parts,
    raw_bytes: u64,
    bytes: u64,
    /// Where it goes, or why it does not.
    out: io::Result<W>,
}

/// Lengths and checksums of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packed {
    pub bytes: u64,
    pub checksum: [u8; CHECKSUM_BYTES],
    pub raw_bytes: u64,
    pub raw_checksum: [u8; CHECKSUM_BYTES],
}

impl<W: Write> Packer<W> {
    /// A segment without anything in it yet.
    pub fn new(out: io::Result<W>, codec: Codec) -> Packer<W> {
        let mut packed = MAGIC.to_vec();
        packed.extend_from_slice(&VERSION.to_le_bytes());
        packed.push(codec as u8);
        let (raw_sum, sum) = Default::default();
        Packer { codec, raw: Vec::new(), packed, raw_sum, sum, raw_bytes: 0, bytes: 0, out }
    }

    /// Appends to the part.
    pub fn push(&mut self, mut bytes: &[u8]) {
        self.raw_sum.push(bytes);
        self.raw_bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let (head, tail) = bytes.split_at(bytes.len().min(FRAME_BYTES - self.raw.len()));
            self.raw.extend_from_slice(head);
            bytes = tail;
            if self.raw.len() == FRAME_BYTES {
                self.end_frame();
            }
        }
    }

    /// Bytes of the part so far.
    pub fn raw_bytes(&self) -> u64 {
        self.raw_bytes
    }

    /// What has become of it; the first error of whatever it was written to, if there was one.
    pub fn finish(mut self) -> (Packed, io::Result<W>) {
        self.end_frame();
        let (checksum, raw_checksum) = (checksum_of(&self.sum), checksum_of(&self.raw_sum));
        let Packer { bytes, raw_bytes, .. } = self;
        (Packed { bytes, checksum, raw_bytes, raw_checksum }, self.out)
    }

    fn end_frame(&mut self) {
        let done = self.pack_frame();
        self.sum.push(&self.packed);
        self.bytes += self.packed.len() as u64;
        if let Ok(out) = &mut self.out
            && let Err(error) = done.and_then(|()| out.write_all(&self.packed))
        {
            self.out = Err(error);
        }
        self.raw.clear();
        self.packed.clear();
    }

    fn pack_frame(&mut self) -> io::Result<()> {
        if self.raw.is_empty() {
            return Ok(());
        }
        let head = self.packed.len();
        let at = head + FRAME_HEAD_BYTES;
        self.packed.resize(at, 0);
        pack_frame(&self.raw, self.codec, &mut self.packed)?;
        let bytes = (self.packed.len() - at) as u32;
        let sum = checksum(&self.packed[at..]);
        self.packed[head..head + 4].copy_from_slice(&bytes.to_le_bytes());
        self.packed[head + 4..head + 8].copy_from_slice(&(self.raw.len() as u32).to_le_bytes());
        self.packed[head + 8..at].copy_from_slice(&sum);
        Ok(())
    }
}

fn pack_frame(raw: &[u8], codec: Codec, out: &mut Vec<u8>) -> io::Result<()> {
    match codec {
        Codec::None => out.extend_from_slice(raw),
        Codec::Zstd => zstd::stream::copy_encode(raw, &mut *out, ZSTD_LEVEL)?,
        Codec::Gzip => {
            GzEncoder::new(raw, Compression::fast()).read_to_end(out)?;
        }
        Codec::Lz4 => {
            let mut encoder = FrameEncoder::with_frame_info(lz4_frame(), &mut *out);
            encoder.write_all(raw)?;
            encoder.finish()?;
        }
    }
    Ok(())
}

/// Unpacks `raw_bytes` bytes; no more are built.
///
/// # Errors
/// A sentence that says what is wrong with a segment that does not hold so many.
pub fn unpack(bytes: &[u8], raw_bytes: u64) -> Result<Vec<u8>, String> {
    let mut file = io::Cursor::new(bytes);
    let frames = frames(&mut file, bytes.len() as u64, raw_bytes)?;
    let mut raw = Vec::new();
    for frame in &frames {
        raw.extend_from_slice(&read_frame(&mut file, frame)?);
    }
    Ok(raw)
}

/// The frames of a segment, told by their heads: together they unpack to `raw_bytes`.
///
/// # Errors
/// A sentence that says what is wrong.
pub(super) fn frames(
    file: &mut (impl Read + Seek),
    bytes: u64,
    raw_bytes: u64,
) -> Result<Vec<Frame>, String> {
    let text = |error: io::Error| error.to_string();
    let mut head = [0; HEAD_BYTES];
    file.seek(SeekFrom::Start(0)).map_err(text)?;
    let begins = file.read_exact(&mut head).is_ok() && head.starts_with(MAGIC);
    let version = u16::from_le_bytes([head[8], head[9]]);
    if !begins || !(1..=VERSION).contains(&version) {
        return Err("it does not begin as a segment of version 1 or 2 does".into());
    }
    let codec = Codec::ALL.into_iter().find(|codec| *codec as u8 == head[10]);
    let codec = codec.ok_or("it is compressed in an unknown way")?;
    let mut at = HEAD_BYTES as u64;
    if version == 1 {
        return Ok(vec![Frame { at, bytes: bytes - at, raw_at: 0, raw_bytes, sum: None, codec }]);
    }
    let (mut out, mut raw_at) = (Vec::new(), 0);
    while at < bytes {
        let mut head = [0; FRAME_HEAD_BYTES];
        file.seek(SeekFrom::Start(at)).map_err(text)?;
        file.read_exact(&mut head).map_err(|_| "it ends in the middle of a frame")?;
        let number = |from: usize| u64::from(u32::from_le_bytes(std::array::from_fn(|i| head[from + i])));
        at += FRAME_HEAD_BYTES as u64;
        let sum = Some(std::array::from_fn(|i| head[8 + i]));
        let frame = Frame { at, bytes: number(0), raw_at, raw_bytes: number(4), sum, codec };
        if frame.bytes > bytes - at || frame.raw_bytes > FRAME_BYTES as u64 {
            return Err("it ends in the middle of a frame".into());
        }
        (at, raw_at) = (at + frame.bytes, raw_at + frame.raw_bytes);
        out.push(frame);
    }
    if raw_at == raw_bytes { Ok(out) } else { Err("it unpacks to another length than it should".into()) }
}

/// A frame, unpacked.
///
/// # Errors
/// A sentence that says what is wrong.
pub(super) fn read_frame(file: &mut (impl Read + Seek), frame: &Frame) -> Result<Vec<u8>, String> {
    let text = |error: io::Error| error.to_string();
    file.seek(SeekFrom::Start(frame.at)).map_err(text)?;
    let mut packed = Vec::new();
    file.take(frame.bytes).read_to_end(&mut packed).map_err(text)?;
    if packed.len() as u64 != frame.bytes
        || frame.sum.is_some_and(|sum| checksum(&packed) != sum && !planted(Bug::ChecksumNotLookedAt))
    {
        return Err("its checksum does not hold, so it was cut off or changed".into());
    }
    let reader: Box<dyn Read + '_> = match frame.codec {
        Codec::None => Box::new(&packed[..]),
        Codec::Zstd => Box::new(zstd::Decoder::with_buffer(&packed[..]).map_err(text)?),
        Codec::Gzip => Box::new(GzDecoder::new(&packed[..])),
        Codec::Lz4 => Box::new(FrameDecoder::new(&packed[..])),
    };
    let mut raw = Vec::new();
    reader.take(frame.raw_bytes.saturating_add(1)).read_to_end(&mut raw).map_err(text)?;
    if raw.len() as u64 == frame.raw_bytes {
        Ok(raw)
    } else {
        Err("it unpacks to another length than it should".into())
    }
}

/// Large blocks: frames are read whole. With a checksum behind the end, or one that lacks its end would pass.
fn lz4_frame() -> FrameInfo {
    FrameInfo::new().block_size(BlockSize::Max1MB).content_checksum(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was written, and the most of it at a time.
    #[derive(Default)]
    struct Longest {
        all: Vec<u8>,
        longest: usize,
    }

    impl Write for Longest {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.longest = self.longest.max(bytes.len());
            self.all.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_codec_gives_back_what_it_took() {
        let raw: Vec<u8> = (0..150_000u32).flat_map(|i| (i / 7).to_le_bytes()).collect();
        for codec in Codec::ALL {
            let packed = pack(&raw, codec).unwrap();
            let mut pieces = Packer::new(Ok(Longest::default()), codec);
            raw.chunks(777).for_each(|piece| pieces.push(piece));
            let (told, written) = pieces.finish();
            let Longest { all, longest } = written.unwrap();
            assert!(all == packed, "{codec:?}: in pieces");
            assert!(longest <= HEAD_BYTES + FRAME_HEAD_BYTES + FRAME_BYTES, "{codec:?}: frame by frame");
            let (bytes, raw_bytes) = (packed.len() as u64, raw.len() as u64);
            let (checksum, raw_checksum) = (checksum(&packed), checksum(&raw));
            assert_eq!(told, Packed { bytes, checksum, raw_bytes, raw_checksum }, "{codec:?}");
            assert_eq!(unpack(&packed, raw.len() as u64).as_ref(), Ok(&raw), "{codec:?}");
            assert!(unpack(&packed, raw.len() as u64 - 1).is_err(), "{codec:?}: more than was said");
            assert!(unpack(&packed[..packed.len() - 1], raw.len() as u64).is_err(), "{codec:?}: cut");
            assert!(unpack(&packed, raw.len() as u64 + 1).is_err(), "{codec:?}: less than was said");
        }
    }
}
