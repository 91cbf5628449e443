//! Every verb against a fleet in the same process.

mod apply;
mod bench;
mod change;
mod contexts;
mod docs;
mod events;
mod fake;
mod fleet;
mod local;
mod objects;
mod screen;
mod status;
mod wire;
