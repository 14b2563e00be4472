//! Controller `broker`: what an operator sees of the broker and does to it.
//!
//! Exchanges, queues and sessions are named by `vhost` and `name`. A change is answered when it is on the disk.

mod arguments;
mod listing;
mod messages;
mod rows;
pub(crate) mod tables;

use kuzzle_broker::{
    Bind, Broker, DEFAULT_EXCHANGE, DEFAULT_VHOST, Done, Error, ExchangeDeclare, QueueDeclare,
};
use kuzzle_model::{ApiError, Request, Response, ResponseResult};
use serde_json::{Value, json};

use crate::Origin;
use crate::api::Core;
use crate::definitions;
use crate::step::Step;

pub(crate) use arguments::{Arguments, refused};
pub(super) use messages::{get_messages, publish};

/// `overview`: figures of the whole.
pub(super) fn overview(core: &Core, request: Request, _origin: &Origin) -> Step {
    let overview = rows::overview(&core.broker.info(), &core.broker.vhosts());
    Step::success(request, ResponseResult::Value(overview))
}

/// `listConnections`: [`listing::page`]; the name is the client's, its protocol and its user.
pub(super) fn list_connections(core: &Core, request: Request, _origin: &Origin) -> Step {
    let name = |info: &kuzzle_broker::ConnectionInfo| {
        format!("{} {} {}", info.client_name.as_deref().unwrap_or_default(), info.instance, info.user)
    };
    listing::page(request, core.broker.connections(), name, rows::connection)
}

/// `getConnection`: `connection`, its number.
pub(super) fn get_connection(core: &Core, request: Request, _origin: &Origin) -> Step {
    let found = connection_number(&request).and_then(|number| {
        let found = core.broker.connections().into_iter().find(|info| info.number == number);
        found.map(|info| rows::connection(&info)).ok_or_else(|| no_connection(number))
    });
    answer(request, found)
}

/// `closeConnection`: `connection`, its number; `reason`, which its client is told.
pub(super) fn close_connection(core: &Core, request: Request, _origin: &Origin) -> Step {
    let closed = connection_number(&request).and_then(|number| {
        let reason = Arguments::of(&request).text("reason")?;
        let reason = reason.as_deref().unwrap_or("closed by an operator");
        if core.broker.close_connection(number, reason) {
            Ok(json!({"closed": number}))
        } else {
            Err(no_connection(number))
        }
    });
    answer(request, closed)
}

/// `listChannels`: [`listing::page`]; the name is the user's and the session's. With `connection` those of one alone.
pub(super) fn list_channels(core: &Core, request: Request, _origin: &Origin) -> Step {
    let of = match Arguments::of(&request).number("connection", 0, u64::MAX, 0) {
        Ok(of) => of,
        Err(error) => return Step::failure(request, error),
    };
    let mut links = core.broker.links();
    links.retain(|info| of == 0 || info.connection == of);
    let name = |info: &kuzzle_broker::LinkInfo| {
        format!("{} {}", info.user, info.session.as_deref().unwrap_or_default())
    };
    listing::page(request, links, name, rows::channel)
}

/// `listExchanges`: [`listing::page`]; `vhost`, or all.
pub(super) fn list_exchanges(core: &Core, request: Request, _origin: &Origin) -> Step {
    of_vhost(core, request, Broker::exchanges, |info| info.name.to_string(), rows::exchange)
}

/// `getExchange`.
pub(super) fn get_exchange(core: &Core, request: Request, _origin: &Origin) -> Step {
    let found = exchange_named(&request).and_then(|(vhost, name)| {
        core.broker.exchange(&vhost, &name).map(|info| rows::exchange(&info)).map_err(refused)
    });
    answer(request, found)
}

