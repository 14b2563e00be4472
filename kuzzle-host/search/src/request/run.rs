//! A search under way: documents are pushed into it one by one, and only what may stand on the page is kept.

use std::sync::atomic::Ordering;

use super::{Execution, Held, Search, SearchResult, Shown, Top};
use crate::aggs::{Collection, Plan};
use crate::candidates::{Candidates, SearchPlan, is_constant, plan};
use crate::document::Prepared;
use crate::error::{Error, Result};
use crate::evaluate::{At, Clause, Environment, compile};

/// Documents between two looks at the flag of cancellation.
const STRIDE: u32 = 256;

/// Which documents a search is about: its query, `post_filter` and `min_score`, under a mapping.
pub struct Matcher<'r> {
    execution: Execution<'r>,
    query: Clause,
    post_filter: Option<Clause>,
    min_score: Option<f32>,
    /// Documents that were counted.
    counted: u64,
    weighed: bool,
    until_look: u32,
}

impl<'r> Matcher<'r> {
    fn new(search: &Search, execution: Execution<'r>) -> Result<Self> {
        let environment = execution.environment();
        Ok(Self {
            execution,
            query: compile(&search.query, environment, false)?,
            post_filter: search
                .post_filter
                .as_ref()
                .map(|filter| compile(filter, environment, true))
                .transpose()?,
            min_score: search.min_score,
            counted: 0,
            weighed: false,
            until_look: 0,
        })
    }

    /// Whether documents that the statistics of the [`Execution`] do not cover have to be counted first, because which
    /// ones match depends on it.
    pub fn needs_counts(&self) -> bool {
        self.min_score.is_some() && self.query.needs_counts()
    }

    /// Counts a document that the statistics do not cover. To be called before the first document is matched.
    ///
    /// # Errors
    /// Cancellation.
    pub fn count(&mut self, document: &Prepared) -> Result<()> {
        self.look()?;
        self.counted += 1;
        self.query.count(document);
        Ok(())
    }

    /// The documents that may match, in a collection of these names.
    pub fn candidates(&self, index: &str, collection: &str) -> Candidates {
        let clauses: Vec<&Clause> = std::iter::once(&self.query).chain(&self.post_filter).collect();
        self.scored_candidates(&clauses, index, collection)
    }

    fn scored_candidates(&self, clauses: &[&Clause], index: &str, collection: &str) -> Candidates {
        let mut candidates = plan(clauses, index, collection);
        // Which scores are high enough no index knows.
        candidates.exact &= self.min_score.is_none();
        candidates
    }

    /// Whether a document matches.
    ///
    /// # Errors
    /// Cancellation.
    pub fn matches(&mut self, document: &Prepared) -> Result<bool> {
        self.look()?;
        self.weigh();
        Ok(self.score(document).is_some() && self.passes(document))
    }

    fn weigh(&mut self) {
        if !self.weighed {
            self.weighed = true;
            self.query.weigh(self.counted, self.execution.statistics);
        }
    }

    fn score(&self, document: &Prepared) -> Option<f32> {
        let score = self.query.score(At::root(document));
        score.filter(|score| self.min_score.is_none_or(|least| *score >= least))
    }

    fn passes(&self, document: &Prepared) -> bool {
        self.post_filter.as_ref().is_none_or(|filter| filter.matches(At::root(document)))
    }

    /// Looks now and then whether the search was cancelled.
    fn look(&mut self) -> Result<()> {
        if self.until_look == 0 {
            self.until_look = STRIDE;
            if self.execution.cancelled.load(Ordering::Relaxed) {
                return Err(Error::cancelled());
            }
        }
        self.until_look -= 1;
        Ok(())
    }
}

/// A search under way.
///
/// ```text
/// start -> count, for each document that the statistics do not cover, if needs_counts -> push, for each -> finish
/// ```
pub struct Run<'r, D> {
    matcher: Matcher<'r>,
    shown: Shown,
    plan: Plan,
    top: Top<D>,
    collection: Collection<D>,
}

