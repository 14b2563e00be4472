//! Making what definitions ask for: first on an empty broker, to hear all refusals, then on the one that it is for.

use std::collections::{BTreeMap, HashMap, HashSet};

use kuzzle_broker::{Bind, Broker, Code, Done, Error, ExchangeDeclare, POLICY, QueueDeclare, table};

use super::Note;
use super::read::{Binding, Exchange, Queue, Wanted};
use crate::actions::tables;

/// What an import came to.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// What was made, by kind.
    pub(super) created: BTreeMap<&'static str, u64>,
    /// What was there before, by kind.
    pub(super) existed: BTreeMap<&'static str, u64>,
    pub(super) ignored: Vec<Note>,
}

impl Made {
    fn count(&mut self, kind: &'static str, existed: bool) {
        for (counts, counted) in [(&mut self.created, !existed), (&mut self.existed, existed)] {
            *counts.entry(kind).or_default() += u64::from(counted);
        }
    }
}

/// Says what `broker` would refuse, without changing it. Policies of queues and exchanges that are there already are taken
/// out of what is wanted.
pub(super) fn rehearse(broker: &Broker, wanted: &mut Wanted) -> Vec<Note> {
    let draft = broker.draft();
    for vhost in broker.vhosts() {
        draft.create_vhost(&vhost);
    }
    for vhost in &wanted.vhosts {
        draft.create_vhost(&vhost.name);
    }
    let mut problems = seed(broker, &draft, wanted);
    // What failed is not complained of a second time by what is bound to it.
    let mut failed: HashSet<(bool, String, String)> = HashSet::new();
    for exchange in &wanted.exchanges {
        if let Err(problem) = declare_exchange(&draft, exchange) {
            failed.insert((true, exchange.vhost.clone(), exchange.name.clone()));
            problems.push(problem);
        }
    }
    for queue in &wanted.queues {
        if let Err(problem) = declare_queue(&draft, queue) {
            failed.insert((false, queue.vhost.clone(), queue.name.clone()));
            problems.push(problem);
        }
    }
    for binding in &wanted.bindings {
        let is_excused = failed.contains(&(true, binding.vhost.clone(), binding.source.clone()))
            || failed.contains(&(binding.to_exchange, binding.vhost.clone(), binding.destination.clone()));
        if !is_excused && let Err(problem) = bind(&draft, binding, Broker::bind) {
            problems.push(problem);
        }
    }
    problems
}

/// Puts into the draft what is there of the names that the definitions use.
fn seed(broker: &Broker, draft: &Broker, wanted: &mut Wanted) -> Vec<Note> {
    let mut problems = Vec::new();
    let names = |of_exchanges: bool| {
        let ends = wanted.bindings.iter().flat_map(|it| {
            let source = of_exchanges.then_some((it.vhost.clone(), it.source.clone()));
            let target =
                (it.to_exchange == of_exchanges).then_some((it.vhost.clone(), it.destination.clone()));
            source.into_iter().chain(target)
        });
        let declared: Vec<(String, String)> = if of_exchanges {
            wanted.exchanges.iter().map(|it| (it.vhost.clone(), it.name.clone())).collect()
        } else {
            wanted.queues.iter().map(|it| (it.vhost.clone(), it.name.clone())).collect()
        };
        ends.chain(declared).collect::<HashSet<_>>()
    };
    let (exchanges, queues) = (names(true), names(false));
    let exchange_places = places(wanted.exchanges.iter().map(|it| (&it.vhost, &it.name)));
    let queue_places = places(wanted.queues.iter().map(|it| (&it.vhost, &it.name)));
    let seeded = |done: Result<Done, Error>| {
        // What is there can be declared; if not, it shows as the missing end of a binding.
        if let Err(error) = done {
            tracing::debug!(%error, "an import does not see something that is there");
        }
    };
    for (vhost, name) in &exchanges {
        let Ok(info) = broker.exchange(vhost, name) else { continue };
        let declare = ExchangeDeclare {
            name,
            kind: info.kind.name(),
            durable: info.durable,
            auto_delete: info.auto_delete,
            internal: info.internal,
            passive: kuzzle_broker::is_reserved_name(name),
            arguments: &info.arguments,
        };
        seeded(draft.declare_exchange(vhost, &declare));
        for place in exchange_places.get(&(vhost.clone(), name.clone())).into_iter().flatten() {
            if let Some(exchange) = wanted.exchanges.get_mut(*place) {
                keep_policy(&mut exchange.arguments, &info.arguments);
            }
        }
    }
    for (vhost, name) in &queues {
        let Ok(info) = broker.queue(vhost, name) else { continue };
        let declare = QueueDeclare {
            name,
            durable: info.durable,
            auto_delete: info.auto_delete,
            arguments: &info.arguments,
            ..QueueDeclare::default()
        };
        seeded(draft.declare_queue(vhost, &declare));
        for place in queue_places.get(&(vhost.clone(), name.clone())).into_iter().flatten() {
            let Some(queue) = wanted.queues.get_mut(*place) else { continue };
            keep_policy(&mut queue.arguments, &info.arguments);
            if let Some(owner) = info.exclusive {
                let text = format!("queue '{name}' in vhost '{vhost}' belongs to connection {owner}");
                problems.push(Note::new(queue.pointer.clone(), text));
            }
        }
    }
    problems
}

