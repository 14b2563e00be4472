//! What a filter says of one document, without any index.

use crate::document::Document;

use super::expression::{Expression, Predicate, Test};

impl Expression {
    pub(super) fn matches(&self, document: &Document<'_>) -> bool {
        match self {
            Expression::Everything => true,
            Expression::And(all) => all.iter().all(|it| it.matches(document)),
            Expression::Or(any) => any.iter().any(|it| it.matches(document)),
            Expression::Not(inner) => !inner.matches(document),
            Expression::Test(test) => test.matches(document),
        }
    }
}

impl Test {
    fn matches(&self, document: &Document<'_>) -> bool {
        if let Predicate::Within(shape) = &self.predicate {
            return document.point(&self.field).is_some_and(|point| shape.contains(point));
        }
        let Some(datum) = document.field(&self.field) else { return false };
        match &self.predicate {
            Predicate::Terms(values) => values.iter().any(|value| datum.is(value)),
            Predicate::Range(bounds) => bounds.iter().all(|bound| bound.holds(datum)),
            Predicate::Exists => datum.exists(),
            Predicate::Regexp(pattern) => datum.text().is_some_and(|text| pattern.matches(text)),
            Predicate::Within(_) => false,
        }
    }
}
