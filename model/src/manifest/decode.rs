//! From the tree to typed values. Nothing stops at the first mistake: a value
//! that is not good is reported and left out.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use ipnet::IpNet;

use super::suggest::suggest;
use super::yaml::{Key, Node, Value};
use crate::diagnostic::{Collector, Diagnostic, Source, Span};
use crate::explain::{Code, codes};
use crate::ids::NameError;
use crate::units::Micros;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Spanned<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

/// Turns nodes of one source into values.
pub(crate) struct Decoder<'a> {
    pub(crate) source: &'a Arc<Source>,
    pub(crate) out: &'a mut Collector,
    /// How many mistakes were reported.
    pub(crate) mistakes: usize,
}

/// The fields of a mapping.
pub(crate) struct Fields<'n> {
    entries: &'n [(Key, Node)],
    range: Range<usize>,
    /// Fields that an unknown one was probably meant to be.
    suggested: BTreeSet<&'static str>,
}

impl<'n> Fields<'n> {
    pub(crate) fn get(&self, name: &str) -> Option<&'n Node> {
        self.entries.iter().find(|(key, _)| key.text == name).map(|(_, node)| node)
    }

    pub(crate) fn key(&self, name: &str) -> Option<&'n Key> {
        self.entries.iter().find(|(key, _)| key.text == name).map(|(key, _)| key)
    }
}

