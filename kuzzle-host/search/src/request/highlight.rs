use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::source::extract;
use crate::analysis::{Analyzer, Token};
use crate::document::{Prepared, Terms};
use crate::error::Result;
use crate::evaluate::{Clause, Environment, Leaf, Test, compile};
use crate::limits::FRAGMENTS_MAX;
use crate::mapping::{Kind, Mapping, plain_text};
use crate::node::{Fields, Node};
use crate::query::{Parser, Query, Wildcard};

/// Which fields show where they matched, and how.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Highlight {
    fields: Vec<HighlightField>,
}

#[derive(Debug, Clone, PartialEq)]
struct HighlightField {
    name: String,
    options: Options,
}

#[derive(Debug, Clone)]
struct Options {
    pre_tag: String,
    post_tag: String,
    fragment_size: usize,
    /// 0: the whole text.
    fragments: usize,
    by_score: bool,
    same_field: bool,
    no_match_size: usize,
    html: bool,
    query: Option<Query>,
    compiled: Option<Clause>,
}

impl PartialEq for Options {
    /// What is compiled follows from the rest.
    fn eq(&self, other: &Self) -> bool {
        self.pre_tag == other.pre_tag
            && self.post_tag == other.post_tag
            && (self.fragment_size, self.fragments) == (other.fragment_size, other.fragments)
            && (self.by_score, self.same_field, self.html) == (other.by_score, other.same_field, other.html)
            && self.no_match_size == other.no_match_size
            && self.query == other.query
    }
}

impl Highlight {
    pub(crate) fn parse(node: &Node<'_>, parser: &mut Parser) -> Result<Self> {
        let mut outer = node.fields("highlight")?;
        let mut defaults = Options {
            pre_tag: "<em>".to_owned(),
            post_tag: "</em>".to_owned(),
            fragment_size: 100,
            fragments: 5,
            by_score: false,
            same_field: true,
            no_match_size: 0,
            html: false,
            query: None,
            compiled: None,
        };
        if let Some(schema) = outer.take("tags_schema")
            && schema.one_of(&[("default", false), ("styled", true)])?
        {
            defaults.pre_tag = "<em class=\"hlt1\">".to_owned();
        }
        if let Some(encoder) = outer.take("encoder") {
            defaults.html = encoder.one_of(&[("default", false), ("html", true)])?;
        }
        options(&mut outer, &mut defaults, parser)?;
        let named = outer.need("fields")?;
        outer.finish()?;
        let mut members = Vec::new();
        for item in named.items() {
            members.extend(item.members("an object with one member for each field")?);
        }
        let mut fields = Vec::new();
        for (name, node) in members {
            let mut options = defaults.clone();
            let mut own = node.fields("highlight")?;
            self::options(&mut own, &mut options, parser)?;
            own.finish()?;
            fields.push(HighlightField { name: name.to_owned(), options });
        }
        Ok(Self { fields })
    }

    pub(super) fn compile(&self, environment: Environment<'_>) -> Result<Self> {
        let mut compiled = self.clone();
        for field in &mut compiled.fields {
            let own =
                field.options.query.as_ref().map(|query| compile(query, environment, false)).transpose()?;
            field.options.compiled = own;
        }
        Ok(compiled)
    }

    /// The fragments of each field in which something matched.
    pub(super) fn apply(&self, document: &Prepared, query: &Clause, mapping: &Mapping) -> Map<String, Value> {
        let mut out = Map::new();
        for field in &self.fields {
            let leaves = leaves(field.options.compiled.as_ref().unwrap_or(query));
            for name in names(&field.name, mapping) {
                let fragments = fragments(document, &name, &field.options, &leaves, mapping);
                if !fragments.is_empty() {
                    out.insert(name, json!(fragments));
                }
            }
        }
        out
    }
}

