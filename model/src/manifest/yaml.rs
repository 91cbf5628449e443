//! YAML 1.2 (core schema) as a tree that knows where each value stands. All
//! that can be read of a text is read: a broken document does not hide those
//! that follow it.

use std::collections::BTreeMap;
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, StrInput};

use crate::explain::{Code, codes};

/// Largest text, in bytes.
pub(crate) const MAX_BYTES: usize = 4 << 20;
/// Most values of one text, copies by aliases included.
const MAX_NODES: usize = 200_000;
/// Deepest nesting.
const MAX_DEPTH: usize = 32;

/// A value and its bytes in the text.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) range: Range<usize>,
}

/// A value of the core schema.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i128),
    /// A number that is not whole, or too long.
    Float,
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping, as text.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) range: Range<usize>,
}

/// What is wrong with the form of a text.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) code: Code,
    pub(crate) range: Range<usize>,
    pub(crate) message: String,
    pub(crate) related: Option<Range<usize>>,
}

impl Problem {
    fn new(code: Code, range: Range<usize>, message: impl Into<String>) -> Self {
        Self { code, range, message: message.into(), related: None }
    }
}

/// All that a text holds.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    /// Documents with a value.
    pub(crate) roots: Vec<Node>,
    pub(crate) problems: Vec<Problem>,
}

/// Reads every document of `text`.
pub(crate) fn read(text: &str) -> Documents {
    let mut found = Documents::default();
    if text.len() > MAX_BYTES {
        let message = format!("{} bytes long, at most {MAX_BYTES} are allowed", text.len());
        found.problems.push(Problem::new(codes::INPUT_TOO_LARGE, 0..0, message));
        return found;
    }
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        length: text.len(),
        anchors: BTreeMap::new(),
        nodes: 0,
        problems: Vec::new(),
    };
    loop {
        match reader.document() {
            Ok(Some(root)) => found.roots.push(root),
            Ok(None) => break,
            Err(stop) => {
                reader.problems.push(stop.problem);
                if stop.whole_text || !matches!(reader.parser.proceed_next_document(), Ok(true)) {
                    break;
                }
            }
        }
    }
    found.problems = reader.problems;
    found
}

/// Why a document can't be read further.
struct Stop {
    problem: Problem,
    /// The documents that follow are not read either.
    whole_text: bool,
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Self { problem, whole_text: false }
    }
}

struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    length: usize,
    /// Complete anchored values, and how many nodes each has.
    anchors: BTreeMap<usize, (Node, usize)>,
    nodes: usize,
    problems: Vec<Problem>,
}

impl<'t> Reader<'t> {
    /// The next document that has a value; none at the end of the text.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is the parser's")]
    fn document(&mut self) -> Result<Option<Node>, Stop> {
        while let Some((event, range)) = self.event()? {
            match event {
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                Event::StreamEnd => return Ok(None),
                event => {
                    let root = self.node(event, range, 0)?;
                    if !matches!(root.value, Value::Null) {
                        return Ok(Some(root));
                    }
                }
            }
        }
        Ok(None)
    }

    fn event(&mut self) -> Result<Option<(Event<'t>, Range<usize>)>, Stop> {
        loop {
            let Some(next) = self.parser.next_event() else { return Ok(None) };
            let (event, span) = next.map_err(|error| self.syntax(&error))?;
            if event.is_node() || is_structure(&event) {
                return Ok(Some((event, span.byte_range().unwrap_or(0..0))));
            }
        }
    }

