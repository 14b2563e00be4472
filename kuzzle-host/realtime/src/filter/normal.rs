//! The one form of filters that say the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::value::Scalar;

use super::expression::{Expression, Predicate, Test};
use super::parse::ID;
use super::range;

/// A filter without `not` but at its leaves. Operands are in order, none is there twice, none is of its parent's kind, and
/// conditions of one kind on one field are one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Normal {
    /// Matches everything, or nothing.
    Always(bool),
    Literal(Literal),
    And(Vec<Normal>),
    Or(Vec<Normal>),
}

/// A condition on one field, or its opposite.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Literal {
    pub(crate) test: Test,
    pub(crate) negated: bool,
}

/// How operands are joined.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Joint {
    And,
    Or,
}

impl Joint {
    /// What its operands may be left out of.
    fn neutral(self) -> bool {
        self == Joint::And
    }

    fn opposite(self) -> Joint {
        match self {
            Joint::And => Joint::Or,
            Joint::Or => Joint::And,
        }
    }
}

impl Normal {
    /// The normal form of an expression, or of its opposite.
    pub(super) fn of(expression: &Expression, negated: bool) -> Normal {
        match expression {
            Expression::Everything => Normal::Always(!negated),
            Expression::Not(inner) => Normal::of(inner, !negated),
            Expression::And(parts) => join(if negated { Joint::Or } else { Joint::And }, parts, negated),
            Expression::Or(parts) => join(if negated { Joint::And } else { Joint::Or }, parts, negated),
            Expression::Test(test) => match canonical(test) {
                Some(test) => Normal::Literal(Literal { test, negated }),
                None => Normal::Always(negated),
            },
        }
    }
}

/// One form of a condition; `None` when nothing can meet it.
fn canonical(test: &Test) -> Option<Test> {
    let predicate = match &test.predicate {
        Predicate::Terms(values) => {
            let mut values = values.to_vec();
            if test.field.as_ref() == ID {
                values.retain(|value| matches!(value, Scalar::Text(_)));
            }
            terms(values)?
        }
        Predicate::Range(bounds) => Predicate::Range(range::canonical(bounds.iter().cloned())?),
        other => other.clone(),
    };
    Some(Test { field: Arc::clone(&test.field), predicate })
}

fn terms(mut values: Vec<Scalar>) -> Option<Predicate> {
    values.sort();
    values.dedup();
    (!values.is_empty()).then(|| Predicate::Terms(values.into()))
}

fn join(joint: Joint, parts: &[Expression], negated: bool) -> Normal {
    let mut joined = Joined { joint, literals: BTreeMap::new(), others: BTreeMap::new() };
    let settled = parts.iter().any(|part| !joined.add(Normal::of(part, negated)));
    if settled { Normal::Always(!joint.neutral()) } else { joined.finish() }
}

/// What a condition is merged by: conditions of one kind on one field become one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Terms,
    Range,
    /// The JSON of what is merged with nothing but its like.
    Other(String),
}

struct Joined {
    joint: Joint,
    literals: BTreeMap<(Arc<str>, Kind, bool), Predicate>,
    /// Operands of the other kind, by their JSON.
    others: BTreeMap<String, Normal>,
}

impl Joined {
    /// Adds an operand; false when the whole is settled by it.
    fn add(&mut self, part: Normal) -> bool {
        match (part, self.joint) {
            (Normal::Always(value), joint) => value == joint.neutral(),
            (Normal::And(parts), Joint::And) | (Normal::Or(parts), Joint::Or) => {
                parts.into_iter().all(|part| self.add(part))
            }
            (Normal::Literal(literal), _) => self.add_literal(literal),
            (other, _) => {
                self.others.insert(other.to_json().to_string(), other);
                true
            }
        }
    }

    fn add_literal(&mut self, literal: Literal) -> bool {
        // What joins the opposites of conditions joins the conditions the other way.
        let joint = if literal.negated { self.joint.opposite() } else { self.joint };
        let kind = match &literal.test.predicate {
            Predicate::Terms(_) => Kind::Terms,
            // Either of two ranges is no range.
            Predicate::Range(_) if joint == Joint::And => Kind::Range,
            _ => Kind::Other(literal.test.to_json().to_string()),
        };
        let Literal { test: Test { field, predicate }, negated } = literal;
        let key = (field, kind, negated);
        let merged = match (self.literals.get(&key), &predicate) {
            (Some(Predicate::Range(a)), Predicate::Range(b)) if joint == Joint::And => {
                range::canonical(a.iter().chain(b.iter()).cloned()).map(Predicate::Range)
            }
            (Some(Predicate::Terms(a)), Predicate::Terms(b)) => match joint {
                Joint::And => {
                    terms(a.iter().filter(|value| b.binary_search(value).is_ok()).cloned().collect())
                }
                Joint::Or => terms(a.iter().chain(b.iter()).cloned().collect()),
            },
            _ => Some(predicate),
        };
        match merged {
            Some(merged) => {
                self.literals.insert(key, merged);
                true
            }
            // Nothing meets all of it.
            None => negated == self.joint.neutral(),
        }
    }

    fn finish(mut self) -> Normal {
        let mut tests = BTreeMap::new();
        for ((field, _, negated), predicate) in self.literals {
            let test = Test { field, predicate };
            if tests.insert(test.to_json().to_string(), negated).is_some_and(|other| other != negated) {
                return Normal::Always(!self.joint.neutral());
            }
            let literal = Normal::Literal(Literal { test, negated });
            self.others.insert(literal.to_json().to_string(), literal);
        }
        let mut parts: Vec<Normal> = self.others.into_values().collect();
        match (parts.len(), self.joint) {
            (0, joint) => Normal::Always(joint.neutral()),
            (1, _) => parts.remove(0),
            (_, Joint::And) => Normal::And(parts),
            (_, Joint::Or) => Normal::Or(parts),
        }
    }
}
