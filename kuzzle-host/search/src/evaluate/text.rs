use super::compile::{Compiler, Target};
use super::phrase::Slot;
use super::{Clause, ClauseKind, Test};
use crate::analysis::{Analyzer, Token};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::CLAUSES_MAX;
use crate::mapping::Kind;
use crate::node::Scalar;
use crate::query::{Match, MatchKind, MultiMatch, MultiMatchKind, Wildcard};

pub(super) fn match_query(compiler: &Compiler<'_>, query: &Match) -> Result<Clause> {
    let target = compiler.target(&query.field);
    if let Target::Field(field) = &target
        && !matches!(field.kind, Kind::Text(_))
    {
        return match compiler.term(&query.field, &Scalar::Text(query.text.clone())) {
            Err(_) if query.lenient => Ok(Clause::new(ClauseKind::Nothing)),
            other => other,
        };
    }
    let tokens = analyzer(&target, query)?.tokens(&query.text);
    if tokens.len() > CLAUSES_MAX {
        let message = format!("the text has {} words, at most {CLAUSES_MAX} are taken", tokens.len());
        return Err(Error::bare(ErrorKind::Limit, message));
    }
    if tokens.is_empty() {
        return Ok(empty(query));
    }
    if query.kind == MatchKind::Boolean {
        let clauses = tokens.iter().map(|token| word(compiler, &target, query, &token.term)).collect();
        return Ok(combine(clauses, query));
    }
    Ok(phrase(compiler, &target, query, tokens))
}

fn empty(query: &Match) -> Clause {
    Clause::new(if query.zero_terms_all { ClauseKind::All } else { ClauseKind::Nothing })
}

fn analyzer(target: &Target<'_>, query: &Match) -> Result<Analyzer> {
    if let Some(name) = &query.analyzer {
        return Analyzer::parse(name);
    }
    Ok(match target {
        Target::Field(field) => match &field.kind {
            Kind::Text(text) => text.query_analyzer(),
            _ => Analyzer::Keyword,
        },
        Target::Meta(super::leaf::Key::All) | Target::Unmapped => Analyzer::Standard,
        Target::Meta(_) => Analyzer::Keyword,
    })
}

fn word(compiler: &Compiler<'_>, target: &Target<'_>, query: &Match, term: &str) -> Clause {
    match query.fuzziness {
        None => compiler.text_leaf(target, Test::Term(term.to_owned())),
        Some(fuzziness) => {
            let letters: Vec<char> = term.chars().collect();
            let edits = fuzziness.edits(letters.len());
            compiler.fuzzy(target, letters, edits, query.prefix_length, query.transpositions)
        }
    }
}

/// Words of which all, some or one have to match.
fn combine(mut clauses: Vec<Clause>, query: &Match) -> Clause {
    if clauses.len() == 1
        && let Some(only) = clauses.pop()
    {
        return only;
    }
    let (mut must, mut should, mut minimum) = (Vec::new(), Vec::new(), 0);
    if query.all {
        must = clauses;
    } else {
        minimum = query.minimum.as_ref().map_or(1, |it| it.of(clauses.len())).max(1);
        should = clauses;
    }
    let kind =
        ClauseKind::Bool { must, filter: Vec::new(), should, must_not: Vec::new(), minimum, coord: true };
    Clause::new(kind)
}

fn phrase(compiler: &Compiler<'_>, target: &Target<'_>, query: &Match, tokens: Vec<Token>) -> Clause {
    let first = tokens.first().map_or(0, |token| token.position);
    let last = tokens.len() - 1;
    let slots: Vec<Slot> = tokens
        .into_iter()
        .enumerate()
        .map(|(index, token)| Slot {
            term: token.term,
            offset: token.position - first,
            prefix: query.kind == MatchKind::PhrasePrefix && index == last,
        })
        .collect();
    match slots.as_slice() {
        [Slot { term, prefix: false, .. }] => compiler.text_leaf(target, Test::Term(term.clone())),
        [Slot { term, prefix: true, .. }] => {
            compiler.text_leaf(target, Test::AnyTerm(super::TermTest::Prefix(term.clone())))
        }
        _ => compiler.text_leaf(target, Test::Phrase { slots, slop: query.slop }),
    }
}

