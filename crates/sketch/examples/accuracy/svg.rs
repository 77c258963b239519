//! The plot of an experiment: errors beside their formula, bias, coverage. Plain SVG that brings its own background, light
//! or dark as the reader prefers, so that it is readable on any page.

use std::fmt::Write;

use crate::page::{label, plain};
use crate::trials::{At, Covers, ErrorIs, Experiment, Point, Tallies, Tally};

const WIDTH: f64 = 760.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 22.0;
const GAP: f64 = 26.0;

/// Told apart by most eyes, on light and on dark.
const COLOURS: [&str; 6] = ["#2f7fd1", "#d9772b", "#2a9d6f", "#b25bd1", "#cc4b5a", "#8b8b2e"];

const STYLE: &str = "\
<style>\
text{font:12px system-ui,sans-serif;fill:#24292f}\
.t{font-size:15px;font-weight:600}\
.s{fill:#57606a}\
.b{fill:#fff}\
.g{stroke:#d0d7de;stroke-width:1;fill:none}\
.f{stroke-dasharray:5 4;stroke-width:1.5;fill:none}\
.p{stroke:#57606a;stroke-dasharray:5 4;fill:none}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.s{fill:#9da7b3}.b{fill:#0d1117}.g{stroke:#30363d}.p{stroke:#9da7b3}}\
</style>\n";

/// What fills a panel.
type Draw = fn(&mut Panel<'_>);

/// Draws the plot.
pub fn plot(e: &Experiment, tallies: &Tallies) -> String {
    let promises = || e.series.iter().flat_map(|s| &s.points).map(|p| &p.promise);
    let mut panels: Vec<(f64, Draw)> = vec![(220.0, |panel| panel.errors())];
    if promises().any(|p| p.bias.is_some()) {
        panels.push((120.0, |panel| panel.bias()));
    }
    // Bounds that always hold make no picture.
    let certain = |c: Covers| c == Covers::AtLeast(1.0) || c == Covers::Nothing;
    if !promises().all(|p| certain(p.coverage)) {
        panels.push((120.0, |panel| panel.coverage()));
    }
    let top = 64.0 + 18.0 * (e.series.len() as f64 / 4.0).ceil();
    let height = top + panels.iter().map(|(h, _)| h + GAP).sum::<f64>() + 34.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\">\n<title>{title}: measured errors beside the formula</title>\n{STYLE}\
         <rect class=\"b\" width=\"{WIDTH}\" height=\"{height}\" rx=\"6\"/>\n\
         <text class=\"t\" x=\"16\" y=\"26\">{title}</text>\n",
        title = escaped(&plain(e.title))
    );
    legend(&mut out, e);
    let mut y = top;
    for (at, (height, draw)) in panels.iter().enumerate() {
        let last = at + 1 == panels.len();
        let mut panel = Panel { e, tallies, out: &mut out, top: y, height: *height };
        panel.frame(last);
        draw(&mut panel);
        y += height + GAP;
    }
    let _ = writeln!(
        out,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n</svg>",
        (LEFT + WIDTH - RIGHT) / 2.0,
        height - 12.0,
        escaped(e.axis)
    );
    out
}

/// What marks mean, then a dot and a name for each series.
fn legend(out: &mut String, e: &Experiment) {
    let singles =
        e.series.iter().flat_map(|s| &s.points).all(|p| matches!(p.promise.error, ErrorIs::Beyond(_)));
    let marks = if singles {
        "filled: root mean square, hollow: largest error, dashed: the formula"
    } else {
        "dots: measured; dashed: what the formula says, 4 standard errors (s.e.), the coverage stated"
    };
    let _ = writeln!(out, "<text class=\"s\" x=\"16\" y=\"46\">{marks}</text>");
    for (i, series) in e.series.iter().enumerate() {
        let (x, y) = (20.0 + 182.0 * (i % 4) as f64, 66.0 + 18.0 * (i / 4) as f64);
        let colour = COLOURS[i % COLOURS.len()];
        let _ = writeln!(
            out,
            "<circle cx=\"{x}\" cy=\"{}\" r=\"4\" fill=\"{colour}\"/><text x=\"{}\" y=\"{y}\">{}</text>",
            y - 4.0,
            x + 10.0,
            escaped(&series.name)
        );
    }
}

/// One of the plots below one another, which share the horizontal axis.
struct Panel<'a> {
    e: &'a Experiment,
    tallies: &'a Tallies,
    out: &'a mut String,
    top: f64,
    height: f64,
}

/// A vertical scale: from the lowest value to the highest, linear or logarithmic.
#[derive(Clone, Copy)]
struct Scale {
    low: f64,
    high: f64,
    log: bool,
}

impl Scale {
    /// 0 at the bottom, 1 at the top.
    fn share(self, v: f64) -> f64 {
        if self.log {
            (v / self.low).ln() / (self.high / self.low).ln()
        } else {
            (v - self.low) / (self.high - self.low)
        }
    }
}

