//! A rollout while it goes on: one line per change, or one live line per
//! cluster on a terminal.

use std::collections::BTreeMap;
use std::io;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Out;
use super::markup::{Symbols, Tone, resolve};
use crate::view::{
    ClusterPhase, ManifestError, NodeProgress, Outcome, PlanPhase, Problem, ProgressEvent,
};

/// Live lines at once: more would not fit a terminal of 24 lines.
const LIVE_LINES: usize = 18;

/// What is known of a rollout so far. A pure machine: events in, lines out.
#[derive(Debug)]
pub struct Board {
    symbols: Symbols,
    /// Number of the revision, once it is stored.
    pub revision: Option<u64>,
    /// Name of the rollout, once it is known.
    pub rollout: String,
    clusters: BTreeMap<String, Row>,
    nodes: usize,
    /// What was said last of each cluster and each node.
    said: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Row {
    phase: ClusterPhase,
    last: String,
}

impl Board {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(symbols: Symbols) -> Self {
        Self {
            symbols,
            revision: None,
            rollout: String::new(),
            clusters: BTreeMap::new(),
            nodes: 0,
            said: BTreeMap::new(),
        }
    }

    /// Takes in one event; returns the lines that tell it, marked up.
    pub fn handle(&mut self, event: &ProgressEvent) -> Vec<String> {
        match event {
            ProgressEvent::Invalid { .. } => Vec::new(),
            ProgressEvent::Stored { revision, rollout, changed, clusters, nodes } => {
                self.revision = revision.as_ref().map(|revision| revision.number);
                self.rollout.clone_from(rollout);
                self.nodes = nodes.len();
                for cluster in clusters {
                    self.row(cluster);
                }
                vec![self.stored(*changed)]
            }
            ProgressEvent::Node(node) => {
                let said = self.node_said(node);
                let last = format!("{}  {said}", node.node);
                if !self.is_news(format!("{}/{}", node.cluster, node.node), &said) {
                    return Vec::new();
                }
                self.row(&node.cluster).last = last;
                let mut lines = vec![format!("{:<14}  {:<14}  {said}", node.cluster, node.node)];
                lines.extend(node.errors.iter().map(|error| format!("  {}", problem(error))));
                lines
            }
            ProgressEvent::Cluster { cluster, phase, offline } => {
                let said = self.cluster_said(*phase, offline);
                if !self.is_news(cluster.clone(), &said) {
                    return Vec::new();
                }
                self.row(cluster).phase = *phase;
                vec![format!("{cluster:<14}  {said}")]
            }
            ProgressEvent::Done { rollout, .. } => {
                if self.rollout.is_empty() {
                    self.rollout.clone_from(rollout);
                }
                Vec::new()
            }
        }
    }

    /// A controller that is asked again begins with what it has said before.
    fn is_news(&mut self, of: String, said: &str) -> bool {
        self.said.insert(of, said.to_owned()).is_none_or(|before| before != said)
    }

    fn row(&mut self, cluster: &str) -> &mut Row {
        self.clusters
            .entry(cluster.to_owned())
            .or_insert_with(|| Row { phase: ClusterPhase::Waiting, last: String::new() })
    }

    fn stored(&self, changed: bool) -> String {
        let number = self.revision.map_or_else(String::new, |number| format!("rev {number} "));
        if !changed {
            return format!("{number}is this wish already: no change");
        }
        let (clusters, nodes) = (self.clusters.len(), self.nodes);
        format!("{number}stored; rollout {}: clusters {clusters}, nodes {nodes}", self.rollout)
    }

    fn node_said(&self, node: &NodeProgress) -> String {
        if node.offline {
            return Tone::Warn.paint("offline, converges on return");
        }
        match node.phase {
            PlanPhase::Unknown => "asked".to_owned(),
            PlanPhase::Received => "RECEIVED".to_owned(),
            PlanPhase::Prepared => "PREPARED".to_owned(),
            PlanPhase::Applied => "APPLIED".to_owned(),
            PlanPhase::Healthy => Tone::Good.paint("HEALTHY"),
            PlanPhase::Rejected => Tone::Bad.paint("REJECTED"),
            PlanPhase::RolledBack => Tone::Bad.paint("ROLLED BACK"),
        }
    }

    fn cluster_said(&self, phase: ClusterPhase, offline: &[String]) -> String {
        match phase {
            ClusterPhase::Waiting => Tone::Dim.paint("waiting"),
            ClusterPhase::Rolling => "rolling".to_owned(),
            ClusterPhase::Done => self.symbols.labelled(crate::view::Health::Ok, "done"),
            ClusterPhase::DoneOffline => {
                Tone::Warn.paint(&format!("done but for {} (offline)", offline.join(", ")))
            }
            ClusterPhase::Stopped => Tone::Bad.paint("STOPPED"),
        }
    }

