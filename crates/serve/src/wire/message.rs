//! What clients say, read from its bytes.

use super::failure::Failure;

/// A message of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    Query(String),
    Parse {
        name: String,
        sql: String,
        types: Vec<u32>,
    },
    Bind(Bind),
    Describe(Which),
    Execute {
        portal: String,
        rows_max: usize,
    },
    Close(Which),
    Sync,
    Flush,
    Terminate,
    /// Part of a copy that nobody asked for.
    Copy,
    /// An answer to a question about who is there.
    Secret(Vec<u8>),
    /// A call of a function by its number.
    Call,
}

/// Values for a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bind {
    pub portal: String,
    pub statement: String,
    pub formats: Vec<i16>,
    pub values: Vec<Option<Vec<u8>>>,
    pub results: Vec<i16>,
}

/// A statement or a portal, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Which {
    Statement(String),
    Portal(String),
}

/// Reads a message of this kind.
pub(crate) fn read(kind: u8, body: &[u8]) -> Result<Message, Failure> {
    let mut bytes = Bytes(body);
    let message = match kind {
        b'Q' => Message::Query(bytes.text()?),
        b'P' => {
            let (name, sql) = (bytes.text()?, bytes.text()?);
            Message::Parse { name, sql, types: bytes.many(|bytes| Ok(bytes.int()? as u32))? }
        }
        b'B' => {
            let (portal, statement) = (bytes.text()?, bytes.text()?);
            let formats = bytes.many(Bytes::short)?;
            let values = bytes.many(Bytes::value)?;
            Message::Bind(Bind { portal, statement, formats, values, results: bytes.many(Bytes::short)? })
        }
        b'D' => Message::Describe(bytes.which()?),
        b'E' => {
            let (portal, rows) = (bytes.text()?, bytes.int()?);
            // None, or less than none, is all.
            Message::Execute { portal, rows_max: usize::try_from(rows).unwrap_or(0) }
        }
        b'C' => Message::Close(bytes.which()?),
        b'S' => Message::Sync,
        b'H' => Message::Flush,
        b'X' => Message::Terminate,
        b'p' => Message::Secret(bytes.rest()),
        b'F' => {
            bytes.rest();
            Message::Call
        }
        b'd' | b'c' | b'f' => {
            bytes.rest();
            Message::Copy
        }
        _ => return Err(Failure::protocol(format!("there is no message of kind {kind:#04x}"))),
    };
    if bytes.0.is_empty() {
        Ok(message)
    } else {
        Err(Failure::protocol("a message is longer than what it says"))
    }
}

/// Bytes that are read from the front.
pub(crate) struct Bytes<'b>(pub &'b [u8]);

impl Bytes<'_> {
    fn short_of() -> Failure {
        Failure::protocol("a message is shorter than what it says")
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Failure> {
        let (first, rest) = self.0.split_first_chunk::<N>().ok_or_else(Self::short_of)?;
        self.0 = rest;
        Ok(*first)
    }

    fn short(&mut self) -> Result<i16, Failure> {
        self.take().map(i16::from_be_bytes)
    }

    pub fn int(&mut self) -> Result<i32, Failure> {
        self.take().map(i32::from_be_bytes)
    }

    fn slice(&mut self, length: usize) -> Result<Vec<u8>, Failure> {
        let (first, rest) = self.0.split_at_checked(length).ok_or_else(Self::short_of)?;
        self.0 = rest;
        Ok(first.to_vec())
    }

    fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0).to_vec()
    }

    /// A text with its closing zero.
    pub fn text(&mut self) -> Result<String, Failure> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or_else(Self::short_of)?;
        let text = self.slice(end)?;
        self.0 = &self.0[1..];
        String::from_utf8(text).map_err(|_| Failure::fatal("22021", "a text is no UTF-8"))
    }

    /// As many as a number before them says; each takes bytes, so what is too many runs out of them.
    fn many<T>(&mut self, mut one: impl FnMut(&mut Self) -> Result<T, Failure>) -> Result<Vec<T>, Failure> {
        let many = u16::from_be_bytes(self.take()?);
        (0..many).map(|_| one(self)).collect()
    }

    fn value(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        match self.int()? {
            -1 => Ok(None),
            length => self.slice(usize::try_from(length).map_err(|_| Self::short_of())?).map(Some),
        }
    }

    fn which(&mut self) -> Result<Which, Failure> {
        match self.take::<1>()?[0] {
            b'S' => self.text().map(Which::Statement),
            b'P' => self.text().map(Which::Portal),
            _ => Err(Failure::protocol("neither a statement nor a portal")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_what_they_are() {
        assert_eq!(read(b'Q', b"select 1\0"), Ok(Message::Query("select 1".into())));
        let parse = read(b'P', b"n\0select $1\0\0\x01\0\0\0\x14");
        assert_eq!(parse, Ok(Message::Parse { name: "n".into(), sql: "select $1".into(), types: vec![20] }));
        let bind = read(b'B', b"p\0n\0\0\x01\0\x01\0\x02\0\0\0\x01x\xff\xff\xff\xff\0\0");
        let expected = Bind {
            portal: "p".into(),
            statement: "n".into(),
            formats: vec![1],
            values: vec![Some(b"x".to_vec()), None],
            results: vec![],
        };
        assert_eq!(bind, Ok(Message::Bind(expected)));
        assert_eq!(
            read(b'E', b"\0\xff\xff\xff\xff"),
            Ok(Message::Execute { portal: "".into(), rows_max: 0 })
        );
    }

    #[test]
    fn bytes_that_are_no_message_are_refused_and_never_more() {
        let bodies: [&[u8]; 6] =
            [b"", b"\0", b"\xff\xff", b"a\0b\0\xff\xff\0\0", b"\0\0\0\0\xff\xff\x7f\xff\xff\xff", b"x\0y"];
        for kind in 0..=u8::MAX {
            for body in bodies {
                // Whatever it is, it is said.
                let _ = read(kind, body);
            }
        }
        for (kind, body) in
            [(b'Q', &b"no end"[..]), (b'Q', b"a\0b"), (b'Q', b"\xff\0"), (b'Z', b""), (b'D', b"X\0")]
        {
            assert!(read(kind, body).is_err(), "{kind} {body:?}");
        }
    }
}
