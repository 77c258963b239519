//! The extended way of asking: prepare, bind values, describe, execute in parts.

use super::columns::{self, is_binary};
use super::command::Command;
use super::connection::{Connection, Outcome, Stop};
use super::decode;
use super::failure::Failure;
use super::message::{Bind, Message, Which};
use super::prepared::{Kind, Portal, Prepared, Progress};
use super::simple::complete;
use plan::query::postgres::split;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub async fn extended(&mut self, message: Message) -> Result<(), Stop> {
        match message {
            Message::Parse { name, sql, types } => self.parse(name, &sql, &types).await,
            Message::Bind(bind) => self.bind(bind),
            Message::Describe(Which::Statement(name)) => self.describe_statement(&name),
            Message::Describe(Which::Portal(name)) => self.describe_portal(&name),
            Message::Execute { portal, rows_max } => self.execute(portal, rows_max).await,
            Message::Close(which) => {
                match which {
                    Which::Statement(name) => self.store.deallocate(&name),
                    Which::Portal(name) => self.store.close(&name),
                };
                self.line.out.empty(b'3');
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn parse(&mut self, name: String, sql: &str, types: &[u32]) -> Result<(), Stop> {
        let pieces = split(sql)?;
        if pieces.len() > 1 {
            let message = "cannot insert multiple commands into a prepared statement";
            return Err(Failure::new("42601", message).into());
        }
        let prepared = self.understand(pieces.first(), types).await?;
        self.store.prepare(name, prepared)?;
        self.line.out.empty(b'1');
        Ok(())
    }

    fn bind(&mut self, bind: Bind) -> Result<(), Stop> {
        let prepared = self.store.statement(&bind.statement)?;
        let many = prepared.parameters.len();
        if bind.values.len() != many {
            let message = format!("{} values for a statement that takes {many}", bind.values.len());
            return Err(Failure::new("08P01", message).into());
        }
        let wanted = prepared.columns.as_ref().map_or(0, |columns| columns.len());
        let fits = |formats: &[i16], many: usize| formats.len() <= 1 || formats.len() == many;
        if !fits(&bind.formats, many) || prepared.columns.is_some() && !fits(&bind.results, wanted) {
            return Err(Failure::new("08P01", "as many formats as values, or one for all").into());
        }
        if bind.formats.iter().chain(&bind.results).any(|format| !matches!(format, 0 | 1)) {
            return Err(Failure::new("22023", "a format is text (0) or binary (1)").into());
        }
        let value = |(at, kind): (usize, &u32)| {
            decode::value(*kind, is_binary(&bind.formats, at), bind.values[at].as_deref())
        };
        let values = prepared.parameters.iter().enumerate().map(value).collect::<Result<_, _>>()?;
        let portal = Portal { prepared, values, formats: bind.results, state: Progress::New, hold: false };
        self.store.open(bind.portal, portal)?;
        self.line.out.empty(b'2');
        Ok(())
    }

    fn describe_statement(&mut self, name: &str) -> Result<(), Stop> {
        let prepared = self.store.statement(name)?;
        self.line.out.message(b't', |bytes| {
            bytes.extend((prepared.parameters.len() as u16).to_be_bytes());
            prepared.parameters.iter().for_each(|kind| bytes.extend(kind.to_be_bytes()));
        });
        self.describe(&prepared, &[]);
        Ok(())
    }

    fn describe_portal(&mut self, name: &str) -> Result<(), Stop> {
        let portal = self.store.portal(name)?;
        let (prepared, formats) = (Arc::clone(&portal.prepared), portal.formats.clone());
        self.describe(&prepared, &formats);
        Ok(())
    }

    fn describe(&mut self, prepared: &Prepared, formats: &[i16]) {
        match &prepared.columns {
            Some(columns) => columns::describe(columns, formats, &mut self.line.out),
            None => self.line.out.empty(b'n'),
        }
    }

    /// Answers a portal, or so many rows of it; then it waits for the next time.
    async fn execute(&mut self, name: String, rows_max: usize) -> Result<(), Stop> {
        let mut portal = self.store.take(&name)?;
        self.may_run(&portal.prepared.kind)?;
        if let Kind::Command(Command::Fetch { name: cursor, rows_max, told }) = &portal.prepared.kind {
            let (cursor, rows_max, told) = (cursor.clone(), *rows_max, *told);
            self.fetch(&cursor, rows_max, told, false, &portal.formats).await?;
            self.store.put(name, portal);
            return Ok(());
        }
        if matches!(portal.state, Progress::New) {
            let prepared = Arc::clone(&portal.prepared);
            match self.run(&prepared, std::mem::take(&mut portal.values)).await? {
                Outcome::Tag("") => {
                    self.line.out.empty(b'I');
                    portal.state = Progress::Done;
                }
                Outcome::Tag(tag) => {
                    self.line.out.complete(tag);
                    portal.state = Progress::Done;
                    // What ended the transaction has ended this portal too.
                    return Ok(());
                }
                Outcome::Rows(mut answer) => {
                    if rows_max > 0 {
                        self.gather(&mut answer).await?;
                    }
                    portal.state = Progress::Open(answer);
                }
            }
        }
        if let Progress::Open(answer) = &mut portal.state {
            let most = if rows_max == 0 { usize::MAX } else { rows_max };
            let (many, more) = self.tell(answer, most, &portal.formats).await?;
            if more {
                self.line.out.empty(b's');
            } else {
                self.doubts(answer);
                let tag = complete(answer.verb, many);
                self.line.out.complete(&tag);
                portal.state = Progress::Done;
            }
        } else if matches!(portal.state, Progress::Done) && !matches!(portal.prepared.kind, Kind::Empty) {
            self.line.out.complete("SELECT 0");
        }
        self.store.put(name, portal);
        Ok(())
    }
}
