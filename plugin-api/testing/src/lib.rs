//! A fake host, so that a plugin is tested without a server.