/// Where each name stands: once, as a rule.
fn places<'a>(
    names: impl Iterator<Item = (&'a String, &'a String)>,
) -> HashMap<(String, String), Vec<usize>> {
    let mut places: HashMap<_, Vec<usize>> = HashMap::new();
    for (place, (vhost, name)) in names.enumerate() {
        places.entry((vhost.clone(), name.clone())).or_default().push(place);
    }
    places
}

/// Something that is there keeps the policy it has: a declaration changes nothing of it.
fn keep_policy(wanted: &mut serde_json::Map<String, serde_json::Value>, current: &[u8]) {
    if let Some(policy) = wanted.remove(POLICY) {
        let same = tables::to_json(current).get(POLICY).is_some_and(|current| *current == policy);
        if !same {
            wanted.insert(POLICY_NOT_APPLIED.to_owned(), policy);
        }
    }
}

/// Marks, until the import is over, what keeps the policy that it has.
const POLICY_NOT_APPLIED: &str = "x-policy-not-applied";

/// What has been made, to be taken back.
enum Undo<'a> {
    Exchange(&'a Exchange),
    Queue(&'a Queue),
    Binding(&'a Binding),
}

/// Makes what is wanted. When the broker refuses after all, because somebody was quicker, what was made is taken back; but a
/// virtual host stays, empty.
pub(super) fn apply(broker: &Broker, wanted: &Wanted) -> Result<Made, Note> {
    let mut undo = Vec::new();
    let made = make(broker, wanted, &mut undo);
    if made.is_err() {
        for undo in undo.into_iter().rev() {
            let stays = match undo {
                Undo::Exchange(it) => text_of(broker.delete_exchange(&it.vhost, &it.name, false)),
                Undo::Queue(it) => text_of(broker.delete_queue(&it.vhost, &it.name, false, false)),
                Undo::Binding(it) => bind(broker, it, Broker::unbind).err().map(|note| note.text),
            };
            if let Some(reason) = stays {
                tracing::warn!(reason, "something of an import that failed cannot be taken back");
            }
        }
    }
    made
}

fn text_of(done: Result<Done, Error>) -> Option<String> {
    done.err().map(|error| error.to_string())
}

fn make<'a>(broker: &Broker, wanted: &'a Wanted, undo: &mut Vec<Undo<'a>>) -> Result<Made, Note> {
    let mut made = Made::default();
    for vhost in &wanted.vhosts {
        let existed = broker.vhosts().iter().any(|found| **found == *vhost.name);
        broker.create_vhost(&vhost.name);
        made.count("vhosts", existed);
    }
    for exchange in &wanted.exchanges {
        let done = declare_exchange(broker, exchange)?;
        if !done.existed {
            undo.push(Undo::Exchange(exchange));
        }
        made.count("exchanges", done.existed);
        made.note_policy(&exchange.pointer, &exchange.arguments);
    }
    for queue in &wanted.queues {
        let done = declare_queue(broker, queue)?;
        if !done.existed {
            undo.push(Undo::Queue(queue));
        }
        made.count("queues", done.existed);
        made.note_policy(&queue.pointer, &queue.arguments);
    }
    for binding in &wanted.bindings {
        let done = bind(broker, binding, Broker::bind)?;
        if !done.existed {
            undo.push(Undo::Binding(binding));
        }
        made.count("bindings", done.existed);
    }
    Ok(made)
}

impl Made {
    fn note_policy(&mut self, pointer: &str, arguments: &serde_json::Map<String, serde_json::Value>) {
        if let Some(policy) = arguments.get(POLICY_NOT_APPLIED) {
            let name = policy["name"].as_str().unwrap_or_default();
            let text =
                format!("it is there already and keeps what it is; policy '{name}' is not applied to it");
            self.ignored.push(Note::new(pointer, text));
        }
    }
}

fn declare_exchange(broker: &Broker, exchange: &Exchange) -> Result<Done, Note> {
    let arguments = arguments(&exchange.pointer, &exchange.arguments)?;
    let declare = ExchangeDeclare {
        name: &exchange.name,
        kind: &exchange.kind,
        passive: false,
        durable: exchange.durable,
        auto_delete: exchange.auto_delete,
        internal: exchange.internal,
        arguments: &arguments,
    };
    let done = broker.declare_exchange(&exchange.vhost, &declare);
    done.map_err(|error| {
        let field = if error.code == Code::CommandInvalid { "/type" } else { "" };
        Note::new(format!("{}{field}", exchange.pointer), error.to_string())
    })
}

fn declare_queue(broker: &Broker, queue: &Queue) -> Result<Done, Note> {
    let arguments = arguments(&queue.pointer, &queue.arguments)?;
    let declare = QueueDeclare {
        name: &queue.name,
        durable: queue.durable,
        auto_delete: queue.auto_delete,
        arguments: &arguments,
        ..QueueDeclare::default()
    };
    let done = broker.declare_queue(&queue.vhost, &declare);
    done.map_err(|error| Note::new(queue.pointer.clone(), error.to_string()))
}

fn bind(
    broker: &Broker,
    binding: &Binding,
    call: impl FnOnce(&Broker, &str, &Bind<'_>) -> Result<Done, Error>,
) -> Result<Done, Note> {
    let arguments = arguments(&binding.pointer, &binding.arguments)?;
    let bind = Bind {
        source: &binding.source,
        destination: &binding.destination,
        to_exchange: binding.to_exchange,
        routing_key: &binding.routing_key,
        arguments: &arguments,
        ..Bind::default()
    };
    call(broker, &binding.vhost, &bind).map_err(|error| Note::new(binding.pointer.clone(), error.to_string()))
}

fn arguments(pointer: &str, object: &serde_json::Map<String, serde_json::Value>) -> Result<Vec<u8>, Note> {
    let mut object = std::borrow::Cow::Borrowed(object);
    if object.contains_key(POLICY_NOT_APPLIED) {
        object.to_mut().remove(POLICY_NOT_APPLIED);
    }
    let bytes = tables::from_json(&object)
        .map_err(|reason| Note::new(format!("{pointer}/arguments"), format!("hold {reason}")))?;
    table::check(&bytes).map_err(|error| Note::new(format!("{pointer}/arguments"), error.to_string()))?;
    Ok(bytes)
}
