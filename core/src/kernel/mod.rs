//! From desired and observed kernel state to operations: a pure diff.
//!
//! An address is ours if the running plan names it (whatever its mark), if it
//! carries our mark (`IFA_PROTO` 112), or if the ledger of addresses that we
//! put or adopted has it. Nothing else is ever touched.

mod converger;

pub use converger::{Converger, Loss, Operation, Place, Seen};

#[cfg(test)]
mod tests;