/// `declareExchange`: `type` (`direct`), `durable` (true), `autoDelete`, `internal` (false), `arguments`.
pub(super) fn declare_exchange(core: &Core, request: Request, _origin: &Origin) -> Step {
    change(core, request, |broker, request| {
        let (vhost, name) = exchange_named(request)?;
        let arguments = Arguments::of(request);
        let kind = arguments.text("type")?;
        let declare = ExchangeDeclare {
            name: &name,
            kind: kind.as_deref().unwrap_or("direct"),
            passive: false,
            durable: arguments.flag("durable", true)?,
            auto_delete: arguments.flag("autoDelete", false)?,
            internal: arguments.flag("internal", false)?,
            arguments: &arguments.table("arguments")?,
        };
        let done = broker.declare_exchange(&vhost, &declare).map_err(refused)?;
        Ok(json!({"created": !done.existed}))
    })
}

/// `deleteExchange`: `ifUnused` (false).
pub(super) fn delete_exchange(core: &Core, request: Request, _origin: &Origin) -> Step {
    change(core, request, |broker, request| {
        let (vhost, name) = exchange_named(request)?;
        let if_unused = Arguments::of(request).flag("ifUnused", false)?;
        // Clients are told that what is not there is deleted; operators, that they mistook the name.
        broker.exchange(&vhost, &name).map_err(refused)?;
        broker.delete_exchange(&vhost, &name, if_unused).map_err(refused)?;
        Ok(json!({"deleted": name}))
    })
}

/// `listQueues`: [`listing::page`]; `vhost`, or all.
pub(super) fn list_queues(core: &Core, request: Request, _origin: &Origin) -> Step {
    of_vhost(core, request, Broker::queues, |info| info.name.to_string(), rows::queue)
}

/// `getQueue`.
pub(super) fn get_queue(core: &Core, request: Request, _origin: &Origin) -> Step {
    let found = named(&request).and_then(|(vhost, name)| {
        core.broker.queue(&vhost, &name).map(|info| rows::queue(&info)).map_err(refused)
    });
    answer(request, found)
}

/// `declareQueue`: `durable` (true), `autoDelete` (false), `arguments`.
pub(super) fn declare_queue(core: &Core, request: Request, _origin: &Origin) -> Step {
    change(core, request, |broker, request| {
        let (vhost, name) = named(request)?;
        let arguments = Arguments::of(request);
        let declare = QueueDeclare {
            name: &name,
            durable: arguments.flag("durable", true)?,
            auto_delete: arguments.flag("autoDelete", false)?,
            arguments: &arguments.table("arguments")?,
            ..QueueDeclare::default()
        };
        let done = broker.declare_queue(&vhost, &declare).map_err(refused)?;
        Ok(json!({"created": !done.existed, "consumers": done.consumers, "ready": done.messages}))
    })
}

/// `deleteQueue`: `ifUnused`, `ifEmpty` (false). Answers with the number of messages that went with it.
pub(super) fn delete_queue(core: &Core, request: Request, _origin: &Origin) -> Step {
    change(core, request, |broker, request| {
        let (vhost, name) = named(request)?;
        let arguments = Arguments::of(request);
        let (if_unused, if_empty) = (arguments.flag("ifUnused", false)?, arguments.flag("ifEmpty", false)?);
        broker.queue(&vhost, &name).map_err(refused)?;
        let done = broker.delete_queue(&vhost, &name, if_unused, if_empty).map_err(refused)?;
        Ok(json!({"deleted": name, "messages": done.messages}))
    })
}

/// `purgeQueue`: answers with the number of messages that were removed. Deliveries that are not settled stay.
pub(super) fn purge_queue(core: &Core, request: Request, _origin: &Origin) -> Step {
    change(core, request, |broker, request| {
        let (vhost, name) = named(request)?;
        let done = broker.purge_queue(&vhost, &name).map_err(refused)?;
        Ok(json!({"messages": done.messages}))
    })
}

