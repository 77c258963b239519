//! One connection, once it is known who is there: messages one after the other, until either side ends it.

use super::answer::Answer;
use super::cancel::Key;
use super::columns::Column;
use super::command::{self, Command};
use super::failure::Failure;
use super::line::{Ended, Line};
use super::listen::Wire;
use super::message::{self, Message};
use super::out::Out;
use super::prepared::{Kind, Portal, Prepared, Progress, Store};
use super::settings::{Settings, unknown};
use super::{AHEAD_BYTES_MAX, MESSAGE_BYTES_MAX, WAITING_BYTES_MAX};
use crate::sql::Aborted;
use arrow_array::{RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use plan::query::postgres::{Client, Piece, Value, is_catalogue};
use plan::query::{QueryError, Session};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::timeout;

/// Why something is not done.
#[derive(Debug)]
pub(crate) enum Stop {
    Failed(Failure),
    /// Nobody is there any more.
    Gone,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        Stop::Failed(failure)
    }
}

impl From<QueryError> for Stop {
    fn from(error: QueryError) -> Stop {
        Stop::Failed(error.into())
    }
}

impl From<Ended> for Stop {
    fn from(ended: Ended) -> Stop {
        match ended {
            Ended::Gone => Stop::Gone,
            Ended::Wrong(failure) => Stop::Failed(failure),
        }
    }
}

/// The state of a transaction, as clients are told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Idle = b'I' as isize,
    Open = b'T' as isize,
    Failed = b'E' as isize,
}

/// What comes of a statement.
pub(crate) enum Outcome {
    Tag(&'static str),
    Rows(Box<Answer>),
}

pub(crate) struct Connection<S> {
    pub line: Line<S>,
    pub wire: Arc<Wire>,
    pub key: Key,
    pub stopped: watch::Receiver<bool>,
    pub settings: Settings,
    pub client: Client,
    pub status: Status,
    pub store: Store,
    /// After an error nothing is done until the client says that it has noticed.
    pub skipping: bool,
    pub session: Option<Arc<Session>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Talks until it is over.
    pub async fn talk(mut self) {
        loop {
            let stop = match self.next().await {
                Ok(Message::Terminate) => break,
                Ok(message) => self.answer(message).await.err(),
                Err(stop) => Some(stop),
            };
            match stop {
                None => {}
                Some(Stop::Gone) => break,
                Some(Stop::Failed(failure)) => {
                    self.line.out.failure(&failure);
                    if failure.fatal {
                        self.line.close().await;
                        return;
                    }
                    if self.line.send().await.is_err() {
                        break;
                    }
                }
            }
        }
    }

    async fn next(&mut self) -> Result<Message, Stop> {
        let idle = self.wire.listen.idle_timeout;
        let said = tokio::select! {
            biased;
            _ = self.stopped.wait_for(|stopped| *stopped) => return Err(Failure::stopping().into()),
            said = timeout(idle, self.line.message(MESSAGE_BYTES_MAX)) => said,
        };
        let Ok(said) = said else {
            let message = format!("terminating connection: nothing was said for {idle:?}");
            return Err(Failure::fatal("57P05", message).into());
        };
        let (kind, body) = said?;
        Ok(message::read(kind, &body)?)
    }

    async fn answer(&mut self, message: Message) -> Result<(), Stop> {
        self.key.canceled.mark_unchanged();
        match message {
            Message::Sync => {
                self.skipping = false;
                self.ready().await
            }
            _ if self.skipping => Ok(()),
            Message::Query(text) => {
                let failed = self.simple(&text).await.err();
                match failed {
                    Some(Stop::Failed(failure)) if !failure.fatal => {
                        self.line.out.failure(&failure);
                        self.fail();
                    }
                    Some(stop) => return Err(stop),
                    None => {}
                }
                self.ready().await
            }
            Message::Flush => Ok(self.line.send().await?),
            Message::Parse { .. }
            | Message::Bind(_)
            | Message::Describe(_)
            | Message::Execute { .. }
            | Message::Close(_) => {
                let done = self.extended(message).await;
                if done.is_err() {
                    self.skipping = true;
                    self.fail();
                }
                done
            }
            Message::Call => {
                let failure = Failure::new("0A000", "functions are not called by their number here");
                self.line.out.failure(&failure.hint("call them in a SELECT"));
                self.fail();
                self.ready().await
            }
            // As Postgres: the rest of a copy that was refused.
            Message::Copy => Ok(()),
            Message::Secret(_) => Err(Failure::protocol("a password that nobody asked for").into()),
            Message::Terminate => Ok(()),
        }
    }

