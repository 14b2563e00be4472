use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::ops::Deref;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::highlight::Highlight;
use super::sort::{self, CompiledKey, Rank, SortKey};
use super::source::{SourceFilter, extract};
use crate::document::Prepared;
use crate::error::{Error, ErrorKind, Result};
use crate::evaluate::{At, Clause, Environment};
use crate::limits::WINDOW_MAX;
use crate::node::{Fields, excerpt};
use crate::query::{Parser, Wildcard};

/// How hits are sorted, cut and shown: of a search, and of `top_hits`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HitOptions {
    pub(crate) from: usize,
    pub(crate) size: usize,
    pub(crate) sort: Vec<SortKey>,
    source: Option<SourceFilter>,
    fields: Option<Vec<String>>,
    highlight: Option<Highlight>,
    version: bool,
    track_scores: bool,
    pointer: String,
}

impl HitOptions {
    pub(crate) fn read(fields: &mut Fields<'_>, parser: &mut Parser, size: usize) -> Result<Self> {
        let from = fields.take("from").map_or(Ok(0), |it| it.usize())?;
        let size = fields.take("size").map_or(Ok(size), |it| it.usize())?;
        if from.saturating_add(size) > WINDOW_MAX {
            return Err(fields.node.over(format!(
                "Result window is too large, from + size must be less than or equal to: [{WINDOW_MAX}] but was [{}]: narrow the query, such as by a range on what it is sorted by",
                from.saturating_add(size)
            )));
        }
        if let Some(explain) = fields.take("explain")
            && explain.bool()?
        {
            return Err(explain.unsupported("`explain`"));
        }
        let mut flag = |name: &'static str| fields.take(name).map_or(Ok(false), |it| it.bool());
        let (version, track_scores) = (flag("version")?, flag("track_scores")?);
        Ok(Self {
            from,
            size,
            version,
            track_scores,
            sort: fields.take("sort").map_or(Ok(Vec::new()), |it| sort::parse(&it, parser))?,
            source: fields.take("_source").map(|it| SourceFilter::parse(&it)).transpose()?,
            fields: fields.take("fields").map(|it| it.strings()).transpose()?,
            highlight: fields.take("highlight").map(|it| Highlight::parse(&it, parser)).transpose()?,
            pointer: fields.node.pointer(),
        })
    }

    pub(crate) fn compile(&self, environment: Environment<'_>) -> Result<Shown> {
        for field in self.fields.iter().flatten() {
            if environment.mapping.object(field).is_some() {
                let message = format!("field [{}] isn't a leaf field", excerpt(field));
                return Err(Error::new(ErrorKind::Malformed, format!("{}/fields", self.pointer), message));
            }
        }
        let keys = self.sort.iter().map(|key| key.compile(environment)).collect::<Result<_>>()?;
        let highlight = self.highlight.as_ref().map(|it| it.compile(environment)).transpose()?;
        Ok(Shown { options: self.clone(), keys, highlight })
    }
}

/// [`HitOptions`] under a mapping.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) options: HitOptions,
    keys: Vec<CompiledKey>,
    highlight: Option<Highlight>,
}

impl Shown {
    /// Whether hits show their score.
    fn scored(&self) -> bool {
        let keys = &self.options.sort;
        keys.is_empty() || self.options.track_scores || keys.iter().any(SortKey::is_score)
    }

    /// Hits up to the end of the page.
    pub(crate) fn window(&self) -> usize {
        self.options.from + self.options.size
    }

    /// Whether hits stand in the order in which documents were stored. `constant`: whether all scores are equal.
    pub(crate) fn is_by_sequence(&self, constant: bool) -> bool {
        let sort = self.options.sort.as_slice();
        let in_order = sort.is_empty() || matches!(sort, [only] if only.is_ascending_sequence());
        in_order && (constant || !self.scored())
    }

    fn ranks(&self, at: At<'_>, score: f32) -> Vec<Rank> {
        self.keys.iter().map(|key| key.rank(at, score)).collect()
    }
}

/// What a search keeps of the documents it is given: a reference, or a share such as an [`Arc`]. Only documents that may
/// still stand on the page, or in a `top_hits`, are kept.
pub trait Held: Clone + Deref<Target = Prepared> {}

impl<T: Clone + Deref<Target = Prepared>> Held for T {}

/// The best hits so far: never more than the window.
#[derive(Debug, Clone)]
pub(crate) struct Top<D> {
    heap: BinaryHeap<Entry<D>>,
    window: usize,
    pub(crate) total: u64,
    max_score: Option<f32>,
}

#[derive(Debug, Clone)]
struct Entry<D> {
    document: D,
    /// Path and place of the nested object that it is, in `top_hits` below `nested`.
    nested: Option<(Arc<str>, usize)>,
    score: f32,
    ranks: Vec<Rank>,
}

