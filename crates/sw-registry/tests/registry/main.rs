//! The registry, driven by a small host in memory.

#[cfg(test)]
mod crash;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod jobs;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod lifetime;
#[cfg(test)]
mod model;
#[cfg(test)]
mod navigation;
#[cfg(test)]
mod races;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod restore;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod site_data;
#[cfg(test)]
mod update;
