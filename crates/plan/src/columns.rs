//! The columns of a source: fields of the record, exploded elements, computed columns, verdicts.
//!
//! What a name stands for is decided here: a `derive`, then a `seen` metric, then the exploded element, then a field of
//! the record; in its own definition a name is the record's. Computed columns are ordered so that each comes behind
//! those it uses, and those that no verdict can reach come first: they are computed where records are decoded.

use crate::expr::{Compiled, Program, ProgramBuilder, STACK_BYTES, Sql, Use, compile, compile_list};
use crate::file::expression::Expression;
use crate::file::metric::MetricTable;
use crate::file::source::SourceTable;
use crate::measure::{Fault, What};
use crate::problem::{Place, Placed, Problem, Problems};
use engine::spec::{Field, Kind, Step};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The columns of one source.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    /// Fields of the record.
    pub fields: Vec<Field>,
    /// The exploded element.
    pub explode: Option<Field>,
    /// How the others are computed.
    pub steps: Vec<Step>,
    /// The expressions.
    pub program: Option<Arc<Program>>,
    /// All of them.
    pub all: Vec<Field>,
    /// How each one comes about.
    pub definitions: Vec<Definition>,
    /// Where each one is spoken of first.
    pub places: Vec<Option<Place>>,
    /// What a name stands for outside of definitions.
    by_name: BTreeMap<String, usize>,
    /// Expressions without a name, by their text.
    by_text: BTreeMap<String, usize>,
}

impl Columns {
    /// Lays the columns of a source out. `metrics` are the ones that read it, in the order of the spec.
    pub fn of(source: &SourceTable, metrics: &[&MetricTable], problems: &mut Problems) -> Columns {
        let plan = Layout::new(source, metrics);
        plan.check_names(problems);
        let fields = plan.record_fields(problems);
        let mut columns =
            Columns { places: plan.field_places(&fields), all: fields.clone(), ..Columns::default() };
        columns.definitions = vec![Definition::Field; fields.len()];
        columns.by_name = fields.iter().enumerate().map(|(n, field)| (field.path.clone(), n)).collect();
        columns.fields = fields;
        let mut program = ProgramBuilder::new();
        plan.explode(&mut columns, &mut program, problems);
        if let Some(order) = plan.order(problems) {
            plan.compute(&order, &mut columns, program, problems);
        }
        columns
    }

    /// The column of an expression or a field.
    pub fn find(&self, expression: &Expression) -> Option<usize> {
        match &expression.sql {
            None => self.named(&expression.text.value),
            Some(_) => self.by_text.get(expression.text.value.as_str()).copied(),
        }
    }

    /// The column that a name stands for.
    pub fn named(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }
}

/// How a column comes about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Definition {
    /// A field of the record.
    Field,
    /// By this expression, over these columns: computed, or the list that is exploded.
    Expression(String, Vec<usize>),
    /// The verdict of this metric.
    Verdict(usize),
}

/// What a column that is not read must know: how it comes about.
#[derive(Debug, Clone, Copy)]
enum Node<'a> {
    /// `derive`, by its name.
    Derived(&'a Placed<String>, &'a Expression),
    /// An expression inside a metric.
    Inline(&'a Expression),
    /// The verdict of a `seen` metric, by its number.
    Verdict(usize, &'a MetricTable),
}

/// What a name stands for.
enum Target {
    Record,
    Item,
    Node(usize),
}

/// The names of a source and what they depend on.
struct Layout<'a> {
    source: &'a SourceTable,
    metrics: &'a [&'a MetricTable],
    nodes: Vec<Node<'a>>,
}

/// How a field of the record is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wanted {
    /// Nothing is said of its type.
    Any,
    Text,
    Condition,
    Number,
    /// A whole number.
    Weight,
}

