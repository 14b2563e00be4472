//! Listings: filtered by name, sorted, one page at a time.

use std::cmp::Ordering;

use kuzzle_model::{ApiError, Request, ResponseResult};
use serde_json::{Value, json};

use super::arguments::Arguments;
use crate::step::Step;

/// Items of a page, unless the request says otherwise.
const PAGE_SIZE: u64 = 100;
/// Most items of a page.
const PAGE_SIZE_MAX: u64 = 1_000;

/// Answers with one page of `items`, in their order unless the request names another.
///
/// Arguments: `name`, text that the name of an item must contain, whatever its case; `sort`, a field of the items, such as
/// `ready` or `published.perSecond`; `reverse`; `page` from 1 on; `pageSize`, 100 by default and 1,000 at most.
pub(super) fn page<T>(
    request: Request,
    items: Vec<T>,
    name: impl Fn(&T) -> String,
    show: impl Fn(&T) -> Value,
) -> Step {
    match make(&request, items, name, show) {
        Ok(result) => Step::success(request, ResponseResult::Value(result)),
        Err(error) => Step::failure(request, error),
    }
}

fn make<T>(
    request: &Request,
    mut items: Vec<T>,
    name: impl Fn(&T) -> String,
    show: impl Fn(&T) -> Value,
) -> Result<Value, ApiError> {
    let arguments = Arguments::of(request);
    let wanted = arguments.text_or_empty("name")?.to_lowercase();
    let sort = arguments.text_or_empty("sort")?;
    let reverse = arguments.flag("reverse", false)?;
    let page = arguments.number("page", 1, u64::from(u32::MAX), 1)?;
    let size = arguments.number("pageSize", 1, PAGE_SIZE_MAX, PAGE_SIZE)?;
    let total = items.len();
    if !wanted.is_empty() {
        items.retain(|item| name(item).to_lowercase().contains(&wanted));
    }
    if !sort.is_empty() {
        items = sorted(items, &sort, &show)?;
    }
    if reverse {
        items.reverse();
    }
    let matched = items.len() as u64;
    let skipped = usize::try_from((page - 1).saturating_mul(size)).unwrap_or(usize::MAX);
    let shown: Vec<Value> =
        items.iter().skip(skipped).take(usize::try_from(size).unwrap_or(usize::MAX)).map(show).collect();
    Ok(json!({
        "items": shown,
        "matched": matched,
        "page": page,
        "pageSize": size,
        "pages": matched.div_ceil(size).max(1),
        "total": total,
    }))
}

/// Sorts by a field; what has none of it comes last. Items that are equal in it keep their order.
fn sorted<T>(items: Vec<T>, sort: &str, show: impl Fn(&T) -> Value) -> Result<Vec<T>, ApiError> {
    let Some(first) = items.first() else { return Ok(items) };
    let pointer = format!("/{}", sort.replace('.', "/"));
    let example = show(first);
    if example.pointer(&pointer).is_none_or(|value| value.is_object() || value.is_array()) {
        let fields: Vec<String> = example.as_object().into_iter().flatten().flat_map(fields_of).collect();
        return Err(ApiError::argument_invalid(
            "sort",
            format!("`{sort}`"),
            format!("one of {}", fields.join(", ")),
        ));
    }
    let mut keyed: Vec<(Value, T)> = items
        .into_iter()
        .map(|item| (show(&item).pointer_mut(&pointer).map(Value::take).unwrap_or_default(), item))
        .collect();
    keyed.sort_by(|(one, _), (other, _)| compare(one, other));
    Ok(keyed.into_iter().map(|(_, item)| item).collect())
}

/// Fields that can be sorted by: a plain one itself, of a rate its numbers.
fn fields_of((name, value): (&String, &Value)) -> Vec<String> {
    match value {
        Value::Object(inner) if inner.contains_key("perSecond") => {
            inner.keys().map(|key| format!("`{name}.{key}`")).collect()
        }
        Value::Object(_) | Value::Array(_) => Vec::new(),
        _ => vec![format!("`{name}`")],
    }
}

fn compare(one: &Value, other: &Value) -> Ordering {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one.as_f64().unwrap_or_default().total_cmp(&other.as_f64().unwrap_or_default())
        }
        (Value::String(one), Value::String(other)) => one.cmp(other),
        (Value::Bool(one), Value::Bool(other)) => one.cmp(other),
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Greater,
        (_, Value::Null) => Ordering::Less,
        _ => Ordering::Equal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(body: Value) -> Result<Value, String> {
        let request = Request { body, ..Request::default() };
        let items: Vec<(&str, Option<u64>)> =
            vec![("Alpha", Some(3)), ("beta", None), ("alphabet", Some(10)), ("gamma", Some(1))];
        let show = |item: &(&str, Option<u64>)| json!({"name": item.0, "ready": item.1, "rate": {"perSecond": 0.5, "total": 1}, "list": []});
        make(&request, items, |item| item.0.to_owned(), show).map_err(|error| error.message)
    }

    fn names(page: &Value) -> Vec<&str> {
        page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
    }

    #[test]
    fn pages_are_filtered_sorted_and_cut() {
        let all = ask(json!({})).unwrap();
        assert_eq!(names(&all), ["Alpha", "beta", "alphabet", "gamma"]);
        assert_eq!((&all["total"], &all["pages"], &all["pageSize"]), (&json!(4), &json!(1), &json!(100)));
        let found = ask(json!({"name": "ALPHA", "sort": "ready", "reverse": "true"})).unwrap();
        assert_eq!(names(&found), ["alphabet", "Alpha"]);
        assert_eq!((&found["total"], &found["matched"]), (&json!(4), &json!(2)));
        let last = ask(json!({"sort": "ready", "page": "2", "pageSize": 3})).unwrap();
        assert_eq!(names(&last), ["beta"], "what has no number comes last");
        assert_eq!(last["pages"], 2);
        assert!(names(&ask(json!({"page": 9})).unwrap()).is_empty());
    }

    #[test]
    fn what_cannot_be_sorted_by_is_named() {
        assert_eq!(
            ask(json!({"sort": "size"})).unwrap_err(),
            "the argument `sort` is `size`, expected one of `name`, `rate.perSecond`, `rate.total`, `ready`"
        );
        assert!(ask(json!({"sort": "list"})).is_err());
        assert!(ask(json!({"pageSize": 1001})).unwrap_err().contains("from 1 to 1000"));
        assert!(ask(json!({"page": 0})).is_err());
    }
}
