//! *Check Router Registration Limit*.

use super::RouterCondition;

/// How many conditions all rules of a worker may have, nested ones included.
pub const MAX_CONDITIONS: u32 = 1024;

/// How many conditions may lie within one another, the outermost included.
pub const MAX_DEPTH: usize = 10;

/// *Count Router Inner Conditions*: how many conditions a condition is; `None` if they lie deeper
/// within one another than [`MAX_DEPTH`]. Never recurses deeper than that.
pub(super) fn count_inner_conditions(condition: &RouterCondition) -> Option<u32> {
    count(condition, MAX_DEPTH)
}

fn count(condition: &RouterCondition, depth: usize) -> Option<u32> {
    let depth = depth.checked_sub(1)?;
    let inner = condition.or.iter().flatten();
    inner
        .chain(condition.not.as_deref())
        .try_fold(1u32, |sum, inner| {
            Some(sum.saturating_add(count(inner, depth)?))
        })
}
