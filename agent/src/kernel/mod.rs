//! The kernel thread: programs addresses and hears what happens to links and
//! addresses, over rtnetlink. The duty thread makes no netlink request.

mod ledger;
mod mirror;
mod netlink;
mod port;
mod task;

pub use netlink::NetlinkError;
pub(crate) use port::{Failure, KernelNews, KernelPort};
pub(crate) use task::start;
pub use task::{StartError, release};
