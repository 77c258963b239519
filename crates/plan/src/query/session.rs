//! A session: DataFusion's state with our catalogue and functions, fresh for everybody who connects.

use super::accounted::accounted;
use super::answered::Answered;
use super::ask::{Calls, SERIES};
use super::catalog::{self, CATALOG, Catalog, Current, Names, SCHEMA};
use super::deep::{at_once, deep, deeply};
use super::error::QueryError;
use super::lasting;
use super::lint::{self, Lint, Notes};
use super::moments::Moments;
use super::postgres::{Described, Value, bind, count, describable, lists};
use super::{Options, functions, statement};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::ViewTable;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::execution::{SessionState, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use engine::moment::Reader;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::time::Instant;

/// Rows of a batch.
const BATCH_ROWS: usize = 512;

/// A session of one client. Statements of one session go one after the other.
pub struct Session {
    reader: Arc<dyn Reader>,
    options: Arc<Options>,
    names: Current,
    runtime: Arc<RuntimeEnv>,
    context: SessionContext,
    notes: Arc<Notes>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("options", &self.options).finish_non_exhaustive()
    }
}

/// A statement that was understood.
#[derive(Debug, Clone)]
pub struct Planned {
    /// As DataFusion means it.
    pub plan: LogicalPlan,
    /// What is doubtful about it.
    pub lints: Vec<Lint>,
}

impl Planned {
    /// The columns of its answer.
    pub fn schema(&self) -> SchemaRef {
        Arc::new(self.plan.schema().as_arrow().clone())
    }
}

impl Session {
    pub(crate) fn new(reader: Arc<dyn Reader>, options: Arc<Options>) -> Result<Session, QueryError> {
        let names: Current = Arc::new(RwLock::new(Arc::new(Names::new(&reader, &options.views))));
        let nowhere = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
        let runtime = RuntimeEnvBuilder::new().with_disk_manager_builder(nowhere).build_arc();
        let runtime = runtime.map_err(|error| QueryError::of(&error))?;
        let config = SessionConfig::new()
            .with_default_catalog_and_schema(CATALOG, SCHEMA)
            .with_create_default_catalog_and_schema(false)
            .with_information_schema(true)
            // One query has one core, and leaves the others to what is measured.
            .with_target_partitions(1)
            // A constant stands in every row of a batch, so what one query can make of a long text grows with it.
            .with_batch_size(BATCH_ROWS);
        let state = SessionStateBuilder::new()
            .with_default_features()
            .with_config(config)
            .with_runtime_env(Arc::clone(&runtime))
            .with_relation_planners(vec![Arc::new(Calls(Arc::clone(&names)))])
            .build();
        let mut context = SessionContext::new_with_state(state);
        context.register_catalog(CATALOG, Arc::new(Catalog(Arc::clone(&names))));
        functions::hold(&mut context, options.memory_bytes).map_err(|error| QueryError::of(&error))?;
        let notes = Arc::new(Notes::default());
        functions::register(&context, &catalog::now(&names), &notes);
        Ok(Session { reader, options, names, runtime, context, notes })
    }

    /// Answers a statement.
    ///
    /// # Errors
    /// What is wrong with it, and what to ask instead. What goes wrong later is told by [`Answered::next`].
    ///
    /// # Panics
    /// Outside a tokio runtime with time enabled.
    pub async fn query(&self, sql: &str) -> Result<Answered, QueryError> {
        self.query_with(sql, &[], self.options.deadline).await
    }

    /// Answers a statement with values for its parameters, within this time and that of the options.
    ///
    /// # Errors
    /// As [`Session::query`].
    ///
    /// # Panics
    /// As there.
    pub async fn query_with(
        &self,
        sql: &str,
        values: &[Value],
        within: Duration,
    ) -> Result<Answered, QueryError> {
        let within = within.min(self.options.deadline);
        let until = Instant::now() + within;
        let names = self.names();
        let mut statement = statement::read(sql, &names)?;
        deeply(|| bind(&mut statement, values));
        let planned = self.planned(&names, statement).await?;
        self.execute_until(planned, within, until).await
    }

