//! A progress bar on a terminal; nothing at all when standard error is piped.

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use runtime::{Input, Status};
use std::io::IsTerminal;

/// The bar of one source.
pub struct Progress {
    bar: Option<ProgressBar>,
    started: std::time::Instant,
}

impl Progress {
    /// Starts a bar over the bytes of an input; a spinner when their number is not known.
    pub fn start(input: &Input) -> Progress {
        let started = std::time::Instant::now();
        if !std::io::stderr().is_terminal() {
            return Progress { bar: None, started };
        }
        let total: Option<u64> = match input {
            Input::Files(files) => files.iter().map(|f| f.size_bytes).sum(),
            Input::Follow(_) | Input::Received(_) | Input::Given(_) => None,
        };
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        let template = match total {
            Some(_) => "{bar:30} {bytes}/{total_bytes}  {binary_bytes_per_sec}  ETA {eta}  {msg}",
            None => "{spinner} {bytes}  {binary_bytes_per_sec}  {msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Progress { bar: Some(bar), started }
    }

    /// Shows how far the run has come.
    pub fn show(&self, status: Status) {
        let Some(bar) = &self.bar else { return };
        bar.set_position(status.bytes);
        let rate = status.events as f64 / self.started.elapsed().as_secs_f64().max(1e-3);
        bar.set_message(format!(
            "{} events/s  state {}",
            HumanCount(rate as u64),
            HumanBytes(status.shard_bytes)
        ));
    }

    /// Takes the bar away, so that the report stands alone.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
