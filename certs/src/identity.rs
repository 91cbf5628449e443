//! Who somebody is. The only carrier of an identity is the one URI in the
//! subject alternative name of a certificate:
//!
//! * `spiffe://FLEET/node/NAME`
//! * `spiffe://FLEET/controller/NAME`
//! * `spiffe://FLEET/user/ROLE/NAME`
//!
//! The CA's own certificate carries `spiffe://FLEET`.

use std::fmt;
use std::str::FromStr;

/// Longest name, in bytes.
pub const NAME_LIMIT: usize = 63;

/// Why a text is not a name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("is empty")]
    Empty,
    /// The text is longer than [`NAME_LIMIT`].
    #[error("is {length} characters long, at most {NAME_LIMIT} are allowed")]
    TooLong {
        /// Bytes in the text.
        length: usize,
    },
    /// A character that a name may not have at this place.
    #[error("has the character {character:?} at position {position}")]
    Character {
        /// The offending character.
        character: char,
        /// Its position, from 1.
        position: usize,
    },
}

/// A name in an identity: lower-case letters, digits and inner hyphens and
/// dots, 1 to 63 characters. The same rule as for names of nodes.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Name(String);

impl Name {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > NAME_LIMIT {
            return Err(NameError::TooLong { length: text.len() });
        }
        let last = text.len() - 1;
        for (index, character) in text.char_indices() {
            let inner = index != 0 && index != last;
            let good = character.is_ascii_lowercase()
                || character.is_ascii_digit()
                || (inner && matches!(character, '-' | '.'));
            if !good {
                return Err(NameError::Character { character, position: index + 1 });
            }
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a user may do. Each role includes those before it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Operates what is there.
    Operator,
    /// Changes the wish of the fleet.
    Editor,
    /// Admits nodes.
    Admin,
}

impl Role {
    /// Every role, weakest first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Operator, Self::Editor, Self::Admin];

    /// The role as identities spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Editor => "editor",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text is not a role.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("is not a role; roles are viewer, operator, editor and admin")]
pub struct RoleError;

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(RoleError)
    }
}

/// Who holds a certificate, within its fleet.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Identity {
    /// The agent of a node.
    Node(Name),
    /// A controller.
    Controller(Name),
    /// A person or a tool.
    User {
        /// What they may do.
        role: Role,
        /// What they are called.
        name: Name,
    },
}

impl fmt::Display for Identity {
    /// The path of the identity's URI, without the leading slash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(name) => write!(f, "node/{name}"),
            Self::Controller(name) => write!(f, "controller/{name}"),
            Self::User { role, name } => write!(f, "user/{role}/{name}"),
        }
    }
}

/// An identity with its fleet: what a certificate carries.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SpiffeId {
    /// The fleet whose CA signed.
    pub fleet: Name,
    /// Who.
    pub identity: Identity,
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}/{}", self.fleet, self.identity)
    }
}

/// Why a URI is not an identity.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum IdentityError {
    /// The URI has another scheme than `spiffe`.
    #[error("the identity is not a spiffe:// URI")]
    Scheme,
    /// The path is none of those that this crate lists.
    #[error("the identity names neither a node nor a controller nor a user")]
    Path,
    /// The role of a user is unknown.
    #[error("the role of the user is unknown")]
    Role(#[source] RoleError),
    /// A name in the identity breaks the rule for names.
    #[error("a name in the identity is not allowed")]
    Name(#[source] NameError),
}

impl FromStr for SpiffeId {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let rest = text.strip_prefix("spiffe://").ok_or(IdentityError::Scheme)?;
        let mut parts = rest.split('/');
        let fleet = name(parts.next())?;
        let identity = match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some("node"), node, None, None) => Identity::Node(name(node)?),
            (Some("controller"), controller, None, None) => Identity::Controller(name(controller)?),
            (Some("user"), Some(role), user, None) => Identity::User {
                role: role.parse().map_err(IdentityError::Role)?,
                name: name(user)?,
            },
            (_, _, _, _) => return Err(IdentityError::Path),
        };
        Ok(Self { fleet, identity })
    }
}

fn name(part: Option<&str>) -> Result<Name, IdentityError> {
    part.ok_or(IdentityError::Path)?.parse().map_err(IdentityError::Name)
}

/// The URI of a fleet's CA: `spiffe://FLEET`.
pub(crate) fn fleet_uri(fleet: &Name) -> String {
    format!("spiffe://{fleet}")
}

/// Reverse of [`fleet_uri`].
pub(crate) fn parse_fleet_uri(text: &str) -> Result<Name, IdentityError> {
    name(Some(text.strip_prefix("spiffe://").ok_or(IdentityError::Scheme)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<SpiffeId, IdentityError> {
        text.parse()
    }

    #[test]
    fn every_kind_comes_back_as_written() {
        for text in [
            "spiffe://lab/node/lb-1",
            "spiffe://lab/controller/main",
            "spiffe://lab/user/viewer/eva",
            "spiffe://lab/user/operator/eva",
            "spiffe://lab/user/editor/eva",
            "spiffe://lab/user/admin/eva",
            "spiffe://lab.example.net/node/a.b-c",
        ] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_nearly_an_identity_is_none() {
        assert_eq!(parse("https://lab/node/a"), Err(IdentityError::Scheme));
        assert_eq!(parse("SPIFFE://lab/node/a"), Err(IdentityError::Scheme));
        for text in [
            "spiffe://lab",
            "spiffe://lab/",
            "spiffe://lab/node",
            "spiffe://lab/node/a/b",
            "spiffe://lab/node/a/",
            "spiffe://lab/controller/a/b",
            "spiffe://lab/user/admin",
            "spiffe://lab/user/admin/eva/x",
            "spiffe://lab/Node/a",
        ] {
            assert_eq!(parse(text), Err(IdentityError::Path), "{text}");
        }
        assert_eq!(parse("spiffe://lab/user/root/eva"), Err(IdentityError::Role(RoleError)));
        for text in [
            "spiffe:///node/a",
            "spiffe://lab/node/",
            "spiffe://lab/node/A",
            "spiffe://lab/node/a%2fb",
            "spiffe://lab:8/node/a",
            "spiffe://eva@lab/node/a",
            "spiffe://lab/node/a?x",
            "spiffe://lab/node/..",
            "spiffe://lab/user/admin/",
        ] {
            assert!(matches!(parse(text), Err(IdentityError::Name(_))), "{text}");
        }
    }

    #[test]
    fn names_have_a_length() {
        let long = "a".repeat(NAME_LIMIT);
        assert!(long.parse::<Name>().is_ok());
        assert_eq!(format!("{long}a").parse::<Name>(), Err(NameError::TooLong { length: 64 }));
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_without_panic(text in ".*") {
            let _ = parse(&text);
        }

        #[test]
        fn what_parses_is_written_back_the_same(
            text in "spiffe://[a-z0-9./-]{0,12}/(node|controller|user/(viewer|admin|x))/[a-zA-Z0-9./-]{0,70}",
        ) {
            if let Ok(id) = parse(&text) {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
