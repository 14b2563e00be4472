//! What bindings and sessions mean, before anything is done to them.

use kuzzle_plugin_api::abi::{Bind, FLAG_EXISTED, LinkEvent, SessionAttach};

use super::flow::message;
use super::state::{Binding, Queue, Refused, Session, State, Will, access, no_exchange};

/// The exchange and the binding that are meant, both of which may be used.
pub(super) fn binding(state: &mut State, link: u64, bind: &Bind<'_>) -> Result<(String, Binding), Refused> {
    let exchange = bind.source.to_string();
    if exchange.is_empty() {
        return Err(access("operation not permitted on the default exchange"));
    }
    let destination = if bind.flags & kuzzle_plugin_api::abi::BIND_TO_EXCHANGE == 0 {
        state.queue(link, &bind.destination)?.0
    } else if state.exchanges.contains_key(bind.destination.as_str()) {
        bind.destination.to_string()
    } else {
        return Err(no_exchange(&bind.destination));
    };
    if !state.exchanges.contains_key(&exchange) {
        return Err(no_exchange(&exchange));
    }
    let binding = Binding {
        id: bind.id,
        destination,
        pattern: bind.routing_key.to_string(),
        arguments: bind.arguments.to_vec(),
        options: bind.options.to_vec(),
        flags: bind.flags,
    };
    Ok((exchange, binding))
}

pub(super) fn is_same(one: &Binding, other: &Binding) -> bool {
    let is_by_id = one.id != 0 && one.id == other.id;
    let is_by_pattern =
        one.id == 0 && other.id == 0 && one.pattern == other.pattern && one.arguments == other.arguments;
    one.destination == other.destination && (is_by_id || is_by_pattern)
}

/// Attaches a session, and gives what its link is told.
pub(super) fn attach(state: &mut State, link: u64, op: u64, session: &SessionAttach<'_>) -> Vec<LinkEvent> {
    let name = session.name.to_string();
    if let Some(other) = state.sessions.get(&name).and_then(|session| session.link) {
        state.end_link(other, Some(State::taken_over()));
    }
    if session.clean {
        state.remove_session(&name);
    }
    let existed = state.sessions.contains_key(&name);
    let found = state
        .sessions
        .entry(name.clone())
        .or_insert_with(|| Session { queue: session.queue.to_string(), ..Session::default() });
    found.expiry_secs = session.expiry_secs;
    found.link = Some(link);
    found.will =
        session.has_will.then(|| Will { message: message(&session.will), flags: session.will.flags });
    let (queue, notes) = (found.queue.clone(), found.notes.clone());
    state.queues.entry(queue.clone()).or_insert_with(|| Queue {
        arguments: session.arguments.to_vec(),
        session: Some(name.clone()),
        ..Queue::default()
    });
    if let Some(link) = state.links.get_mut(&link) {
        link.session = Some(name);
    }
    let flags = if existed { FLAG_EXISTED } else { 0 };
    let mut events = Vec::new();
    if op != 0 {
        events.push(LinkEvent { flags, text: queue.clone().into(), ..LinkEvent::done(op) });
    }
    let of_queue = state.exchanges.values().flat_map(|exchange| &exchange.bindings);
    events.extend(of_queue.filter(|binding| binding.destination == queue).map(|binding| {
        LinkEvent::binding(binding.id, binding.pattern.as_str(), binding.options.clone().into())
    }));
    events.extend(notes.into_iter().map(|(key, value)| LinkEvent::note(key, value.into())));
    events
}