impl Wanted {
    fn kind(self) -> Kind {
        match self {
            Wanted::Any | Wanted::Text => Kind::String,
            Wanted::Condition => Kind::Bool,
            Wanted::Number => Kind::Float64,
            Wanted::Weight => Kind::Int64,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Wanted::Any | Wanted::Text => "text",
            Wanted::Condition => "a condition",
            Wanted::Number => "a number",
            Wanted::Weight => "a whole number",
        }
    }
}

/// One use of a name.
struct NameUse<'a> {
    name: &'a str,
    place: &'a Place,
    wanted: Wanted,
    /// Whether it stands in `by`, where people also write expressions.
    by: bool,
}

impl<'a> Layout<'a> {
    fn new(source: &'a SourceTable, metrics: &'a [&'a MetricTable]) -> Layout<'a> {
        let derived = source.derive.iter().map(|(name, expression)| Node::Derived(name, expression));
        let mut nodes: Vec<Node<'a>> = derived.collect();
        for (number, metric) in metrics.iter().enumerate() {
            for expression in metric.expressions().filter(|expression| expression.sql.is_some()) {
                let known = nodes.iter().any(
                    |node| matches!(node, Node::Inline(other) if other.text.value == expression.text.value),
                );
                if !known {
                    nodes.push(Node::Inline(expression));
                }
            }
            if metric.is_verdict() {
                nodes.push(Node::Verdict(number, metric));
            }
        }
        Layout { source, metrics, nodes }
    }

    /// A name stands for one column.
    fn check_names(&self, problems: &mut Problems) {
        let item = self.source.explode.iter().map(|(name, _)| (name, "the element of `explode`"));
        let named = self.nodes.iter().filter_map(|node| match node {
            Node::Derived(name, _) => Some((*name, "a column of `derive`")),
            Node::Verdict(_, metric) => Some((&metric.name, "a `seen` metric")),
            Node::Inline(_) => None,
        });
        for metric in self.metrics.iter().filter(|metric| metric.is_verdict()) {
            let name = &metric.name;
            if metric.expressions().flat_map(Expression::names).any(|used| used == name.value) {
                let message = format!("`{}` cannot be both the verdict and what it is about", name.value);
                problems.push(Problem::at(&name.place, message).hint("give the metric another name"));
            }
        }
        let mut known: Vec<(&Placed<String>, &str)> = Vec::new();
        for (name, what) in item.chain(named) {
            match known.iter().find(|(other, _)| other.value == name.value) {
                Some((_, other)) => {
                    let message = format!("`{}` is {other} already, and {what} here", name.value);
                    problems.push(Problem::at(&name.place, message).hint("give one of them another name"));
                }
                None => known.push((name, what)),
            }
        }
    }

    /// What `name` stands for, when it is used in the definition of `own`.
    fn target(&self, name: &str, own: Option<&str>) -> Target {
        if own == Some(name) {
            return Target::Record;
        }
        let is_it = |node: &Node<'_>| node.name() == Some(name);
        match self.nodes.iter().position(is_it) {
            Some(node) => Target::Node(node),
            None if self.source.explode.as_ref().is_some_and(|(item, _)| item.value == name) => Target::Item,
            None => Target::Record,
        }
    }

    /// Every use of a name that stands for a field of the record, in the order in which fields are numbered.
    fn record_uses(&self) -> Vec<NameUse<'a>> {
        let mut uses: Vec<(NameUse<'a>, Option<&'a str>)> = Vec::new();
        for metric in self.metrics {
            let own = metric.is_verdict().then_some(metric.name.value.as_str());
            uses.extend(metric_uses(metric).map(|name_use| (name_use, own)));
        }
        for (name, expression) in &self.source.derive {
            let own = Some(name.value.as_str());
            uses.extend(expression_uses(expression, Wanted::Any).into_iter().map(|name_use| (name_use, own)));
        }
        if let Some((name, list)) = &self.source.explode {
            let own = Some(name.value.as_str());
            let inside = expression_uses(list, Wanted::Any).into_iter().map(|name_use| (name_use, own));
            // The list is made of the record alone.
            return uses
                .into_iter()
                .filter(|(u, own)| matches!(self.target(u.name, *own), Target::Record))
                .chain(inside)
                .map(|(name_use, _)| name_use)
                .collect();
        }
        uses.into_iter()
            .filter(|(u, own)| matches!(self.target(u.name, *own), Target::Record))
            .map(|(name_use, _)| name_use)
            .collect()
    }

    /// The fields of the record with their types: the declared one, otherwise what they are used as. A field used in
    /// two ways must be declared.
    fn record_fields(&self, problems: &mut Problems) -> Vec<Field> {
        let mut fields: Vec<(Field, Wanted)> = Vec::new();
        for name_use in self.record_uses() {
            let declared = self.source.declared(name_use.name);
            self.source.check_column(name_use.name, name_use.place, problems);
            if name_use.by && declared.is_none() && is_call(name_use.name) {
                let message = format!("`{}` is an expression, and `by` takes names", name_use.name);
                let hint = format!("give it one: derive = {{ name = \"{}\" }}", name_use.name);
                problems.push(Problem::at(name_use.place, message).hint(hint));
            }
            let wanted = name_use.wanted;
            match fields.iter_mut().find(|(field, _)| field.path == name_use.name) {
                None => {
                    let kind = declared.unwrap_or(wanted.kind());
                    fields.push((Field { path: name_use.name.to_string(), kind }, wanted));
                }
                Some((field, known)) if declared.is_none() => {
                    if wanted != Wanted::Any && *known != Wanted::Any && wanted != *known {
                        problems.push(used_twice(&name_use, *known, &self.source.name.value));
                    }
                    *known = wanted.max(*known);
                    field.kind = known.kind();
                }
                Some(_) => {}
            }
        }
        fields.into_iter().map(|(field, _)| field).collect()
    }

    fn field_places(&self, fields: &[Field]) -> Vec<Option<Place>> {
        let uses = self.record_uses();
        let first = |field: &Field| uses.iter().find(|u| u.name == field.path).map(|u| u.place.clone());
        fields.iter().map(first).collect()
    }

    fn explode(&self, columns: &mut Columns, program: &mut ProgramBuilder, problems: &mut Problems) {
        let Some((name, list)) = &self.source.explode else { return };
        let number = |path: &str| columns.by_name.get(path).copied().unwrap_or_default();
        // A lone name is a list of its own only in formats that have lists; expressions are all there is to say.
        let Some(sql) = &list.sql else {
            let problem = Problem::at(&list.text.place, "`explode` needs an expression that gives a list");
            return problems.push(problem.hint("as in explode = { item = \"string_to_array(line, ' ')\" }"));
        };
        match stacker::maybe_grow(STACK_BYTES, STACK_BYTES, || compile_list(sql, &columns.all, &number)) {
            Err(fault) => problems.push(placed(fault, &list.text.place)),
            Ok(compiled) => {
                if let Err(why) = program.explode(&compiled, &columns.all) {
                    problems.push(Problem::at(&list.text.place, why));
                }
                let field = Field { path: name.value.clone(), kind: compiled.kind };
                let used = sql.names.iter().map(|(name, _)| number(name)).collect();
                columns.definitions.push(Definition::Expression(sql.text(), used));
                columns.by_name.insert(name.value.clone(), columns.all.len());
                columns.all.push(field.clone());
                columns.places.push(Some(name.place.clone()));
                columns.explode = Some(field);
            }
        }
    }

    /// The nodes so that each comes behind those it uses; first those that no verdict can reach. `None` when one is
    /// defined by way of itself.
    fn order(&self, problems: &mut Problems) -> Option<Vec<(usize, bool)>> {
        let mut visit = Visit {
            layout: self,
            state: vec![State::New; self.nodes.len()],
            out: Vec::new(),
            path: Vec::new(),
        };
        for node in 0..self.nodes.len() {
            if let Err(circle) = visit.node(node) {
                let names: Vec<&str> = circle.iter().filter_map(|&n| self.nodes[n].name()).collect();
                let first = names.first().copied().unwrap_or_default();
                let message = format!("`{first}` is defined by way of itself: {}", names.join(" of "));
                let place = circle.first().map(|&n| self.nodes[n].place());
                problems.push(match place {
                    Some(place) => Problem::at(place, message).hint("break the circle"),
                    None => Problem::of_file(message),
                });
                return None;
            }
        }
        let (certain, uncertain): (Vec<_>, Vec<_>) =
            visit.out.into_iter().partition(|(_, uncertain)| !uncertain);
        Some(certain.into_iter().chain(uncertain).collect())
    }

    /// Numbers the columns and compiles their expressions.
    fn compute(
        &self,
        order: &[(usize, bool)],
        columns: &mut Columns,
        mut program: ProgramBuilder,
        problems: &mut Problems,
    ) {
        let mut open: Vec<Compiled> = Vec::new();
        let mut numbers: BTreeMap<usize, usize> = BTreeMap::new();
        let mut was_uncertain = false;
        let mut failed = None;
        for &(node, uncertain) in order {
            let place = self.nodes[node].place().clone();
            if matches!(self.nodes[node], Node::Verdict(..)) || (uncertain && !was_uncertain) {
                failed =
                    failed.or(close(&mut open, columns, &mut program).err().map(|why| (place.clone(), why)));
            }
            was_uncertain = uncertain;
            let number = columns.all.len();
            let field = match self.nodes[node] {
                Node::Verdict(metric, table) => {
                    columns.steps.push(Step::Judge { metric });
                    program.verdict();
                    Some(Field { path: table.name.value.clone(), kind: Kind::Bool })
                }
                Node::Derived(name, expression) => self
                    .compiled(expression, Some(&name.value), columns, &numbers, problems)
                    .map(|compiled| {
                        let field = Field { path: name.value.clone(), kind: compiled.kind };
                        open.push(compiled);
                        field
                    }),
                Node::Inline(expression) => {
                    self.compiled(expression, None, columns, &numbers, problems).map(|compiled| {
                        let field = Field { path: expression.text.value.clone(), kind: compiled.kind };
                        open.push(compiled);
                        columns.by_text.insert(expression.text.value.clone(), number);
                        field
                    })
                }
            };
            // What went wrong is said; the columns behind it could only repeat it.
            let Some(field) = field else { return };
            let definition = self.definition(node, columns, &numbers);
            columns.definitions.push(definition);
            numbers.insert(node, number);
            columns.all.push(field);
            columns.places.push(Some(place.clone()));
            // Behind a verdict an expression that fails gives null: it must not take others with it.
            if uncertain {
                failed = failed.or(close(&mut open, columns, &mut program).err().map(|why| (place, why)));
            }
        }
        failed = failed.or(close(&mut open, columns, &mut program)
            .err()
            .map(|why| (self.source.name.place.clone(), why)));
        if let Some((place, why)) = failed {
            problems.push(Problem::at(&place, why));
        }
        for (node, number) in numbers {
            if let Some(name) = self.nodes[node].name() {
                columns.by_name.insert(name.to_string(), number);
            }
        }
        columns.program = program.build().map(Arc::new);
    }

    /// How a node comes about, those it uses being numbered.
    fn definition(&self, node: usize, columns: &Columns, numbers: &BTreeMap<usize, usize>) -> Definition {
        let (expression, own) = match self.nodes[node] {
            Node::Verdict(metric, _) => return Definition::Verdict(metric),
            Node::Derived(name, expression) => (expression, Some(name.value.as_str())),
            Node::Inline(expression) => (expression, None),
        };
        let text = expression.sql.as_ref().map_or_else(|| expression.text.value.clone(), Sql::text);
        let names = expression.names();
        let used = names.iter().map(|name| self.number(name, own, columns, numbers)).collect();
        Definition::Expression(text, used)
    }

    /// The column that `name` stands for in the definition of `own`.
    fn number(
        &self,
        name: &str,
        own: Option<&str>,
        columns: &Columns,
        numbers: &BTreeMap<usize, usize>,
    ) -> usize {
        match self.target(name, own) {
            Target::Node(node) => numbers.get(&node).copied().unwrap_or_default(),
            Target::Record | Target::Item => columns.by_name.get(name).copied().unwrap_or_default(),
        }
    }

    fn compiled(
        &self,
        expression: &Expression,
        own: Option<&str>,
        columns: &Columns,
        numbers: &BTreeMap<usize, usize>,
        problems: &mut Problems,
    ) -> Option<Compiled> {
        let number = |name: &str| self.number(name, own, columns, numbers);
        let sql = match &expression.sql {
            Some(sql) => sql.clone(),
            None => Sql::name(&expression.text.value),
        };
        stacker::maybe_grow(STACK_BYTES, STACK_BYTES, || compile(&sql, &columns.all, &number))
            .map_err(|fault| problems.push(placed(fault, &expression.text.place)))
            .ok()
    }
}

/// Ends a step of expressions.
fn close(
    open: &mut Vec<Compiled>,
    columns: &mut Columns,
    program: &mut ProgramBuilder,
) -> Result<(), String> {
    if open.is_empty() {
        return Ok(());
    }
    let before = columns.all.len() - open.len();
    columns.steps.push(Step::Compute(columns.all[before..].to_vec()));
    let exprs = std::mem::take(open);
    program.compute(&exprs, &columns.all[..before])
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Open,
    /// Whether a verdict can reach it.
    Done(bool),
}

/// A depth-first walk.
struct Visit<'a, 'b> {
    layout: &'b Layout<'a>,
    state: Vec<State>,
    out: Vec<(usize, bool)>,
    path: Vec<usize>,
}

impl Visit<'_, '_> {
    /// Whether a verdict can reach the node.
    fn node(&mut self, node: usize) -> Result<bool, Vec<usize>> {
        match self.state[node] {
            State::Done(uncertain) => return Ok(uncertain),
            State::Open => {
                let start = self.path.iter().position(|&other| other == node).unwrap_or_default();
                return Err(self.path[start..].iter().copied().chain([node]).collect());
            }
            State::New => {}
        }
        self.state[node] = State::Open;
        self.path.push(node);
        let here = self.layout.nodes[node];
        let mut uncertain = matches!(here, Node::Verdict(..));
        for name in here.dependencies() {
            if let Target::Node(other) = self.layout.target(name, here.name()) {
                uncertain |= self.node(other)?;
            }
        }
        for text in here.inline_dependencies() {
            let is_it = |other: &Node<'_>| matches!(other, Node::Inline(e) if e.text.value == text);
            if let Some(other) = self.layout.nodes.iter().position(is_it) {
                uncertain |= self.node(other)?;
            }
        }
        self.path.pop();
        self.state[node] = State::Done(uncertain);
        self.out.push((node, uncertain));
        Ok(uncertain)
    }
}

impl<'a> Node<'a> {
    fn name(&self) -> Option<&'a str> {
        match self {
            Node::Derived(name, _) => Some(&name.value),
            Node::Verdict(_, metric) => Some(&metric.name.value),
            Node::Inline(_) => None,
        }
    }

