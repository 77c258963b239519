//! Which names a statement may use: metrics, sources as schemas, views, system tables.
//!
//! A metric is a table by its name; where two sources have one of the same name, and anywhere else if wanted, the source
//! stands before it. What the answers of a session metric are called (`visits.duration_s`) reads as a schema and a table.

use super::table::{Measured, MetricTable};
use super::{View, system};
use async_trait::async_trait;
use datafusion::arrow::datatypes::Fields;
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::error::Result;
use engine::moment::Reader;
use engine::spec::Source;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

/// The catalogue, as `information_schema` calls it.
pub(crate) const CATALOG: &str = "streamgauge";
/// The schema of names that need no schema.
pub(crate) const SCHEMA: &str = "public";
/// The schema of the system tables.
pub(crate) const SYSTEM: &str = "sg";

/// All names, as of one set of sources.
pub(crate) struct Names {
    pub reader: Arc<dyn Reader>,
    pub sources: Vec<Arc<Source>>,
    pub measured: Vec<Arc<Measured>>,
    pub views: Vec<ViewName>,
}

/// A view; its table is there once a statement has needed it.
pub(crate) struct ViewName {
    pub view: View,
    pub table: OnceLock<Arc<dyn TableProvider>>,
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").field("tables", &self.tables()).finish_non_exhaustive()
    }
}

impl Names {
    pub fn new(reader: &Arc<dyn Reader>, views: &[View]) -> Names {
        let sources = reader.sources();
        let measured = |(index, source): (usize, &Arc<Source>)| Measured::all(index, source);
        Names {
            reader: Arc::clone(reader),
            measured: sources.iter().enumerate().flat_map(measured).map(Arc::new).collect(),
            views: views.iter().map(|view| ViewName { view: view.clone(), table: OnceLock::new() }).collect(),
            sources,
        }
    }

    /// Whether these are still the sources.
    pub fn are_of(&self, sources: &[Arc<Source>]) -> bool {
        self.sources.len() == sources.len()
            && self.sources.iter().zip(sources).all(|(a, b)| Arc::ptr_eq(a, b))
    }

    /// The metric that a name with dots means: `visitors`, `shop.visitors`, `visits.duration_s`, `shop.visits.duration_s`.
    pub fn metric(&self, parts: &[String]) -> Option<&Arc<Measured>> {
        let parts = match parts {
            [catalog, schema, rest @ ..] if catalog == CATALOG && schema == SCHEMA && !rest.is_empty() => {
                rest
            }
            [catalog, rest @ ..] if (catalog == CATALOG || catalog == SCHEMA) && !rest.is_empty() => rest,
            parts => parts,
        };
        let (source, rest) = parts.split_first()?;
        self.only(&parts.join(".")).or_else(|| {
            let of =
                |measured: &&Arc<Measured>| measured.spec.name == *source && measured.name == rest.join(".");
            self.measured.iter().find(of)
        })
    }

    /// The only metric of this name.
    fn only(&self, name: &str) -> Option<&Arc<Measured>> {
        let mut found = self.measured.iter().filter(|measured| measured.name == name);
        found.next().filter(|_| found.next().is_none())
    }

    /// What can be written where a table stands.
    pub fn tables(&self) -> Vec<String> {
        let metric = |measured: &Arc<Measured>| match self.only(&measured.name) {
            Some(_) => measured.name.clone(),
            None => format!("{}.{}", measured.spec.name, measured.name),
        };
        let mut out: Vec<String> = self.measured.iter().map(metric).collect();
        out.extend(self.views.iter().map(|view| view.view.name.clone()));
        out.extend(system::NAMES.iter().map(|name| format!("{SYSTEM}.{name}")));
        out
    }

    /// Every name that a statement may mean by a bare word: what case it has matters then.
    pub fn words(&self) -> BTreeSet<&str> {
        let metrics = self
            .measured
            .iter()
            .flat_map(|m| m.name.split('.').chain(m.columns.iter().map(|c| c.name.as_str())));
        let sources = self.sources.iter().map(|source| source.name.as_str());
        metrics.chain(sources).chain(self.views.iter().map(|view| view.view.name.as_str())).collect()
    }

    fn schema_names(&self) -> BTreeSet<String> {
        let mut out: BTreeSet<String> = self.sources.iter().map(|source| source.name.clone()).collect();
        out.extend(self.measured.iter().filter_map(|m| Some(m.name.split_once('.')?.0.to_string())));
        out.extend([SCHEMA.to_string(), SYSTEM.to_string()]);
        out
    }

    /// The names of the tables of a schema.
    pub fn listed(&self, schema: &str) -> Vec<String> {
        self.table_names(schema)
    }

    /// The columns of a table; those of a view are known once it was planned.
    pub fn fields(&self, schema: &str, name: &str) -> Option<Fields> {
        let table = self.table(schema, name).ok().flatten()?;
        Some(table.schema().fields().clone())
    }

    fn table_names(&self, schema: &str) -> Vec<String> {
        if schema == SYSTEM {
            return system::NAMES.iter().map(ToString::to_string).collect();
        }
        let mut out = BTreeSet::new();
        for measured in &self.measured {
            if schema == SCHEMA && self.only(&measured.name).is_some() || measured.spec.name == schema {
                out.insert(measured.name.clone());
            }
            out.extend(
                measured
                    .name
                    .split_once('.')
                    .filter(|(first, _)| *first == schema)
                    .map(|(_, rest)| rest.into()),
            );
        }
        if schema == SCHEMA {
            out.extend(self.views.iter().map(|view| view.view.name.clone()));
        }
        out.into_iter().collect()
    }

    fn table(&self, schema: &str, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if schema == SYSTEM {
            return system::table(self, name);
        }
        if schema == SCHEMA
            && let Some(view) = self.views.iter().find(|view| view.view.name == name)
        {
            return Ok(view.table.get().cloned());
        }
        let parts: &[String] = &if schema == SCHEMA {
            vec![name.to_string()]
        } else {
            vec![schema.to_string(), name.to_string()]
        };
        Ok(self.metric(parts).map(|measured| MetricTable::panes(measured) as Arc<dyn TableProvider>))
    }
}

/// The names that are good now, shared by what DataFusion asks.
pub(crate) type Current = Arc<RwLock<Arc<Names>>>;

pub(crate) fn now(current: &Current) -> Arc<Names> {
    Arc::clone(&current.read().unwrap_or_else(PoisonError::into_inner))
}

/// The catalogue as DataFusion asks for it.
#[derive(Debug)]
pub(crate) struct Catalog(pub Current);

impl CatalogProvider for Catalog {
    fn schema_names(&self) -> Vec<String> {
        now(&self.0).schema_names().into_iter().collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let names = now(&self.0);
        let is = names.schema_names().contains(name);
        is.then(|| Arc::new(Schema { names, name: name.to_string() }) as Arc<dyn SchemaProvider>)
    }
}

#[derive(Debug)]
struct Schema {
    names: Arc<Names>,
    name: String,
}

#[async_trait]
impl SchemaProvider for Schema {
    fn table_names(&self) -> Vec<String> {
        self.names.table_names(&self.name)
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        self.names.table(&self.name, name)
    }

    fn table_exist(&self, name: &str) -> bool {
        self.table_names().iter().any(|table| table == name)
    }
}
