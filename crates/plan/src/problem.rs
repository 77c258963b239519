//! What is wrong with a pipeline file, where, and what to write instead.
//!
//! A [`Problem`] points into a text: the file, or one of the `--set` overrides. All problems of a file are collected
//! in [`Problems`] and shown together, because a reader would rather fix five lines once than one line five times.

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet, normalize_untrusted_str};
use std::fmt;
use std::ops::Range;

/// How many problems [`Problems::render`] shows before it only counts the rest.
pub const SHOWN_MAX: usize = 20;

/// A piece of one of the texts that a pipeline was made of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// 0 is the file, n is the n-th override.
    pub text: usize,
    /// Position of the first byte.
    pub start: usize,
    /// Position after the last byte.
    pub end: usize,
}

impl Place {
    /// The bytes as a range.
    pub fn span(&self) -> Range<usize> {
        self.start..self.end
    }
}

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placed<T> {
    pub value: T,
    pub place: Place,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, in one line.
    pub message: String,
    /// Where; `None` is the file as a whole.
    pub place: Option<Place>,
    /// A few words beside the place; may be empty.
    pub label: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem of the file as a whole.
    pub fn of_file(message: impl Into<String>) -> Problem {
        Problem { message: message.into(), place: None, label: String::new(), hint: None }
    }

    /// A problem at a place.
    pub fn at(place: &Place, message: impl Into<String>) -> Problem {
        Problem { place: Some(place.clone()), ..Problem::of_file(message) }
    }

    /// The same problem with a few words beside its place.
    pub fn label(self, label: impl Into<String>) -> Problem {
        Problem { label: label.into(), ..self }
    }

    /// The same problem with what to write instead.
    pub fn hint(self, hint: impl Into<String>) -> Problem {
        Problem { hint: Some(hint.into()), ..self }
    }

    /// The same problem with what to write instead, if anything is known.
    pub(crate) fn hint_if(self, hint: Option<String>) -> Problem {
        Problem { hint, ..self }
    }
}

/// All problems of a pipeline, with the texts they point into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// Name and content: the file, then each override.
    texts: Vec<(String, String)>,
    list: Vec<Problem>,
    /// Whether they are warnings: the file works all the same.
    warn: bool,
}

impl std::error::Error for Problems {}

impl Problems {
    pub(crate) fn new(texts: Vec<(String, String)>) -> Problems {
        Problems { texts, list: Vec::new(), warn: false }
    }

    /// Warnings of texts that work all the same.
    pub(crate) fn warnings(texts: Vec<(String, String)>) -> Problems {
        Problems { warn: true, ..Problems::new(texts) }
    }

    /// Adds a problem, unless the same was already said of the same place.
    pub(crate) fn push(&mut self, problem: Problem) {
        let said = |p: &&Problem| p.place == problem.place && p.message == problem.message;
        if self.list.iter().rev().take(SHOWN_MAX).find(said).is_none() {
            self.list.push(problem);
        }
    }

    /// The text of a place.
    pub(crate) fn slice(&self, place: &Place) -> &str {
        self.texts.get(place.text).and_then(|(_, text)| text.get(place.span())).unwrap_or("")
    }

    /// Orders by place, what concerns the whole file last.
    pub(crate) fn sorted(mut self) -> Problems {
        self.list.sort_by(|a, b| (a.place.is_none(), &a.place).cmp(&(b.place.is_none(), &b.place)));
        self
    }

