//! The checks of a host: what it does with commands alone, and what comes of it with the whole
//! facade above it.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::wire::{self, Wire};
use super::world::{self, World};
use super::{Checked, Outcome};
use crate::{Clock, Driver, Handle, HostCommands};

/// A host under test. It runs workers whose scripts are written in whatever language it runs.
pub trait HostUnderTest {
    /// A script that does what [`Script`] says, as the text that the network answers; `None` if
    /// this host cannot do it: the checks that need it are skipped, and said to be.
    fn script(&self, script: Script) -> Option<String>;

    /// The host's clock; its timer ends checks that hang. It must be a real one: the checks use a
    /// store thread.
    fn clock(&self) -> Arc<dyn Clock>;

    /// Makes a fresh host that carries out these commands until they end. Must not block.
    fn run(&self, handle: Handle, commands: HostCommands);

    /// Polls a driver until it ends. Must not block.
    fn drive(&self, driver: Driver);

    /// How long a check may take until it counts as hanging: by default a minute, which is far more
    /// than any takes.
    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }
}

/// The scripts that the checks need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a host that lacks one must say so")]
pub enum Script {
    /// Has no listeners.
    ListensToNothing,
    /// `fetch`: responds with status 200 and the body `hello`.
    AnswersHello,
    /// `fetch`: has a listener, which does something and does not respond.
    LetsGo,
    /// Throws an error with the message `thrown at start` while it is evaluated.
    ThrowsAtStart,
    /// `install`: extends the event with a promise that rejects with an error whose message is
    /// `rejected by the script`.
    RejectsInstall,
    /// `fetch`: responds with a promise that never settles, and then fetches `/seen` of its own
    /// origin, whatever comes of that.
    NeverAnswers,
    /// `fetch`: responds with `hello`, and extends the event with a promise that never settles.
    AnswersAndGoesOn,
    /// `fetch`: responds with a promise that rejects with an error whose message is
    /// `rejected by the script`.
    RejectsFetch,
    /// `fetch`: prevents the default, and does not respond.
    Cancels,
    /// `install`: handles fall-through requests for `/data`. `fetch`, for those: responds with the
    /// body `from the worker` and the headers `Access-Control-Allow-Origin: *` and `X-Secret: 1`.
    FallsThrough,
    /// `fetch`: loops for ever, without letting go of its thread.
    Loops,
}

/// Runs all checks, one after another, each with a fresh host. The future must be polled where
/// [`HostUnderTest::run`] and [`HostUnderTest::drive`] may be called.
pub async fn host<H: HostUnderTest>(under_test: &H) -> Outcome {
    let mut outcome = Outcome::default();
    for (name, needs, check) in wire::CHECKS {
        if lacks(under_test, needs) {
            outcome.skipped.push(name);
            continue;
        }
        let mut wire = Wire::open(under_test);
        let limit = wire.limit();
        outcome.add(name, limit.within(check(&mut wire)).await);
    }
    for (name, needs, check) in world::CHECKS {
        if lacks(under_test, needs) {
            outcome.skipped.push(name);
            continue;
        }
        let checked = match World::open(under_test) {
            Ok(mut world) => {
                let limit = world.limit();
                limit.within(check(&mut world)).await
            }
            Err(error) => Err(error.to_string()),
        };
        outcome.add(name, checked);
    }
    outcome
}

/// A check: its name, the scripts that it needs, and what it does.
pub(super) type Check<W> = (
    &'static str,
    &'static [Script],
    for<'w> fn(&'w mut W) -> Pin<Box<dyn Future<Output = Checked> + 'w>>,
);

fn lacks(under_test: &impl HostUnderTest, needs: &[Script]) -> bool {
    needs
        .iter()
        .any(|script| under_test.script(*script).is_none())
}
