//! What a host must choose, and the limits that it may.

use std::time::Duration;

use installer::ThrottleLimits;

use sw_types::{HeaderInstall, PartitionPolicy, UncredentialedFallThrough};

/// A host's choices. There is no default: a browser that ships and a browser that runs the
/// proposals as they were written want different things. (SEMANTICS §5.7.)
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policies {
    /// What these policies are called, for people.
    pub name: &'static str,
    /// Who shares storage with whom.
    pub partition: PartitionPolicy,
    /// What response headers may install.
    pub header_install: HeaderInstall,
    /// When requests without credentials may fall through.
    pub uncredentialed_fall_through: UncredentialedFallThrough,
    /// Whether `Link` headers with relation `serviceworker` install as well, under the same policy: a
    /// form that the platform had for a while and dropped; no preset has it. (SEMANTICS §5.6.)
    pub link_install: bool,
    /// Whether `connect()` to a URL without a service asks the network for it, and waits for what
    /// the response's headers install. A site can then tell from the time that its refused connects
    /// take whether its user has been at a service before; no preset does it. (SEMANTICS §4.2 row
    /// 34.)
    pub install_on_connect: bool,
    /// Whether fall-through fetch exists at all.
    pub fall_through: bool,
    /// The limits.
    pub limits: Limits,
}

impl Policies {
    /// What the proposals assume: one partition for everyone, full installation by header, and
    /// fall-through also for requests without credentials.
    #[must_use]
    pub fn seeds() -> Self {
        Self {
            name: "seeds",
            partition: PartitionPolicy::Unpartitioned,
            header_install: HeaderInstall::Full,
            uncredentialed_fall_through: UncredentialedFallThrough::Allow,
            link_install: false,
            install_on_connect: false,
            fall_through: true,
            limits: Limits::default(),
        }
    }

    /// What a browser can ship: partitioned by top-level site, header-installed workers that
    /// control no client, and requests without credentials only within such a partition.
    #[must_use]
    pub fn shipping() -> Self {
        Self {
            name: "shipping",
            partition: PartitionPolicy::ByTopLevelSite,
            header_install: HeaderInstall::ServiceOnly,
            uncredentialed_fall_through: UncredentialedFallThrough::OnlyPartitioned,
            link_install: false,
            install_on_connect: false,
            fall_through: true,
            limits: Limits::default(),
        }
    }

    /// The same policies with other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

/// How long and how much. The defaults are those of SEMANTICS §5.7.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long a fall-through worker may take until it calls `respondWith`.
    pub fall_through_deadline: Duration,
    /// How many fall-through fetches may wait for one another.
    pub fall_through_depth: u8,
    /// How long one event may take, its lifetime promises included.
    pub event_timeout: Duration,
    /// How long a script may take to evaluate.
    pub start_timeout: Duration,
    /// How long a worker without events keeps running.
    pub idle: Duration,
    /// How long a worker that was told to stop may take until it is treated as dead.
    pub stop: Duration,
    /// Worker starts that other sites may cause, per top-level site and minute.
    pub starts_for_others: u32,
    /// Header installations per top-level site and minute.
    pub header_installs: usize,
    /// How long after a fetch event a soft update begins: it is not to compete with the page that
    /// loads, and what the page does with its registration at once comes before it.
    pub soft_update_delay: Duration,
    /// The greatest size of a service worker's main script, in bytes.
    pub script_bytes: usize,
    /// The earliest that a refused connect, or a local fetch that nobody answers, settles, counted from
    /// the call. Every further time class is four times the one before.
    pub connect_floor: Duration,
    /// The longest jitter on top of a time class.
    pub connect_jitter: Duration,
    /// When an undecided connect is refused.
    pub connect_deadline: Duration,
    /// Connects from one top-level site to one target origin in any minute.
    pub connects_per_minute: usize,
    /// Stashed ports of one registration.
    pub stash_entries: usize,
    /// Messages that one registration's stashed ports hold until they are delivered, in bytes.
    pub stash_queued_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fall_through_deadline: Duration::from_secs(10),
            fall_through_depth: 4,
            event_timeout: Duration::from_secs(5 * 60),
            start_timeout: Duration::from_secs(5 * 60),
            idle: Duration::from_secs(30),
            stop: Duration::from_secs(5),
            starts_for_others: 120,
            header_installs: 30,
            soft_update_delay: Duration::from_secs(1),
            script_bytes: 16 << 20,
            connect_floor: Duration::from_millis(50),
            connect_jitter: Duration::from_millis(25),
            connect_deadline: Duration::from_secs(30),
            connects_per_minute: 60,
            stash_entries: 1024,
            stash_queued_bytes: 64 << 20,
        }
    }
}

impl Limits {
    pub(crate) fn registry(&self) -> sw_registry::Limits {
        let mut limits = sw_registry::Limits::default();
        limits.event_timeout = self.event_timeout;
        limits.start_timeout = self.start_timeout;
        limits.idle = self.idle;
        limits.stop = self.stop;
        limits.starts_for_others = self.starts_for_others;
        limits
    }

    pub(crate) fn installs(&self) -> ThrottleLimits {
        let mut limits = ThrottleLimits::default();
        limits.installs = self.header_installs;
        limits
    }

    pub(crate) fn connects(&self) -> connect::Limits {
        let mut limits = connect::Limits::default();
        limits.floor = self.connect_floor;
        limits.jitter = self.connect_jitter;
        limits.deadline = self.connect_deadline;
        limits.connects_per_minute = self.connects_per_minute;
        limits
    }

    pub(crate) fn stash(&self) -> stash::Limits {
        let mut limits = stash::Limits::default();
        limits.entries = self.stash_entries;
        limits.queued_bytes = self.stash_queued_bytes;
        limits
    }
}