    /// The problems, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.list.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Line and column of a problem, both from 1, the column in characters; `None` when it is about the whole file.
    pub fn position(&self, problem: &Problem) -> Option<(usize, usize)> {
        let place = problem.place.as_ref()?;
        let (_, text) = self.texts.get(place.text)?;
        let before = &text[..clamp(text, place.span()).start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Some((before.matches('\n').count() + 1, before[line_start..].chars().count() + 1))
    }

    /// All problems as text for a terminal: message, line with the place underlined, hint. At most [`SHOWN_MAX`].
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let shown = self.list.iter().take(SHOWN_MAX).map(|problem| self.render_one(problem, &renderer));
        let mut out = shown.collect::<Vec<_>>().join("\n\n");
        let name = &self.texts[0].0;
        let what = if self.warn { "warnings" } else { "problems" };
        match self.list.len() {
            1 => {}
            n if n > SHOWN_MAX => {
                out.push_str(&format!("\n\n{n} {what} in {name}, the first {SHOWN_MAX} are shown"));
            }
            n => out.push_str(&format!("\n\n{n} {what} in {name}")),
        }
        out.push('\n');
        out
    }

    /// The words of a problem may quote the file, so they are freed of control characters first.
    fn render_one(&self, problem: &Problem, renderer: &Renderer) -> String {
        let (name, text) = &self.texts[problem.place.as_ref().map_or(0, |place| place.text)];
        let level = if self.warn { Level::WARNING } else { Level::ERROR };
        let title = level.primary_title(normalize_untrusted_str(&problem.message));
        let mut group = match &problem.place {
            None => title.element(Origin::path(name)),
            Some(place) => {
                let mut mark = AnnotationKind::Primary.span(clamp(text, place.span()));
                if !problem.label.is_empty() {
                    mark = mark.label(normalize_untrusted_str(&problem.label));
                }
                title.element(Snippet::source(text.as_str()).path(name).annotation(mark))
            }
        };
        if let Some(hint) = &problem.hint {
            group = group.element(Level::HELP.message(normalize_untrusted_str(hint)));
        }
        renderer.render(&[group])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

/// A span that lies inside the text and cuts no character.
fn clamp(text: &str, span: Range<usize>) -> Range<usize> {
    let floor = |at: usize| (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    let start = floor(span.start);
    start..floor(span.end).max(start)
}

/// The one of `known` that `word` was probably meant to be: the nearest by edits (at most a third of the letters), or
/// one that begins like it.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LETTERS_MAX: usize = 64;
    if word.len() > LETTERS_MAX {
        return None;
    }
    let word = word.to_lowercase();
    let edits_max = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .filter(|k| k.len() <= LETTERS_MAX)
        .map(|k| (strsim::damerau_levenshtein(&word, &k.to_lowercase()), k))
        .filter(|(edits, k)| {
            let begins = word.len() >= 3 && (k.starts_with(&word) || (k.len() >= 3 && word.starts_with(k)));
            (*edits <= edits_max && *edits < k.chars().count()) || begins
        })
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, k)| k)
}

/// Words in a row, each in backquotes: `` `a`, `b` and `c` ``.
pub(crate) fn listed(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => format!("`{one}`"),
        [head @ .., last] => {
            let head: Vec<_> = head.iter().map(|w| format!("`{w}`")).collect();
            format!("{} and `{last}`", head.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_finds_its_neighbour_and_a_strange_one_does_not() {
        let known = ["lateness", "later", "latency_ms", "path", "int64"];
        for (word, expected) in [
            ("latenes", Some("lateness")),
            ("latency_sm", Some("latency_ms")),
            ("Path", Some("path")),
            ("pth", Some("path")),
            ("int", Some("int64")),
            ("kafka", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(did_you_mean(word, known), expected, "{word}");
        }
    }

    #[test]
    fn positions_count_characters_and_survive_any_span() {
        let mut problems = Problems::new(vec![("f".into(), "aé\nxü=1".into())]);
        for (start, end) in [(0, 1), (4, 5), (7, 99), (2, 2), (50, 60), (6, 3)] {
            problems.push(Problem::at(&Place { text: 0, start, end }, format!("{start}")));
        }
        let at: Vec<_> = problems.iter().map(|p| problems.position(p).unwrap()).collect();
        assert_eq!(at, [(1, 1), (2, 1), (2, 3), (1, 2), (2, 5), (2, 2)]);
        assert!(problems.render(true).contains("6 problems in f"));
    }
}