pub(super) fn multi_match(compiler: &Compiler<'_>, multi: &MultiMatch) -> Result<Clause> {
    let fields = expand(compiler, &multi.fields)?;
    if multi.kind == MultiMatchKind::CrossFields {
        return cross_fields(compiler, multi, &fields);
    }
    let mut clauses = Vec::new();
    for (field, boost) in fields {
        let query = Match { field, ..multi.query.clone() };
        clauses.push(match_query(compiler, &query)?.boosted(boost));
    }
    let default = if multi.kind == MultiMatchKind::MostFields { 1.0 } else { 0.0 };
    let tie_breaker = multi.tie_breaker.unwrap_or(default);
    Ok(Clause::new(ClauseKind::DisMax { clauses, tie_breaker }))
}

/// Names with `*` stand for the text fields of that shape.
fn expand(compiler: &Compiler<'_>, fields: &[(String, f32)]) -> Result<Vec<(String, f32)>> {
    let mut out = Vec::new();
    for (name, boost) in fields {
        if !name.contains('*') {
            out.push((name.clone(), *boost));
            continue;
        }
        let shape = Wildcard::new(name);
        for field in compiler.environment.mapping.all_fields() {
            if matches!(field.kind, Kind::Text(_)) && field.indexed && shape.matches(&field.path) {
                out.push((field.path.to_string(), *boost));
            }
        }
    }
    if out.len() > CLAUSES_MAX {
        let message = format!("found {} fields, at most {CLAUSES_MAX} are taken", out.len());
        return Err(Error::bare(ErrorKind::Limit, message));
    }
    Ok(out)
}

/// Each word in any of the fields; fields of different analysers are looked at by themselves.
fn cross_fields(compiler: &Compiler<'_>, multi: &MultiMatch, fields: &[(String, f32)]) -> Result<Clause> {
    let mut groups: Vec<(Analyzer, Vec<(Target<'_>, f32)>)> = Vec::new();
    let mut others = Vec::new();
    for (name, boost) in fields {
        let target = compiler.target(name);
        if let Target::Field(field) = &target
            && !matches!(field.kind, Kind::Text(_))
        {
            let query = Match { field: name.clone(), ..multi.query.clone() };
            others.push(match_query(compiler, &query)?.boosted(*boost));
            continue;
        }
        let analyzer = analyzer(&target, &multi.query)?;
        match groups.iter_mut().find(|(known, _)| *known == analyzer) {
            Some((_, targets)) => targets.push((target, *boost)),
            None => groups.push((analyzer, vec![(target, *boost)])),
        }
    }
    let tie_breaker = multi.tie_breaker.unwrap_or(0.0);
    let mut clauses = others;
    for (analyzer, targets) in &groups {
        let tokens = analyzer.tokens(&multi.query.text);
        if tokens.len().saturating_mul(targets.len()) > CLAUSES_MAX {
            let message = format!("the text's words in all fields make more than {CLAUSES_MAX} clauses");
            return Err(Error::bare(ErrorKind::Limit, message));
        }
        if tokens.is_empty() {
            clauses.push(empty(&multi.query));
            continue;
        }
        let words = tokens.iter().map(|token| {
            let fields = targets
                .iter()
                .map(|(target, boost)| word(compiler, target, &multi.query, &token.term).boosted(*boost));
            Clause::new(ClauseKind::DisMax { clauses: fields.collect(), tie_breaker })
        });
        clauses.push(combine(words.collect(), &multi.query));
    }
    Ok(Clause::new(ClauseKind::DisMax { clauses, tie_breaker }))
}
