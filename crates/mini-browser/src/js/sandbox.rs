//! Sandboxing flags. (*HTML*, "sandboxing".)

/// What documents may not do. None of them by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a set of flags, as the specification has it"
)]
pub(super) struct Sandbox {
    /// The sandboxed origin browsing context flag: its origin is opaque.
    pub(super) origin: bool,
    /// The sandboxed scripts browsing context flag: no script runs.
    pub(super) scripts: bool,
    /// The sandboxed top-level navigation browsing context flag.
    pub(super) top_navigation: bool,
    /// The sandboxed auxiliary navigation browsing context flag: no popups.
    pub(super) popups: bool,
    /// The sandbox propagates to auxiliary browsing contexts flag.
    pub(super) propagates: bool,
}

impl Sandbox {
    /// *Parse a sandboxing directive*, of the flags that are kept here.
    pub(super) fn parse(directive: &str) -> Self {
        let tokens: Vec<String> = directive
            .split_ascii_whitespace()
            .map(str::to_ascii_lowercase)
            .collect();
        let allows = |token: &str| tokens.iter().any(|found| found == token);
        Self {
            origin: !allows("allow-same-origin"),
            scripts: !allows("allow-scripts"),
            top_navigation: !allows("allow-top-navigation"),
            popups: !allows("allow-popups"),
            propagates: !allows("allow-popups-to-escape-sandbox"),
        }
    }

    /// The flags of both.
    pub(super) const fn union(self, other: Self) -> Self {
        Self {
            origin: self.origin || other.origin,
            scripts: self.scripts || other.scripts,
            top_navigation: self.top_navigation || other.top_navigation,
            popups: self.popups || other.popups,
            propagates: self.propagates || other.propagates,
        }
    }

    /// The flags for a page that a document of these opens.
    pub(super) fn of_popup(self) -> Self {
        if self.propagates {
            self
        } else {
            Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directive_lifts_what_it_names_in_any_case_and_nothing_else() {
        let all = Sandbox::parse("");
        assert!(all.origin && all.scripts && all.top_navigation && all.popups);
        let some = Sandbox::parse(" Allow-Scripts\tallow-nonsense ");
        assert!(some.origin && !some.scripts);
        assert_eq!(Sandbox::default().union(some), some);
    }
}