impl<D: Held> Ord for Entry<D> {
    /// Better comes first; documents that are equal keep the order in which they were stored.
    fn cmp(&self, other: &Self) -> Ordering {
        let ranked = self.ranks.iter().zip(&other.ranks).map(|(a, b)| a.compare(b)).find(|it| it.is_ne());
        let by_score = || {
            if self.ranks.is_empty() { other.score.total_cmp(&self.score) } else { Ordering::Equal }
        };
        let sequence = |entry: &Self| entry.document.document.sequence;
        ranked
            .unwrap_or_else(by_score)
            .then_with(|| sequence(self).cmp(&sequence(other)))
            .then_with(|| self.nested.cmp(&other.nested))
    }
}

impl<D: Held> PartialOrd for Entry<D> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<D: Held> PartialEq for Entry<D> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<D: Held> Eq for Entry<D> {}

impl<D: Held> Top<D> {
    pub(crate) fn new(shown: &Shown) -> Self {
        Self { heap: BinaryHeap::new(), window: shown.window(), total: 0, max_score: None }
    }

    /// Takes a document, or, where `at` is not its root, a nested object of it.
    pub(crate) fn push(&mut self, shown: &Shown, document: &D, at: At<'_>, score: f32) {
        self.total += 1;
        self.max_score = Some(self.max_score.map_or(score, |max| max.max(score)));
        if self.window == 0 {
            return;
        }
        let is_root = at.block.path.is_empty();
        let nested = (!is_root).then(|| (Arc::clone(&at.block.path), at.block.offset));
        let entry = Entry { document: document.clone(), nested, score, ranks: shown.ranks(at, score) };
        if self.heap.len() < self.window {
            self.heap.push(entry);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && entry < *worst
        {
            *worst = entry;
        }
    }

    pub(crate) fn max_score(&self, shown: &Shown) -> Value {
        match self.max_score {
            Some(_) if shown.options.size == 0 => json!(0.0),
            Some(score) if shown.scored() => json!(score),
            _ => Value::Null,
        }
    }

    /// The page of hits; `query` says what is highlighted and which named queries match.
    pub(crate) fn render(self, shown: &Shown, query: &Clause, environment: Environment<'_>) -> Vec<Value> {
        let entries = self.heap.into_sorted_vec();
        let page = entries.iter().skip(shown.options.from).take(shown.options.size);
        page.map(|entry| entry.render(shown, query, environment)).collect()
    }
}

impl<D: Held> Entry<D> {
    fn render(&self, shown: &Shown, query: &Clause, environment: Environment<'_>) -> Value {
        let document = &self.document.document;
        let mut hit = Map::new();
        hit.insert("_index".into(), json!(&*document.index));
        hit.insert("_type".into(), json!(&*document.collection));
        hit.insert("_id".into(), json!(document.id));
        hit.insert("_score".into(), if shown.scored() { json!(self.score) } else { Value::Null });
        if shown.options.version {
            hit.insert("_version".into(), json!(document.version));
        }
        if let Some((path, offset)) = &self.nested {
            hit.insert("_nested".into(), json!({"field": &**path, "offset": offset}));
        }
        self.show_source(shown, environment, &mut hit);
        if let Some(highlight) = &shown.highlight {
            let found = highlight.apply(&self.document, query, environment.mapping);
            if !found.is_empty() {
                hit.insert("highlight".into(), Value::Object(found));
            }
        }
        if query.has_names() {
            let mut names = Vec::new();
            query.matched_names(At::root(&self.document), &mut names);
            hit.insert("matched_queries".into(), json!(names));
        }
        if !self.ranks.is_empty() {
            hit.insert("sort".into(), self.ranks.iter().map(Rank::render).collect());
        }
        Value::Object(hit)
    }

    fn show_source(&self, shown: &Shown, environment: Environment<'_>, hit: &mut Map<String, Value>) {
        let source = &*self.document.document.source;
        let asked = shown.options.fields.as_deref();
        let named = asked.is_some_and(|fields| fields.iter().any(|it| it == "_source"));
        let default = if asked.is_some() && !named { SourceFilter::NONE } else { SourceFilter::ALL };
        let filter = shown.options.source.as_ref().unwrap_or(&default);
        if let Some(source) = filter.apply(source) {
            hit.insert("_source".into(), source);
        }
        let Some(fields) = asked else { return };
        let mut out = Map::new();
        for name in fields {
            let mut paths = vec![name.clone()];
            if name.contains('*') {
                let shape = Wildcard::new(name);
                let all = environment.mapping.all_fields().into_iter();
                paths = all.filter(|it| shape.matches(&it.path)).map(|it| it.path.to_string()).collect();
            }
            for path in paths {
                let mut values = Vec::new();
                extract(source, &path, &mut values);
                if !values.is_empty() && path != "_source" {
                    out.insert(path, values.into_iter().cloned().collect());
                }
            }
        }
        if !out.is_empty() {
            hit.insert("fields".into(), Value::Object(out));
        }
    }
}
