use std::collections::BTreeMap;

use super::{Field, Kind, Mapping, Object, Property};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::DEPTH_MAX;

impl Mapping {
    /// The mapping after an update: fields are added, and what may change changes. The order of updates does not
    /// matter for fields; nothing is ever removed.
    ///
    /// # Errors
    /// A field that would change its type, its analysis or its format is refused with every conflict, in the words of
    /// Elasticsearch: `MergeMappingException[Merge failed with failures {[mapper [a] of different type, current_type
    /// [string], merged_type [long]]}]`. Nothing is changed then.
    pub fn merge(&self, update: &Mapping) -> Result<Mapping> {
        let mut merged = self.clone();
        let mut conflicts = Vec::new();
        merge_objects(&mut merged.root, &update.root, &mut conflicts);
        if self.all != update.all && !update.all && !self.root.properties.is_empty() {
            conflicts.push("mapper [_all] enabled is true now encountering false".to_owned());
        } else {
            merged.all &= update.all;
        }
        if !conflicts.is_empty() {
            let message =
                format!("MergeMappingException[Merge failed with failures {{[{}]}}]", conflicts.join(", "));
            return Err(Error::bare(ErrorKind::Mapping, message));
        }
        merged.date_detection &= update.date_detection;
        merged.numeric_detection |= update.numeric_detection;
        if update.dynamic_date_formats.is_some() {
            merged.dynamic_date_formats.clone_from(&update.dynamic_date_formats);
        }
        if update.meta.is_some() {
            merged.meta.clone_from(&update.meta);
        }
        merged.check_size()?;
        Ok(merged)
    }
}

pub(super) fn merge_objects(current: &mut Object, update: &Object, conflicts: &mut Vec<String>) {
    let path = &update.path;
    if path.split('.').count() > DEPTH_MAX {
        conflicts.push(format!("object mapping [{path}] nests deeper than {DEPTH_MAX}"));
        return;
    }
    match (&current.nested, &update.nested) {
        (Some(_), None) if !update.properties.is_empty() || update.dynamic.is_some() => {
            conflicts.push(format!("object mapping [{path}] can't be changed from nested to non-nested"));
        }
        (None, Some(_)) => {
            conflicts.push(format!("object mapping [{path}] can't be changed from non-nested to nested"));
        }
        _ => {}
    }
    if update.dynamic.is_some() {
        current.dynamic = update.dynamic;
    }
    if update.include_in_all.is_some() {
        current.include_in_all = update.include_in_all;
    }
    current.enabled &= update.enabled;
    for (name, property) in &update.properties {
        match (current.properties.get_mut(name), property) {
            (None, _) => {
                current.properties.insert(name.clone(), property.clone());
            }
            (Some(Property::Object(ours)), Property::Object(theirs)) => {
                merge_objects(ours, theirs, conflicts)
            }
            (Some(Property::Field(ours)), Property::Field(theirs)) => merge_fields(ours, theirs, conflicts),
            (Some(Property::Object(ours)), Property::Field(_)) => conflicts.push(format!(
                "Can't merge a non object mapping [{0}] with an object mapping [{0}]",
                ours.path
            )),
            (Some(Property::Field(ours)), Property::Object(_)) => {
                conflicts.push(format!(
                    "Can't merge an object mapping [{0}] with a non object mapping [{0}]",
                    ours.path
                ));
            }
        }
    }
}

fn merge_fields(current: &mut Field, update: &Field, conflicts: &mut Vec<String>) {
    let path = &current.path;
    if current.kind.name() != update.kind.name() {
        conflicts.push(format!(
            "mapper [{path}] of different type, current_type [{}], merged_type [{}]",
            current.kind.name(),
            update.kind.name()
        ));
        return;
    }
    let before = conflicts.len();
    let mut differs = |what: &str| conflicts.push(format!("mapper [{path}] has different [{what}] values"));
    if current.indexed != update.indexed {
        differs("index");
    }
    match (&mut current.kind, &update.kind) {
        (Kind::Text(ours), Kind::Text(theirs)) => {
            if ours.analyzer.is_some() != theirs.analyzer.is_some() && current.indexed == update.indexed {
                differs("index");
            } else if ours.analyzer != theirs.analyzer {
                conflicts.push(format!("mapper [{path}] has different [analyzer]"));
            } else {
                // Norms may be switched off, never on again.
                ours.norms &= theirs.norms;
                ours.search_analyzer = theirs.search_analyzer.or(ours.search_analyzer);
                ours.ignore_above = theirs.ignore_above.or(ours.ignore_above);
            }
        }
        (Kind::Date(ours), Kind::Date(theirs)) if ours.name() != theirs.name() => differs("format"),
        _ => {}
    }
    if conflicts.len() > before {
        return;
    }
    if !update.copy_to.is_empty() {
        current.copy_to.clone_from(&update.copy_to);
    }
    if update.null_value.is_some() {
        current.null_value.clone_from(&update.null_value);
    }
    if update.include_in_all.is_some() {
        current.include_in_all = update.include_in_all;
    }
    current.boost = update.boost;
    current.ignore_malformed = update.ignore_malformed;
    current.coerce = update.coerce;
    current.options.extend(update.options.clone());
    merge_multi_fields(&mut current.fields, &update.fields, conflicts);
}

fn merge_multi_fields(
    current: &mut BTreeMap<String, Field>,
    update: &BTreeMap<String, Field>,
    conflicts: &mut Vec<String>,
) {
    for (name, field) in update {
        match current.get_mut(name) {
            Some(ours) => merge_fields(ours, field, conflicts),
            None => {
                current.insert(name.clone(), field.clone());
            }
        }
    }
}
