//! Names and values as TOML and measures write them.

/// A TOML string on one line: literal where that saves escapes, basic otherwise.
pub(crate) fn string(text: &str) -> String {
    let literal = text.contains(['"', '\\']) && !text.contains('\'') && !text.contains(char::is_control);
    if literal {
        return format!("'{text}'");
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A TOML key: bare where it can be. A path is one key, so its dots are quoted.
pub(crate) fn key(text: &str) -> String {
    let bare =
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if bare { text.to_string() } else { string(text) }
}

/// An array of strings.
pub(crate) fn strings<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    format!("[{}]", texts.into_iter().map(string).collect::<Vec<_>>().join(", "))
}

/// A path inside a measure: in double quotes unless each part is a word. It holds no double quote.
pub(super) fn path(path: &str) -> String {
    let is_word = |part: &str| {
        part.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic())
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    let distinct = path.eq_ignore_ascii_case("distinct");
    if path.split('.').all(is_word) && !distinct { path.to_string() } else { format!("\"{path}\"") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_read_back_as_they_were() {
        for text in
            ["", "a", "a\"b", "a'b\"", "\\", "a\tb\n\u{7f}\u{85}\0", "größe", "'", "a\u{feff}", "\u{202e}x"]
        {
            let table: toml::Table =
                toml::from_str(&format!("{} = {}", key(text), string(text))).expect(text);
            assert_eq!(table.get(text).and_then(toml::Value::as_str), Some(text), "{text:?}");
        }
    }

    #[test]
    fn paths_are_quoted_inside_measures_where_they_must_be() {
        for (name, want) in [
            ("a.b", "a.b"),
            ("a-b", "\"a-b\""),
            ("a..b", "\"a..b\""),
            ("1a", "\"1a\""),
            ("é", "\"é\""),
            ("", "\"\""),
        ] {
            assert_eq!(path(name), want);
        }
    }
}
