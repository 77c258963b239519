//! Access logs of web servers: `host ident user [time] "request" status bytes`, in the combined format followed by
//! `"referrer" "user agent"`.

use super::table::Table;
use std::borrow::Cow;

/// Names of the fields, as the formats `clf` and `combined` have them. `request` is left out: its parts say the same.
const NAMES: [&str; 11] = [
    "host",
    "ident",
    "user",
    "time",
    "method",
    "path",
    "protocol",
    "status",
    "bytes",
    "referrer",
    "user_agent",
];
/// How many of them the common format has.
const COMMON: usize = 9;
/// Lines looked at to tell the format.
const LINES_LOOKED_AT: usize = 200;

/// Whether a text is an access log: nine in ten of its lines are. The answer says whether of the combined format.
pub(super) fn detect(text: &str) -> Option<bool> {
    let (mut lines, mut common, mut combined) = (0usize, 0usize, 0usize);
    for line in super::lines(text).take(LINES_LOOKED_AT) {
        lines += 1;
        let fields = fields(line);
        common += usize::from(fields.is_some());
        combined += usize::from(fields.is_some_and(|fields| fields[COMMON].is_some()));
    }
    (common > 0 && common * 10 >= lines * 9).then_some(combined * 10 >= lines * 9)
}

/// Reads the lines of a log.
pub(super) fn read<'a>(text: &'a str, combined: bool, table: &mut Table<'a>) {
    let width = if combined { NAMES.len() } else { COMMON };
    NAMES[..width].iter().for_each(|name| _ = table.add(name));
    for line in super::lines(text) {
        if !table.has_room() {
            table.whole = false;
            return;
        }
        table.bytes += line.len() + 1;
        let Some(fields) = fields(line).filter(|fields| !combined || fields[COMMON].is_some()) else {
            table.bad += 1;
            continue;
        };
        for (column, field) in fields.into_iter().enumerate().take(width) {
            if let Some(field) = field.filter(|field| !matches!(*field, "" | "-")) {
                table.put(column, Cow::Borrowed(field));
            }
        }
        table.accept();
    }
}

/// The parts of a line, by [`NAMES`].
fn fields(line: &str) -> Option<[Option<&str>; NAMES.len()]> {
    let (host, rest) = line.split_once(' ')?;
    let (ident, rest) = rest.split_once(' ')?;
    let (user, rest) = rest.split_once(" [")?;
    let (time, rest) = rest.split_once("] ")?;
    let (request, rest) = quoted(rest)?;
    let (status, rest) = rest.strip_prefix(' ')?.split_once(' ')?;
    let (bytes, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let digits = |text: &str| text == "-" || (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
    if !digits(status) || !digits(bytes) {
        return None;
    }
    let (method, path, protocol) = match request.split(' ').collect::<Vec<_>>()[..] {
        [method, path] => (Some(method), Some(path), None),
        [method, path, protocol] if protocol.starts_with("HTTP/") => {
            (Some(method), Some(path), Some(protocol))
        }
        _ => (None, None, None),
    };
    let referrer = quoted(rest);
    let agent =
        referrer.and_then(|(_, rest)| rest.strip_prefix(" \"")).map(|rest| rest.trim_end_matches('"'));
    let referrer = referrer.filter(|_| agent.is_some()).map(|(text, _)| text);
    let all =
        [Some(host), Some(ident), Some(user), Some(time), method, path, protocol, Some(status), Some(bytes)];
    let mut out = [None; NAMES.len()];
    out[..COMMON].copy_from_slice(&all);
    (out[COMMON], out[COMMON + 1]) = (referrer, agent);
    Some(out)
}

/// The text up to the next quote that has no backslash before it, and what follows.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix('"')?;
    let mut escaped = false;
    for (i, b) in rest.bytes().enumerate() {
        match b {
            b'"' if !escaped => return Some((&rest[..i], &rest[i + 1..])),
            b => escaped = b == b'\\' && !escaped,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_are_told_apart_and_cut() {
        let common = "1.2.3.4 - ann [17/May/2015:10:05:03 +0000] \"GET /a HTTP/1.1\" 200 12";
        let combined = format!("{common} \"-\" \"a \\\"b\\\" c\"");
        assert_eq!((detect(common), detect(&combined)), (Some(false), Some(true)));
        assert_eq!((detect("a - b\n"), detect("{\"a\": 1}\n"), detect("")), (None, None, None));
        let fields = fields(&combined).unwrap().map(Option::unwrap_or_default);
        assert_eq!(
            fields.join("|"),
            "1.2.3.4|-|ann|17/May/2015:10:05:03 +0000|GET|/a|HTTP/1.1|200|12|-|a \\\"b\\\" c"
        );
    }
}