    fn fail(&mut self) {
        if self.status == Status::Open {
            self.status = Status::Failed;
        }
    }

    /// Says that the next statement may come. Outside a transaction each one is one of its own.
    async fn ready(&mut self) -> Result<(), Stop> {
        if self.status == Status::Idle {
            self.store.end_transaction();
        }
        self.line.out.ready(self.status as u8);
        Ok(self.line.send().await?)
    }

    /// Waits for something as long as the client does.
    pub async fn wait<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Stop> {
        let Connection { line, key, stopped, .. } = self;
        tokio::select! {
            biased;
            done = work => Ok(done),
            _ = key.canceled.changed() => Err(Failure::canceled().into()),
            _ = stopped.wait_for(|stopped| *stopped) => Err(Failure::stopping().into()),
            () = line.gone(AHEAD_BYTES_MAX) => Err(Stop::Gone),
        }
    }

    /// How long a statement may take.
    fn within(&self) -> Duration {
        let most = self.wire.database.options().deadline;
        self.settings.timeout().map_or(most, |asked| asked.min(most))
    }

    /// Does work of a session where queries run, when it is its turn.
    async fn with_session<T: Send + 'static, W: Future<Output = Result<T, QueryError>> + Send + 'static>(
        &mut self,
        work: impl FnOnce(Arc<Session>) -> W + Send + 'static,
    ) -> Result<(T, OwnedSemaphorePermit), Stop> {
        let within = self.within();
        let turn = timeout(within, Arc::clone(&self.wire.house.querying).acquire_owned());
        let Ok(Ok(turn)) = self.wait(turn).await? else {
            let message =
                "canceling statement due to statement timeout: other queries take all the time there is";
            return Err(Failure::new("57014", message).into());
        };
        let (known, database) = (self.session.clone(), self.wire.database.clone());
        let work = async move {
            let session = match known {
                Some(session) => session,
                None => Arc::new(database.session()?),
            };
            let done = work(Arc::clone(&session)).await?;
            Ok::<_, QueryError>((session, done))
        };
        let mut task = Aborted(self.wire.house.queries.spawn(work));
        let done = self.wait(&mut task.0).await?;
        let done = done
            .map_err(|_| Failure::new("XX000", "the query failed inside; this is a bug worth telling us"))?;
        let (session, done) = done?;
        self.session = Some(session);
        Ok((done, turn))
    }

    /// What a statement is, what it takes and what it gives; `types` are those of parameters that the client told.
    pub async fn understand(&mut self, piece: Option<&Piece>, types: &[u32]) -> Result<Prepared, Stop> {
        let mut prepared = self.classify(piece)?;
        prepared.parameters = types.to_vec();
        let text = prepared.text.clone();
        let described = match prepared.kind {
            Kind::Empty | Kind::Command(_) => return Ok(prepared),
            Kind::Query => {
                let known = types.iter().map(|kind| super::decode::planned(*kind)).collect::<Vec<_>>();
                let work = move |session: Arc<Session>| async move { session.describe(&text, &known).await };
                self.with_session(work).await?.0
            }
            Kind::Catalogue => {
                let client = self.told();
                let work =
                    move |session: Arc<Session>| async move { session.describe_catalogue(&text, &client) };
                self.with_session(work).await?.0
            }
        };
        let own = |(at, own): (usize, &DataType)| match types.get(at) {
            Some(told) if *told != 0 => *told,
            _ => super::columns::shape(own).1,
        };
        prepared.parameters = described.parameters.iter().enumerate().map(own).collect();
        prepared.columns = Some(super::columns::of(&described.schema));
        Ok(prepared)
    }

    /// What a statement is.
    pub fn classify(&self, piece: Option<&Piece>) -> Result<Prepared, Failure> {
        let (text, kind) = match piece {
            None => (String::new(), Kind::Empty),
            Some(piece) => {
                let kind = match command::of(piece) {
                    Some(command) => Kind::Command(command),
                    None if is_catalogue(&piece.text)? => Kind::Catalogue,
                    None => Kind::Query,
                };
                (piece.text.clone(), kind)
            }
        };
        self.may_run(&kind)?;
        let columns = if let Kind::Command(command) = &kind { self.columns_of(command) } else { None };
        Ok(Prepared { text, kind, parameters: Vec::new(), columns })
    }

