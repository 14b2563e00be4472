//! Policies of the definitions: which one a queue or an exchange gets, and what of it means something here.

use kuzzle_broker::{POLICY, POLICY_DEFINITION, POLICY_KEYS};
use regex::Regex;
use serde_json::{Map, Value, json};

use super::Note;
use super::read::{Policy, Read, escaped};

/// What a policy may say of an exchange.
const ALTERNATE: &str = "alternate-exchange";
/// Memory that a pattern may take once it is compiled, in bytes.
const PATTERN_BYTES: usize = 1 << 20;

/// A policy that can be applied.
struct Usable {
    policy: Policy,
    pattern: Regex,
    to_queues: bool,
    to_exchanges: bool,
    used: bool,
}

/// Puts into the arguments of each queue and exchange what the policy of the highest priority that matches says, and notes
/// what of the policies is ignored.
pub(super) fn apply(read: &mut Read) {
    let policies = std::mem::take(&mut read.policies);
    let mut usable: Vec<Usable> = policies.into_iter().filter_map(|policy| check(policy, read)).collect();
    // The first of two with the same priority wins.
    usable.sort_by_key(|usable| std::cmp::Reverse(usable.policy.priority));
    for queue in &mut read.wanted.queues {
        if let Some(found) =
            usable.iter_mut().find(|it| it.to_queues && it.matches(&queue.vhost, &queue.name))
        {
            found.add_to(&mut queue.arguments, &|key| POLICY_KEYS.iter().any(|(known, _)| *known == key));
        }
    }
    for exchange in &mut read.wanted.exchanges {
        let found =
            usable.iter_mut().find(|it| it.to_exchanges && it.matches(&exchange.vhost, &exchange.name));
        if let Some(found) = found {
            found.add_to(&mut exchange.arguments, &|key| key == ALTERNATE);
        }
    }
    for unused in usable.into_iter().filter(|it| !it.used) {
        let reason =
            "a policy is applied to what the same definitions declare, and it matches nothing of that";
        read.ignored.push(Note::new(unused.policy.pointer, reason));
    }
}

fn check(mut policy: Policy, read: &mut Read) -> Option<Usable> {
    let (to_queues, to_exchanges) = match policy.apply_to.as_str() {
        "all" => (true, true),
        "queues" | "classic_queues" | "quorum_queues" => (true, false),
        "exchanges" => (false, true),
        "streams" => {
            read.ignored.push(Note::new(policy.pointer, "this server has no streams"));
            return None;
        }
        other => {
            let text = format!("is `{other}`, expected `all`, `queues` or `exchanges`");
            read.problems.push(Note::new(format!("{}/apply-to", policy.pointer), text));
            return None;
        }
    };
    let pattern = match regex::RegexBuilder::new(&policy.pattern).size_limit(PATTERN_BYTES).build() {
        Ok(pattern) => pattern,
        Err(error) => {
            let text = format!("is a pattern that this server cannot use: {error}");
            read.problems.push(Note::new(format!("{}/pattern", policy.pointer), text));
            return None;
        }
    };
    let means = |key: &str| {
        to_queues && POLICY_KEYS.iter().any(|(known, _)| *known == key) || to_exchanges && key == ALTERNATE
    };
    let unknown: Vec<String> = policy.definition.keys().filter(|key| !means(key)).cloned().collect();
    for key in unknown {
        policy.definition.remove(&key);
        let pointer = format!("{}/definition/{}", policy.pointer, escaped(&key));
        read.ignored.push(Note::new(pointer, "this server has nothing that a policy could change by that"));
    }
    if policy.definition.is_empty() {
        read.ignored.push(Note::new(policy.pointer, "nothing of this policy has a meaning here"));
        return None;
    }
    Some(Usable { policy, pattern, to_queues, to_exchanges, used: false })
}

impl Usable {
    fn matches(&self, vhost: &str, name: &str) -> bool {
        self.policy.vhost == vhost && self.pattern.is_match(name)
    }

    /// Adds the policy to arguments when any of it has a meaning for them.
    fn add_to(&mut self, arguments: &mut Map<String, Value>, means: &dyn Fn(&str) -> bool) {
        let policy = &self.policy;
        self.used = true;
        if policy.definition.keys().any(|key| means(key)) {
            let carried = json!({
                "name": policy.name,
                "pattern": policy.pattern,
                "apply-to": policy.apply_to,
                "priority": policy.priority,
                POLICY_DEFINITION: policy.definition,
            });
            arguments.insert(POLICY.to_owned(), carried);
        }
    }
}