/// `listBindings`: [`listing::page`]; the name is source, destination and routing key. `vhost`, or all; `source` and
/// `destination` choose by the whole name.
pub(super) fn list_bindings(core: &Core, request: Request, _origin: &Origin) -> Step {
    let arguments = Arguments::of(&request);
    let chosen = arguments.text("source").and_then(|source| Ok((source, arguments.text("destination")?)));
    let (source, destination) = match chosen {
        Ok((source, destination)) => (source.map(into_text), destination.map(into_text)),
        Err(error) => return Step::failure(request, error),
    };
    let list = |broker: &Broker, vhost: Option<&str>| {
        let mut bindings = broker.bindings(vhost);
        bindings.retain(|info| {
            source.as_deref().is_none_or(|source| own_name(source) == &*info.source)
                && destination.as_deref().is_none_or(|destination| destination == &*info.destination)
        });
        bindings
    };
    let name = |info: &kuzzle_broker::BindingInfo| {
        format!("{} {} {}", info.source, info.destination, info.routing_key)
    };
    of_vhost(core, request, list, name, rows::binding)
}

/// `bind`: `source`, an exchange; `destination`, a queue, or an exchange where `destinationType` is `exchange`;
/// `routingKey` (empty); `arguments`.
pub(super) fn bind(core: &Core, request: Request, _origin: &Origin) -> Step {
    change(core, request, |broker, request| {
        let done = with_binding(request, |vhost, bind| broker.bind(vhost, bind))?;
        Ok(json!({"created": !done.existed}))
    })
}

/// `unbind`: a binding as `bind` takes it.
pub(super) fn unbind(core: &Core, request: Request, _origin: &Origin) -> Step {
    change(core, request, |broker, request| {
        let done = with_binding(request, |vhost, bind| broker.unbind(vhost, bind))?;
        if done.existed {
            return Ok(json!({"deleted": true}));
        }
        let arguments = Arguments::of(request);
        Err(ApiError::broker_not_found(format!(
            "no binding from exchange '{}' to '{}' with key '{}' and these arguments in vhost '{}'",
            arguments.text_or_empty("source")?,
            arguments.text_or_empty("destination")?,
            arguments.text_or_empty("routingKey")?,
            vhost(request)?,
        )))
    })
}

/// `listConsumers`: [`listing::page`]; the name is the queue's and the consumer's. `vhost`, or all.
pub(super) fn list_consumers(core: &Core, request: Request, _origin: &Origin) -> Step {
    let name = |info: &kuzzle_broker::ConsumerInfo| format!("{} {}", info.queue, info.name);
    of_vhost(core, request, Broker::consumers, name, rows::consumer)
}

/// `listSessions`: [`listing::page`]; `vhost`, or all.
pub(super) fn list_sessions(core: &Core, request: Request, _origin: &Origin) -> Step {
    of_vhost(core, request, Broker::sessions, |info| info.name.to_string(), rows::session)
}

/// `getSession`.
pub(super) fn get_session(core: &Core, request: Request, _origin: &Origin) -> Step {
    let found = named(&request).and_then(|(vhost, name)| {
        let found = core.broker.sessions(Some(&vhost)).into_iter().find(|info| *info.name == *name);
        found
            .map(|info| rows::session(&info))
            .ok_or_else(|| ApiError::broker_not_found(format!("no session '{name}' in vhost '{vhost}'")))
    });
    answer(request, found)
}

/// `deleteSession`: its connection is closed, and what waits in its queue goes too.
pub(super) fn delete_session(core: &Core, request: Request, _origin: &Origin) -> Step {
    change(core, request, |broker, request| {
        let (vhost, name) = named(request)?;
        broker.delete_session(&vhost, &name).map_err(refused)?;
        Ok(json!({"deleted": name}))
    })
}

/// `exportDefinitions`: virtual hosts, exchanges, queues, bindings and policies, in RabbitMQ's format.
pub(super) fn export_definitions(core: &Core, request: Request, _origin: &Origin) -> Step {
    let definitions = definitions::export(&core.broker, &core.facts.server().version);
    Step::success(request, ResponseResult::Value(definitions))
}

/// `importDefinitions`: definitions in RabbitMQ's format as the body; all of them or, when any has a problem, none.
pub(super) fn import_definitions(core: &Core, mut request: Request, _origin: &Origin) -> Step {
    // What was sent is not repeated in the answer: it may be long.
    let body = request.body.take();
    change(core, request, |broker, _| definitions::import(broker, &body))
}

