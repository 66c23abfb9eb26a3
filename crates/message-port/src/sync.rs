//! The primitives that this crate synchronises with: the standard library's, or those of the model
//! checker when it is built for one (`--cfg message_port_loom`, see `tests/loom.rs`).

#[cfg(message_port_loom)]
pub(crate) use loom::{
    sync::atomic::{AtomicU8, Ordering},
    sync::{Arc, Mutex, MutexGuard},
    thread::{self, Thread},
};
#[cfg(not(message_port_loom))]
pub(crate) use std::{
    sync::atomic::{AtomicU8, Ordering},
    sync::{Arc, Mutex, MutexGuard},
    thread::{self, Thread},
};

/// A constant, except in a model, whose primitives are registered when they are made.
macro_rules! constant {
    ($value:expr) => {{
        #[cfg(not(message_port_loom))]
        let value = const { $value };
        #[cfg(message_port_loom)]
        let value = $value;
        value
    }};
}

/// A `static`, or in a model one for each of its executions.
macro_rules! global {
    ($(#[$meta:meta])* static $name:ident: $type:ty = $value:expr;) => {
        #[cfg(not(message_port_loom))]
        $(#[$meta])*
        static $name: $type = $value;

        #[cfg(message_port_loom)]
        loom::lazy_static! {
            $(#[$meta])*
            static ref $name: $type = $value;
        }
    };
}

/// A thread-local of the program's threads, or of the model's.
macro_rules! local {
    ($(#[$meta:meta])* static $name:ident: $type:ty = $value:expr;) => {
        #[cfg(not(message_port_loom))]
        thread_local! {
            $(#[$meta])*
            static $name: $type = $value;
        }

        #[cfg(message_port_loom)]
        loom::thread_local! {
            $(#[$meta])*
            static $name: $type = $value;
        }
    };
}

pub(crate) use {constant, global, local};
