//! Static routing: the rules of `installEvent.addRoutes()`. (*Service Workers*, "InstallEvent",
//! "Get Router Source".)

mod limits;
mod record;
mod rule;
mod rules;
mod url_pattern;
mod verify;

pub use limits::{MAX_CONDITIONS, MAX_DEPTH};
pub use record::RouterRecordError;
pub use rule::{
    RouterCondition, RouterRule, RouterSource, RouterSourceEnum, RunningStatus,
    UrlPatternArguments, UrlPatternCompatible, UrlPatternInit, UrlPatternInput,
};
pub use rules::{RouterMatch, RouterRules};
pub use url_pattern::UrlPatternError;
pub use verify::RouterRuleError;
