//! The table of all jobs, as text and as JSON.

use serde_json::{Value, json};

use crate::job::Outcome;

/// One block a job: its sides, then how ours compares.
pub fn text(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        let head = format!("{} ({} each; {})", outcome.name, outcome.unit.word(), outcome.asked);
        text += &format!("\n{head}\n{:<44}{:>10}{:>10}{:>10}  answer\n", "", "median", "min", "max");
        for row in &outcome.rows {
            let wrong = if row.right { "" } else { "  WRONG" };
            text += &format!(
                "  {:<42}{:>10.2}{:>10.2}{:>10.2}  {:.5}{wrong}\n",
                row.name, row.median, row.min, row.max, row.answer
            );
        }
        text += &verdict(outcome);
    }
    text
}

fn verdict(outcome: &Outcome) -> String {
    let ratio = match (outcome.ratio(), outcome.rival()) {
        (Some(ratio), Some(rival)) => format!("{ratio:.2}x the speed of {}", rival.name),
        _ => "no rival".to_owned(),
    };
    let bar = match (outcome.is_met(), outcome.bar) {
        (Some(true), Some(bar)) => format!("[met] bar {bar} {}", outcome.unit.word()),
        (Some(false), Some(bar)) => format!("[MISSED] bar {bar} {}", outcome.unit.word()),
        _ => "no bar".to_owned(),
    };
    format!("  => {ratio}; {bar}\n")
}

/// The same as one JSON object.
pub fn json(outcomes: &[Outcome], passes: usize) -> String {
    let jobs: Vec<Value> = outcomes.iter().map(job).collect();
    format!("{:#}\n", json!({ "passes": passes, "jobs": jobs }))
}

fn job(outcome: &Outcome) -> Value {
    let sides: Vec<Value> = outcome
        .rows
        .iter()
        .map(|row| {
            json!({
                "name": row.name,
                "ours": row.is_ours(),
                "median": row.median,
                "min": row.min,
                "max": row.max,
                "answer": row.answer,
                "right": row.right,
            })
        })
        .collect();
    json!({
        "name": outcome.name,
        "unit": outcome.unit.word(),
        "asked": outcome.asked,
        "bar": outcome.bar,
        "met": outcome.is_met(),
        "best_rival": outcome.rival().map(|row| row.name),
        "ratio_to_best_rival": outcome.ratio(),
        "sides": sides,
    })
}