    /// In a transaction that has failed nothing runs but its end.
    pub fn may_run(&self, kind: &Kind) -> Result<(), Failure> {
        let ends = matches!(kind, Kind::Command(Command::Commit | Command::Rollback | Command::RollbackTo));
        if ends || self.status != Status::Failed {
            return Ok(());
        }
        let message = "current transaction is aborted, commands ignored until end of transaction block";
        Err(Failure::new("25P02", message))
    }

    fn columns_of(&self, command: &Command) -> Option<Arc<Vec<Column>>> {
        match command {
            Command::Show(name) => Some(super::columns::of(&shown(name.as_deref()))),
            Command::Fetch { name, told: true, .. } => self.store.portal(name).ok()?.prepared.columns.clone(),
            _ => None,
        }
    }

    /// What the catalogue tells clients of themselves.
    fn told(&self) -> Client {
        Client { settings: self.settings.all().clone(), ..self.client.clone() }
    }

    /// Begins to answer a statement.
    pub async fn run(&mut self, prepared: &Prepared, values: Vec<Value>) -> Result<Outcome, Stop> {
        let (text, columns) = (prepared.text.clone(), prepared.columns.clone());
        match &prepared.kind {
            Kind::Empty => Ok(Outcome::Tag("")),
            Kind::Command(command) => self.command(command).await,
            Kind::Query => {
                let within = self.within();
                let work = move |session: Arc<Session>| async move {
                    session.query_with(&text, &values, within).await
                };
                let (answered, turn) = self.with_session(work).await?;
                Ok(Outcome::Rows(Box::new(Answer::running(answered, columns, turn))))
            }
            Kind::Catalogue => {
                let client = self.told();
                let work =
                    move |session: Arc<Session>| async move { session.catalogue(&text, &values, &client) };
                let (batch, _) = self.with_session(work).await?;
                let schema = batch.schema();
                Ok(Outcome::Rows(Box::new(Answer::ready(&schema, &[batch], "SELECT")?)))
            }
        }
    }

    /// Sends rows, so many at most; how many, and whether there may be more.
    pub async fn tell(
        &mut self,
        answer: &mut Answer,
        rows_max: usize,
        formats: &[i16],
    ) -> Result<(usize, bool), Stop> {
        let mut many = 0;
        while many < rows_max {
            if !self.wait(answer.has_row()).await?? {
                return Ok((many, false));
            }
            many += answer.take(rows_max - many, formats, &mut self.line.out);
            self.line.send_much().await?;
        }
        Ok((many, true))
    }

    /// Tells what is doubtful about an answer that was told.
    pub fn doubts(&mut self, answer: &Answer) {
        if self.settings.warns() {
            for lint in &answer.lints {
                self.line.out.notice("WARNING", "01000", &lint.message, Some(&lint.instead));
            }
        }
    }

