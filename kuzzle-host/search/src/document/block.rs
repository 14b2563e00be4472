use std::sync::Arc;

use crate::geo::Point;

/// The fields of a document, or of one nested object in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Block {
    /// Path of the nested object; empty at the root.
    pub(crate) path: Arc<str>,
    /// Its place in the array it stands in.
    pub(crate) offset: usize,
    /// In order of their paths.
    fields: Vec<(Arc<str>, FieldData)>,
    /// Nested objects, in order.
    pub(crate) children: Vec<Block>,
}

/// What one field has in one document.
#[derive(Debug, Clone, Default)]
pub(crate) struct FieldData {
    pub(crate) values: Values,
    /// Whether a value is there because of the mapping's `null_value`.
    pub(crate) from_null: bool,
    /// Whether a value is there that was given.
    pub(crate) given: bool,
}

#[derive(Debug, Clone, Default)]
pub(crate) enum Values {
    /// Nothing that could be compared.
    #[default]
    Opaque,
    Text(Terms),
    /// Ascending.
    Long(Vec<i64>),
    /// Ascending.
    Double(Vec<f64>),
    Geo(Vec<Point>),
}

/// The terms of a field.
#[derive(Debug, Clone, Default)]
pub(crate) struct Terms {
    /// In order of the terms.
    postings: Vec<Posting>,
    /// Tokens in all.
    pub(crate) length: u32,
}

#[derive(Debug, Clone)]
pub(crate) struct Posting {
    pub(crate) term: Box<str>,
    /// Ascending.
    pub(crate) positions: Box<[u32]>,
}

impl Terms {
    pub(crate) fn new(mut tokens: Vec<(String, u32)>) -> Self {
        let length = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
        tokens.sort();
        let mut postings: Vec<Posting> = Vec::new();
        let mut tokens = tokens.into_iter().peekable();
        while let Some((term, position)) = tokens.next() {
            let mut positions = vec![position];
            while let Some((_, position)) = tokens.next_if(|(next, _)| *next == term) {
                positions.push(position);
            }
            postings.push(Posting { term: term.into(), positions: positions.into() });
        }
        Self { postings, length }
    }

    pub(crate) fn find(&self, term: &str) -> Option<&Posting> {
        let at = self.postings.binary_search_by(|posting| (*posting.term).cmp(term)).ok()?;
        self.postings.get(at)
    }

    /// Those that begin with a text.
    pub(crate) fn with_prefix<'t>(&'t self, prefix: &'t str) -> impl Iterator<Item = &'t Posting> {
        let start = self.postings.partition_point(|posting| *posting.term < *prefix);
        self.postings[start..].iter().take_while(move |posting| posting.term.starts_with(prefix))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Posting> {
        self.postings.iter()
    }
}

impl Block {
    pub(crate) fn new(path: Arc<str>, offset: usize, mut fields: Vec<(Arc<str>, FieldData)>) -> Self {
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        Self { path, offset, fields, children: Vec::new() }
    }

    pub(crate) fn field(&self, path: &str) -> Option<&FieldData> {
        let at = self.fields.binary_search_by(|(name, _)| (**name).cmp(path)).ok()?;
        self.fields.get(at).map(|(_, data)| data)
    }

    /// Every field with its path, in order.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &FieldData)> {
        self.fields.iter().map(|(path, data)| (&**path, data))
    }

    /// Calls a function for each nested object of a path, at any depth, until it says stop.
    pub(crate) fn nested<'b>(&'b self, path: &str, then: &mut dyn FnMut(&'b Block)) {
        for child in &self.children {
            if *child.path == *path {
                then(child);
            } else if path.starts_with(&*child.path) && path.as_bytes().get(child.path.len()) == Some(&b'.') {
                child.nested(path, then);
            }
        }
    }
}
