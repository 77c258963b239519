//! The bytes of a manifest: what one commit is made of. Table in docs/FORMATS.md.

use sketch::codec::write_varint;
use sketch::hash::{Xxh3Parts, xxh3_128};
use sketch::{DecodeError, Reader};
use std::io::{self, Read};

/// The first bytes of a manifest.
const MAGIC: &[u8; 8] = b"SGCOMMIT";
/// 2 added closed panes by themselves, and what has left through sinks; 3 what has begun later than the
/// source, and which groups are idle; 4 which state it is.
const VERSION: u16 = 4;
pub(super) const CHECKSUM_BYTES: usize = 16;

/// XXH3, 128 bits, as sixteen bytes.
pub(crate) fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let (low, high) = xxh3_128(bytes);
    (u128::from(high) << 64 | u128::from(low)).to_le_bytes()
}

/// The same of bytes that came in parts.
pub(crate) fn checksum_of(parts: &Xxh3Parts) -> [u8; CHECKSUM_BYTES] {
    let (low, high) = parts.finish();
    (u128::from(high) << 64 | u128::from(low)).to_le_bytes()
}

/// The same of a file, of which little is in memory at a time.
pub(crate) fn checksum_of_file(mut file: impl Read) -> io::Result<[u8; CHECKSUM_BYTES]> {
    let (mut parts, mut chunk) = (Xxh3Parts::default(), vec![0; 256 << 10]);
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(checksum_of(&parts)),
            Ok(n) => parts.push(&chunk[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Which state a commit is of. One that began anew is another, though its commits are numbered from 1 again; later ones
/// are greater.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct StateId {
    /// When it began, in microseconds since 1970; 0 in commits of versions before 4, which do not say.
    pub began_us: u64,
    /// Tells those apart that began at once.
    pub salt: u64,
}

/// What the state of a source was made by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// Its name.
    pub source: String,
    /// What the pipeline file is called, without folders.
    pub name: String,
    /// The text of the pipeline file.
    pub pipeline: String,
    /// What was set beside it, as `KEY=VALUE`, in order.
    pub overrides: Vec<String>,
    /// What has not measured the source from its beginning, because the pipeline has changed since.
    pub begun: Vec<Begun>,
}

/// A metric that began when others had been measured for a while: it holds only what came since.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Begun {
    /// Its name.
    pub metric: String,
    /// The names of the fields of the grouping set that began; `None` when all of them did.
    pub by: Option<Vec<String>>,
    /// Records of the source that had been read before.
    pub records: u64,
    /// The watermark then, in microseconds since 1970, where there was one.
    pub watermark_us: Option<i64>,
}

/// How far a file was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Position {
    /// The path it was opened by.
    pub path: String,
    /// Device and inode: a file that is renamed stays what it is. 0 where the system has none.
    pub device: u64,
    /// See `device`.
    pub inode: u64,
    /// Its size on disk when it was opened.
    pub disk_bytes: u64,
    /// How many of its first bytes, as they are on disk, are known by their checksum.
    pub head_bytes: u64,
    /// That checksum.
    pub head: [u8; CHECKSUM_BYTES],
    /// The first byte that was not read, in the decompressed file; of rows, the number of the first one.
    pub next: u64,
    /// Lines before it.
    pub lines: u64,
    /// Whether the last record that was read had no line end.
    pub unended: bool,
    /// Whether the file was read to its end.
    pub finished: bool,
}

/// A file that a commit needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// What it holds: `judge`, `shard-0` and so on, or `panes`.
    pub part: String,
    /// Its name in the directory.
    pub file: String,
    /// Its bytes.
    pub bytes: u64,
    /// The bytes that it unpacks to.
    pub raw_bytes: u64,
    /// How many of these the commit needs.
    pub live_bytes: u64,
    /// Checksum of the file.
    pub checksum: [u8; CHECKSUM_BYTES],
    /// Checksum of what it unpacks to.
    pub raw_checksum: [u8; CHECKSUM_BYTES],
}

/// One commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Ascending from 1.
    pub number: u64,
    /// When it was written, in microseconds since 1970: for people.
    pub written_us: u64,
    /// Which state it is of.
    pub state: StateId,
    /// What it is the state of.
    pub about: About,
    /// Number of the next block.
    pub next_block: u64,
    /// Files by partition.
    pub positions: Vec<Position>,
    /// Per field of the record: whether any event had a value.
    pub seen: Vec<bool>,
    /// Bytes of the quarantine file, and records in it.
    pub quarantine: (u64, u64),
    /// The clock and the counters.
    pub intake: Vec<u8>,
    /// What has left through sinks, and what is leaving with this commit.
    pub sinks: Vec<u8>,
    /// Which groups are idle.
    pub idle: Vec<u8>,
    /// The shards in order, the judge, and the closed panes, the oldest segment first.
    pub segments: Vec<Segment>,
}

