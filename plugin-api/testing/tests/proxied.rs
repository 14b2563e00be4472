//! What holds for sockets and for the life of an instance, while every call is carried as bytes.
#![allow(clippy::duplicate_mod, reason = "each suite brings its helpers")]

#[path = "connections.rs"]
mod connections;
#[path = "lifecycle.rs"]
mod lifecycle;
#[path = "websockets.rs"]
mod websockets;
