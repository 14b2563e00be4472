//! socket.io for kuzzle-host, every client from 1.3.7 on.
