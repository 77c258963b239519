//! The HTTP door of a run: an inbox below the state directory for each source that takes events there, and the server.

use crate::work::{Opened, secret};
use crate::{Trouble, say};
use plan::{About, InputKind};
use runtime::inbox::{Inbox, Settings};
use runtime::{Input, Received};
use serve::{Listen, Server};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// The directory of an inbox, beside the commits of its source.
const INBOX: &str = "inbox";

/// The inboxes of a pipeline, by source; `None` where events come from elsewhere.
pub struct Inboxes(Vec<Option<Arc<Inbox>>>);

impl Inboxes {
    /// Opens them below the state directory.
    ///
    /// # Errors
    /// Without one: what was acknowledged must be somewhere.
    pub fn open(opened: &Opened<'_>, state: Option<&Path>) -> Result<Inboxes, Trouble> {
        let inputs = opened.pipeline.inputs.iter().enumerate();
        let open = |(index, input): (usize, &plan::Input)| {
            if input.kind != InputKind::Http {
                return Ok(None);
            }
            let Some(state) = state else {
                let text =
                    format!("source `{}` takes events over HTTP, and there is no --state", input.source);
                let hint = "add --state DIR: an event is acknowledged when it is on disk there";
                let problem = opened.pipeline.problem(index, About::Source, text, Some(hint.into()));
                return Err(Trouble::settings(problem));
            };
            let directory = state.join(&input.source).join(INBOX);
            let inbox = Inbox::open(&directory, Settings::default()).map_err(Trouble::environment)?;
            if let Some(torn) = inbox.torn() {
                say(format_args!(
                    "note: source `{}`: the end of `{}` was torn off by a crash and cut at byte {}; nothing of it was acknowledged",
                    input.source,
                    torn.path.display(),
                    torn.byte
                ));
            }
            Ok(Some(Arc::new(inbox)))
        };
        Ok(Inboxes(inputs.map(open).collect::<Result<_, Trouble>>()?))
    }

    /// What source number `index` reads, when it has an inbox.
    pub fn input(
        &self,
        opened: &Opened<'_>,
        index: usize,
        once: bool,
        stop: &Arc<AtomicBool>,
    ) -> Option<Input> {
        let inbox = self.0[index].clone()?;
        let idle = Duration::from_micros(opened.pipeline.inputs[index].idle.0.unsigned_abs());
        Some(Input::Received(Received { inbox, to_the_end: once, idle, stop: stop.clone() }))
    }

    /// Begins to listen, where there is something to take in or the file says so.
    ///
    /// # Errors
    /// When the address is not to be had, or the token is not where it should be.
    pub fn serve(&self, opened: &Opened<'_>) -> Result<Option<Server>, Trouble> {
        let inputs = opened.pipeline.inputs.iter().zip(&self.0);
        let source = |(input, inbox): (&plan::Input, &Option<Arc<Inbox>>)| {
            Some(serve::Source::new(&*input.source, inbox.clone()?))
        };
        let sources: Vec<serve::Source> = inputs.filter_map(source).collect();
        let settings = match &opened.pipeline.serve {
            None if sources.is_empty() => return Ok(None),
            settings => settings.clone().unwrap_or_default(),
        };
        let token = settings.token.as_ref().map(|at| {
            let bytes = secret(at, opened.path, &opened.overrides);
            let text = bytes.and_then(|bytes| String::from_utf8(bytes).map_err(|_| "is no text".to_string()));
            match text.map(|text| text.trim_end_matches(['\r', '\n']).to_string()) {
                Ok(text) if text.is_empty() => Err(Trouble::question("the `token` of `serve` is empty")),
                Ok(text) => Ok(text),
                Err(why) => Err(Trouble::question(format!("the `token` of `serve` {why}"))),
            }
        });
        let listen = Listen {
            address: settings.listen,
            token: token.transpose()?,
            body_bytes_max: settings.body_bytes_max,
            ..Listen::default()
        };
        let server = Server::start(listen, sources, Box::new(|_| ())).map_err(Trouble::environment)?;
        say(format_args!("listening on http://{}", server.address()));
        server.set_ready(true);
        Ok(Some(server))
    }

    /// Takes nothing in any more.
    pub fn close(&self) {
        self.0.iter().flatten().for_each(|inbox| inbox.close());
    }
}