impl Manifest {
    /// The bytes of the file.
    pub fn write(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.written_us.to_le_bytes());
        out.extend_from_slice(&self.state.began_us.to_le_bytes());
        out.extend_from_slice(&self.state.salt.to_le_bytes());
        let about = &self.about;
        for text in [&about.source, &about.name, &about.pipeline] {
            write_bytes(text.as_bytes(), &mut out);
        }
        write_varint(about.overrides.len() as u64, &mut out);
        about.overrides.iter().for_each(|text| write_bytes(text.as_bytes(), &mut out));
        write_varint(about.begun.len() as u64, &mut out);
        about.begun.iter().for_each(|begun| begun.write(&mut out));
        out.extend_from_slice(&self.next_block.to_le_bytes());
        write_varint(self.positions.len() as u64, &mut out);
        self.positions.iter().for_each(|position| position.write(&mut out));
        write_varint(self.seen.len() as u64, &mut out);
        out.extend(self.seen.iter().map(|&seen| u8::from(seen)));
        out.extend_from_slice(&self.quarantine.0.to_le_bytes());
        out.extend_from_slice(&self.quarantine.1.to_le_bytes());
        write_bytes(&self.intake, &mut out);
        write_bytes(&self.sinks, &mut out);
        write_bytes(&self.idle, &mut out);
        write_varint(self.segments.len() as u64, &mut out);
        self.segments.iter().for_each(|segment| segment.write(&mut out));
        let sum = checksum(&out);
        out.extend_from_slice(&sum);
        out
    }

    /// Reads what [`Manifest::write`] wrote. Survives any bytes.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn read(bytes: &[u8]) -> Result<Manifest, String> {
        if !bytes.starts_with(MAGIC) {
            return Err("it does not begin as a commit does".into());
        }
        let version = bytes.get(8..10).map_or(0, |v| u16::from_le_bytes([v[0], v[1]]));
        if version > VERSION {
            return Err(format!(
                "it is of version {version}, and this program reads versions up to {VERSION}: take a newer program"
            ));
        }
        let (body, sum) =
            bytes.split_at_checked(bytes.len().saturating_sub(CHECKSUM_BYTES)).ok_or("it is cut off")?;
        if checksum(body) != sum {
            return Err("its checksum does not hold, so it was cut off or changed".into());
        }
        Manifest::read_body(version, &mut Reader::new(&body[10..])).map_err(|error| error.to_string())
    }

    fn read_body(version: u16, r: &mut Reader<'_>) -> Result<Manifest, DecodeError> {
        let mut manifest = Manifest { number: r.u64()?, written_us: r.u64()?, ..Manifest::default() };
        if version >= 4 {
            manifest.state = StateId { began_us: r.u64()?, salt: r.u64()? };
        }
        let about = &mut manifest.about;
        for text in [&mut about.source, &mut about.name, &mut about.pipeline] {
            *text = read_text(r)?;
        }
        for _ in 0..count(r)? {
            about.overrides.push(read_text(r)?);
        }
        if version >= 3 {
            for _ in 0..count(r)? {
                about.begun.push(Begun::read(r)?);
            }
        }
        manifest.next_block = r.u64()?;
        for _ in 0..count(r)? {
            manifest.positions.push(Position::read(r)?);
        }
        let fields = count(r)?;
        manifest.seen = r.bytes(fields)?.iter().map(|&seen| seen != 0).collect();
        manifest.quarantine = (r.u64()?, r.u64()?);
        manifest.intake = read_bytes(r)?.to_vec();
        if version >= 2 {
            manifest.sinks = read_bytes(r)?.to_vec();
        }
        if version >= 3 {
            manifest.idle = read_bytes(r)?.to_vec();
        }
        for _ in 0..count(r)? {
            manifest.segments.push(Segment::read(version, r)?);
        }
        r.clone().finish()?;
        Ok(manifest)
    }

    /// The number of shards.
    pub fn shards(&self) -> usize {
        self.segments.iter().filter(|segment| segment.part.starts_with(super::SHARD)).count()
    }

    /// Bytes of the segments that this commit has written, and not an earlier one.
    pub fn written_bytes(&self) -> u64 {
        let own = super::segments_of(self.number);
        self.segments.iter().filter(|segment| segment.file.starts_with(&own)).map(|s| s.bytes).sum()
    }
}

impl Begun {
    fn write(&self, out: &mut Vec<u8>) {
        write_bytes(self.metric.as_bytes(), out);
        let fields = self.by.as_ref().map_or(0, |by| by.len() + 1);
        write_varint(fields as u64, out);
        self.by.iter().flatten().for_each(|field| write_bytes(field.as_bytes(), out));
        out.extend_from_slice(&self.records.to_le_bytes());
        out.extend_from_slice(&self.watermark_us.unwrap_or(i64::MIN).to_le_bytes());
    }

    fn read(r: &mut Reader<'_>) -> Result<Begun, DecodeError> {
        let metric = read_text(r)?;
        let fields = count(r)?.checked_sub(1);
        let by = fields.map(|fields| (0..fields).map(|_| read_text(r)).collect()).transpose()?;
        let (records, watermark) = (r.u64()?, r.i64()?);
        let watermark_us = (watermark != i64::MIN).then_some(watermark);
        Ok(Begun { metric, by, records, watermark_us })
    }
}

