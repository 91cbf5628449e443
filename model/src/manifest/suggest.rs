//! "Did you mean": for slips of the finger, and for the words that keepalived
//! has for the same thing.

/// What was probably meant.
pub(crate) struct Guess<'k> {
    /// The word, if it is one of those that are known here.
    pub(crate) field: Option<&'k str>,
    /// What to tell.
    pub(crate) hint: String,
}

/// keepalived's keyword, our field, and how to write it.
const KEEPALIVED: &[(&str, &str, &str)] = &[
    ("virtual_router_id", "vrid", "vrid"),
    ("virtual_ipaddress", "vips", "vips"),
    ("virtualIPs", "vips", "vips"),
    ("advert_int", "advertInterval", "advertInterval: 1s"),
    ("nopreempt", "preempt", "preempt: {enabled: false}"),
    ("preempt_delay", "preempt", "preempt: {delay: 60s}"),
    ("authentication", "auth", "auth: {secret: NAME}"),
    ("auth_pass", "auth", "auth: {secret: NAME}"),
    ("priority", "priorities", "priorities: {NODE: 200}, or order: [NODE, …]"),
    ("unicast_src_ip", "addresses", "the address of the node in spec.nodes"),
];

/// Keywords that have no field, and why.
const DERIVED: &[(&str, &str)] = &[
    ("state", "leave it out: the first node of the list is preferred, the election decides"),
    ("unicast_peer", "leave it out: the peers are the other nodes of the cluster"),
    ("<<", "YAML 1.2 has no merge keys: write the fields out"),
    ("status", "leave it out: it is what hactl status shows"),
];

/// What `written` was meant to be, out of `known`.
pub(crate) fn suggest<'k>(written: &str, known: &[&'k str]) -> Option<Guess<'k>> {
    if let Some((_, field, hint)) =
        KEEPALIVED.iter().find(|(keyword, field, _)| *keyword == written && known.contains(field))
    {
        return Some(Guess { field: Some(field), hint: format!("did you mean `{hint}`?") });
    }
    if let Some((_, hint)) = DERIVED.iter().find(|(keyword, _)| *keyword == written) {
        return Some(Guess { field: None, hint: (*hint).to_owned() });
    }
    let folded = fold(written);
    let (distance, field) =
        known.iter().map(|field| (distance(&folded, &fold(field)), *field)).min()?;
    let allowed = (folded.len().max(3) / 3).min(3);
    (distance <= allowed)
        .then(|| Guess { field: Some(field), hint: format!("did you mean `{field}`?") })
}

/// Without what people vary: case and separators. At most 64 characters: more
/// is no slip of the finger.
fn fold(text: &str) -> Vec<char> {
    text.chars()
        .filter(|character| !matches!(character, '_' | '-' | ' '))
        .flat_map(char::to_lowercase)
        .take(64)
        .collect()
}

/// Insertions, deletions, replacements and swaps of neighbours from `a` to `b`
/// (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, &from) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, &to) in b.iter().enumerate() {
            let replace = row[j] + usize::from(from != to);
            let mut best = replace.min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && from == b[j - 1] && a[i - 1] == to {
                best = best.min(before[j - 1] + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[b.len()]
}
