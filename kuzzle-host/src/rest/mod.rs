//! The REST host.

mod router;
mod routes;
