//! The index of a topic exchange: patterns of words with `*` for one word and `#` for any number, in a trie.
//!
//! A key is matched by keeping the set of nodes that its words so far can lead to, so the work is bounded by words
//! times live nodes, whatever patterns a client thinks of.

use std::collections::HashMap;

use smallvec::SmallVec;

/// Separates the words of keys and patterns. Words may be empty.
pub(crate) const SEPARATOR: char = '.';

const ROOT: u32 = 0;

/// Whether a pattern has a wildcard, that is a word that is `*` or `#` as a whole.
pub(crate) fn is_wildcard(pattern: &str) -> bool {
    words(pattern).any(|word| word == "*" || word == "#")
}

/// The words of a key; the empty key has none.
pub(crate) fn words(key: &str) -> impl Iterator<Item = &str> {
    let mut words = key.split(SEPARATOR);
    if key.is_empty() {
        words.next();
    }
    words
}

/// Whether one key matches one pattern: the definition, word for word.
#[cfg(test)]
pub(crate) fn matches(pattern: &str, key: &str) -> bool {
    fn follow(pattern: &[&str], key: &[&str]) -> bool {
        match (pattern.split_first(), key.split_first()) {
            (None, None) => true,
            (Some((&"#", rest)), None) => follow(rest, key),
            (Some((&"#", rest)), Some((_, tail))) => follow(rest, key) || follow(pattern, tail),
            (Some((&"*", rest)), Some((_, tail))) => follow(rest, tail),
            (Some((word, rest)), Some((head, tail))) => word == head && follow(rest, tail),
            _ => false,
        }
    }
    follow(&words(pattern).collect::<Vec<_>>(), &words(key).collect::<Vec<_>>())
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Trie<T> {
    nodes: Vec<Node<T>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Node<T> {
    children: HashMap<Box<str>, u32>,
    star: Option<u32>,
    hash: Option<u32>,
    is_hash: bool,
    values: Vec<T>,
}

impl<T> Node<T> {
    fn new(is_hash: bool) -> Self {
        Self { children: HashMap::new(), star: None, hash: None, is_hash, values: Vec::new() }
    }

    fn is_unused(&self) -> bool {
        self.values.is_empty() && self.children.is_empty() && self.star.is_none() && self.hash.is_none()
    }

    fn child(&self, word: &str) -> Option<u32> {
        match word {
            "*" => self.star,
            "#" => self.hash,
            _ => self.children.get(word).copied(),
        }
    }
}

impl<T> Default for Trie<T> {
    fn default() -> Self {
        Self { nodes: vec![Node::new(false)], free: Vec::new() }
    }
}

impl<T> Trie<T> {
    /// The values under exactly this pattern, which comes into being.
    pub(crate) fn entry(&mut self, pattern: &str) -> &mut Vec<T> {
        let mut at = ROOT;
        for word in words(pattern) {
            at = match self.nodes[at as usize].child(word) {
                Some(child) => child,
                None => {
                    let child = self.allocate(word == "#");
                    let node = &mut self.nodes[at as usize];
                    match word {
                        "*" => node.star = Some(child),
                        "#" => node.hash = Some(child),
                        _ => {
                            node.children.insert(word.into(), child);
                        }
                    }
                    child
                }
            };
        }
        &mut self.nodes[at as usize].values
    }

    /// Keeps of the values under exactly this pattern those that `keep` approves; nodes no longer needed go.
    pub(crate) fn retain(&mut self, pattern: &str, keep: impl FnMut(&T) -> bool) {
        let mut path: SmallVec<[(u32, &str); 16]> = SmallVec::new();
        let mut at = ROOT;
        for word in words(pattern) {
            path.push((at, word));
            match self.nodes[at as usize].child(word) {
                Some(child) => at = child,
                None => return,
            }
        }
        self.nodes[at as usize].values.retain(keep);
        while self.nodes[at as usize].is_unused() {
            let Some((parent, word)) = path.pop() else { break };
            let node = &mut self.nodes[parent as usize];
            match word {
                "*" => node.star = None,
                "#" => node.hash = None,
                _ => {
                    node.children.remove(word);
                }
            }
            self.nodes[at as usize] = Node::new(false);
            self.free.push(at);
            at = parent;
        }
    }

    /// Calls `found` with the values of each pattern that the key matches, each pattern once.
    pub(crate) fn matching<'a>(&'a self, key: &str, mut found: impl FnMut(&'a T)) {
        let mut now: SmallVec<[u32; 16]> = SmallVec::new();
        let mut next: SmallVec<[u32; 16]> = SmallVec::new();
        self.reach(ROOT, &mut now);
        for word in words(key) {
            next.clear();
            // Nodes of `#` stay where they are; they come first, so that reaching one again is seen.
            next.extend(now.iter().copied().filter(|at| self.nodes[*at as usize].is_hash));
            for at in &now {
                let node = &self.nodes[*at as usize];
                if let Some(child) = node.children.get(word) {
                    self.reach(*child, &mut next);
                }
                if let Some(child) = node.star {
                    self.reach(child, &mut next);
                }
            }
            // What `#` nodes that stayed lead to without a word.
            let stayed = next.len();
            for i in 0..stayed {
                if let Some(hash) = self.nodes[next[i] as usize].hash {
                    self.reach_hash(hash, &mut next);
                }
            }
            std::mem::swap(&mut now, &mut next);
            if now.is_empty() {
                return;
            }
        }
        for at in &now {
            self.nodes[*at as usize].values.iter().for_each(&mut found);
        }
    }

    /// Calls `found` with every value.
    pub(crate) fn for_each(&self, found: impl FnMut(&T)) {
        self.nodes.iter().flat_map(|node| &node.values).for_each(found);
    }

    fn reach(&self, at: u32, set: &mut SmallVec<[u32; 16]>) {
        set.push(at);
        if let Some(hash) = self.nodes[at as usize].hash {
            self.reach_hash(hash, set);
        }
    }

    fn reach_hash(&self, hash: u32, set: &mut SmallVec<[u32; 16]>) {
        let mut next = Some(hash);
        while let Some(hash) = next {
            if set.contains(&hash) {
                return;
            }
            set.push(hash);
            next = self.nodes[hash as usize].hash;
        }
    }

    fn allocate(&mut self, is_hash: bool) -> u32 {
        if let Some(free) = self.free.pop() {
            self.nodes[free as usize] = Node::new(is_hash);
            return free;
        }
        self.nodes.push(Node::new(is_hash));
        (self.nodes.len() - 1) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(trie: &Trie<String>, key: &str) -> Vec<String> {
        let mut found = Vec::new();
        trie.matching(key, |value| found.push(value.clone()));
        found.sort();
        found
    }

    #[test]
    fn the_measured_table_of_patterns() {
        const KEYS: [&str; 10] = ["", "a", "b", "a.b", "a.b.c", "a.c", "a.", ".a", "a..c", "."];
        let rows: [(&str, &[&str]); 11] = [
            ("a.*", &["a.b", "a.c", "a."]),
            ("a.#", &["a", "a.b", "a.b.c", "a.c", "a.", "a..c"]),
            ("#", &KEYS),
            ("*", &["a", "b"]),
            ("*.*", &["a.b", "a.c", "a.", ".a", "."]),
            ("#.b", &["b", "a.b"]),
            ("a.#.c", &["a.b.c", "a.c", "a..c"]),
            ("*.#", &["a", "b", "a.b", "a.b.c", "a.c", "a.", ".a", "a..c", "."]),
            ("", &[""]),
            ("a.*.#", &["a.b", "a.b.c", "a.c", "a.", "a..c"]),
            ("a.**", &[]),
        ];
        for (pattern, expected) in rows {
            let mut trie = Trie::default();
            trie.entry(pattern).push(pattern.to_owned());
            for key in KEYS {
                let expected = expected.contains(&key);
                assert_eq!(!found(&trie, key).is_empty(), expected, "trie: {pattern:?} with {key:?}");
                assert_eq!(matches(pattern, key), expected, "single: {pattern:?} with {key:?}");
            }
        }
        let mut trie = Trie::default();
        trie.entry("a.**").push("literal".to_owned());
        assert_eq!(found(&trie, "a.**"), ["literal"]);
    }

    #[test]
    fn many_hashes_are_matched_in_no_time() {
        let mut trie = Trie::default();
        let pattern = "#.a.".repeat(60) + "#";
        trie.entry(&pattern).push("x".to_owned());
        assert!(found(&trie, &"a.".repeat(120)).len() == 1);
        assert!(found(&trie, &"b.".repeat(120)).is_empty());
    }

    fn pattern() -> impl Strategy<Value = String> {
        proptest::collection::vec(prop_oneof!["a", "b", "", r"\*", "#", r"\*", "#"], 0..6)
            .prop_map(|words| words.join("."))
    }

    fn key() -> impl Strategy<Value = String> {
        proptest::collection::vec(prop_oneof!["a", "b", ""], 0..7).prop_map(|words| words.join("."))
    }

    proptest! {
        #[test]
        fn the_trie_agrees_with_the_definition(
            patterns in proptest::collection::vec(pattern(), 0..12),
            keys in proptest::collection::vec(key(), 1..8),
            removed in proptest::collection::vec(any::<bool>(), 12),
        ) {
            let mut trie = Trie::default();
            for (n, pattern) in patterns.iter().enumerate() {
                trie.entry(pattern).push(format!("{n}"));
            }
            let mut left = Vec::new();
            for (n, pattern) in patterns.iter().enumerate() {
                if removed[n] {
                    let name = format!("{n}");
                    trie.retain(pattern, |value| *value != name);
                } else {
                    left.push((n, pattern));
                }
            }
            for key in &keys {
                let mut expected: Vec<_> = left.iter()
                    .filter(|(_, pattern)| matches(pattern, key))
                    .map(|(n, _)| n.to_string())
                    .collect();
                expected.sort();
                prop_assert_eq!(found(&trie, key), expected, "key {:?}", key);
            }
            for (_, pattern) in left {
                trie.retain(pattern, |_| false);
            }
            prop_assert!(trie.nodes[0].is_unused() && trie.free.len() + 1 == trie.nodes.len());
        }
    }
}
