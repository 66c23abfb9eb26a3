//! Ids: counters that name what a host, a core and a test talk about.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        ///
        /// A counter, unique within one run of one profile; never a secret and never reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub u64);

        impl $name {
            /// This id; the counter moves on to the next one.
            pub fn take_next(counter: &mut Self) -> Self {
                let taken = *counter;
                counter.0 += 1;
                taken
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}-{}", stringify!($name), self.0)
            }
        }
    )*};
}

ids! {
    /// Names a client: a window or a worker that a registration can control.
    /// (*Service Workers*, "service worker client".)
    ClientId,
    /// Names one dispatch of an event to a worker.
    EventId,
    /// Names a promise of a script: an operation that a script asked for and that settles once.
    PromiseId,
    /// Names a registration, from its creation until it is cleared.
    RegistrationId,
    /// Names something that a state machine asked of the outside and that will be answered.
    RequestId,
    /// Names one run of a service worker: from its start until it is gone.
    RunId,
    /// Names one service worker: one version of one registration.
    WorkerId,
}
