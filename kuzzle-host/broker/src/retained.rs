//! Retained messages of a topic exchange: the last one published so for each routing key.

use std::collections::{BTreeMap, HashMap};

use bytestring::ByteString;

use crate::queue::Slot;
use crate::topic;

/// One retained message.
#[derive(Debug, Clone)]
pub(crate) struct Retained {
    pub(crate) slot: Slot,
    pub(crate) size: u32,
    pub(crate) priority: u8,
    /// Milliseconds since 1970.
    pub(crate) expires_at: u64,
    pub(crate) durable: bool,
    pub(crate) persistent: bool,
}

/// See the module. Keys are kept in a tree of words, so that a pattern finds its own without looking at the others.
#[derive(Debug, Default)]
pub(crate) struct RetainedMessages {
    by_key: HashMap<ByteString, Retained>,
    root: Words,
}

#[derive(Debug, Default)]
struct Words {
    children: BTreeMap<Box<str>, Words>,
    key: Option<ByteString>,
}

impl RetainedMessages {
    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Retained> {
        self.by_key.get(key)
    }

    /// Keeps a message in the place of the one before, which is returned.
    pub(crate) fn put(&mut self, key: ByteString, retained: Retained) -> Option<Retained> {
        let old = self.by_key.insert(key.clone(), retained);
        if old.is_none() {
            let mut at = &mut self.root;
            for word in topic::words(&key) {
                at = at.children.entry(word.into()).or_default();
            }
            at.key = Some(key);
        }
        old
    }

    pub(crate) fn remove(&mut self, key: &str) -> Option<Retained> {
        let old = self.by_key.remove(key)?;
        let words: Vec<&str> = topic::words(key).collect();
        remove(&mut self.root, &words);
        Some(old)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&ByteString, &Retained)> {
        self.by_key.iter()
    }

    /// The messages whose keys match a pattern, in the order of their words.
    pub(crate) fn matching(&self, pattern: &str) -> Vec<(&ByteString, &Retained)> {
        if !topic::is_wildcard(pattern) {
            return self.by_key.get_key_value(pattern).into_iter().collect();
        }
        let pattern: Vec<&str> = topic::words(pattern).collect();
        let mut found = Vec::new();
        // reached[i]: the words so far can be the first i words of the pattern.
        let mut reached = vec![false; pattern.len() + 1];
        reached[0] = true;
        pass_hashes(&pattern, &mut reached);
        self.search(&self.root, &pattern, &reached, &mut found);
        found
    }

    fn search<'a>(
        &'a self,
        at: &Words,
        pattern: &[&str],
        reached: &[bool],
        found: &mut Vec<(&'a ByteString, &'a Retained)>,
    ) {
        if reached[pattern.len()]
            && let Some(key) = &at.key
            && let Some(entry) = self.by_key.get_key_value(key)
        {
            found.push(entry);
        }
        // Where only one literal can lead on there is no need to look at all children. Behind a `#` any word can.
        let behind_hash = |i: usize| i > 0 && pattern[i - 1] == "#";
        let mut live = (0..=pattern.len()).filter(|i| reached[*i] && (*i < pattern.len() || behind_hash(*i)));
        let only = match (live.next(), live.next()) {
            (None, _) => return,
            (Some(i), None) if !behind_hash(i) && pattern[i] != "*" && pattern[i] != "#" => Some(pattern[i]),
            _ => None,
        };
        let mut descend = |word: &str, child: &Words| {
            let mut next = vec![false; pattern.len() + 1];
            for i in 1..=pattern.len() {
                next[i] = match pattern[i - 1] {
                    "#" => reached[i] || reached[i - 1],
                    "*" => reached[i - 1],
                    literal => reached[i - 1] && literal == word,
                };
            }
            pass_hashes(pattern, &mut next);
            if next.contains(&true) {
                self.search(child, pattern, &next, found);
            }
        };
        match only {
            Some(word) => {
                if let Some(child) = at.children.get(word) {
                    descend(word, child);
                }
            }
            None => at.children.iter().for_each(|(word, child)| descend(word, child)),
        }
    }
}

fn pass_hashes(pattern: &[&str], reached: &mut [bool]) {
    for i in 1..=pattern.len() {
        if pattern[i - 1] == "#" && reached[i - 1] {
            reached[i] = true;
        }
    }
}

fn remove(at: &mut Words, words: &[&str]) {
    match words.split_first() {
        None => at.key = None,
        Some((word, rest)) => {
            if let Some(child) = at.children.get_mut(*word) {
                remove(child, rest);
                if child.key.is_none() && child.children.is_empty() {
                    at.children.remove(*word);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::store::Stored;

    fn retained(n: u64) -> Retained {
        Retained {
            slot: Slot::Paged(Arc::new(Stored::new(n, 0, 0))),
            size: 0,
            priority: 0,
            expires_at: u64::MAX,
            durable: false,
            persistent: false,
        }
    }

    fn key() -> impl Strategy<Value = String> {
        proptest::collection::vec(prop_oneof!["a", "b", ""], 0..6).prop_map(|words| words.join("."))
    }

    fn pattern() -> impl Strategy<Value = String> {
        proptest::collection::vec(prop_oneof!["a", "b", "", r"\*", "#"], 0..6)
            .prop_map(|words| words.join("."))
    }

    proptest! {
        #[test]
        fn a_pattern_finds_what_matches_it(
            keys in proptest::collection::vec(key(), 0..20),
            gone in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
            patterns in proptest::collection::vec(pattern(), 1..8),
        ) {
            let mut messages = RetainedMessages::default();
            for (n, key) in keys.iter().enumerate() {
                messages.put(key.as_str().into(), retained(n as u64));
            }
            let mut left: std::collections::BTreeSet<String> = keys.iter().cloned().collect();
            for index in gone {
                if !keys.is_empty() {
                    let key = &keys[index.index(keys.len())];
                    prop_assert_eq!(messages.remove(key).is_some(), left.remove(key));
                }
            }
            for pattern in &patterns {
                let mut found: Vec<String> =
                    messages.matching(pattern).into_iter().map(|(key, _)| key.to_string()).collect();
                found.sort();
                let expected: Vec<String> =
                    left.iter().filter(|key| topic::matches(pattern, key)).cloned().collect();
                prop_assert_eq!(found, expected, "pattern {:?}", pattern);
            }
        }
    }
}
