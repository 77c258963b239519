//! What a reader of a sink file has seen: whole lines, which nothing may take back.

use crate::verdict::Verdict;
use std::path::{Path, PathBuf};

/// The lines that were there when the reader looked last.
pub struct Seen {
    folder: PathBuf,
    lines: Vec<u8>,
}

impl Seen {
    /// What is there now.
    pub fn of(folder: &Path) -> Seen {
        Seen { folder: folder.to_path_buf(), lines: whole_lines(folder) }
    }

    /// Looks again, after `what`: lines may have been added, and none is gone, not even for a moment.
    pub fn grew(&mut self, what: impl Fn() -> String, verdict: &mut Verdict) {
        let now = whole_lines(&self.folder);
        verdict.expect(now.starts_with(&self.lines), || {
            let (before, now) = (self.lines.len(), now.len());
            let folder = self.folder.display();
            format!(
                "{before} bytes of lines had left, and of {now} not the same are there after {} in {folder}",
                what()
            )
        });
        self.lines = now;
    }
}

/// The whole lines of `panes.ndjson`; none when there is no such file.
pub fn whole_lines(folder: &Path) -> Vec<u8> {
    let mut bytes = std::fs::read(folder.join("panes.ndjson")).unwrap_or_default();
    bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
    bytes
}