    fn place(&self) -> &'a Place {
        match self {
            Node::Derived(name, _) => &name.place,
            Node::Verdict(_, metric) => &metric.name.place,
            Node::Inline(expression) => &expression.text.place,
        }
    }

    /// Names that it uses.
    fn dependencies(&self) -> Vec<&'a str> {
        match self {
            Node::Derived(_, expression) | Node::Inline(expression) => expression.names(),
            Node::Verdict(_, metric) => metric.expressions().flat_map(Expression::names).collect(),
        }
    }

    /// Expressions without a name that it uses: those of a verdict's key and filter.
    fn inline_dependencies(&self) -> Vec<&'a str> {
        match self {
            Node::Derived(..) | Node::Inline(_) => Vec::new(),
            Node::Verdict(_, metric) => {
                let inline = metric.expressions().filter(|expression| expression.sql.is_some());
                inline.map(|expression| expression.text.value.as_str()).collect()
            }
        }
    }
}

fn metric_uses(metric: &MetricTable) -> impl Iterator<Item = NameUse<'_>> {
    let measured = metric.measure.iter().flat_map(|measured| {
        let wanted = if measured.what.is_numeric() { Wanted::Number } else { Wanted::Text };
        let operand = measured.operand.iter().map(move |e| (e, wanted));
        let weight = measured.weight.iter().map(|e| (e, Wanted::Weight));
        let filter = measured.filter.iter().map(|e| (e, Wanted::Condition));
        let shown = measured.shown.iter().map(|e| (e, Wanted::Any));
        operand.chain(weight).chain(filter).chain(shown).flat_map(|(e, wanted)| expression_uses(e, wanted))
    });
    let by = metric.by.iter().flatten().map(|path| NameUse {
        name: &path.value,
        place: &path.place,
        wanted: Wanted::Text,
        by: true,
    });
    measured.chain(by)
}

