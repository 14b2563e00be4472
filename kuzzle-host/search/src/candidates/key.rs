use std::sync::Arc;

use super::cells::{Cell, ordered_double, ordered_long, ordered_point};
use super::{KeyRange, Matching, Scan, WordTest};
use crate::document::{Block, FieldData, Prepared, Terms, Values};

/// What a key says of a document. In keys it is a lower-case letter at the root, the upper-case one in nested objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyKind {
    /// The field has this term.
    Text = b't' as isize,
    /// It has a whole number in this cell.
    Long = b'l' as isize,
    /// It has a number in this cell.
    Double = b'd' as isize,
    /// It has a point in this cell.
    Point = b'p' as isize,
    /// It has a value that was given.
    Given = b'g' as isize,
    /// It has values because of the mapping's `null_value` alone.
    Null = b'n' as isize,
}

/// The bytes before the value of a key.
pub(super) fn header(out: &mut Vec<u8>, path: &str, kind: KeyKind, nested: bool) {
    // Paths have at most `FIELD_NAME_MAX_BYTES`; what is longer still has a key, which others may share in theory.
    let length = u16::try_from(path.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(path.as_bytes());
    let letter = kind as u8;
    out.push(if nested { letter.to_ascii_uppercase() } else { letter });
}

pub(super) fn key(path: &str, kind: KeyKind, nested: bool, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len() + value.len() + 3);
    header(&mut out, path, kind, nested);
    out.extend_from_slice(value);
    out
}

pub(super) fn cell_key(path: &str, kind: KeyKind, nested: bool, cell: Cell) -> Vec<u8> {
    let mut out = key(path, kind, nested, &[]);
    cell.write(&mut out);
    out
}

/// Keys of texts that begin with a prefix.
pub(super) fn texts(path: &str, nested: bool, prefix: &str, test: Option<WordTest>) -> Scan {
    let start = key(path, KeyKind::Text, nested, prefix.as_bytes());
    let header = start.len() - prefix.len();
    Scan { range: beginning_with(start), header, test: test.map(Arc::new) }
}

/// All keys that begin with some bytes.
pub(super) fn beginning_with(start: Vec<u8>) -> KeyRange {
    let mut end = start.clone();
    // The kind is a letter, so that there is always a byte to raise.
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    start..end
}

/// The documents that have a term in a field, in nested objects too; numbers, dates and booleans are terms as their
/// decimal digits. It is what [`Statistics::document_frequency`](crate::Statistics::document_frequency) counts.
pub fn keys_of_term(field: &str, term: &str) -> Matching {
    let mut keys = Vec::with_capacity(6);
    for nested in [false, true] {
        keys.push(key(field, KeyKind::Text, nested, term.as_bytes()));
        if let Ok(long) = term.parse() {
            keys.push(cell_key(field, KeyKind::Long, nested, Cell::exact(ordered_long(long))));
        }
        if let Ok(double) = term.parse() {
            keys.push(cell_key(field, KeyKind::Double, nested, Cell::exact(ordered_double(double))));
        }
    }
    keys.sort_unstable();
    Matching::Terms(keys)
}

impl Prepared {
    /// Gives every key that an index holds for the document, each after the bytes of `prefix`. A key may be given more
    /// than once.
    ///
    /// What queries find is in the keys as long as the mapping does not change what it says of fields that the document
    /// has: after such a change the document has to be prepared and indexed again.
    pub fn each_key(&self, prefix: &[u8], then: &mut dyn FnMut(&[u8])) {
        let mut keys = Keys { buffer: prefix.to_vec(), prefix: prefix.len(), then };
        keys.texts("_all", false, &self.all);
        keys.block(&self.root, false);
    }
}

struct Keys<'k> {
    buffer: Vec<u8>,
    prefix: usize,
    then: &'k mut dyn FnMut(&[u8]),
}

impl Keys<'_> {
    fn block(&mut self, block: &Block, nested: bool) {
        for (path, data) in block.fields() {
            self.field(path, nested, data);
        }
        block.children.iter().for_each(|child| self.block(child, true));
    }

    fn field(&mut self, path: &str, nested: bool, data: &FieldData) {
        let only_null = data.from_null && !data.given;
        self.start(path, if only_null { KeyKind::Null } else { KeyKind::Given }, nested);
        (self.then)(&self.buffer);
        match &data.values {
            Values::Opaque => {}
            Values::Text(terms) => self.texts(path, nested, terms),
            Values::Long(longs) => {
                self.cells(path, KeyKind::Long, nested, longs.iter().map(|it| ordered_long(*it)));
            }
            Values::Double(doubles) => {
                self.cells(path, KeyKind::Double, nested, doubles.iter().map(|it| ordered_double(*it)));
            }
            Values::Geo(points) => {
                self.cells(path, KeyKind::Point, nested, points.iter().map(|it| ordered_point(*it)));
            }
        }
    }

    fn start(&mut self, path: &str, kind: KeyKind, nested: bool) {
        self.buffer.truncate(self.prefix);
        header(&mut self.buffer, path, kind, nested);
    }

    fn texts(&mut self, path: &str, nested: bool, terms: &Terms) {
        self.start(path, KeyKind::Text, nested);
        let header = self.buffer.len();
        for posting in terms.iter() {
            self.buffer.truncate(header);
            self.buffer.extend_from_slice(posting.term.as_bytes());
            (self.then)(&self.buffer);
        }
    }

    fn cells(&mut self, path: &str, kind: KeyKind, nested: bool, numbers: impl Iterator<Item = u64>) {
        self.start(path, kind, nested);
        let header = self.buffer.len();
        for number in numbers {
            for cell in Cell::around(number) {
                self.buffer.truncate(header);
                cell.write(&mut self.buffer);
                (self.then)(&self.buffer);
            }
        }
    }
}