impl Position {
    /// Takes over what a file is known by, not how far it was read.
    pub(crate) fn is_known_as(&mut self, known: &Position) {
        self.path.clone_from(&known.path);
        (self.device, self.inode, self.disk_bytes) = (known.device, known.inode, known.disk_bytes);
        (self.head_bytes, self.head) = (known.head_bytes, known.head);
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_bytes(self.path.as_bytes(), out);
        for number in [self.device, self.inode, self.disk_bytes, self.head_bytes, self.next, self.lines] {
            write_varint(number, out);
        }
        out.extend_from_slice(&self.head);
        out.push(u8::from(self.unended) | u8::from(self.finished) << 1);
    }

    fn read(r: &mut Reader<'_>) -> Result<Position, DecodeError> {
        let path = read_text(r)?;
        let mut numbers = [0; 6];
        for number in &mut numbers {
            *number = r.varint()?;
        }
        let [device, inode, disk_bytes, head_bytes, next, lines] = numbers;
        let head = read_checksum(r)?;
        let flags = r.u8()?;
        let (unended, finished) = (flags & 1 != 0, flags & 2 != 0);
        Ok(Position { path, device, inode, disk_bytes, head_bytes, head, next, lines, unended, finished })
    }
}

impl Segment {
    fn write(&self, out: &mut Vec<u8>) {
        write_bytes(self.part.as_bytes(), out);
        write_bytes(self.file.as_bytes(), out);
        write_varint(self.bytes, out);
        write_varint(self.raw_bytes, out);
        write_varint(self.live_bytes, out);
        out.extend_from_slice(&self.checksum);
        out.extend_from_slice(&self.raw_checksum);
    }

    fn read(version: u16, r: &mut Reader<'_>) -> Result<Segment, DecodeError> {
        let (part, file) = (read_text(r)?, read_text(r)?);
        let (bytes, raw_bytes) = (r.varint()?, r.varint()?);
        // Of version 1 everything is needed.
        let live_bytes = if version == 1 { raw_bytes } else { r.varint()? };
        Ok(Segment {
            part,
            file,
            bytes,
            raw_bytes,
            live_bytes,
            checksum: read_checksum(r)?,
            raw_checksum: read_checksum(r)?,
        })
    }
}

pub(crate) fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

pub(crate) fn read_bytes<'a>(r: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    let len = count(r)?;
    r.bytes(len)
}

pub(crate) fn read_text(r: &mut Reader<'_>) -> Result<String, DecodeError> {
    let bytes = read_bytes(r)?.to_vec();
    String::from_utf8(bytes).map_err(|_| DecodeError::Invalid("a text that is no UTF-8"))
}

fn read_checksum(r: &mut Reader<'_>) -> Result<[u8; CHECKSUM_BYTES], DecodeError> {
    r.bytes(CHECKSUM_BYTES)?.try_into().map_err(|_| DecodeError::Truncated)
}

/// A number of things of at least a byte each, which the bytes at hand must hold.
pub(crate) fn count(r: &mut Reader<'_>) -> Result<usize, DecodeError> {
    let declared = r.varint()?;
    usize::try_from(declared).ok().filter(|n| *n <= r.remaining()).ok_or(DecodeError::Truncated)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            number: 7,
            written_us: 1_700_000_000_000_000,
            state: StateId { began_us: 1_600_000_000_000_000, salt: 77 },
            about: About {
                source: "events".into(),
                name: "shop.toml".into(),
                pipeline: "name = \"shop\"\n".into(),
                overrides: vec!["source.events.path=a".into()],
                begun: vec![
                    Begun { metric: "hits".into(), records: 5, watermark_us: Some(-7), ..Begun::default() },
                    Begun { metric: "users".into(), by: Some(vec!["page".into()]), ..Begun::default() },
                    Begun { by: Some(Vec::new()), ..Begun::default() },
                ],
            },
            next_block: 41,
            positions: vec![Position {
                path: "a.ndjson".into(),
                device: 3,
                inode: 99,
                disk_bytes: 5_000,
                head_bytes: 4_096,
                head: [7; 16],
                next: 1 << 40,
                lines: 12,
                unended: true,
                finished: true,
            }],
            seen: vec![true, false],
            quarantine: (120, 2),
            intake: vec![1, 2, 3],
            sinks: vec![4],
            idle: vec![5, 6],
            segments: vec![Segment {
                part: "shard-0".into(),
                file: "segment-7-shard-0".into(),
                bytes: 10,
                raw_bytes: 100,
                live_bytes: 60,
                checksum: [1; 16],
                raw_checksum: [2; 16],
            }],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(Manifest::read(&manifest().write()), Ok(manifest()));
    }

    #[test]
    fn no_flipped_bit_and_no_cut_passes() {
        let good = manifest().write();
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                assert!(Manifest::read(&bad).is_err(), "bit {bit} of byte {at}");
            }
            assert!(Manifest::read(&good[..at]).is_err(), "{at} bytes");
        }
    }
}
