//! engine.io payload framing as the clients of each generation read it.
