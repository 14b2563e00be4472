//! The latest warnings and errors, kept in memory.

use std::collections::VecDeque;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use kuzzle_api::Problem;
use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Most problems that are kept; the oldest go.
const KEPT_MAX: usize = 200;
/// Longest text of a message or a field, in bytes.
const TEXT_MAX: usize = 1024;
/// Most fields of a problem.
const FIELDS_MAX: usize = 16;

static RECENT: Mutex<VecDeque<Problem>> = Mutex::new(VecDeque::new());

/// Keeps what it is told of.
pub(super) struct Keep;

/// The newest first.
pub(super) fn problems() -> Vec<Problem> {
    RECENT.lock().iter().rev().cloned().collect()
}

impl<S: Subscriber> Layer<S> for Keep {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let metadata = event.metadata();
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let mut problem = Problem {
            is_error: *metadata.level() == Level::ERROR,
            at_ms: now.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
            count: 1,
            target: metadata.target().to_owned(),
            ..Problem::default()
        };
        event.record(&mut Reader(&mut problem));
        keep(&mut RECENT.lock(), problem);
    }
}

/// Adds a problem; one that is as the last was is counted.
fn keep(recent: &mut VecDeque<Problem>, problem: Problem) {
    if let Some(last) = recent.back_mut()
        && (last.is_error, &last.target, &last.message, &last.fields)
            == (problem.is_error, &problem.target, &problem.message, &problem.fields)
    {
        last.count += 1;
        last.at_ms = problem.at_ms;
        return;
    }
    if recent.len() >= KEPT_MAX {
        recent.pop_front();
    }
    recent.push_back(problem);
}

struct Reader<'a>(&'a mut Problem);

impl Reader<'_> {
    fn put(&mut self, field: &Field, mut text: String) {
        if text.len() > TEXT_MAX {
            text.truncate(text.floor_char_boundary(TEXT_MAX));
            text.push('…');
        }
        match field.name() {
            "message" => self.0.message = text,
            name if self.0.fields.len() < FIELDS_MAX => self.0.fields.push((name.to_owned(), text)),
            _ => {}
        }
    }
}

impl Visit for Reader<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt as _;

    #[test]
    fn problems_are_counted_and_the_oldest_go() {
        let mut recent = VecDeque::new();
        let problem = |message: String, at_ms| Problem { message, at_ms, count: 1, ..Problem::default() };
        keep(&mut recent, problem("a".into(), 1));
        keep(&mut recent, problem("a".into(), 2));
        assert_eq!((recent.len(), recent[0].count, recent[0].at_ms), (1, 2, 2));
        for number in 0..KEPT_MAX {
            keep(&mut recent, problem(number.to_string(), 3));
        }
        assert_eq!((recent.len(), recent[0].message.as_str()), (KEPT_MAX, "0"));
    }

    #[test]
    fn an_event_is_read_with_its_fields_and_cut() {
        let subscriber = tracing_subscriber::registry().with(Keep);
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(target: "a place", name = "Ada", number = 7, long = "é".repeat(2000), "it is late");
        });
        let found = problems().into_iter().find(|it| it.target == "a place").unwrap();
        assert_eq!((found.is_error, found.message.as_str()), (false, "it is late"));
        assert_eq!(found.fields[0], ("name".to_owned(), "Ada".to_owned()));
        assert_eq!(found.fields[1], ("number".to_owned(), "7".to_owned()));
        assert_eq!(found.fields[2].1.len(), TEXT_MAX + '…'.len_utf8());
    }
}
