//! Figures in words: measures as they would be written, formulas, shares, bytes.

use crate::accuracy::Choice;
use engine::spec::{Field, Measure, Metric};

/// A measure as it would be written.
pub(crate) fn words(metric: &Metric, columns: &[Field]) -> String {
    let name = |field: &usize| columns[*field].path.clone();
    let weighted =
        |weight: &Option<usize>| weight.map_or(String::new(), |w| format!(", weight => {}", name(&w)));
    let call = match &metric.measure {
        Measure::Count => "count()".to_string(),
        Measure::Sum(field) => format!("sum({})", name(field)),
        Measure::Min(field) => format!("min({})", name(field)),
        Measure::Max(field) => format!("max({})", name(field)),
        Measure::Avg(field) => format!("avg({})", name(field)),
        Measure::Stddev(field) => format!("stddev({})", name(field)),
        Measure::Unique { field, .. } => format!("unique({})", name(field)),
        Measure::Audience { field, .. } => format!("audience({})", name(field)),
        Measure::Freq { field, weight, .. } => format!("freq({}{})", name(field), weighted(weight)),
        Measure::Top { field, k, weight, .. } => format!("top({}, {k}{})", name(field), weighted(weight)),
        Measure::Quantiles { field, .. } => format!("quantiles({})", name(field)),
        Measure::Histogram { field, .. } => format!("histogram({})", name(field)),
        Measure::Seen { field, .. } => format!("seen({})", name(field)),
        Measure::Session { field, gap, .. } => format!("session({}, gap => '{gap}')", name(field)),
        Measure::Sample { k, .. } => format!("sample({k})"),
    };
    match &metric.filter {
        Some(filter) => format!("{call} filter (where {})", name(filter)),
        None => call,
    }
}

/// The formula behind a choice, with its figures: `1.96 · 1.04 / √2^14 = 1.59 % ≤ 2 % @ 95 %`.
pub(super) fn why(measure: &Measure, choice: &Choice, confidence: f64) -> String {
    let z = sketch::estimate::z_of(confidence);
    let formula = match measure {
        Measure::Unique { lg_k, .. } => format!("{z:.2} · 1.04 / √2^{lg_k}"),
        Measure::Audience { lg_k, .. } => format!("{z:.2} / √(2^{lg_k} − 1)"),
        Measure::Freq { lg_width, .. } => format!("e / 2^{lg_width}"),
        Measure::Top { counters, .. } => format!("2 / (3/4 · {counters})"),
        Measure::Quantiles { bits, .. } => format!("1 / (2^{} + 1)", bits + 1),
        _ => return String::new(),
    };
    let sign = if choice.reached <= choice.asked { "≤" } else { ">" };
    let (reached, asked) = (percent(choice.reached), percent(choice.asked));
    format!("{formula} = {reached} {sign} {asked} @ {}", percent(confidence))
}

/// A share with three digits that count: `1.59 %`.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent == 0.0 || !percent.is_finite() {
        return "0 %".into();
    }
    let digits = (2 - percent.abs().log10().floor() as i32).clamp(0, 9) as usize;
    let text = format!("{percent:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text} %")
}

/// Bytes for people: `1.35 MiB`.
pub fn human(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut value, mut unit) = (bytes as f64 / 1024.0, 0);
    while value >= 1023.995 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = if value < 10.0 {
        2
    } else if value < 100.0 {
        1
    } else {
        0
    };
    format!("{value:.digits$} {}", UNITS[unit])
}

/// Bytes as a pipeline file would say them, rounded up.
pub(super) fn written(bytes: u64) -> String {
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    if bytes <= 64 * KIB {
        "64KiB".to_string()
    } else if bytes < 16 * MIB {
        format!("{}KiB", bytes.div_ceil(KIB))
    } else {
        format!("{}MiB", bytes.div_ceil(MIB))
    }
}

/// Thousands apart.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, c) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}