/// The names of an expression; a lone one is wanted as the place where it stands says.
fn expression_uses(expression: &Expression, wanted: Wanted) -> Vec<NameUse<'_>> {
    let place = &expression.text.place;
    let of = |name, wanted| NameUse { name, place, wanted, by: false };
    match &expression.sql {
        None => vec![of(&expression.text.value, wanted)],
        Some(sql) => {
            let wanted = |as_what: Use| match as_what {
                Use::Any => Wanted::Any,
                Use::Number => Wanted::Number,
                Use::Condition => Wanted::Condition,
            };
            sql.names.iter().map(|(name, as_what)| of(name, wanted(*as_what))).collect()
        }
    }
}

fn used_twice(name_use: &NameUse<'_>, known: Wanted, source: &str) -> Problem {
    let (path, wanted) = (name_use.name, name_use.wanted);
    let message = format!("`{path}` is used as {} here and as {} elsewhere", wanted.words(), known.words());
    let kind = wanted.max(known).kind().as_str();
    let hint = format!("say what it is in `fields` of source `{source}`: {path} = \"{kind}\"");
    Problem::at(name_use.place, message).hint(hint)
}

/// Whether a name looks like `lower(device)`.
fn is_call(path: &str) -> bool {
    path.ends_with(')') && path.split_once('(').is_some_and(|(name, _)| crate::file::values::is_name(name))
}

/// A fault of types, at the whole expression.
fn placed(fault: Fault, place: &Place) -> Problem {
    Problem::at(place, fault.message).hint_if(fault.hint)
}

impl MetricTable {
    /// Whether its answer is a field of the event.
    pub(crate) fn is_verdict(&self) -> bool {
        self.measure.as_ref().is_some_and(|measured| measured.what == What::Seen)
    }

    /// Whether it is made of sessions.
    pub(crate) fn is_session(&self) -> bool {
        self.measure.as_ref().is_some_and(|measured| matches!(measured.what, What::Session { .. }))
    }

    /// Whether it is a sample of all columns.
    pub(crate) fn shows_everything(&self) -> bool {
        self.measure.as_ref().is_some_and(|m| matches!(m.what, What::Sample { .. }) && m.shown.is_empty())
    }

    /// Everything it reads except what it groups by.
    pub(crate) fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.measure.iter().flat_map(|measured| {
            let one = measured.operand.iter().chain(&measured.weight).chain(&measured.filter);
            one.chain(&measured.shown)
        })
    }
}