impl Search {
    /// Begins a search.
    ///
    /// # Errors
    /// What the mapping shows to be wrong: a date that cannot be read, a sort by a field that is not mapped.
    pub fn start<'r, D: Held>(&self, execution: Execution<'r>) -> Result<Run<'r, D>> {
        let environment = execution.environment();
        let shown = self.hits.compile(environment)?;
        let plan = Plan::compile(&self.aggregations, environment)?;
        let matcher = Matcher::new(self, execution)?;
        let (top, collection) = (Top::new(&shown), Collection::new(&plan)?);
        Ok(Run { matcher, shown, plan, top, collection })
    }

    /// Begins to tell which documents match, whatever is to be shown of them.
    ///
    /// # Errors
    /// As [`Search::start`].
    pub fn matcher<'r>(&self, execution: Execution<'r>) -> Result<Matcher<'r>> {
        Matcher::new(self, execution)
    }
}

impl<D: Held> Run<'_, D> {
    /// Whether documents that the statistics of the [`Execution`] do not cover have to be counted first: where there
    /// are none, these are all documents.
    pub fn needs_counts(&self) -> bool {
        self.matcher.query.needs_counts()
    }

    /// Whether the result depends on documents that do not match, so that each one has to be pushed: aggregations of
    /// the kind `global`, and `terms` with a `min_doc_count` of 0.
    pub fn needs_everything(&self) -> bool {
        self.plan.needs_everything()
    }

    /// What an index can do for the search, in a collection of these names.
    pub fn plan(&self, index: &str, collection: &str) -> SearchPlan {
        if self.needs_everything() {
            let candidates = self.matcher.scored_candidates(&[], index, collection);
            return SearchPlan {
                candidates: Candidates { exact: false, ..candidates },
                first_by_sequence: None,
            };
        }
        if self.plan.is_empty() {
            let candidates = self.matcher.candidates(index, collection);
            let in_order = self.shown.is_by_sequence(is_constant(&self.matcher.query));
            // Without a page, one document still says that there is a score.
            let first_by_sequence = in_order.then(|| self.shown.window().max(1));
            return SearchPlan { candidates, first_by_sequence };
        }
        // Aggregations are of what the query finds, whatever the `post_filter` says.
        let candidates = self.matcher.scored_candidates(&[&self.matcher.query], index, collection);
        SearchPlan { candidates, first_by_sequence: None }
    }

    /// Counts hits that are not on the page, beside those among the documents that are pushed: see
    /// [`SearchPlan::first_by_sequence`].
    pub fn add_unseen(&mut self, hits: u64) {
        self.top.total += hits;
    }

    /// Counts a document that the statistics do not cover. To be called before the first [`Run::push`].
    ///
    /// # Errors
    /// Cancellation.
    pub fn count(&mut self, document: &Prepared) -> Result<()> {
        self.matcher.count(document)
    }

    /// Takes a document; the order does not matter. It is kept only while it may stand on the page.
    ///
    /// # Errors
    /// More buckets than [`BUCKETS_MAX`](crate::limits::BUCKETS_MAX). Cancellation.
    pub fn push(&mut self, document: D) -> Result<()> {
        self.matcher.look()?;
        self.matcher.weigh();
        self.collection.see(&self.plan, &document)?;
        let Some(score) = self.matcher.score(&document) else { return Ok(()) };
        self.collection.collect(&self.plan, &document, score)?;
        if self.matcher.passes(&document) {
            self.top.push(&self.shown, &document, At::root(&document), score);
        }
        Ok(())
    }

    /// Makes the page of hits and the aggregations.
    ///
    /// # Errors
    /// More buckets than [`BUCKETS_MAX`](crate::limits::BUCKETS_MAX), the empty ones included.
    pub fn finish(mut self) -> Result<SearchResult> {
        self.matcher.weigh();
        let Self { matcher, shown, plan, top, collection } = self;
        let environment = matcher.execution.environment();
        let (total, max_score) = (top.total, top.max_score(&shown));
        let hits = top.render(&shown, &matcher.query, environment);
        let aggregations = collection.render(&plan, &matcher.query, environment)?;
        Ok(SearchResult { total, max_score, hits, aggregations })
    }
}

impl<'e> Execution<'e> {
    fn environment(&self) -> Environment<'e> {
        Environment { mapping: self.mapping, now_ms: self.now_ms }
    }
}
