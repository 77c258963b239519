//! Bytes that are too many to stand in memory together: handed on while they are written.
//!
//! What is written appends to [`Outflow::bytes`] and calls [`Outflow::ease`] now and then. Where somebody takes pieces, what has
//! come together is handed on there; where nobody does, all of it stays. A stretch with its length in front
//! ([`Outflow::section`]) needs that length before its bytes: so what goes out in pieces is measured first, by writing it to
//! nobody.

/// Bytes that come together before a piece is handed on.
const PIECE_BYTES: usize = 64 << 10;

/// Where bytes go.
pub struct Outflow<'a> {
    bytes: Vec<u8>,
    /// Bytes that have been handed on.
    gone: u64,
    to: To<'a>,
}

enum To<'a> {
    /// They stay.
    Here,
    /// Nobody; the lengths of the sections, in the order in which they begin.
    Nobody(Vec<u64>),
    /// Somebody, who knows the lengths of the sections.
    Somebody(std::slice::Iter<'a, u64>, &'a mut dyn FnMut(&[u8])),
}

/// How many bytes something takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    bytes: u64,
    sections: Vec<u64>,
}

impl Measured {
    /// How many bytes `write` writes. As much work as writing them; holds little of them at a time.
    pub fn of(write: impl FnOnce(&mut Outflow<'_>)) -> Measured {
        let mut out = Outflow { bytes: Vec::new(), gone: 0, to: To::Nobody(Vec::new()) };
        write(&mut out);
        let bytes = out.written();
        match out.to {
            To::Nobody(sections) => Measured { bytes, sections },
            To::Here | To::Somebody(..) => unreachable!("made above"),
        }
    }

    /// All of them.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Hands on, in pieces, what `write` writes, which must be what was measured.
    ///
    /// # Panics
    /// When it is not.
    pub fn send(&self, put: &mut dyn FnMut(&[u8]), write: impl FnOnce(&mut Outflow<'_>)) {
        let to = To::Somebody(self.sections.iter(), put);
        let mut out = Outflow { bytes: Vec::new(), gone: 0, to };
        write(&mut out);
        out.hand_on();
        assert_eq!(out.gone, self.bytes, "what was measured is what is written");
    }
}

impl Outflow<'_> {
    /// Appends what `write` writes to bytes that are there.
    pub fn append(bytes: &mut Vec<u8>, write: impl FnOnce(&mut Outflow<'_>)) {
        let mut out = Outflow { bytes: std::mem::take(bytes), gone: 0, to: To::Here };
        write(&mut out);
        *bytes = out.bytes;
    }

    /// What has come together: to be appended to, and nothing else.
    pub fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Hands on what has come together, when it is much.
    #[inline]
    pub fn ease(&mut self) {
        if self.bytes.len() >= PIECE_BYTES {
            self.hand_on();
        }
    }

    /// A stretch with its length in front (eight bytes), so that it can be skipped and compared.
    pub fn section(&mut self, write: impl FnOnce(&mut Self)) {
        let before = self.bytes.len();
        let known = match &mut self.to {
            To::Here => 0,
            To::Nobody(sections) => {
                sections.push(0);
                sections.len() - 1
            }
            To::Somebody(sections, _) => *sections.next().expect("every section was measured") as usize,
        };
        self.bytes.extend_from_slice(&(known as u64).to_le_bytes());
        let begin = self.written();
        write(self);
        let len = self.written() - begin;
        match &mut self.to {
            To::Here => self.bytes[before..before + 8].copy_from_slice(&len.to_le_bytes()),
            To::Nobody(sections) => sections[known] = len,
            To::Somebody(..) => assert_eq!(len, known as u64, "a section was measured"),
        }
    }

    /// All bytes so far.
    fn written(&self) -> u64 {
        self.gone + self.bytes.len() as u64
    }

    fn hand_on(&mut self) {
        match &mut self.to {
            To::Here => return,
            To::Nobody(_) => {}
            To::Somebody(_, put) => put(&self.bytes),
        }
        self.gone += self.bytes.len() as u64;
        self.bytes.clear();
    }
}

impl std::fmt::Debug for Outflow<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outflow").field("written", &self.written()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers in sections within sections, one of which is empty.
    fn write(out: &mut Outflow<'_>) {
        let numbers = |out: &mut Outflow<'_>, n: u32| {
            (0..n).for_each(|i| {
                out.bytes().extend_from_slice(&i.to_le_bytes());
                out.ease();
            });
        };
        out.bytes().extend_from_slice(b"head");
        out.section(|out| {
            numbers(out, 3);
            out.section(|out| numbers(out, 100_000));
            out.section(|_| {});
        });
        out.section(|out| numbers(out, 30_000));
    }

    #[test]
    fn pieces_are_the_whole() {
        let mut whole = b"before".to_vec();
        Outflow::append(&mut whole, write);
        let measured = Measured::of(write);
        assert_eq!(measured.bytes(), whole.len() as u64 - 6);
        let (mut sent, mut longest) = (Vec::new(), 0);
        measured.send(
            &mut |piece| {
                longest = longest.max(piece.len());
                sent.extend_from_slice(piece);
            },
            write,
        );
        assert!(sent == whole[6..], "{} and {} bytes", sent.len(), whole.len() - 6);
        assert_eq!(longest, PIECE_BYTES);
        assert_eq!(whole[10..18], (8u64 + 12 + 400_000 + 8).to_le_bytes());
    }

    #[test]
    #[should_panic(expected = "a section was measured")]
    fn what_was_not_measured_is_not_sent() {
        let measured = Measured::of(|out| out.section(|out| out.bytes().push(1)));
        measured.send(&mut |_| {}, |out| out.section(|_| {}));
    }
}