    fn syntax(&self, error: &ScanError) -> Stop {
        let at = error.marker().byte_offset().unwrap_or(self.length);
        Problem::new(codes::YAML_SYNTAX, at..at + 1, error.info()).into()
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is the parser's")]
    fn node(&mut self, event: Event<'t>, range: Range<usize>, depth: usize) -> Result<Node, Stop> {
        let before = self.nodes;
        self.count(1, codes::INPUT_TOO_LARGE, &range)?;
        if depth > MAX_DEPTH {
            let message = format!("nested deeper than {MAX_DEPTH} levels");
            return Err(Problem::new(codes::TOO_DEEP, range, message).into());
        }
        if event.tag().is_some() {
            let problem =
                Problem::new(codes::UNSUPPORTED_YAML, range.clone(), "a value with a tag");
            self.problems.push(problem);
        }
        let anchor = event.anchor_id();
        let node = match event {
            Event::Scalar(text, style, _, _) => {
                let plain = style == ScalarStyle::Plain;
                let value = if plain { resolve(&text) } else { Value::Text(text.into_owned()) };
                Node { value, range }
            }
            Event::SequenceStart(..) => self.list(range, depth)?,
            Event::MappingStart(..) => self.map(range, depth)?,
            Event::Alias(id) => self.alias(id, range)?,
            // The grammar lets nothing else stand here.
            _ => return Err(Problem::new(codes::YAML_SYNTAX, range, "a value is missing").into()),
        };
        if let Some(id) = anchor {
            self.anchors.insert(id, (node.clone(), self.nodes - before));
        }
        Ok(node)
    }

    fn list(&mut self, mut range: Range<usize>, depth: usize) -> Result<Node, Stop> {
        let mut items = Vec::new();
        while let Some((event, at)) = self.event()? {
            if matches!(event, Event::SequenceEnd) {
                range.end = at.end.max(range.start);
                break;
            }
            items.push(self.node(event, at, depth + 1)?);
        }
        Ok(Node { value: Value::List(items), range })
    }

    fn map(&mut self, mut range: Range<usize>, depth: usize) -> Result<Node, Stop> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut first_use = BTreeMap::new();
        while let Some((event, at)) = self.event()? {
            if matches!(event, Event::MappingEnd) {
                range.end = at.end.max(range.start);
                break;
            }
            let key = self.key(event, at, depth)?;
            let Some((event, at)) = self.event()? else { break };
            let value = self.node(event, at, depth + 1)?;
            let Some(key) = key else { continue };
            if let Some(first) = first_use.get(&key.text) {
                let message = format!("`{}` is given twice", key.text);
                let mut problem = Problem::new(codes::DUPLICATE_KEY, key.range, message);
                problem.related = Some(Range::clone(first));
                self.problems.push(problem);
            } else {
                first_use.insert(key.text.clone(), key.range.clone());
                entries.push((key, value));
            }
        }
        Ok(Node { value: Value::Map(entries), range })
    }

    /// A key; none if it is not one that manifests can have.
    fn key(
        &mut self,
        event: Event<'t>,
        range: Range<usize>,
        depth: usize,
    ) -> Result<Option<Key>, Stop> {
        if let Event::Scalar(text, _, 0, None) = event {
            self.count(1, codes::INPUT_TOO_LARGE, &range)?;
            return Ok(Some(Key { text: text.into_owned(), range }));
        }
        self.node(event, range.clone(), depth + 1)?;
        let message = "a key that is not plain text";
        self.problems.push(Problem::new(codes::UNSUPPORTED_YAML, range, message));
        Ok(None)
    }

    fn alias(&mut self, id: usize, range: Range<usize>) -> Result<Node, Stop> {
        let Some((node, size)) = self.anchors.get(&id) else {
            let message = "an alias within its own anchor";
            return Err(Problem::new(codes::ALIAS_TOO_LARGE, range, message).into());
        };
        let (node, size) = (node.clone(), *size);
        self.count(size, codes::ALIAS_TOO_LARGE, &range)?;
        Ok(node)
    }

    fn count(&mut self, more: usize, code: Code, at: &Range<usize>) -> Result<(), Stop> {
        self.nodes += more;
        if self.nodes > MAX_NODES {
            let message = format!("more than {MAX_NODES} values");
            let problem = Problem::new(code, at.clone(), message);
            return Err(Stop { problem, whole_text: true });
        }
        Ok(())
    }
}

fn is_structure(event: &Event<'_>) -> bool {
    matches!(
        event,
        Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(..)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd
    )
}

/// Value of a plain scalar (YAML 1.2.2 §10.3.2).
pub(crate) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Value::Float,
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if digits(unsigned) {
        return text.parse().map_or(Value::Float, Value::Int);
    }
    for (prefix, radix) in [("0o", 8), ("0x", 16)] {
        if let Some(number) = text.strip_prefix(prefix)
            && !number.starts_with(['-', '+'])
            && let Ok(number) = i128::from_str_radix(number, radix)
        {
            return Value::Int(number);
        }
    }
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || is_float(unsigned) {
        return Value::Float;
    }
    Value::Text(text.to_owned())
}

/// `(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let exponent = exponent.map(|part| part.strip_prefix(['-', '+']).unwrap_or(part));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    all_digits(whole)
        && all_digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|part| !part.is_empty() && all_digits(part))
}
