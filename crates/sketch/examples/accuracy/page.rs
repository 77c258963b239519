//! The page: one section per experiment, with its table, its plot, its formula, and what departs from it.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::trials::{
    At, Covers, Departure, ErrorIs, Experiment, Figure, Promise, Tallies, Tally, departures,
};

/// Figures further than this from their promise are marked.
const LIMIT: f64 = 4.0;

const HEAD: &str = "\
# How accurate the sketches are

Written by `cargo xtask accuracy`; do not edit. Each sketch is fed random data many times (trials) and its answers are held
against the truth. `crates/sketch/examples/accuracy/` is the program, its `experiments/` the table of what is measured;
`crates/sketch/tests/it/accuracy.rs` runs the same in short with every `cargo test`. A trial is a function of seed, section and
its number, so equal options give this page again, byte for byte, on one machine: some weights and bounds pass through
logarithms, which platforms may round differently.

- **bias**: mean error; **RMSE**: root mean square error; both in percent of what the section says.
- **formula**: what the documentation promises for the RMSE. With `≤` it is an upper bound, of the RMSE or, where there is a
  column *beyond*, of single errors: *beyond* is the share of errors larger than it, *largest* the largest error of all.
- **coverage**: how many intervals held the truth; stated are 95 % unless the section says that bounds are proven.
- **±** is one standard error of the figure, from the spread of its own trials. Over 10,000 trials that is 0.7 % of itself for
  an RMSE of normal errors, and 0.22 % for a coverage of 95 %. Where it is left out it is below the last digit.
- **Bold**, with the number of standard errors: further than 4 of them from the promise. A sound sketch has a figure marked with
  a chance of 6 in 100,000 for each figure that is judged. Where only a bound is promised, better than it is not marked.

Not here is what makes no statement: `Histogram` and `Moments` are exact, a `TDigest` has no bounds, a `Ring` of sketches answers
as the merge of them does. `hll::Distinct` keeps no history, so it answers merged as it does alone; `Cpc` is the one that does not.
";

fn marker(name: &str) -> String {
    format!("<!-- experiment: {name} -->\n")
}

/// The sections of a page written before.
pub fn sections(page: &str, names: &[&str]) -> BTreeMap<String, String> {
    let mut sections = BTreeMap::new();
    for &name in names {
        if let Some((_, rest)) = page.split_once(&marker(name)) {
            let text = rest.split("<!-- experiment: ").next().unwrap_or_default();
            sections.insert(name.to_owned(), text.trim_end().to_owned() + "\n");
        }
    }
    sections
}

/// The whole page, sections in the order of `names`.
pub fn page(sections: &BTreeMap<String, String>, names: &[&str]) -> String {
    let mut page = HEAD.to_owned();
    let heading =
        |text: &str| text.lines().find_map(|line| line.strip_prefix("## ")).unwrap_or("").to_owned();
    for (name, text) in names.iter().filter_map(|&name| Some((name, sections.get(name)?))) {
        let _ = write!(page, "\n- [{}](#{name})", heading(text));
    }
    page.push('\n');
    for (name, text) in names.iter().filter_map(|&name| Some((name, sections.get(name)?))) {
        let _ = write!(page, "\n{}{text}", marker(name));
    }
    page
}

/// One section.
pub fn section(e: &Experiment, tallies: &Tallies, trials: u64, seed: u64) -> String {
    let mut text = format!("\n<a id=\"{}\"></a>\n\n## {}\n\n{}\n\n", e.name, e.title, e.about);
    let _ = writeln!(text, "Errors are in percent of {}. {} trials, seed {seed}.\n", e.of, thousands(trials));
    let _ = writeln!(text, "**Formula.** {}\n", e.formula);
    let _ = writeln!(text, "{}\n", findings(e, tallies));
    let _ = writeln!(text, "![{}: plot of the table below](accuracy/{}.svg)\n", plain(e.title), e.name);
    let columns = Columns::of(e);
    text.push_str(&columns.head(e));
    for (series, tallies) in e.series.iter().zip(tallies) {
        let mut exact: Option<(&At, &At)> = None;
        for (point, tally) in series.points.iter().zip(tallies) {
            if tally.is_exact() {
                exact = Some((exact.map_or(&point.at, |(first, _)| first), &point.at));
                continue;
            }
            if let Some(range) = exact.take() {
                text.push_str(&columns.exact_row(&series.name, range));
            }
            let found = departures(&point.promise, tally, LIMIT);
            text.push_str(&columns.row(&series.name, &point.at, point.promise.error, tally, &found));
        }
        if let Some(range) = exact {
            text.push_str(&columns.exact_row(&series.name, range));
        }
    }
    text
}

