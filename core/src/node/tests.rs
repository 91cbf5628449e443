//! The machines of a node as the shell sees them.

use std::time::Duration;

use ha_model::plan::{Family, NodePlan, VrrpVersion};
use ha_model::secret::Secrets;
use ha_model::units::Micros;

use super::*;

mod bench;
mod changes;
mod duty;
mod timers;

use bench::{Bench, PEER, eth0, instance, plan};
