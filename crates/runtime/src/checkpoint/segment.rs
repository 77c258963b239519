//! The bytes of a segment: one part of a state, compressed. What it holds is checked by the manifest that names it.

use super::Codec;
use flate2::Compression;
use flate2::read::{GzDecoder, GzEncoder};
use lz4_flex::frame::{BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use std::io::{self, Read, Write};

/// The first bytes of a segment.
const MAGIC: &[u8; 8] = b"SGSEGMEN";
const VERSION: u16 = 1;
/// Magic, version and codec.
const HEAD_BYTES: usize = 8 + 2 + 1;
/// Level of zstd: the fastest one. State is mostly noise, so higher levels gain little and stall the stream.
const ZSTD_LEVEL: i32 = 1;

/// Packs a part of a state.
///
/// # Errors
/// None but those of the compression itself, which has memory to write to.
pub fn pack(raw: &[u8], codec: Codec) -> io::Result<Vec<u8>> {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.push(codec as u8);
    match codec {
        Codec::None => out.extend_from_slice(raw),
        Codec::Zstd => zstd::stream::copy_encode(raw, &mut out, ZSTD_LEVEL)?,
        Codec::Gzip => {
            GzEncoder::new(raw, Compression::fast()).read_to_end(&mut out)?;
        }
        Codec::Lz4 => {
            let mut encoder = FrameEncoder::with_frame_info(lz4_frame(), &mut out);
            encoder.write_all(raw)?;
            encoder.finish()?;
        }
    }
    Ok(out)
}

/// Unpacks `raw_bytes` bytes; no more are built.
///
/// # Errors
/// A sentence that says what is wrong with a segment that does not hold so many.
pub fn unpack(bytes: &[u8], raw_bytes: u64) -> Result<Vec<u8>, String> {
    if bytes.len() < HEAD_BYTES || !bytes.starts_with(MAGIC) || bytes[8..10] != VERSION.to_le_bytes() {
        return Err("it does not begin as a segment of version 1 does".into());
    }
    let packed = &bytes[HEAD_BYTES..];
    let codec = Codec::ALL
        .into_iter()
        .find(|codec| *codec as u8 == bytes[10])
        .ok_or("it is compressed in an unknown way")?;
    let reader: Box<dyn Read + '_> = match codec {
        Codec::None => Box::new(packed),
        Codec::Zstd => Box::new(zstd::Decoder::with_buffer(packed).map_err(|error| error.to_string())?),
        Codec::Gzip => Box::new(GzDecoder::new(packed)),
        Codec::Lz4 => Box::new(FrameDecoder::new(packed)),
    };
    let mut raw = Vec::new();
    reader.take(raw_bytes.saturating_add(1)).read_to_end(&mut raw).map_err(|error| error.to_string())?;
    if raw.len() as u64 == raw_bytes {
        Ok(raw)
    } else {
        Err("it unpacks to another length than it should".into())
    }
}

/// Large blocks: segments are read whole. With a checksum behind the end, or one that lacks its end would pass.
fn lz4_frame() -> FrameInfo {
    FrameInfo::new().block_size(BlockSize::Max1MB).content_checksum(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_codec_gives_back_what_it_took() {
        let raw: Vec<u8> = (0..10_000u32).flat_map(|i| (i / 7).to_le_bytes()).collect();
        for codec in Codec::ALL {
            let packed = pack(&raw, codec).unwrap();
            assert_eq!(unpack(&packed, raw.len() as u64).as_ref(), Ok(&raw), "{codec:?}");
            assert!(unpack(&packed, raw.len() as u64 - 1).is_err(), "{codec:?}: more than was said");
            assert!(unpack(&packed[..packed.len() - 1], raw.len() as u64).is_err(), "{codec:?}: cut");
            assert!(unpack(&packed, raw.len() as u64 + 1).is_err(), "{codec:?}: less than was said");
        }
    }
}
