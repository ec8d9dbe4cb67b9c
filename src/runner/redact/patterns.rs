//! All forms of all values in one Aho-Corasick automaton, walked a byte at a time.
//!
//! The crate's own searches answer leftmost-longest matches over a whole haystack. Two things are needed beyond that: matches
//! that overlap count too (where one secret's end is another's beginning, both must go), and at any point of a stream one must
//! know how much of what was read could still become a match. So the automaton is driven directly, and the depth of each of its
//! states (the length of the longest tail that begins some form) is kept beside it.

use std::collections::{HashMap, HashSet};
use std::fmt;

use aho_corasick::automaton::{Automaton as _, StateID};
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, BuildError, MatchKind};

use super::forms;

/// The compiled forms of a set of named values.
pub struct Patterns {
    nfa: NFA,
    start: State,
    /// For each form, the index of its value's name.
    owner: Vec<usize>,
    names: Vec<String>,
    /// For each state that may go on to a match: how many of the bytes read last must be held back.
    open: HashMap<State, usize>,
}

/// Where a walk through the automaton stands.
pub(super) type State = StateID;

/// A form that ends at the byte just read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hit {
    /// Its length in bytes, line breaks not counted.
    pub(super) len: usize,
    /// Whose it is, for [`Patterns::name`].
    pub(super) owner: usize,
}

impl Patterns {
    /// Compiles the forms of `values`, given as (name, value).
    ///
    /// # Errors
    /// When the forms are too many for the automaton (gigabytes of secrets).
    pub fn new<'a>(values: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, BuildError> {
        let (mut names, mut owner, mut texts, mut seen) = (Vec::new(), Vec::new(), Vec::new(), HashSet::new());
        for (name, value) in values {
            for form in forms::of(value) {
                if seen.insert(form.clone()) {
                    texts.push(form);
                    owner.push(names.len());
                }
            }
            names.push(name.to_owned());
        }
        let nfa = NFA::builder().match_kind(MatchKind::Standard).prefilter(false).dense_depth(3).build(&texts)?;
        // Not anchored is always supported unless a builder says otherwise; the default state is the start then.
        let start = nfa.start_state(Anchored::No).unwrap_or_default();
        let open = open_states(&nfa, start, &texts);
        Ok(Self { nfa, start, owner, names, open })
    }

    pub(super) fn start(&self) -> State {
        self.start
    }

    pub(super) fn step(&self, from: State, byte: u8) -> State {
        self.nfa.next_state(Anchored::No, from, byte)
    }

    /// The longest form that ends where `state` was reached.
    pub(super) fn hit(&self, state: State) -> Option<Hit> {
        if !(self.nfa.is_special(state) && self.nfa.is_match(state)) {
            return None;
        }
        (0..self.nfa.match_len(state))
            .map(|index| self.nfa.match_pattern(state, index))
            .map(|id| Hit {
                len: self.nfa.pattern_len(id),
                owner: self.owner.get(id.as_usize()).copied().unwrap_or_default(),
            })
            .max_by_key(|hit| hit.len)
    }

    /// How many of the bytes read last could be the beginning of a form that is not yet whole.
    pub(super) fn open(&self, state: State) -> usize {
        self.open.get(&state).copied().unwrap_or_default()
    }

    /// The name of the value that owns a [`Hit`].
    pub(super) fn name(&self, owner: usize) -> &str {
        self.names.get(owner).map_or("secret", String::as_str)
    }
}

impl fmt::Debug for Patterns {
    /// Names only: the automaton spells out the values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patterns").field("names", &self.names).finish_non_exhaustive()
    }
}

/// The state after the first n bytes of a form is its n-th node, whose depth is n. A node without an onward edge (a form that
/// no longer form begins with) needs no holding for its own sake: what counts is the longest shorter tail that goes on.
fn open_states(nfa: &NFA, start: StateID, forms: &[Vec<u8>]) -> HashMap<State, usize> {
    let step = |state, byte: &u8| nfa.next_state(Anchored::No, state, *byte);
    let mut open = HashMap::new();
    for form in forms {
        let mut state = start;
        for (depth, byte) in form.iter().enumerate() {
            if depth > 0 {
                open.insert(state, depth);
            }
            state = step(state, byte);
        }
    }
    let ends: Vec<(State, usize)> = forms
        .iter()
        .filter_map(|form| Some((form.iter().fold(start, step), longest_open_tail(nfa, start, form, &open)?)))
        .collect();
    for (state, depth) in ends {
        open.entry(state).or_insert(depth);
    }
    open
}

/// The longest tail of `form`, itself excepted, that some longer form begins with. Each walk ends at the longest tail that is
/// any node at all; where that one is a whole form, the next walk is over what is behind its first byte.
fn longest_open_tail(nfa: &NFA, start: StateID, form: &[u8], open: &HashMap<State, usize>) -> Option<usize> {
    let mut tail = form.get(1..)?;
    loop {
        let state = tail.iter().fold(start, |state, byte| nfa.next_state(Anchored::No, state, *byte));
        if let Some(depth) = open.get(&state) {
            return Some(*depth);
        }
        let matches = if nfa.is_match(state) { nfa.match_len(state) } else { 0 };
        let whole = (0..matches).map(|index| nfa.pattern_len(nfa.match_pattern(state, index))).max()?;
        tail = tail.get((tail.len() - whole + 1)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_names_and_no_value() {
        let patterns = Patterns::new([("TOKEN", "s3cret-value")]).unwrap();
        assert_eq!(format!("{patterns:?}"), r#"Patterns { names: ["TOKEN"], .. }"#);
    }

    #[test]
    fn a_whole_form_that_nothing_extends_is_not_held_back() {
        let patterns = Patterns::new([("A", "abcdef")]).unwrap();
        let walk = |text: &[u8]| text.iter().fold(patterns.start(), |state, byte| patterns.step(state, *byte));
        assert_eq!(patterns.open(walk(b"xabcde")), 5);
        assert_eq!(patterns.hit(walk(b"xabcdef")), Some(Hit { len: 6, owner: 0 }));
        assert_eq!(patterns.open(walk(b"xx")), 0);
    }

    #[test]
    fn a_form_that_another_extends_is_held_back_whole() {
        let patterns = Patterns::new([("A", "abcdef"), ("B", "abcdefghij")]).unwrap();
        let state = b"abcdef".iter().fold(patterns.start(), |state, byte| patterns.step(state, *byte));
        assert_eq!(patterns.open(state), 6);
    }
}
