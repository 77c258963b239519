//! The HTTP door of a run: an inbox below the state directory for each source that takes events there, and the server.

use crate::joined::Joined;
use crate::origins::{self, Measured};
use crate::work::{Opened, secret};
use crate::{Trouble, say};
use engine::moment::Reader;
use plan::query::{Database, Options};
use plan::{About, InputKind, SecretAt, ServeTls};
use runtime::inbox::{Inbox, Settings};
use runtime::{Input, Lives, Received};
use serve::{Behind, Listen, Postgres, Role, Server, Tls, Tokens};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// The directory of an inbox, beside the commits of its source.
const INBOX: &str = "inbox";

/// The inboxes of a pipeline, by source with its name; `None` where events come from elsewhere.
pub struct Inboxes(Vec<(String, Option<Arc<Inbox>>)>);

/// A server, with what it was started for.
pub struct Door {
    server: Server,
    listen: Listen,
    queries: Options,
    sources: Vec<String>,
    /// What states of other nodes must go together with, where they are taken.
    measured: Option<Measured>,
}

/// Whether a run of this pipeline listens for HTTP: where there is something to take in, or the file says so.
pub fn listens(opened: &Opened<'_>) -> bool {
    opened.pipeline.serve.is_some()
        || opened.pipeline.inputs.iter().any(|input| input.kind == InputKind::Http)
}

/// The tokens of a secret, one a line.
fn lines_of(at: &SecretAt, key: &str, opened: &Opened<'_>) -> Result<Vec<String>, Trouble> {
    let wrong = |why: String| Trouble::question(format!("the `{key}` of `serve` {why}"));
    let bytes = secret(at, opened.path, &opened.overrides).map_err(wrong)?;
    let text = String::from_utf8(bytes).map_err(|_| wrong("is no text".into()))?;
    let lines: Vec<String> =
        text.lines().map(str::trim_end).filter(|line| !line.is_empty()).map(String::from).collect();
    if lines.is_empty() { Err(wrong("is empty".into())) } else { Ok(lines) }
}

/// Certificate and key from beside the pipeline file.
fn certificate(tls: &ServeTls, opened: &Opened<'_>) -> Result<Tls, Trouble> {
    let read = |key: &str, path: &str| {
        let at = SecretAt::File(path.into());
        secret(&at, opened.path, &opened.overrides)
            .map_err(|why| Trouble::question(format!("the `{key}` of `tls` of `serve`, `{path}`, {why}")))
    };
    let (certificate, key) = (read("cert", &tls.certificate)?, read("key", &tls.key)?);
    Tls::new(&certificate, &key)
        .map_err(|why| Trouble::question(format!("the `tls` of `serve` does not serve: {why}")))
}

/// What queries may use, and the views there are.
fn queries(opened: &Opened<'_>) -> Options {
    let query = opened.pipeline.serve.as_ref().map_or_else(Default::default, |serve| serve.query);
    Options {
        memory_bytes: query.memory_bytes,
        deadline: Duration::from_micros(query.timeout.0.unsigned_abs()),
        rows_max: query.rows_max,
        views: opened.pipeline.views.clone(),
    }
}

impl Inboxes {
    /// Opens them below the state directory.
    ///
    /// # Errors
    /// Without one: what was acknowledged must be somewhere.
    pub fn open(opened: &Opened<'_>, state: Option<&Path>) -> Result<Inboxes, Trouble> {
        Inboxes(Vec::new()).turn(opened, state)
    }