fn options(fields: &mut Fields<'_>, options: &mut Options, parser: &mut Parser) -> Result<()> {
    let mut tag = |name: &'static str| match fields.take(name) {
        Some(node) => Ok(node.strings()?.into_iter().next()),
        None => Ok(None),
    };
    let (pre_tag, post_tag) = (tag("pre_tags")?, tag("post_tags")?);
    options.pre_tag = pre_tag.unwrap_or_else(|| options.pre_tag.clone());
    options.post_tag = post_tag.unwrap_or_else(|| options.post_tag.clone());
    if let Some(size) = fields.any(&["fragment_size", "fragmentSize"]) {
        options.fragment_size = size.usize()?;
    }
    if let Some(count) = fields.any(&["number_of_fragments", "numberOfFragments"]) {
        options.fragments = count.usize()?;
        if options.fragments > FRAGMENTS_MAX {
            return Err(count.over(format!("at most {FRAGMENTS_MAX} fragments are given")));
        }
    }
    if let Some(order) = fields.take("order") {
        options.by_score = order.one_of(&[("none", false), ("score", true)])?;
    }
    if let Some(same) = fields.any(&["require_field_match", "requireFieldMatch"]) {
        options.same_field = same.bool()?;
    }
    if let Some(size) = fields.take("no_match_size") {
        options.no_match_size = size.usize()?;
    }
    if let Some(query) = fields.any(&["highlight_query", "highlightQuery"]) {
        options.query = Some(parser.query(&query, 0)?);
    }
    if let Some(kind) = fields.take("type")
        && kind.str()? != "plain"
    {
        return Err(kind.unsupported("a highlighter other than `plain`"));
    }
    fields.hint(&["force_source", "phrase_limit", "highlight_filter"]);
    fields.refuse(&["matched_fields", "fragmenter", "boundary_chars", "boundary_max_scan", "fragment_offset"])
}

/// Leaves that may have made the document match: none of what must not.
fn leaves(clause: &Clause) -> Vec<&Leaf> {
    fn walk<'c>(clause: &'c Clause, out: &mut Vec<&'c Leaf>) {
        use crate::evaluate::ClauseKind;
        match &clause.kind {
            ClauseKind::Leaf(leaf) => out.push(leaf),
            ClauseKind::Bool { must, filter, should, .. } => {
                must.iter().chain(filter).chain(should).for_each(|it| walk(it, out));
            }
            ClauseKind::Boosting { positive: inner, .. }
            | ClauseKind::Functions { clause: inner, .. }
            | ClauseKind::Constant(inner)
            | ClauseKind::Nested { clause: inner, .. } => walk(inner, out),
            ClauseKind::DisMax { clauses, .. } => clauses.iter().for_each(|it| walk(it, out)),
            ClauseKind::All | ClauseKind::Nothing => {}
        }
    }
    let mut out = Vec::new();
    walk(clause, &mut out);
    out
}

fn names(name: &str, mapping: &Mapping) -> Vec<String> {
    if !name.contains('*') {
        return vec![name.to_owned()];
    }
    let shape = Wildcard::new(name);
    let texts = mapping.all_fields().into_iter().filter(|it| matches!(it.kind, Kind::Text(_)));
    texts.filter(|it| shape.matches(&it.path)).map(|it| it.path.to_string()).collect()
}

/// A piece of a text with what is marked in it.
struct Fragment {
    text: String,
    hits: usize,
}

fn fragments(
    document: &Prepared,
    name: &str,
    options: &Options,
    leaves: &[&Leaf],
    mapping: &Mapping,
) -> Vec<String> {
    let Some(Kind::Text(text)) = mapping.field(name).map(|it| &it.kind) else { return Vec::new() };
    let analyzer = text.analyzer.unwrap_or(Analyzer::Keyword);
    let leaves: Vec<&Leaf> =
        leaves.iter().copied().filter(|leaf| !options.same_field || leaf.key.name() == name).collect();
    let values = texts(document, name, mapping);
    let mut found: Vec<Fragment> = Vec::new();
    for value in &values {
        let tokens = analyzer.tokens(value);
        let marked = marked(&tokens, &leaves);
        if !marked.is_empty() {
            found.extend(cut(value, &tokens, &marked, options));
        }
    }
    if found.is_empty() {
        let first = values.first().filter(|_| options.no_match_size > 0);
        return first.map(|value| beginning(value, options)).into_iter().collect();
    }
    let wanted = options.fragments.max(1);
    let mut order: Vec<usize> = (0..found.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(found[*index].hits));
    if options.fragments > 0 {
        order.truncate(wanted);
    }
    if !options.by_score {
        order.sort_unstable();
    }
    order.into_iter().map(|index| std::mem::take(&mut found[index].text)).collect()
}

