//! What the server says, as bytes.

use super::failure::Failure;

/// Messages one behind the other.
#[derive(Debug, Default)]
pub(crate) struct Out(pub Vec<u8>);

impl Out {
    /// One message: its kind, its length, and what `body` writes.
    pub fn message(&mut self, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
        self.0.push(kind);
        let at = self.0.len();
        self.0.extend([0; 4]);
        body(&mut self.0);
        // What is longer was refused before: a row has less memory than that.
        let length = i32::try_from(self.0.len() - at).unwrap_or(i32::MAX);
        self.0[at..at + 4].copy_from_slice(&length.to_be_bytes());
    }

    pub fn empty(&mut self, kind: u8) {
        self.message(kind, |_| ());
    }

    pub fn ready(&mut self, status: u8) {
        self.message(b'Z', |out| out.push(status));
    }

    pub fn complete(&mut self, tag: &str) {
        self.message(b'C', |out| text(out, tag));
    }

    pub fn parameter(&mut self, name: &str, value: &str) {
        self.message(b'S', |out| {
            text(out, name);
            text(out, value);
        });
    }

    pub fn failure(&mut self, failure: &Failure) {
        let severity = if failure.fatal { "FATAL" } else { "ERROR" };
        self.told(b'E', severity, failure.code, &failure.message, failure.hint.as_deref());
    }

    /// What is doubtful, or only said.
    pub fn notice(&mut self, severity: &str, code: &str, message: &str, hint: Option<&str>) {
        self.told(b'N', severity, code, message, hint);
    }

    fn told(&mut self, kind: u8, severity: &str, code: &str, message: &str, hint: Option<&str>) {
        self.message(kind, |out| {
            let fields = [(b'S', Some(severity)), (b'V', Some(severity)), (b'C', Some(code))];
            for (field, value) in fields.into_iter().chain([(b'M', Some(message)), (b'H', hint)]) {
                if let Some(value) = value {
                    out.push(field);
                    text(out, value);
                }
            }
            out.push(0);
        });
    }
}

/// A text with its closing zero; one that it holds would end it too early.
pub(crate) fn text(out: &mut Vec<u8>, text: &str) {
    out.extend(text.bytes().filter(|byte| *byte != 0));
    out.push(0);
}
