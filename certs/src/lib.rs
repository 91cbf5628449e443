//! Certificates of a fleet: the CA in a file store, identities, requests, and
//! TLS for servers and clients whose certificates change without a restart.
//!
//! TLS is 1.3 only, with ring. Times are microseconds since 1970.

pub mod ca;
pub mod certificate;
pub mod client;
mod clock;
mod credentials;
pub mod files;
pub mod identity;
pub mod init;
pub mod key;
pub mod server;
mod verify;

pub use clock::now_us;
pub use credentials::{Credentials, CredentialsError, FilesError};
pub use verify::AnchorError;