/// What departs: the list, and why.
fn findings(e: &Experiment, tallies: &Tallies) -> String {
    let (mut judged, mut marked) = (0, Vec::new());
    for (series, tallies) in e.series.iter().zip(tallies) {
        for (point, tally) in series.points.iter().zip(tallies) {
            let p = &point.promise;
            judged += usize::from(p.bias.is_some())
                + usize::from(p.error != ErrorIs::Unsaid)
                + usize::from(matches!(p.coverage, Covers::Exactly(_) | Covers::AtLeast(_)));
            for found in departures(p, tally, LIMIT) {
                marked.push(format!("{} at {} ({})", found.figure, label(&point.at), series.name));
            }
        }
    }
    let count = match marked.len() {
        0 => {
            format!("**As promised:** none of {judged} figures is off by more than {LIMIT} standard errors.")
        }
        n => format!("**Departs:** {n} of {judged} figures: {}.", marked.join("; ")),
    };
    format!("{count} {}", e.departs).trim_end().to_owned()
}

/// Which columns a table has.
struct Columns {
    beyond: bool,
    also: bool,
    covers: bool,
}

impl Columns {
    fn of(e: &Experiment) -> Columns {
        let all = |f: fn(&Promise) -> bool| e.series.iter().flat_map(|s| &s.points).all(|p| f(&p.promise));
        let beyond = all(|p| matches!(p.error, ErrorIs::Beyond(_)));
        let covers = !all(|p| p.coverage == Covers::Nothing);
        Columns { beyond, also: e.also.is_some(), covers }
    }

    fn line(&self, cells: &[String]) -> String {
        format!("| {} |\n", cells.join(" | "))
    }

    fn head(&self, e: &Experiment) -> String {
        let mut cells: Vec<String> = ["setting", e.axis, "bias %", "RMSE %"].map(str::to_owned).into();
        if self.beyond {
            cells.push("largest %".to_owned());
        }
        cells.push("formula %".to_owned());
        if self.beyond {
            cells.push("beyond %".to_owned());
        }
        if self.covers {
            cells.push("coverage %".to_owned());
        }
        cells.extend(e.also.map(str::to_owned));
        cells.push("trials".to_owned());
        let rule: Vec<String> =
            (0..cells.len()).map(|i| if i == 0 { "---" } else { "---:" }.to_owned()).collect();
        self.line(&cells) + &self.line(&rule)
    }

    fn row(&self, name: &str, at: &At, error: ErrorIs, tally: &Tally, found: &[Departure]) -> String {
        let marked = |figure: &str, text: String| match found.iter().find(|d| d.figure == figure) {
            Some(d) if d.by.is_finite() => {
                format!("**{text}** ({} σ)", format!("{:+.1}", d.by).replace('-', "−"))
            }
            Some(_) => format!("**{text}**"),
            None => text,
        };
        let mut cells = vec![name.to_owned(), label(at)];
        cells.push(marked("bias", percent(tally.bias())));
        cells.push(marked("rmse", percent(tally.rmse())));
        if self.beyond {
            cells.push(marked("proven bounds", plain_percent(tally.largest)));
        }
        cells.push(match error {
            ErrorIs::Unsaid => "–".to_owned(),
            ErrorIs::Formula => plain_percent(tally.formula()),
            ErrorIs::AtMostFormula | ErrorIs::Beyond(_) => format!("≤ {}", plain_percent(tally.formula())),
        });
        if self.beyond {
            cells.push(marked("beyond", share(tally.beyond())));
        }
        if self.covers {
            cells.push(marked("coverage", share(tally.coverage())));
        }
        if self.also {
            cells.push(plain_percent(tally.also()));
        }
        cells.push(thousands(tally.trials as u64));
        self.line(&cells)
    }

