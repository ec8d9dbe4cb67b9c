//! Redaction of a stream that arrives in arbitrary pieces: what could still become a match is held back until it is one, or
//! is not.

use std::sync::Arc;

use super::forms::is_break;
use super::patterns::{Hit, Patterns, State};

/// So many line breaks in a row end a possible match: a wrapping tool puts one or two, and without a bound an endless run of
/// them behind the first byte of a form would be kept in memory.
const MAX_BREAKS: usize = 64;

/// One stream being redacted.
#[derive(Debug)]
pub struct Redactor {
    patterns: Arc<Patterns>,
    state: State,
    /// What was read and not yet given out.
    held: Vec<u8>,
    /// Where `held` is to be covered; in order, apart from each other.
    covers: Vec<Cover>,
    breaks: usize,
}

/// A stretch of `held` that belongs to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cover {
    start: usize,
    end: usize,
    owner: usize,
    /// Its replacement text has been given out already: the beginning was no longer in doubt, the end still is.
    announced: bool,
}

impl Redactor {
    /// A stream that begins.
    pub fn new(patterns: Arc<Patterns>) -> Self {
        let state = patterns.start();
        Self { patterns, state, held: Vec::new(), covers: Vec::new(), breaks: 0 }
    }

    /// Takes the next bytes and appends to `out` what is certain by now.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let from = self.held.len();
        self.held.extend_from_slice(bytes);
        self.scan(from);
        self.release(self.certain(), out);
    }

    /// The stream is over: appends what was held back.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.release(self.held.len(), out);
        self.state = self.patterns.start();
        self.breaks = 0;
    }

    /// Whether bytes are being held back.
    pub fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// Goes on with other patterns, which are applied to what is being held back, too. They must know all former values.
    pub fn renew(&mut self, patterns: &Arc<Patterns>) {
        if Arc::ptr_eq(&self.patterns, patterns) {
            return;
        }
        self.patterns = Arc::clone(patterns);
        self.state = patterns.start();
        self.breaks = 0;
        // The others are found again; these began in what has been given out.
        self.covers.retain(|cover| cover.announced);
        self.scan(0);
    }

    fn scan(&mut self, from: usize) {
        let patterns = Arc::clone(&self.patterns);
        let mut hits: Vec<(usize, Hit)> = Vec::new();
        for (at, byte) in self.held.iter().enumerate().skip(from) {
            if is_break(*byte) {
                self.breaks += 1;
                if self.breaks == MAX_BREAKS {
                    self.state = patterns.start();
                }
                continue;
            }
            self.breaks = 0;
            self.state = patterns.step(self.state, *byte);
            if let Some(hit) = patterns.hit(self.state) {
                hits.push((at + 1, hit));
            }
        }
        for (end, hit) in hits {
            self.cover(end, hit);
        }
    }

    /// Covers the form that ends before `end`, together with what it overlaps.
    fn cover(&mut self, end: usize, hit: Hit) {
        let mut cover = Cover { start: self.back(end, hit.len), end, owner: hit.owner, announced: false };
        while let Some(last) = self.covers.pop_if(|last| last.end > cover.start) {
            cover.start = cover.start.min(last.start);
            cover.end = cover.end.max(last.end);
            cover.announced |= last.announced;
        }
        self.covers.push(cover);
    }

    /// The index at which the last `count` bytes before `end` begin, line breaks not counted.
    fn back(&self, end: usize, count: usize) -> usize {
        if count == 0 {
            return end;
        }
        let ahead = self.held.get(..end).unwrap_or_default();
        let mut solid = ahead.iter().enumerate().rev().filter(|(_, byte)| !is_break(**byte));
        solid.nth(count - 1).map_or(0, |(at, _)| at)
    }

    /// Up to where `held` can begin no match that is not yet whole.
    fn certain(&self) -> usize {
        self.back(self.held.len(), self.patterns.open(self.state))
    }

    fn release(&mut self, upto: usize, out: &mut Vec<u8>) {
        let mut at = 0;
        let mut kept = Vec::new();
        for mut cover in self.covers.drain(..) {
            if cover.start < upto {
                out.extend_from_slice(self.held.get(at..cover.start).unwrap_or_default());
                if !cover.announced {
                    out.extend_from_slice(format!("[redacted:{}]", self.patterns.name(cover.owner)).as_bytes());
                }
                cover.announced = true;
                at = cover.end.min(upto);
            }
            if cover.end > upto {
                let (start, end) = (cover.start.saturating_sub(upto), cover.end - upto);
                kept.push(Cover { start, end, ..cover });
            }
        }
        out.extend_from_slice(self.held.get(at..upto).unwrap_or_default());
        self.held.drain(..upto);
        self.covers = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(values: &[(&str, &str)]) -> Redactor {
        Redactor::new(Arc::new(Patterns::new(values.iter().copied()).unwrap()))
    }

    fn feed(redactor: &mut Redactor, text: &str) -> String {
        let mut out = Vec::new();
        redactor.feed(text.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    fn whole(values: &[(&str, &str)], text: &str) -> String {
        let mut redactor = redactor(values);
        let mut out = feed(&mut redactor, text).into_bytes();
        redactor.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_value_is_replaced_by_its_name() {
        assert_eq!(whole(&[("T", "s3cret-v")], "a s3cret-v b"), "a [redacted:T] b");
        assert_eq!(whole(&[("T", "s3cret-v")], "nothing here"), "nothing here");
    }

    #[test]
    fn the_beginning_of_a_value_waits_for_what_follows() {
        let mut redactor = redactor(&[("T", "s3cret-v")]);
        assert_eq!(feed(&mut redactor, "say s3cr"), "say ");
        assert!(redactor.holds());
        assert_eq!(feed(&mut redactor, "et-v!"), "[redacted:T]!");
        assert!(!redactor.holds());
        assert_eq!(feed(&mut redactor, "s3cr"), "");
        assert_eq!(feed(&mut redactor, "umble"), "s3crumble");
    }

    #[test]
    fn a_value_that_is_wrapped_over_lines_is_found() {
        assert_eq!(whole(&[("T", "s3cret-v")], "a\ns3c\nre\r\nt-v\nb\n"), "a\n[redacted:T]\nb\n");
    }

    #[test]
    fn of_two_values_that_overlap_neither_end_is_left_over() {
        assert_eq!(whole(&[("A", "abcdefXY"), ("B", "XYghijkl")], "-abcdefXYghijkl-"), "-[redacted:B]-");
        assert_eq!(
            whole(&[("A", "abcdef"), ("B", "abcdefghij")], "-abcdefghij-abcdefgh"),
            "-[redacted:B]-[redacted:A]gh"
        );
    }

    #[test]
    fn an_endless_run_of_a_value_is_covered_in_bounded_memory() {
        let mut redactor = redactor(&[("A", "aaaaaa")]);
        let mut out = feed(&mut redactor, "aaaaaa");
        for _ in 0..1000 {
            out += &feed(&mut redactor, "aaaaaaaaaa");
            assert!(redactor.held.len() <= 6, "{}", redactor.held.len());
        }
        assert_eq!(out + &feed(&mut redactor, "b"), "[redacted:A]b");
    }

    #[test]
    fn endless_line_breaks_behind_a_beginning_are_let_go() {
        let mut redactor = redactor(&[("A", "abcdef")]);
        assert_eq!(feed(&mut redactor, &("a".to_owned() + &"\n".repeat(63))), "");
        assert_eq!(feed(&mut redactor, "\n").len(), 65);
    }

    #[test]
    fn a_value_added_in_the_midst_applies_to_what_is_held() {
        let mut redactor = redactor(&[("A", "abcdefgh")]);
        assert_eq!(feed(&mut redactor, "abcdef"), "");
        let both = Arc::new(Patterns::new([("A", "abcdefgh"), ("B", "cdefzz")]).unwrap());
        redactor.renew(&both);
        assert_eq!(feed(&mut redactor, "zz."), "ab[redacted:B].");
    }
}
