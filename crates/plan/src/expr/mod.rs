//! SQL expressions over the columns of a batch: `price * qty`, `lower(device)`, `event_type = 'purchase'`.
//!
//! ```text
//! text -> sql.rs (syntax, the names in it and what they are used as) -> compile.rs (types, only pure functions)
//!      -> shared.rs (what several expressions have in common) -> program.rs (evaluated batch by batch)
//! ```
//!
//! Syntax, types and functions are DataFusion's. Of it only the planner of expressions and their evaluation are used: no
//! session, no query engine, no async runtime. What a name stands for is decided by `columns.rs`, not by DataFusion, so
//! `actor.login` is a member of a record and `UserId` is not the same as `userid`.

mod compile;
mod functions;
mod program;
mod shared;
mod sql;

pub(crate) use compile::{Compiled, compile, compile_list};
pub use program::Program;
pub(crate) use program::ProgramBuilder;
pub(crate) use sql::{STACK_BYTES, Sql, Use, parse};