impl Decoder<'_> {
    pub(crate) fn span(&self, range: &Range<usize>) -> Span {
        Span::new(self.source.clone(), range.clone())
    }

    pub(crate) fn spanned<T>(&self, value: T, node: &Node) -> Spanned<T> {
        Spanned { value, span: self.span(&node.range) }
    }

    pub(crate) fn report(&mut self, diagnostic: Diagnostic) {
        self.mistakes += 1;
        self.out.push(diagnostic);
    }

    fn error(&mut self, code: Code, node: &Node, message: impl Into<String>) {
        let span = self.span(&node.range);
        self.report(Diagnostic::error(code, &span, message));
    }

    fn error_hint(&mut self, code: Code, node: &Node, message: String, hint: impl Into<String>) {
        let span = self.span(&node.range);
        self.report(Diagnostic::error(code, &span, message).hint(hint));
    }

    fn wrong_type(&mut self, node: &Node, needed: &str) {
        let message = format!("{needed} is needed, this is {}", describe(&node.value));
        let quoted = matches!(node.value, Value::Bool(_) | Value::Int(_) | Value::Float)
            && needed.starts_with("text");
        let span = self.span(&node.range);
        let mut diagnostic = Diagnostic::error(codes::WRONG_TYPE, &span, message);
        if quoted {
            diagnostic = diagnostic.hint("put it in quotes");
        } else if needed.ends_with("number") && matches!(node.value, Value::Text(_)) {
            diagnostic = diagnostic.hint("digits alone, without quotes");
        }
        self.report(diagnostic);
    }

    /// The fields of `node`, a mapping; `what` names it in messages. Fields
    /// that are not `known` are reported.
    pub(crate) fn fields<'n>(
        &mut self,
        node: &'n Node,
        what: &str,
        known: &[&'static str],
    ) -> Option<Fields<'n>> {
        let entries = self.entries(node, what)?;
        let mut suggested = BTreeSet::new();
        for (key, _) in entries {
            if known.contains(&key.text.as_str()) {
                continue;
            }
            let message = format!("unknown field `{}` in {what}", key.text);
            let span = self.span(&key.range);
            let mut diagnostic = Diagnostic::error(codes::UNKNOWN_FIELD, &span, message);
            match suggest(&key.text, known) {
                Some(guess) => {
                    suggested.extend(guess.field);
                    diagnostic = diagnostic.hint(guess.hint);
                }
                None => diagnostic = diagnostic.hint(format!("one of {}", known.join(", "))),
            }
            self.report(diagnostic);
        }
        Some(Fields { entries, range: node.range.clone(), suggested })
    }

    /// The entries of `node`, a mapping with free keys.
    pub(crate) fn entries<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [(Key, Node)]> {
        match &node.value {
            Value::Map(entries) => Some(entries),
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float
            | Value::Text(_)
            | Value::List(_) => {
                self.wrong_type(node, &format!("a mapping ({what})"));
                None
            }
        }
    }

    /// The field `name`, which must be there.
    pub(crate) fn required<'n>(&mut self, fields: &Fields<'n>, name: &str) -> Option<&'n Node> {
        let found = fields.get(name);
        if found.is_none() && !fields.suggested.contains(name) {
            let at = fields.entries.first().map_or(&fields.range, |(key, _)| &key.range);
            let span = self.span(at);
            let message = format!("the field `{name}` is missing");
            self.report(Diagnostic::error(codes::MISSING_FIELD, &span, message));
        }
        found
    }

    /// Each item of a list of `low` to `high` items, as far as `item` takes it.
    pub(crate) fn list<T>(
        &mut self,
        node: &Node,
        (low, high): (usize, usize),
        mut item: impl FnMut(&mut Self, &Node) -> Option<T>,
    ) -> Vec<T> {
        let Value::List(items) = &node.value else {
            self.wrong_type(node, "a list");
            return Vec::new();
        };
        if items.len() < low || items.len() > high {
            let message = format!("{} items, allowed are {low} to {high}", items.len());
            self.error(codes::BAD_LENGTH, node, message);
        }
        items.iter().take(high).filter_map(|node| item(self, node)).collect()
    }

    pub(crate) fn text<'n>(&mut self, node: &'n Node) -> Option<&'n str> {
        if let Value::Text(text) = &node.value {
            return Some(text);
        }
        self.wrong_type(node, "text");
        None
    }

    pub(crate) fn boolean(&mut self, node: &Node) -> Option<bool> {
        if let Value::Bool(value) = node.value {
            return Some(value);
        }
        self.wrong_type(node, "true or false");
        None
    }

    pub(crate) fn number(&mut self, node: &Node, low: u64, high: u64) -> Option<u64> {
        let Value::Int(number) = node.value else {
            self.wrong_type(node, "a whole number");
            return None;
        };
        let good = u64::try_from(number).ok().filter(|number| (low..=high).contains(number));
        if good.is_none() {
            let message = format!("{number} is out of range, allowed are {low} to {high}");
            self.error(codes::OUT_OF_RANGE, node, message);
        }
        good
    }

    /// A name of type `T`; `what` says of what.
    pub(crate) fn name<T: FromStr<Err = NameError>>(
        &mut self,
        node: &Node,
        what: &str,
    ) -> Option<Spanned<T>> {
        let text = self.text(node)?;
        match text.parse() {
            Ok(name) => Some(self.spanned(name, node)),
            Err(error) => {
                let message = format!("`{text}` is not the name of {what}: it {error}");
                self.error(codes::BAD_NAME, node, message);
                None
            }
        }
    }

    /// A name that is the key of a mapping.
    pub(crate) fn key_name<T: FromStr<Err = NameError>>(
        &mut self,
        key: &Key,
        what: &str,
    ) -> Option<Spanned<T>> {
        let node = Node { value: Value::Text(key.text.clone()), range: key.range.clone() };
        self.name(&node, what)
    }

    /// One of `choices`.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        node: &Node,
        choices: &[(&'static str, T)],
    ) -> Option<T> {
        let text = self.text(node)?;
        let found = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            let message = format!("`{text}` is not one of {}", names.join(", "));
            match suggest(text, &names).and_then(|guess| guess.field) {
                Some(name) => {
                    self.error_hint(codes::UNKNOWN_CHOICE, node, message, format!("`{name}`"));
                }
                None => self.error(codes::UNKNOWN_CHOICE, node, message),
            }
        }
        found
    }

    /// A duration of `low` to `high`.
    pub(crate) fn duration(&mut self, node: &Node, low: Micros, high: Micros) -> Option<Micros> {
        let text = match &node.value {
            Value::Text(text) => text,
            Value::Int(number) => {
                let message = format!("`{number}` has no unit");
                let hint = format!("{number}s or {number}ms");
                self.error_hint(codes::BAD_DURATION, node, message, hint);
                return None;
            }
            Value::Null | Value::Bool(_) | Value::Float | Value::List(_) | Value::Map(_) => {
                self.wrong_type(node, "text: a duration such as 300ms");
                return None;
            }
        };
        let Some(span) = parse_duration(text) else {
            let message = format!("`{text}` is not a duration");
            let hint = "a whole number and us, ms, s, m or h: 1500ms, 1s, 2m";
            self.error_hint(codes::BAD_DURATION, node, message, hint);
            return None;
        };
        if span < low || span > high {
            let message = format!("{text} is out of range, allowed are {low} to {high}");
            self.error(codes::DURATION_OUT_OF_RANGE, node, message);
            return None;
        }
        Some(span)
    }

    /// An address of one machine.
    pub(crate) fn address(&mut self, node: &Node) -> Option<Spanned<IpAddr>> {
        let text = self.text(node)?;
        match text.parse::<IpAddr>() {
            Ok(address) if is_host(address) => Some(self.spanned(address, node)),
            Ok(_) => {
                let message = format!("`{text}` is not the address of one machine");
                self.error(codes::BAD_ADDRESS, node, message);
                None
            }
            Err(_) => {
                let message = format!("`{text}` is not an address");
                match text.parse::<IpNet>() {
                    Ok(net) => {
                        let hint = format!("{} (without a prefix length)", net.addr());
                        self.error_hint(codes::BAD_ADDRESS, node, message, hint);
                    }
                    Err(_) => self.error(codes::BAD_ADDRESS, node, message),
                }
                None
            }
        }
    }

    /// An address with a prefix length; without one, that of a single host.
    pub(crate) fn prefixed(&mut self, node: &Node) -> Option<Spanned<IpNet>> {
        let text = self.text(node)?;
        let parsed = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        match parsed {
            Ok(net) if is_host(net.addr()) && net.prefix_len() > 0 => Some(self.spanned(net, node)),
            Ok(_) => {
                let message = format!("`{text}` is not the address of one machine");
                self.error(codes::BAD_ADDRESS, node, message);
                None
            }
            Err(_) => {
                let message = format!("`{text}` is not an address");
                let hint = "an address and a prefix length: 192.0.2.50/24";
                self.error_hint(codes::BAD_ADDRESS, node, message, hint);
                None
            }
        }
    }
}

/// Whether `address` can belong to one machine on a network.
fn is_host(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    !(address.is_unspecified() || address.is_multicast() || address.is_loopback() || broadcast)
}

/// `300ms`, `1s`, `2m`: a whole number and a unit.
fn parse_duration(text: &str) -> Option<Micros> {
    let digits = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor).map(Micros)
}

fn describe(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "true or false",
        Value::Int(_) => "a number",
        Value::Float => "a number with a fraction",
        Value::Text(_) => "text",
        Value::List(_) => "a list",
        Value::Map(_) => "a mapping",
    }
}