    /// What a statement takes and gives. Types that are known of its parameters are taken; what nothing tells is text.
    ///
    /// # Errors
    /// What is wrong with it, and what to ask instead.
    pub async fn describe(&self, sql: &str, known: &[Option<DataType>]) -> Result<Described, QueryError> {
        let names = self.names();
        let mut statement = statement::read(sql, &names)?;
        let many = deeply(|| count(&mut statement));
        let mut types = vec![None; many];
        types.iter_mut().zip(known).for_each(|(own, known)| own.clone_from(known));
        for list in deeply(|| lists(&mut statement)) {
            types[list - 1].get_or_insert_with(|| DataType::new_list(DataType::Utf8, true));
        }
        let mut first = statement.clone();
        let arguments = deeply(|| describable(&mut first, &types));
        for argument in arguments {
            types[argument - 1].get_or_insert(DataType::Utf8);
        }
        let planned = match self.planned(&names, first).await {
            // What nothing tells the type of may be what cannot be planned.
            Err(_) if types.iter().any(Option::is_none) => {
                types.iter_mut().for_each(|own| *own = Some(own.take().unwrap_or(DataType::Utf8)));
                deeply(|| describable(&mut statement, &types));
                self.planned(&names, statement).await?
            }
            planned => planned?,
        };
        let found = deeply(|| planned.plan.get_parameter_types()).map_err(|error| QueryError::of(&error))?;
        let kind = |(at, own): (usize, Option<DataType>)| {
            own.or_else(|| found.get(&format!("${}", at + 1)).cloned().flatten()).unwrap_or(DataType::Utf8)
        };
        let parameters = types.into_iter().enumerate().map(kind).collect();
        Ok(Described { schema: planned.schema(), parameters })
    }

    /// Understands a statement.
    ///
    /// # Errors
    /// What is wrong with it, and what to ask instead.
    pub async fn plan(&self, sql: &str) -> Result<Planned, QueryError> {
        let names = self.names();
        let statement = statement::read(sql, &names)?;
        self.planned(&names, statement).await
    }

    async fn planned(&self, names: &Names, statement: Statement) -> Result<Planned, QueryError> {
        let state = self.context.state();
        let plan = deep(planned(&state, names, statement, &mut Vec::new())).await?;
        let lints = deeply(|| lint::of(&plan));
        Ok(Planned { plan, lints })
    }

    /// Answers a statement that was understood before, of the moment now.
    ///
    /// # Errors
    /// As [`Session::query`].
    ///
    /// # Panics
    /// As there.
    pub async fn execute(&self, planned: Planned) -> Result<Answered, QueryError> {
        let within = self.options.deadline;
        self.execute_until(planned, within, Instant::now() + within).await
    }

    /// Whether the answer to a statement follows from the moments that it reads and from nothing else, so that it is the same as
    /// long as they are: it asks neither for the time nor for chance, and not how it is answered.
    pub fn is_lasting(&self, sql: &str) -> bool {
        let (state, names) = (self.context.state(), self.names());
        lasting::is_lasting(&state, &names.views.iter().map(|view| &view.view).collect::<Vec<_>>(), sql)
    }

    /// Understands a view by its name.
    pub(crate) async fn check_view(&self, name: &str) -> Result<(), QueryError> {
        let (state, names) = (self.context.state(), self.names());
        deep(prepare(&state, &names, name, &mut Vec::new())).await
    }

    /// The state of DataFusion behind it, for who speaks to clients in its terms.
    pub fn state(&self) -> SessionState {
        self.context.state()
    }

    async fn execute_until(
        &self,
        planned: Planned,
        within: Duration,
        until: Instant,
    ) -> Result<Answered, QueryError> {
        let state = self.context.state();
        let physical = deep(state.create_physical_plan(&planned.plan)).await;
        let physical = physical.and_then(yielding).map_err(|error| QueryError::of(&error))?;
        self.notes.clear();
        let moments = Arc::new(Moments::new(&self.reader));
        let config = state.config().clone().with_extension(Arc::clone(&moments));
        let pool = Arc::new(GreedyMemoryPool::new(self.options.memory_bytes));
        let runtime = RuntimeEnv { memory_pool: pool, ..(*self.runtime).clone() };
        let task = TaskContext::from(&state).with_session_config(config).with_runtime(Arc::new(runtime));
        let stream = execute_stream(physical, Arc::new(task)).map_err(|error| QueryError::of(&error))?;
        let told = (planned.lints, Arc::clone(&self.notes));
        let options = Arc::clone(&self.options);
        Ok(Answered::run(stream.schema(), stream, told, moments, (within, until), options))
    }

