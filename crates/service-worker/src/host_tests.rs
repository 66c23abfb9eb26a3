//! Lists of checks that any store and any host must pass.
//!
//! [`store`] is for whoever implements [`RegistryStore`](crate::RegistryStore), [`host`] for
//! whoever runs workers. Both give an [`Outcome`], which names every check:
//!
//! ```no_run
//! # fn my_profile() -> Box<dyn service_worker::host_tests::Profile> { unimplemented!() }
//! service_worker::host_tests::store(my_profile).assert();
//! ```

mod host;
mod limit;
mod pages;
pub mod samples;
mod store;
mod wire;
mod world;

pub use host::{HostUnderTest, Script, host};
pub use store::{Profile, store};

/// How a check ended: with the reason why it failed, if it did.
type Checked = Result<(), String>;

/// What came of a list of checks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "a check that failed does not panic by itself: see `assert`"]
pub struct Outcome {
    /// The checks that passed.
    pub passed: Vec<&'static str>,
    /// The checks that failed, and why.
    pub failed: Vec<(&'static str, String)>,
    /// The checks that need what the host says that it cannot do.
    pub skipped: Vec<&'static str>,
}

impl Outcome {
    /// Panics if a check failed, and names all that did.
    ///
    /// # Panics
    /// That is what it is for.
    pub fn assert(&self) {
        assert!(self.failed.is_empty(), "{self}");
    }

    fn add(&mut self, name: &'static str, checked: Checked) {
        match checked {
            Ok(()) => self.passed.push(name),
            Err(reason) => self.failed.push((name, reason)),
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (passed, failed) = (self.passed.len(), self.failed.len());
        write!(f, "{passed} checks passed, {failed} failed")?;
        if !self.skipped.is_empty() {
            write!(f, ", skipped: {}", self.skipped.join(", "))?;
        }
        for (name, reason) in &self.failed {
            write!(f, "\n{name}: {reason}")?;
        }
        Ok(())
    }
}

/// Fails a check unless two values are equal.
fn equal<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Checked {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{what}: expected {expected:?}, found {found:?}"))
    }
}

/// Fails a check unless something holds.
fn ensure(holds: bool, what: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(what()) }
}
