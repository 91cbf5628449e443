//! Every verb against a fleet in the same process.
