//! Statements that were prepared, and portals: statements with values, and as far as they were told.

use super::answer::Answer;
use super::columns::Column;
use super::command::Command;
use super::failure::Failure;
use super::{PORTALS_MAX, PREPARED_BYTES_MAX, PREPARED_MAX};
use plan::query::postgres::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a statement is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Empty,
    Command(Command),
    /// Of what is measured.
    Query,
    /// Of the catalogue.
    Catalogue,
}

/// A statement that was understood.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Prepared {
    pub text: String,
    pub kind: Kind,
    /// The types of its parameters.
    pub parameters: Vec<u32>,
    /// The columns of its answer, where it has any.
    pub columns: Option<Arc<Vec<Column>>>,
}

/// A statement with values.
pub(crate) struct Portal {
    pub prepared: Arc<Prepared>,
    pub values: Vec<Value>,
    pub formats: Vec<i16>,
    pub state: Progress,
    /// Whether it outlives the transaction.
    pub hold: bool,
}

/// How far a portal is.
pub(crate) enum Progress {
    New,
    Open(Box<Answer>),
    Done,
}

/// What a connection has prepared.
#[derive(Default)]
pub(crate) struct Store {
    statements: BTreeMap<String, Arc<Prepared>>,
    bytes: usize,
    portals: BTreeMap<String, Portal>,
}

impl Store {
    pub fn prepare(&mut self, name: String, prepared: Prepared) -> Result<(), Failure> {
        if name.is_empty() {
            self.deallocate(&name);
        } else if self.statements.contains_key(&name) {
            let message = format!("prepared statement \"{name}\" already exists");
            return Err(Failure::new("42P05", message));
        }
        let bytes = name.len() + prepared.text.len();
        if self.statements.len() >= PREPARED_MAX || self.bytes + bytes > PREPARED_BYTES_MAX {
            let message = format!(
                "there is room for {PREPARED_MAX} prepared statements of {} MiB",
                PREPARED_BYTES_MAX >> 20
            );
            return Err(Failure::new("53200", message).hint("deallocate those that are not needed"));
        }
        self.bytes += bytes;
        self.statements.insert(name, Arc::new(prepared));
        Ok(())
    }

    pub fn statement(&self, name: &str) -> Result<Arc<Prepared>, Failure> {
        let found = self.statements.get(name).cloned();
        found.ok_or_else(|| Failure::new("26000", format!("prepared statement \"{name}\" does not exist")))
    }

    /// Whether it was there.
    pub fn deallocate(&mut self, name: &str) -> bool {
        let gone = self.statements.remove(name);
        self.bytes -= gone.as_ref().map_or(0, |prepared| name.len() + prepared.text.len());
        gone.is_some()
    }

    pub fn deallocate_all(&mut self) {
        self.statements.clear();
        self.bytes = 0;
    }

    pub fn open(&mut self, name: String, portal: Portal) -> Result<(), Failure> {
        if !name.is_empty() && self.portals.contains_key(&name) {
            return Err(Failure::new("42P03", format!("cursor \"{name}\" already exists")));
        }
        if self.portals.len() >= PORTALS_MAX && !self.portals.contains_key(&name) {
            let message = format!("there is room for {PORTALS_MAX} open cursors");
            return Err(Failure::new("53200", message).hint("close those that are not needed"));
        }
        self.portals.insert(name, portal);
        Ok(())
    }

    pub fn portal(&self, name: &str) -> Result<&Portal, Failure> {
        self.portals.get(name).ok_or_else(|| no_portal(name))
    }

    /// Takes it out, to be put back by [`Store::put`].
    pub fn take(&mut self, name: &str) -> Result<Portal, Failure> {
        self.portals.remove(name).ok_or_else(|| no_portal(name))
    }

    pub fn put(&mut self, name: String, portal: Portal) {
        self.portals.insert(name, portal);
    }

    pub fn close(&mut self, name: &str) -> bool {
        self.portals.remove(name).is_some()
    }

    pub fn close_all(&mut self) {
        self.portals.clear();
    }

    /// What ends with a transaction.
    pub fn end_transaction(&mut self) {
        self.portals.retain(|_, portal| portal.hold);
    }
}

fn no_portal(name: &str) -> Failure {
    Failure::new("34000", format!("cursor \"{name}\" does not exist"))
}
