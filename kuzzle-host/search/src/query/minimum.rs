use serde_json::Value;

use crate::error::Result;
use crate::limits::FUZZY_EDITS_MAX;
use crate::node::Node;

/// A `minimum_should_match`: a number, a share, or either of them depending on how many clauses there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Minimum {
    /// The least number of clauses for which a rule holds, descending.
    rules: Vec<(usize, Amount)>,
    default: Option<Amount>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Amount {
    Count(i64),
    Percent(i64),
}

impl Minimum {
    /// That many.
    pub fn count(count: usize) -> Self {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        Self { rules: Vec::new(), default: Some(Amount::Count(count)) }
    }

    /// All of them.
    pub fn all() -> Self {
        Self { rules: Vec::new(), default: Some(Amount::Percent(100)) }
    }

    /// `2`, `-1`, `"75%"`, `"-25%"`, `"2<75%"` or `"2<-25% 9<-3"`.
    pub(crate) fn parse(node: &Node<'_>) -> Result<Self> {
        let text = match node.value {
            Value::Number(_) => node.i64()?.to_string(),
            _ => node.str()?.trim().to_owned(),
        };
        Self::read(&text).ok_or_else(|| {
            node.expected(
                "a number such as `2` or `-1`, a share such as `75%`, or conditions such as `2<-25% 9<-3`",
            )
        })
    }

    fn read(text: &str) -> Option<Self> {
        if !text.contains('<') {
            return Some(Self { rules: Vec::new(), default: Some(amount(text)?) });
        }
        let mut rules = Vec::new();
        for rule in text.split_whitespace() {
            let (more_than, value) = rule.split_once('<')?;
            rules.push((more_than.trim().parse::<usize>().ok()?.checked_add(1)?, amount(value)?));
        }
        rules.sort_by_key(|rule| std::cmp::Reverse(rule.0));
        (rules.len() <= 32).then_some(Self { rules, default: None })
    }

    /// How many of `total` clauses have to match.
    pub fn of(&self, total: usize) -> usize {
        let rule = self.rules.iter().find(|(least, _)| total >= *least).map(|(_, amount)| *amount);
        let whole = i64::try_from(total).unwrap_or(i64::MAX);
        let count = match rule.or(self.default) {
            None => whole,
            Some(Amount::Count(count)) if count < 0 => whole.saturating_add(count),
            Some(Amount::Count(count)) => count,
            Some(Amount::Percent(percent)) if percent < 0 => whole + whole.saturating_mul(percent) / 100,
            Some(Amount::Percent(percent)) => whole.saturating_mul(percent) / 100,
        };
        usize::try_from(count.max(0)).unwrap_or(usize::MAX)
    }
}

fn amount(text: &str) -> Option<Amount> {
    match text.strip_suffix('%') {
        Some(percent) => percent.parse().ok().filter(|it: &i64| it.abs() <= 100).map(Amount::Percent),
        None => text.parse().ok().map(Amount::Count),
    }
}

/// How many letters may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fuzziness {
    /// None of up to two letters, one of up to five, two of more.
    Auto,
    /// So many: 0, 1 or 2.
    Edits(u32),
}

impl Fuzziness {
    pub(crate) fn parse(node: &Node<'_>) -> Result<Self> {
        if node.value.as_str().is_some_and(|it| it.eq_ignore_ascii_case("auto")) {
            return Ok(Fuzziness::Auto);
        }
        let edits =
            node.f64().ok().filter(|it| it.fract() == 0.0 && (0.0..=f64::from(FUZZY_EDITS_MAX)).contains(it));
        edits.map(|it| Fuzziness::Edits(it as u32)).ok_or_else(|| node.expected("`AUTO`, 0, 1 or 2"))
    }

    /// The edits that a term of this length may have.
    pub fn edits(self, chars: usize) -> u32 {
        match self {
            Fuzziness::Edits(edits) => edits,
            Fuzziness::Auto if chars <= 2 => 0,
            Fuzziness::Auto if chars <= 5 => 1,
            Fuzziness::Auto => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_examples() {
        for (text, total, expected) in [
            ("3", 5, 3),
            ("-2", 5, 3),
            ("75%", 4, 3),
            ("75%", 5, 3),
            ("-25%", 4, 3),
            ("-25%", 5, 4),
            ("3<90%", 3, 3),
            ("3<90%", 10, 9),
            ("2<-25% 9<-3", 2, 2),
            ("2<-25% 9<-3", 8, 6),
            ("2<-25% 9<-3", 10, 7),
            ("-9", 5, 0),
        ] {
            assert_eq!(Minimum::read(text).unwrap().of(total), expected, "{text} of {total}");
        }
        for text in ["", "x", "1<", "101%", "2<x"] {
            assert_eq!(Minimum::read(text), None, "{text}");
        }
    }
}