impl<'a> Panel<'a> {
    /// Root mean square errors, and the largest ones where they are what is bounded, beside the formula.
    fn errors(&mut self) {
        let seen = |p: &Point, t: &Tally| {
            let single = if matches!(p.promise.error, ErrorIs::Beyond(_)) { t.largest } else { 0.0 };
            let promised = if p.promise.error == ErrorIs::Unsaid { 0.0 } else { t.formula() };
            [t.rmse().value, promised, single]
        };
        let values = self.cells().flat_map(|(_, p, t)| seen(p, t)).filter(|v| *v > 0.0);
        let (low, high) = range(values);
        let scale = Scale { low: low / 1.15, high: high * 1.15, log: true };
        let name = format!("error, % of {}", escaped(self.e.of));
        self.y_axis(&name, scale, &log_ticks(scale), 100.0);
        for (series, colour) in self.colours() {
            let cells = self.series(series);
            let formula = cells.iter().filter(|(_, p, _)| p.promise.error != ErrorIs::Unsaid);
            self.line(formula.map(|(x, _, t)| (*x, t.formula())), scale, colour);
            for (x, p, t) in cells {
                let [rmse, _, single] = seen(p, t);
                self.dot(x, rmse, scale, colour, true);
                self.dot(x, single, scale, colour, false);
            }
        }
    }

    /// Mean errors in their standard errors: comparable at every point, and 4 is where figures are marked.
    fn bias(&mut self) {
        let off = |t: &Tally| {
            let bias = t.bias();
            if bias.deviation > 0.0 { bias.value / bias.deviation } else { 0.0 }
        };
        let unbiased = |p: &Point, t: &Tally| p.promise.bias.is_some() && !t.is_exact();
        let most = self.cells().filter(|(_, p, t)| unbiased(p, t)).map(|(_, _, t)| off(t).abs());
        let most = most.fold(5.0, f64::max) * 1.1;
        let scale = Scale { low: -most, high: most, log: false };
        self.y_axis("bias / its s.e.", scale, &[-4.0, 0.0, 4.0], 1.0);
        self.promised(-4.0, scale);
        self.promised(4.0, scale);
        for (series, colour) in self.colours() {
            for (x, p, t) in self.series(series) {
                if unbiased(p, t) {
                    self.dot(x, off(t), scale, colour, true);
                }
            }
        }
    }

    /// Shares of intervals that held the truth.
    fn coverage(&mut self) {
        let stated = self.cells().find_map(|(_, p, _)| match p.promise.coverage {
            Covers::Exactly(share) => Some(share),
            Covers::AtLeast(share) if share < 1.0 => Some(share),
            Covers::AtLeast(_) | Covers::Unsaid | Covers::Nothing => None,
        });
        let least = self.cells().map(|(_, _, t)| t.coverage().value).fold(0.93, f64::min);
        let scale = Scale { low: least - 0.005, high: 1.004, log: false };
        let step = if least < 0.8 {
            0.1
        } else if least < 0.9 {
            0.05
        } else {
            0.02
        };
        let ticks: Vec<f64> =
            (0..20).map(|i| 1.0 - f64::from(i) * step).take_while(|&v| v > scale.low).collect();
        self.y_axis("coverage, %", scale, &ticks, 100.0);
        if let Some(stated) = stated {
            self.promised(stated, scale);
        }
        for (series, colour) in self.colours() {
            for (x, _, t) in self.series(series) {
                if !t.is_exact() {
                    self.dot(x, t.coverage().value, scale, colour, true);
                }
            }
        }
    }

    fn colours(&self) -> impl Iterator<Item = (usize, &'static str)> + use<> {
        (0..self.e.series.len()).map(|series| (series, COLOURS[series % COLOURS.len()]))
    }

