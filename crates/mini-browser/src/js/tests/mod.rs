//! What scripts and hosts see of agents, workers and pages.

pub(super) mod doubles;
