//! The last resort of a fetch: the network, and what its answer may install.

use http::HeaderMap;
use installer::{Ignored, InstallRequest, ResponseContext};
use sw_registry::{Input, JobError, Provenance, Register};
use sw_types::fetch::{CredentialsMode, RequestHead, ResponseHead};
use sw_types::{ClientType, Environment, HeaderInstall, Origin};

use super::{AnsweredBy, FetchError};
use crate::shared::{Shared, ToDriver};
use crate::{Body, NetworkRequest, Report, Response};