    fn cells(&self) -> impl Iterator<Item = (usize, &'a Point, &'a Tally)> + use<'a> {
        let series = self.e.series.iter().zip(self.tallies).enumerate();
        series.flat_map(|(i, (s, tallies))| s.points.iter().zip(tallies).map(move |(p, t)| (i, p, t)))
    }

    /// Points of a series with their horizontal places; those of other series stand a little beside them.
    fn series(&self, series: usize) -> Vec<(f64, &'a Point, &'a Tally)> {
        let aside = 3.0 * (series as f64 - (self.e.series.len() as f64 - 1.0) / 2.0);
        let (points, tallies) = (&self.e.series[series].points, &self.tallies[series]);
        let place = |(i, (p, t))| (place(self.e, i, p) + aside, p, t);
        points.iter().zip(tallies).enumerate().map(place).collect()
    }

    fn y(&self, v: f64, scale: Scale) -> f64 {
        self.top + self.height * (1.0 - scale.share(v))
    }

    /// The box, and the ticks of the horizontal axis, with their names in the last panel.
    fn frame(&mut self, named: bool) {
        let (bottom, width) = (self.top + self.height, WIDTH - LEFT - RIGHT);
        let (top, height) = (self.top, self.height);
        let _ = writeln!(
            self.out,
            "<rect class=\"g\" x=\"{LEFT}\" y=\"{top}\" width=\"{width}\" height=\"{height}\"/>"
        );
        let points = &self.e.series[0].points;
        let crowded = points.len() > 12;
        for (i, point) in points.iter().enumerate() {
            let x = place(self.e, i, point);
            // Of 1, 2, 5, 10, 20, 50 the tens are enough.
            let is_ten = matches!(point.at, At::Log(x) if (x.log10() - x.log10().round()).abs() < 1e-9);
            if crowded && !is_ten {
                continue;
            }
            let _ = writeln!(self.out, "<path class=\"g\" d=\"M{x:.1} {top}V{bottom}\"/>");
            if named {
                let (y, name) = (bottom + 16.0, escaped(&label(&point.at)));
                let _ =
                    writeln!(self.out, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{name}</text>");
            }
        }
    }

    /// Name and ticks of the vertical axis; shown are the ticks times `unit`.
    fn y_axis(&mut self, name: &str, scale: Scale, ticks: &[f64], unit: f64) {
        let middle = self.top + self.height / 2.0;
        let _ = writeln!(
            self.out,
            "<text x=\"18\" y=\"{middle}\" text-anchor=\"middle\" transform=\"rotate(-90 18 {middle})\">{name}</text>"
        );
        for &tick in ticks {
            let (y, right) = (self.y(tick, scale), WIDTH - RIGHT);
            let shown = (tick * unit * 1e10).round() / 1e10;
            let _ = writeln!(
                self.out,
                "<path class=\"g\" d=\"M{LEFT} {y:.1}H{right}\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{shown}</text>",
                LEFT - 6.0,
                y + 4.0
            );
        }
    }

    /// A dashed line across.
    fn promised(&mut self, v: f64, scale: Scale) {
        let (y, right) = (self.y(v, scale), WIDTH - RIGHT);
        let _ = writeln!(self.out, "<path class=\"p\" d=\"M{LEFT} {y:.1}H{right}\"/>");
    }

    fn line(&mut self, points: impl Iterator<Item = (f64, f64)>, scale: Scale, colour: &str) {
        let mut path = String::new();
        for (x, v) in points.filter(|(_, v)| *v > 0.0) {
            let y = self.y(v, scale);
            let _ = write!(path, "{}{x:.1} {y:.1}", if path.is_empty() { "M" } else { "L" });
        }
        if !path.is_empty() {
            let _ = writeln!(self.out, "<path class=\"f\" stroke=\"{colour}\" d=\"{path}\"/>");
        }
    }

    /// Nothing for a 0 on a logarithmic scale.
    fn dot(&mut self, x: f64, v: f64, scale: Scale, colour: &str, filled: bool) {
        if scale.log && v <= 0.0 {
            return;
        }
        let y = self.y(v, scale);
        let fill = if filled { colour } else { "none" };
        let _ = writeln!(
            self.out,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.2\" fill=\"{fill}\" stroke=\"{colour}\"/>"
        );
    }
}

/// The horizontal place of a point: on a logarithmic axis over all points, or one of evenly spaced names.
fn place(e: &Experiment, i: usize, point: &Point) -> f64 {
    let width = WIDTH - LEFT - RIGHT;
    match point.at {
        At::Named(_) => LEFT + width * (i as f64 + 0.5) / e.series[0].points.len() as f64,
        At::Log(x) => {
            let all = e.series.iter().flat_map(|s| &s.points);
            let (low, high) = range(all.filter_map(|p| if let At::Log(x) = p.at { Some(x) } else { None }));
            LEFT + width * (0.05 + 0.9 * (x / low).ln() / (high / low).ln())
        }
    }
}

fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, 0.0), |(low, high), v| (v.min(low), v.max(high)));
    if low < high {
        (low, high)
    } else if high > 0.0 {
        (high / 2.0, high * 2.0)
    } else {
        (1e-3, 1.0)
    }
}

/// 1, 2 and 5 of every power of ten on the scale; of many only the ones.
fn log_ticks(scale: Scale) -> Vec<f64> {
    let digits: &[f64] = if scale.high / scale.low > 300.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let all = (-12..3).flat_map(|e| digits.iter().map(move |d| d * 10f64.powi(e)));
    all.filter(|v| (scale.low..=scale.high).contains(v)).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_and_ticks() {
        let scale = Scale { low: 0.001, high: 0.1, log: true };
        assert!((scale.share(0.01) - 0.5).abs() < 1e-12);
        assert_eq!(log_ticks(scale).len(), 7);
        assert_eq!(range([].into_iter()), (1e-3, 1.0));
        assert_eq!(escaped("a < b & c"), "a &lt; b &amp; c");
    }
}