    /// Those of a pipeline that takes the place of another one. What both take in goes on without a break; what is not needed
    /// any more is closed.
    ///
    /// # Errors
    /// As [`Inboxes::open`].
    pub fn turn(mut self, opened: &Opened<'_>, state: Option<&Path>) -> Result<Inboxes, Trouble> {
        let inputs = opened.pipeline.inputs.iter().enumerate();
        let mut open = |(index, input): (usize, &plan::Input)| {
            if input.kind != InputKind::Http {
                return Ok((input.source.clone(), None));
            }
            let there = self.0.iter_mut().find(|(name, _)| *name == input.source);
            if let Some(inbox) = there.and_then(|(_, inbox)| inbox.take()) {
                return Ok((input.source.clone(), Some(inbox)));
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
            Ok((input.source.clone(), Some(Arc::new(inbox))))
        };
        let inboxes = Inboxes(inputs.map(&mut open).collect::<Result<_, Trouble>>()?);
        self.close();
        Ok(inboxes)
    }

    /// What source number `index` reads, when it has an inbox.
    pub fn input(
        &self,
        opened: &Opened<'_>,
        index: usize,
        once: bool,
        stop: &Arc<AtomicBool>,
    ) -> Option<Input> {
        let inbox = self.0[index].1.clone()?;
        let idle = Duration::from_micros(opened.pipeline.inputs[index].idle.0.unsigned_abs());
        Some(Input::Received(Received { inbox, to_the_end: once, idle, stop: stop.clone() }))
    }

    /// Begins to listen, where there is something to take in or the file says so. States of other nodes are taken below
    /// the state directory.
    ///
    /// # Errors
    /// When the address is not to be had, or the token is not where it should be.
    pub fn serve(
        &self,
        opened: &Opened<'_>,
        state: Option<&Path>,
        lives: &Arc<Lives>,
    ) -> Result<Option<Door>, Trouble> {
        let Some(listen) = self.listen(opened)? else { return Ok(None) };
        self.door(listen, opened, state, lives).map(Some)
    }

    /// The door of a pipeline that takes the place of another one: as it was where it can stay so. One that listens elsewhere
    /// is opened before the old one is closed; where it cannot be, the old one stays, if it leads to the same sources.
    ///
    /// # Errors
    /// When there is no door then.
    pub fn serve_again(
        &self,
        opened: &Opened<'_>,
        state: &Path,
        door: Option<Door>,
        lives: &Arc<Lives>,
    ) -> Result<Option<Door>, Trouble> {
        let state = Some(state);
        let Some(listen) = self.listen(opened)? else {
            if let Some(door) = door {
                say(format_args!("not listening on http://{} any more", door.server.address()));
                door.close();
            }
            return Ok(None);
        };
        let Some(door) = door else { return self.door(listen, opened, state, lives).map(Some) };
        let same_sources = door.sources == self.names();
        door.measured.iter().try_for_each(|measured| measured.turn(opened))?;
        if same_sources && door.listen == listen && door.queries == queries(opened) {
            return Ok(Some(door));
        }
        let same =
            |of: fn(&Listen) -> Option<SocketAddr>| of(&door.listen) == of(&listen) && of(&listen).is_some();
        if same(|listen| Some(listen.address)) || same(|listen| Some(listen.postgres.as_ref()?.address)) {
            // For a moment nobody listens: who sends tries again.
            door.close();
            return self.door(listen, opened, state, lives).map(Some);
        }
        match self.door(listen, opened, state, lives) {
            Ok(new) => {
                door.close();
                Ok(Some(new))
            }
            Err(trouble) if same_sources => {
                let address = door.server.address();
                say(format_args!("WARNING: {}; it goes on listening on http://{address}", trouble.text));
                Ok(Some(door))
            }
            Err(trouble) => Err(trouble),
        }
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().filter(|(_, inbox)| inbox.is_some()).map(|(name, _)| name.clone()).collect()
    }

    /// Where and how to listen; `None` when there is nothing to listen for.
    fn listen(&self, opened: &Opened<'_>) -> Result<Option<Listen>, Trouble> {
        if !listens(opened) {
            return Ok(None);
        }
        let settings = opened.pipeline.serve.clone().unwrap_or_default();
        let mut tokens = Tokens::none();
        let kept = [
            ("token", &settings.tokens.all, Role::Admin),
            ("read_token", &settings.tokens.read, Role::Read),
            ("ingest_token", &settings.tokens.ingest, Role::Ingest),
        ];
        for (key, at, role) in kept {
            for token in
                at.iter().map(|at| lines_of(at, key, opened)).collect::<Result<Vec<_>, _>>()?.concat()
            {
                tokens = tokens.with(token, role);
            }
        }
        let tls = settings.tls.as_ref().map(|tls| certificate(tls, opened)).transpose()?;
        Ok(Some(Listen {
            address: settings.listen,
            tokens,
            tls,
            postgres: settings.postgres.map(Postgres::at),
            base: settings.base,
            body_bytes_max: settings.body_bytes_max,
            ..Listen::default()
        }))
    }

    fn door(
        &self,
        listen: Listen,
        opened: &Opened<'_>,
        state: Option<&Path>,
        lives: &Arc<Lives>,
    ) -> Result<Door, Trouble> {
        let source =
            |(name, inbox): &(String, Option<Arc<Inbox>>)| Some(serve::Source::new(&**name, inbox.clone()?));
        let sources: Vec<serve::Source> = self.0.iter().filter_map(source).collect();
        let store = state.map(|state| origins::store(opened, state)).transpose()?;
        let (store, measured) = store.unzip();
        let reader: Arc<dyn Reader> = match (state, &measured) {
            (Some(state), Some(measured)) => Arc::new(Joined::new(lives.clone(), state, measured.clone())),
            _ => lives.clone(),
        };
        let queries = queries(opened);
        let database = Some(Database::new(Arc::clone(&reader), queries.clone()));
        let behind = Behind { sources, origins: store, reader: Some(reader), database };
        let server = Server::start(listen.clone(), behind).map_err(Trouble::environment)?;
        let scheme = if listen.tls.is_some() { "https" } else { "http" };
        say(format_args!("listening on {scheme}://{}{}", server.address(), listen.base));
        if let Some(postgres) = server.postgres() {
            say(format_args!("listening on postgres://{postgres}/streamgauge"));
        }
        server.set_ready(true);
        Ok(Door { server, listen, queries, sources: self.names(), measured })
    }

    /// Takes nothing in any more.
    pub fn close(&self) {
        self.0.iter().filter_map(|(_, inbox)| inbox.as_ref()).for_each(|inbox| inbox.close());
    }
}

impl Door {
    /// Listens no more, once what is under way was answered.
    pub fn close(self) {
        self.server.stop();
    }
}
