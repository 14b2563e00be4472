use crate::error::Result;
use crate::limits::PATTERN_MAX_BYTES;
use crate::node::Node;

/// A shape of terms: `*` stands for any letters, `?` for one, and `\` takes the next letter as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wildcard {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Letter(char),
    One,
    Many,
}

impl Wildcard {
    pub(crate) fn parse(node: &Node<'_>, text: &str) -> Result<Self> {
        if text.len() > PATTERN_MAX_BYTES {
            return Err(node
                .over(format!("a pattern of {} bytes, at most {PATTERN_MAX_BYTES} are taken", text.len())));
        }
        Ok(Self::new(text))
    }

    pub(crate) fn new(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut chars = text.chars();
        while let Some(letter) = chars.next() {
            let part = match letter {
                '*' => Part::Many,
                '?' => Part::One,
                '\\' => Part::Letter(chars.next().unwrap_or('\\')),
                letter => Part::Letter(letter),
            };
            if part != Part::Many || parts.last() != Some(&Part::Many) {
                parts.push(part);
            }
        }
        Self { parts }
    }

    /// The letters that every term of this shape begins with.
    pub(crate) fn beginning(&self) -> String {
        let letters = self.parts.iter().map_while(|part| match part {
            Part::Letter(letter) => Some(*letter),
            Part::One | Part::Many => None,
        });
        letters.collect()
    }

    /// Whether a whole term has this shape. Takes at most as many steps as the product of the two lengths.
    pub fn matches(&self, term: &str) -> bool {
        let mut rest = term.chars();
        let mut at = 0;
        // Where to go on when what follows the last `*` does not fit.
        let mut back: Option<(usize, std::str::Chars<'_>)> = None;
        loop {
            let before = rest.clone();
            match (self.parts.get(at), rest.next()) {
                (Some(Part::Many), _) => {
                    at += 1;
                    rest = before;
                    back = Some((at, rest.clone()));
                    continue;
                }
                (None, None) => return true,
                (Some(Part::One), Some(_)) => {
                    at += 1;
                    continue;
                }
                (Some(Part::Letter(expected)), Some(found)) if *expected == found => {
                    at += 1;
                    continue;
                }
                _ => {}
            }
            if let Some((after, from)) = &mut back
                && from.next().is_some()
            {
                at = *after;
                rest = from.clone();
            } else {
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, term, expected) in [
            ("ki*y", "kimchy", true),
            ("ki*y", "kiy", true),
            ("ki*y", "kimchi", false),
            ("k?mchy", "kimchy", true),
            ("k?mchy", "kmchy", false),
            ("*", "", true),
            ("?", "é", true),
            ("*a*b", "xaxbxb", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(Wildcard::new(pattern).matches(term), expected, "{pattern} {term}");
        }
    }
}
