//! From a gRPC status to an error that people can use.

use tonic::{Code, Status};

use crate::error::Failure;
use crate::exit::Exit;

/// What a controller at `address` answered instead of an answer.
pub(super) fn failure(address: &str, status: Status) -> Failure {
    let failure = match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => {
            Failure::new("E5006", Exit::Unauthorised, "the controller does not allow this")
                .then("hactl context show, to see which certificate was used")
        }
        Code::DeadlineExceeded | Code::Cancelled => {
            Failure::new("E5007", Exit::Unfinished, "the controller did not answer in time")
        }
        Code::ResourceExhausted => {
            Failure::new("E5011", Exit::Error, "the controller is busy or full")
        }
        Code::NotFound => Failure::new("E5009", Exit::Error, "there is no such object"),
        Code::FailedPrecondition | Code::Aborted => {
            Failure::new("E5011", Exit::Error, "the controller refused")
        }
        Code::InvalidArgument | Code::OutOfRange => {
            Failure::new("E5011", Exit::Usage, "the controller does not accept this")
        }
        Code::Unimplemented => {
            Failure::new("E5010", Exit::Error, "the controller does not know this command")
                .then("hactl version; the controller may be older than this hactl")
        }
        // What fails on our side of the connection, a certificate among it,
        // comes as Unknown with a source.
        Code::Unavailable => unreachable_controller(),
        Code::Unknown if is_transport(&status) => unreachable_controller(),
        Code::Ok | Code::Unknown | Code::AlreadyExists | Code::Internal | Code::DataLoss => {
            Failure::new("E5011", Exit::Error, "the controller failed")
        }
    };
    with_cause(failure.at(address), &status)
}

/// What an agent's socket answered instead of an answer.
pub(super) fn local_failure(socket: &str, status: Status) -> Failure {
    let lost = status.code() == Code::Unavailable || is_transport(&status);
    let failure = if lost {
        Failure::new("E5012", Exit::Unreachable, "the agent can't be reached through its socket")
            .then("systemctl status ha-agent; the socket is where its --local-socket says")
    } else {
        Failure::new("E5011", Exit::Error, "the agent refused")
    };
    with_cause(failure.at(socket), &status)
}

/// The other side went away; asking again may help.
pub(crate) fn is_lost(failure: &Failure) -> bool {
    failure.exit == Exit::Unreachable
}

fn unreachable_controller() -> Failure {
    Failure::new("E5005", Exit::Unreachable, "the controller can't be reached")
        .then("hactl context show; is ha-controller running, and is the address right?")
}

fn is_transport(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
}

/// A controller's own code stands before its message and wins over ours.
fn with_cause(mut failure: Failure, status: &Status) -> Failure {
    let message = status.message();
    match split_code(message) {
        Some((code, rest)) => {
            failure.code = code.into();
            failure = failure.because(rest);
        }
        None if !message.is_empty() => failure = failure.because(message),
        None => failure = failure.because(status.code().description()),
    }
    match std::error::Error::source(status) {
        Some(source) => failure.caused_by(source),
        None => failure,
    }
}

/// Splits `E3001: text`.
fn split_code(message: &str) -> Option<(&str, &str)> {
    let (code, rest) = message.split_once(": ")?;
    let digits = code.strip_prefix('E')?;
    (digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some((code, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_become_exits() {
        let exit = |code| failure("ctl:1", Status::new(code, "no")).exit;
        assert_eq!(exit(Code::PermissionDenied), Exit::Unauthorised);
        assert_eq!(exit(Code::Unauthenticated), Exit::Unauthorised);
        assert_eq!(exit(Code::Unavailable), Exit::Unreachable);
        assert_eq!(exit(Code::DeadlineExceeded), Exit::Unfinished);
        assert_eq!(exit(Code::Internal), Exit::Error);
        assert_eq!(exit(Code::Unknown), Exit::Error);
    }

    #[test]
    fn the_controllers_code_wins() {
        let failure = failure("ctl:1", Status::failed_precondition("E3001: the head is 7"));
        assert_eq!(&*failure.code, "E3001");
        assert_eq!(failure.why, ["the head is 7"]);
    }

    #[test]
    fn a_colon_is_not_yet_a_code() {
        assert_eq!(split_code("Edge: no"), None);
        assert_eq!(split_code("E12: no"), None);
    }
}
