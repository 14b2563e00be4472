//! The REST host: HTTP/1.1 in, requests of the API out.
//!
//! One warp filter takes every request and hands it to the dispatcher, which finds the route in a table. The accept loop
//! is our own: it has what the framework's server does not, such as TLS, limits and a deadline for stopping.

mod accept;
mod admin;
mod body;
mod dispatch;
mod guard;
mod linger;
mod reply;
mod router;
mod routes;
mod swagger;
mod tls;

pub use accept::{Options, Rest, StartError};
pub use tls::{TlsError, server_config};

/// Verb, path and `controller.action` of every route, in the order of declaration.
pub fn routes() -> impl Iterator<Item = (&'static str, String, String)> {
    routes::ROUTES.iter().map(|route| {
        (route.verb.as_str(), route.full_path(), format!("{}.{}", route.controller, route.action))
    })
}