    /// The live lines: clusters that are under way or went wrong, then a sum.
    #[must_use]
    pub fn live_lines(&self) -> Vec<String> {
        let settled =
            |row: &Row| matches!(row.phase, ClusterPhase::Done | ClusterPhase::DoneOffline);
        let done = self.clusters.values().filter(|row| settled(row)).count();
        let few = self.clusters.len() <= LIVE_LINES;
        let mut lines: Vec<String> = self
            .clusters
            .iter()
            .filter(|(_, row)| few || (!settled(row) && row.phase != ClusterPhase::Waiting))
            .take(LIVE_LINES)
            .map(|(name, row)| {
                format!("{name:<14}  {}  {}", self.cluster_said(row.phase, &[]), row.last)
            })
            .collect();
        lines.push(format!("{done}/{} clusters", self.clusters.len()));
        lines
    }
}

/// The live region of a terminal.
pub struct Live {
    region: MultiProgress,
    bars: Vec<ProgressBar>,
    colour: bool,
}

impl Live {
    /// A region at the end of standard output.
    #[must_use]
    pub fn new(colour: bool) -> Self {
        let region = MultiProgress::with_draw_target(ProgressDrawTarget::stdout());
        Self { region, bars: Vec::new(), colour }
    }

    /// Shows these lines.
    pub fn show(&mut self, lines: &[String]) {
        while self.bars.len() > lines.len() {
            if let Some(bar) = self.bars.pop() {
                bar.finish_and_clear();
                self.region.remove(&bar);
            }
        }
        while self.bars.len() < lines.len() {
            let bar = self.region.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{msg}") {
                bar.set_style(style);
            }
            self.bars.push(bar);
        }
        for (bar, line) in self.bars.iter().zip(lines) {
            bar.set_message(resolve(line, self.colour));
        }
    }

    /// Prints lines that stay, above the region.
    ///
    /// # Errors
    /// The terminal does not take them.
    pub fn keep(&self, lines: &[String]) -> io::Result<()> {
        lines.iter().try_for_each(|line| self.region.println(resolve(line, self.colour)))
    }

    /// Takes the region away.
    ///
    /// # Errors
    /// The terminal does not take it.
    pub fn end(mut self) -> io::Result<()> {
        self.show(&[]);
        self.region.clear()
    }
}

fn problem(problem: &Problem) -> String {
    let place =
        if problem.path.is_empty() { String::new() } else { format!(" ({})", problem.path) };
    let hint =
        if problem.hint.is_empty() { String::new() } else { format!("; try: {}", problem.hint) };
    format!("{}: {}{place}{hint}", Tone::Bad.paint(&problem.code), problem.message)
}

/// How a rollout ended, for people.
#[must_use]
pub fn describe_outcome(
    board: &Board,
    outcome: Outcome,
    offline: &[String],
    rejected: &[NodeProgress],
) -> Vec<String> {
    let what = board.revision.map_or_else(
        || format!("rollout {}", board.rollout),
        |number| format!("rev {number}, rollout {}", board.rollout),
    );
    match outcome {
        Outcome::Complete => vec![format!("{}: {what}", Tone::Good.paint("complete"))],
        Outcome::Offline => vec![
            format!("{}: {what}", Tone::Warn.paint("complete but for offline nodes")),
            format!("  offline: {}; each converges on return", offline.join(", ")),
        ],
        Outcome::Rejected => {
            let mut lines = vec![format!("{}: {what}", Tone::Bad.paint("stopped at a rejection"))];
            for node in rejected {
                lines.push(format!("  {}/{} keeps its plan:", node.cluster, node.node));
                lines.extend(node.errors.iter().map(|error| format!("    {}", problem(error))));
            }
            if !offline.is_empty() {
                lines.push(format!("  offline: {}", offline.join(", ")));
            }
            lines
        }
        Outcome::Superseded => {
            vec![format!(
                "{}: {what}; a newer apply took its place",
                Tone::Warn.paint("superseded")
            )]
        }
        Outcome::None => vec![format!("ended: {what}")],
    }
}

/// All mistakes in manifests: with source lines where there are some.
///
/// # Errors
/// The stream does not take it.
pub fn manifest_errors(out: &mut Out, errors: &[ManifestError]) -> io::Result<()> {
    for error in errors {
        if error.rendered.is_empty() {
            out.note(&one_mistake(error))?;
        } else {
            out.raw_error(error.rendered.trim_end().as_bytes())?;
            out.raw_error(b"\n")?;
        }
    }
    out.note(&mistakes(errors.len(), "nothing was stored"))
}

/// How many mistakes there are, and what came of them.
#[must_use]
pub fn mistakes(count: usize, so: &str) -> String {
    let mistakes = if count == 1 { "1 mistake".to_owned() } else { format!("{count} mistakes") };
    format!("{mistakes}; {so}")
}

fn one_mistake(error: &ManifestError) -> String {
    let code = Tone::Bad.paint(&format!("error[{}]", error.code));
    let mut text = format!("{code}: {}", error.message);
    if !error.file.is_empty() {
        text = format!("{text}\n  --> {}:{}:{}", error.file, error.line, error.column);
    }
    if !error.hint.is_empty() {
        text = format!("{text}\n   = try: {}", error.hint);
    }
    text
}