    fn report(out: &mut Out, changed: impl IntoIterator<Item = (&'static str, String)>) {
        changed.into_iter().for_each(|(name, value)| out.parameter(name, &value));
    }

    async fn command(&mut self, command: &Command) -> Result<Outcome, Stop> {
        let open = self.status != Status::Idle;
        Ok(Outcome::Tag(match command {
            Command::Begin => {
                if open {
                    self.line.out.notice(
                        "WARNING",
                        "25001",
                        "there is already a transaction in progress",
                        None,
                    );
                }
                self.status = Status::Open;
                "BEGIN"
            }
            Command::Commit | Command::Rollback => {
                if !open {
                    self.line.out.notice("WARNING", "25P01", "there is no transaction in progress", None);
                }
                let fine = self.status != Status::Failed && *command == Command::Commit;
                self.status = Status::Idle;
                self.store.end_transaction();
                Self::report(&mut self.line.out, self.settings.end_transaction());
                if fine { "COMMIT" } else { "ROLLBACK" }
            }
            Command::Savepoint | Command::Release | Command::RollbackTo if !open => {
                return Err(Failure::new("25P01", "savepoints can only be used in transaction blocks").into());
            }
            Command::Savepoint => "SAVEPOINT",
            Command::Release => "RELEASE",
            Command::RollbackTo => {
                self.status = Status::Open;
                "ROLLBACK"
            }
            Command::Set { name, value, local } => {
                let changed = self.settings.set(name, value.as_deref(), *local)?;
                Self::report(&mut self.line.out, changed.report);
                if let Some(warning) = changed.warning {
                    self.line.out.notice("WARNING", "01000", &warning, None);
                }
                "SET"
            }
            Command::Reset(name) => {
                match name {
                    Some(name) => {
                        let changed = self.settings.set(name, None, false)?;
                        Self::report(&mut self.line.out, changed.report);
                    }
                    None => Self::report(&mut self.line.out, self.settings.reset()),
                }
                "RESET"
            }
            Command::Ignored(tag) => tag,
            Command::DiscardAll => {
                self.store.deallocate_all();
                self.store.close_all();
                Self::report(&mut self.line.out, self.settings.reset());
                "DISCARD ALL"
            }
            Command::Deallocate(None) => {
                self.store.deallocate_all();
                "DEALLOCATE ALL"
            }
            Command::Deallocate(Some(name)) => {
                self.store.statement(name)?;
                self.store.deallocate(name);
                "DEALLOCATE"
            }
            Command::Close(None) => {
                self.store.close_all();
                "CLOSE CURSOR ALL"
            }
            Command::Close(Some(name)) => {
                self.store.portal(name)?;
                self.store.close(name);
                "CLOSE CURSOR"
            }
            Command::Declare { name, query, hold } => {
                self.declare(name, query, *hold).await?;
                "DECLARE CURSOR"
            }
            Command::Unsupported(hint) => {
                return Err(Failure::new("0A000", "this statement is not supported here").hint(*hint).into());
            }
            Command::Show(name) => return self.show(name.as_deref()),
            // Rows are told by who asked.
            Command::Fetch { .. } => "FETCH",
        }))
    }

    async fn declare(&mut self, name: &str, query: &str, hold: bool) -> Result<(), Stop> {
        let pieces = plan::query::postgres::split(query)?;
        let prepared = self.classify(pieces.first())?;
        let answer = match Box::pin(self.run(&prepared, Vec::new())).await? {
            Outcome::Rows(mut answer) => {
                self.gather(&mut answer).await?;
                answer
            }
            Outcome::Tag(_) => return Err(Failure::new("42601", "a cursor is over a query").into()),
        };
        let prepared = Prepared { columns: Some(Arc::clone(&answer.columns)), ..prepared };
        let state = Progress::Open(answer);
        // Outside a transaction it could not be fetched from if it ended with its statement.
        let hold = hold || self.status == Status::Idle;
        let portal =
            Portal { prepared: Arc::new(prepared), values: Vec::new(), formats: Vec::new(), state, hold };
        Ok(self.store.open(name.to_string(), portal)?)
    }

    /// Waits for all rows of an answer that is fetched in parts.
    pub async fn gather(&mut self, answer: &mut Answer) -> Result<(), Stop> {
        let waiting = Arc::clone(&self.wire.waiting_bytes);
        Ok(self.wait(answer.gather(&waiting, WAITING_BYTES_MAX)).await??)
    }

    fn show(&self, name: Option<&str>) -> Result<Outcome, Stop> {
        let schema = Arc::new(shown(name));
        let columns = match name {
            Some(name) => {
                let value = self.settings.get(name).ok_or_else(|| unknown(name))?;
                vec![Arc::new(StringArray::from(vec![value])) as _]
            }
            None => {
                let names: Vec<&str> = self.settings.all().keys().map(String::as_str).collect();
                let values: Vec<&str> = self.settings.all().values().map(String::as_str).collect();
                let nothing = vec![""; names.len()];
                [names, values, nothing].map(|texts| Arc::new(StringArray::from(texts)) as _).to_vec()
            }
        };
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns);
        let batch = batch.map_err(|error| Failure::new("XX000", error.to_string()))?;
        Ok(Outcome::Rows(Box::new(Answer::ready(&schema, &[batch], "SHOW")?)))
    }
}

/// The columns of `SHOW`.
fn shown(name: Option<&str>) -> Schema {
    let names = match name {
        Some(name) => vec![name],
        None => vec!["name", "setting", "description"],
    };
    Schema::new(names.into_iter().map(|name| Field::new(name, DataType::Utf8, false)).collect::<Vec<_>>())
}