    fn exact_row(&self, name: &str, (first, last): (&At, &At)) -> String {
        let (first, last) = (label(first), label(last));
        let range = if first == last { first } else { format!("{first} to {last}") };
        let width = 5 + 2 * usize::from(self.beyond) + usize::from(self.covers) + usize::from(self.also) + 1;
        let mut cells = vec![name.to_owned(), range, "exact".to_owned()];
        cells.resize(width, String::new());
        self.line(&cells)
    }
}

/// A figure in percent with its standard error: to two digits of the latter, and at most four of the figure.
fn percent(figure: Figure) -> String {
    let (value, deviation) = (100.0 * figure.value, 100.0 * figure.deviation);
    if deviation == 0.0 {
        return plain_percent(figure.value);
    }
    let decimals = decimals_for(deviation, 2).min(decimals_for(value, 4));
    match format!("{deviation:.decimals$}") {
        none if none.bytes().all(|b| b == b'0' || b == b'.') => fixed(value, decimals),
        some => format!("{} ± {some}", fixed(value, decimals)),
    }
}

/// A share of answers in percent, as `percent` but with all digits: near 100 the nines are what counts.
fn share(figure: Figure) -> String {
    let (value, deviation) = (100.0 * figure.value, 100.0 * figure.deviation);
    if deviation == 0.0 {
        return plain_percent(figure.value);
    }
    let decimals = decimals_for(deviation, 2);
    format!("{value:.decimals$} ± {deviation:.decimals$}")
}

/// A share in percent, to three digits.
fn plain_percent(share: f64) -> String {
    if share == 0.0 || share == 1.0 {
        return format!("{}", 100.0 * share);
    }
    fixed(100.0 * share, decimals_for(100.0 * share, 3))
}

/// Without a minus before zeros.
fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(rest) if rest.bytes().all(|b| b == b'0' || b == b'.') => rest.to_owned(),
        _ => text.replace('-', "−"),
    }
}

/// Decimals that show so many digits of a number, as many as there may be of 0.
fn decimals_for(value: f64, digits: i32) -> usize {
    if value == 0.0 {
        return 9;
    }
    (digits - 1 - value.abs().log10().floor() as i32).clamp(0, 9) as usize
}

/// The place of a point, in words.
pub fn label(at: &At) -> String {
    match at {
        At::Log(x) if x.fract() == 0.0 => thousands(*x as u64),
        At::Log(x) => x.to_string(),
        At::Named(name) => name.clone(),
    }
}

/// 1234567 as 1,234,567.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A heading without its Markdown.
pub fn plain(title: &str) -> String {
    title.replace('`', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_show_as_many_digits_as_their_error_allows() {
        let figure = |value: f64, deviation: f64| percent(Figure { value, deviation });
        assert_eq!(figure(0.032468, 0.000229), "3.247 ± 0.023");
        assert_eq!(figure(-0.000001, 0.0004), "0.000 ± 0.040");
        assert_eq!(figure(-0.0012, 0.0004), "−0.120 ± 0.040");
        assert_eq!(figure(1.0, 0.0), "100");
        assert_eq!(figure(12.0, 0.25), "1200 ± 25");
        assert_eq!(figure(0.00135561, 0.00000012), "0.1356");
        assert_eq!(share(Figure { value: 0.999975, deviation: 0.0000034 }), "99.99750 ± 0.00034");
        assert_eq!((plain_percent(0.00781), plain_percent(0.0)), ("0.781".to_owned(), "0".to_owned()));
        assert_eq!(thousands(1_234_567), "1,234,567");
    }

    #[test]
    fn a_page_gives_its_sections_back() {
        let names = ["a", "b", "c"];
        let sections_in: BTreeMap<String, String> =
            [("c", "\n## C\n"), ("a", "\n## A\n\n| x |\n")].map(|(n, t)| (n.to_owned(), t.to_owned())).into();
        let text = page(&sections_in, &names);
        assert!(text.find("## A") < text.find("## C"));
        assert_eq!(sections(&text, &names), sections_in);
    }
}