/// The texts of a field; those of a multi-field are its parent's.
fn texts(document: &Prepared, name: &str, mapping: &Mapping) -> Vec<String> {
    let mut path = name;
    if let Some((parent, last)) = name.rsplit_once('.')
        && mapping.field(parent).is_some_and(|field| field.fields.contains_key(last))
    {
        path = parent;
    }
    let mut values = Vec::new();
    extract(&document.document.source, path, &mut values);
    values.into_iter().filter_map(plain_text).collect()
}

/// Which tokens matched. Those of a phrase match where the phrase stands.
fn marked(tokens: &[Token], leaves: &[&Leaf]) -> BTreeSet<usize> {
    let mut out = BTreeSet::new();
    for leaf in leaves {
        if let Test::Phrase { slots, slop: 0 } = &leaf.test {
            let places = Terms::new(tokens.iter().map(|it| (it.term.clone(), it.position)).collect());
            for (index, token) in tokens.iter().enumerate() {
                let stands = slots.iter().any(|slot| {
                    let own = if slot.prefix {
                        token.term.starts_with(&slot.term)
                    } else {
                        token.term == slot.term
                    };
                    own && token.position >= slot.offset
                        && whole(slots, token.position - slot.offset, &places)
                });
                if stands {
                    out.insert(index);
                }
            }
            continue;
        }
        out.extend((0..tokens.len()).filter(|index| leaf.wants(&tokens[*index].term)));
    }
    out
}

fn whole(slots: &[crate::evaluate::Slot], start: u32, places: &Terms) -> bool {
    slots.iter().all(|slot| {
        let place = start.saturating_add(slot.offset);
        if slot.prefix {
            places.with_prefix(&slot.term).any(|it| it.positions.contains(&place))
        } else {
            places.find(&slot.term).is_some_and(|it| it.positions.contains(&place))
        }
    })
}

/// Cuts a text into fragments between tokens, and marks what matched; fragments without are dropped.
fn cut(text: &str, tokens: &[Token], marked: &BTreeSet<usize>, options: &Options) -> Vec<Fragment> {
    let mut out: Vec<Fragment> = vec![Fragment { text: String::new(), hits: 0 }];
    let (mut written, mut cuts) = (0, 1);
    for (index, token) in tokens.iter().enumerate() {
        let beyond = options.fragments > 0
            && options.fragment_size > 0
            && token.end >= options.fragment_size.saturating_mul(cuts)
            && index > 0;
        if beyond {
            push(&mut out, text.get(written..token.start), options);
            written = token.start;
            cuts += 1;
            out.push(Fragment { text: String::new(), hits: 0 });
        }
        if marked.contains(&index) && token.start >= written {
            push(&mut out, text.get(written..token.start), options);
            if let Some(last) = out.last_mut() {
                last.hits += 1;
                last.text.push_str(&options.pre_tag);
            }
            push(&mut out, text.get(token.start..token.end), options);
            if let Some(last) = out.last_mut() {
                last.text.push_str(&options.post_tag);
            }
            written = token.end;
        }
    }
    push(&mut out, text.get(written..), options);
    out.retain(|fragment| fragment.hits > 0);
    out
}

fn push(out: &mut [Fragment], text: Option<&str>, options: &Options) {
    let (Some(last), Some(text)) = (out.last_mut(), text) else { return };
    if options.html { escape_html(text, &mut last.text) } else { last.text.push_str(text) }
}

fn escape_html(text: &str, out: &mut String) {
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#x27;"),
            '/' => out.push_str("&#x2F;"),
            letter => out.push(letter),
        }
    }
}

/// The beginning of a text, to the end of a word.
fn beginning(text: &str, options: &Options) -> String {
    let end = match text.char_indices().nth(options.no_match_size) {
        None => text.len(),
        Some((end, letter)) if letter.is_whitespace() => end,
        Some((end, _)) => text[..end].rfind(char::is_whitespace).unwrap_or(end),
    };
    let mut out = [Fragment { text: String::new(), hits: 0 }];
    push(&mut out, text.get(..end), options);
    std::mem::take(&mut out[0].text)
}
