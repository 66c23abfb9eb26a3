//! message-port