    /// The names that are good now, with the columns of views.
    pub(crate) fn listed_names(&self) -> Arc<Names> {
        let names = self.names();
        for view in &names.views {
            // One that is wrong was said to be so by `check`; here it is not listed.
            let _ = at_once(self.check_view(&view.view.name));
        }
        names
    }

    /// The names that are good now: others once another pipeline has taken the place of the one there was.
    fn names(&self) -> Arc<Names> {
        let known = catalog::now(&self.names);
        if known.are_of(&self.reader.sources()) {
            return known;
        }
        let fresh = Arc::new(Names::new(&self.reader, &self.options.views));
        functions::register(&self.context, &fresh, &self.notes);
        *self.names.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&fresh);
        fresh
    }
}

/// A plan each of whose operators lets others run after a number of batches: only then can it be stopped. Those that keep rows
/// and tell nobody are given an account.
fn yielding(plan: Arc<dyn ExecutionPlan>) -> datafusion::error::Result<Arc<dyn ExecutionPlan>> {
    let wrap = |node: Arc<dyn ExecutionPlan>| {
        Ok(Transformed::yes(Arc::new(CooperativeExec::new(accounted(node)?)) as Arc<dyn ExecutionPlan>))
    };
    Ok(plan.transform_up(wrap)?.data)
}

/// Plans a statement, after the views that it uses. `above` are the views that it stands in.
async fn planned(
    state: &SessionState,
    names: &Names,
    statement: Statement,
    above: &mut Vec<String>,
) -> Result<LogicalPlan, QueryError> {
    let of = |error| QueryError::of(&error);
    for reference in state.resolve_table_references(&statement).map_err(of)? {
        let (schema, table) = (reference.schema(), reference.table());
        if schema == Some("information_schema") || is_listing(&statement) {
            for view in &names.views {
                // One that is wrong was said to be so by `check`; here it is not listed.
                let _ = Box::pin(prepare(state, names, &view.view.name, above)).await;
            }
            continue;
        }
        if schema.is_none_or(|schema| schema == SCHEMA)
            && names.views.iter().any(|view| view.view.name == table)
        {
            Box::pin(prepare(state, names, table, above)).await?;
        }
        if !exists(state, &reference) && !SERIES.contains(&table) {
            return Err(QueryError::no_table(&reference.to_string(), names));
        }
    }
    let plan = state.statement_to_plan(statement).await.map_err(of)?;
    let reads = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    reads.verify_plan(&plan).map_err(|error| {
        QueryError::refused(format!(
            "only statements that read are answered here: {}",
            QueryError::of(&error).message
        ))
    })?;
    Ok(plan)
}

/// SHOW and DESCRIBE.
fn is_listing(statement: &Statement) -> bool {
    use datafusion_sql::sqlparser::ast::Statement as Ast;
    matches!(statement, Statement::Statement(ast) if !matches!(&**ast, Ast::Query(_) | Ast::Explain { .. }))
}

fn exists(state: &SessionState, reference: &datafusion::common::TableReference) -> bool {
    let schema = state.schema_for_ref(reference.clone());
    schema.is_ok_and(|schema| schema.table_exist(reference.table()))
}

/// Makes the table of a view, if it is not there yet.
async fn prepare(
    state: &SessionState,
    names: &Names,
    name: &str,
    above: &mut Vec<String>,
) -> Result<(), QueryError> {
    let Some(view) = names.views.iter().find(|view| view.view.name == name) else { return Ok(()) };
    if view.table.get().is_some() {
        return Ok(());
    }
    if above.iter().any(|above| above == name) {
        return Err(QueryError::wrong(format!("the view `{name}` uses itself")));
    }
    above.push(name.to_string());
    let statement = statement::read(&view.view.sql, names);
    let plan = match statement {
        Ok(statement) if is_listing(&statement) => Err(QueryError::wrong("a view is a SELECT")),
        Ok(statement) => planned(state, names, statement, above).await,
        Err(error) => Err(error),
    };
    above.pop();
    let plan =
        plan.map_err(|error| QueryError { message: format!("view `{name}`: {}", error.message), ..error })?;
    let table: Arc<dyn TableProvider> = Arc::new(ViewTable::new(plan, Some(view.view.sql.clone())));
    let _ = view.table.set(table);
    Ok(())
}
