//! The fields that filters of one collection look at, and how they are found in a document.

use serde_json::{Map, Value};
use smallvec::SmallVec;

use crate::document::Document;
use crate::filter::ID;
use crate::value::Datum;

use super::condition::{FieldId, Found};
use super::table::{Key, Table, hash_one};

/// A tree of the names that paths consist of. A document is walked along it once, whatever the number of filters.
#[derive(Debug, Default)]
pub(super) struct Fields {
    root: Names,
    id: Option<FieldId>,
    used: Table<FieldId, Used>,
    /// Numbers that are used again.
    free: Vec<FieldId>,
}

#[derive(Debug)]
struct Used {
    /// Conditions that look at it.
    times: u32,
    path: Box<str>,
}

#[derive(Debug, Default)]
struct Names {
    field: Option<FieldId>,
    children: Table<Box<str>, Names>,
}

impl Fields {
    /// The number of a field, which one more condition looks at.
    pub(super) fn acquire(&mut self, path: &str) -> FieldId {
        let slot = if path == ID { &mut self.id } else { &mut self.root.at(path).field };
        if let Some(field) = *slot {
            if let Some(used) = self.used.get_mut(&field) {
                used.times += 1;
            }
            return field;
        }
        // Limits on subscriptions and clauses keep it far below what a number holds.
        let field = self.free.pop().unwrap_or(self.used.len() as FieldId);
        *slot = Some(field);
        self.used.insert(field, Used { times: 1, path: path.into() });
        field
    }

    /// One condition less looks at a field.
    pub(super) fn release(&mut self, field: FieldId) {
        let Some(used) = self.used.get_mut(&field) else { return };
        used.times -= 1;
        if used.times > 0 {
            return;
        }
        let Some(used) = self.used.remove(field.hash(), |it| *it == field) else { return };
        if used.path.as_ref() == ID {
            self.id = None;
        } else {
            self.root.forget(used.path.split('.'));
        }
        self.free.push(field);
    }

    /// Finds the fields of a document.
    pub(super) fn find<'a>(&self, document: &Document<'a>) -> Found<'a> {
        let mut found = Found::default();
        if let (Some(field), Some(id)) = (self.id, document.id) {
            found.push(field, Datum::Text(id));
        }
        if let Value::Object(map) = document.source {
            walk(&self.root, map, &mut found, false);
        }
        found.finish();
        found
    }
}

impl Names {
    fn at(&mut self, path: &str) -> &mut Names {
        path.split('.')
            .fold(self, |names, name| names.children.get_or_insert_with(name.into(), Names::default))
    }

    fn child(&self, name: &str) -> Option<&Names> {
        self.children.find(hash_one(name.as_bytes()), |it| it.as_ref() == name)
    }

    /// Takes a path out, with the names that nothing else needs.
    fn forget<'a>(&mut self, mut path: impl Iterator<Item = &'a str>) {
        let Some(name) = path.next() else {
            self.field = None;
            return;
        };
        let hash = hash_one(name.as_bytes());
        let Some(child) = self.children.find_mut(hash, |it| it.as_ref() == name) else { return };
        child.forget(path);
        if child.field.is_none() && child.children.is_empty() {
            self.children.remove(hash, |it| it.as_ref() == name);
        }
    }
}

/// Finds what is below `names` in an object. Plain names come first and longer dotted ones last, since the field whose
/// first name is the longest counts; `again` says that a field may have been found before.
fn walk<'a>(names: &Names, map: &'a Map<String, Value>, found: &mut Found<'a>, again: bool) {
    if names.children.is_empty() {
        return;
    }
    let mut dotted: SmallVec<[(&str, &Value); 4]> = SmallVec::new();
    for (key, value) in map {
        if memchr::memchr(b'.', key.as_bytes()).is_some() {
            dotted.push((key, value));
        } else if let Some(child) = names.child(key) {
            take(child, value, found, again);
        }
    }
    dotted.sort_unstable_by_key(|(key, _)| key.len());
    for (key, value) in dotted {
        let child = key.split('.').try_fold(names, |names, name| names.child(name));
        if let Some(child) = child {
            take(child, value, found, true);
        }
    }
}

fn take<'a>(names: &Names, value: &'a Value, found: &mut Found<'a>, again: bool) {
    if let Some(field) = names.field {
        if again {
            found.replace(field, Datum::of(value));
        } else {
            found.push(field, Datum::of(value));
        }
    }
    if let Value::Object(map) = value {
        walk(names, map, found, again);
    }
}
