//! From desired and observed kernel state to operations: a pure diff.
