//! The bytes of a connection: what waits to be sent, what waits to be read.
