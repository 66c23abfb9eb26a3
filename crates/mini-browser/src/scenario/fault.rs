//! [`Fault`]: what is made wrong on purpose, so that people see what a user would see.

use std::fmt;

/// One thing that is wrong with the font service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing listens where the font service should be.
    FontsDown,
    /// Its worker's script does not parse.
    ScriptSyntax,
    /// Its worker's script is served as `text/plain`.
    ScriptMime,
    /// `Service-Worker-Scope` lies outside of what `Service-Worker-Allowed` allows.
    ScriptScope,
    /// Its worker's install handler loops for ever.
    ScriptLoop,
}

impl Fault {
    /// All faults there are.
    pub const ALL: [Self; 5] = [
        Self::FontsDown,
        Self::ScriptSyntax,
        Self::ScriptMime,
        Self::ScriptScope,
        Self::ScriptLoop,
    ];

    /// The name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FontsDown => "fonts-down",
            Self::ScriptSyntax => "script-syntax",
            Self::ScriptMime => "script-mime",
            Self::ScriptScope => "script-scope",
            Self::ScriptLoop => "script-loop",
        }
    }

    /// The end of the sentence "show what a user sees when …".
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::FontsDown => "the font service is down",
            Self::ScriptSyntax => "its worker's script has a syntax error",
            Self::ScriptMime => "its worker's script has the wrong MIME type",
            Self::ScriptScope => "its worker's scope is outside of Service-Worker-Allowed",
            Self::ScriptLoop => "its worker loops for ever (give a short --event-timeout)",
        }
    }

    /// The fault of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.name() == name)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_found_by_its_own_name_and_no_other() {
        for fault in Fault::ALL {
            assert_eq!(Fault::from_name(fault.name()), Some(fault));
        }
        assert_eq!(Fault::from_name("fonts"), None);
    }
}