fn answer(request: Request, found: Result<Value, ApiError>) -> Step {
    match found {
        Ok(found) => Step::success(request, ResponseResult::Value(found)),
        Err(error) => Step::failure(request, error),
    }
}

/// Makes a change, and answers with what it came to once it is on the disk.
fn change(
    core: &Core,
    request: Request,
    make: impl FnOnce(&Broker, &Request) -> Result<Value, ApiError>,
) -> Step {
    let made = match make(&core.broker, &request) {
        Ok(made) => made,
        Err(error) => return Step::failure(request, error),
    };
    let (done, durable) = tokio::sync::oneshot::channel();
    core.broker.when_durable(move |outcome| {
        // Who asked may have gone.
        let _ = done.send(outcome);
    });
    Step::waits(async move {
        match durable.await {
            Ok(Ok(())) => Response::success(request, ResponseResult::Value(made)),
            Ok(Err(reason)) => Response::failure(request, ApiError::broker_unavailable(reason)),
            Err(_) => Response::failure(request, ApiError::broker_unavailable("the broker is closing")),
        }
    })
}

/// One page of what is in a virtual host, or in all where the request names none.
fn of_vhost<T>(
    core: &Core,
    request: Request,
    list: impl FnOnce(&Broker, Option<&str>) -> Vec<T>,
    name: impl Fn(&T) -> String,
    show: impl Fn(&T) -> Value,
) -> Step {
    let listed = Arguments::of(&request).text("vhost").and_then(|vhost| {
        let Some(vhost) = vhost else { return Ok(list(&core.broker, None)) };
        if !core.broker.vhosts().iter().any(|found| **found == *vhost) {
            return Err(ApiError::broker_not_found(format!("no vhost '{vhost}'")));
        }
        Ok(list(&core.broker, Some(&vhost)))
    });
    match listed {
        Ok(items) => listing::page(request, items, name, show),
        Err(error) => Step::failure(request, error),
    }
}

/// The virtual host that a request names; the one that is always there when it names none.
fn vhost(request: &Request) -> Result<String, ApiError> {
    Ok(Arguments::of(request).text("vhost")?.map_or_else(|| DEFAULT_VHOST.to_owned(), into_text))
}

/// `vhost` and `name` of a request.
fn named(request: &Request) -> Result<(String, String), ApiError> {
    Ok((vhost(request)?, into_text(Arguments::of(request).needed("name")?)))
}

/// As [`named`]; the default exchange has a name to be written.
fn exchange_named(request: &Request) -> Result<(String, String), ApiError> {
    let (vhost, name) = named(request)?;
    Ok((vhost, own_name(&name).to_owned()))
}

/// The broker's own name of an exchange.
fn own_name(exchange: &str) -> &str {
    if exchange == DEFAULT_EXCHANGE { "" } else { exchange }
}

fn into_text(text: std::borrow::Cow<'_, str>) -> String {
    text.into_owned()
}

fn connection_number(request: &Request) -> Result<u64, ApiError> {
    let arguments = Arguments::of(request);
    arguments.needed("connection")?;
    arguments.number("connection", 1, u64::MAX, 0)
}

fn no_connection(number: u64) -> ApiError {
    ApiError::broker_not_found(format!("no connection {number}; it may have been closed already"))
}

fn with_binding(
    request: &Request,
    call: impl FnOnce(&str, &Bind<'_>) -> Result<Done, Error>,
) -> Result<Done, ApiError> {
    let arguments = Arguments::of(request);
    let to_exchange = match arguments.text("destinationType")?.as_deref() {
        None | Some("queue" | "") => false,
        Some("exchange") => true,
        Some(other) => {
            let found = format!("`{other}`");
            return Err(ApiError::argument_invalid("destinationType", found, "`queue` or `exchange`"));
        }
    };
    let bind = Bind {
        source: &arguments.needed("source")?,
        destination: &arguments.needed("destination")?,
        to_exchange,
        routing_key: &arguments.text_or_empty("routingKey")?,
        arguments: &arguments.table("arguments")?,
        ..Bind::default()
    };
    call(&vhost(request)?, &bind).map_err(refused)
}
