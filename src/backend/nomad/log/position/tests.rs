//! A log of several files, read in pieces, with the oldest file removed meanwhile.

use super::*;

/// Files as a server keeps them: it answers what stands behind an offset, counted from the oldest.
struct Kept(Vec<(u32, &'static str)>);

impl Kept {
    fn from(&self, offset: u64) -> Vec<Frame> {
        let mut left = usize::try_from(offset).unwrap();
        let mut frames = Vec::new();
        for (file, text) in &self.0 {
            let skipped = left.min(text.len());
            left -= skipped;
            // In small frames, as a live log comes.
            for data in text.as_bytes()[skipped..].chunks(3) {
                frames.push(Frame::Bytes { file: *file, data: data.to_vec() });
            }
        }
        frames
    }

    /// Reads on from `position` as the reader does.
    fn read(&self, position: &mut Position) -> (String, u64) {
        let mut lines = Lines::from(position);
        match self.all(&mut lines, position) {
            Ok(read) if !lines.is_unchecked() => read,
            _ => self.all(&mut Lines::anew(position), position).unwrap(),
        }
    }

    fn all(&self, lines: &mut Lines, position: &mut Position) -> Result<(String, u64), Moved> {
        let (mut text, mut dropped) = (String::new(), 0);
        for frame in self.from(lines.wanted()) {
            for piece in lines.take(frame)? {
                match piece {
                    Piece::Lines(bytes, behind) => {
                        text += std::str::from_utf8(&bytes).unwrap();
                        *position = behind;
                    }
                    Piece::Dropped(bytes) => dropped += bytes,
                }
            }
        }
        Ok((text, dropped))
    }
}

#[test]
fn a_log_is_read_on_where_it_was_left_across_files() {
    let mut position = Position::start("a");
    assert_eq!(Kept(vec![(0, "one\ntw")]).read(&mut position), ("one\n".to_owned(), 0));
    let kept = Kept(vec![(0, "one\ntwo\nthr"), (1, "ee\nfour\n")]);
    assert_eq!(kept.read(&mut position), ("two\nthree\nfour\n".to_owned(), 0));
    assert_eq!((position.file, position.offset, position.at), (1, 8, 19));
    assert_eq!(kept.read(&mut position), (String::new(), 0));
}

#[test]
fn a_file_that_was_removed_before_the_position_changes_nothing() {
    let mut position = Position::start("a");
    Kept(vec![(0, "one\ntwo\n"), (1, "three\nfo")]).read(&mut position);
    let kept = Kept(vec![(1, "three\nfour\n"), (2, "five\n")]);
    assert_eq!(kept.read(&mut position), ("four\nfive\n".to_owned(), 0));
    assert_eq!(position.base, 1);
    assert_eq!(Kept(vec![(1, "three\nfour\n"), (2, "five\nsix\n")]).read(&mut position), ("six\n".to_owned(), 0));
}

#[test]
fn what_was_removed_unread_is_a_gap_and_the_line_that_it_cut_is_not_passed_on() {
    let mut position = Position::start("a");
    Kept(vec![(0, "one\ntwo\n")]).read(&mut position);
    let (text, dropped) = Kept(vec![(3, "rest of a line\nseven\n")]).read(&mut position);
    assert_eq!(text, "seven\n");
    assert!(dropped > 0);
}

#[test]
fn the_last_event_is_noticed_and_stays_noticed() {
    let mut position = Position::start("a");
    let kept = Kept(vec![(0, "{\"kind\":\"log\"}\n{\"kind\":\"exit\",\"code\":7}\n")]);
    kept.read(&mut position);
    assert!(position.ended);
    assert_eq!(position.last, digest(b"{\"kind\":\"exit\",\"code\":7}"));
    kept.read(&mut position);
    assert!(position.ended);
}

#[test]
fn a_line_without_an_end_is_dropped_and_counted() {
    let mut lines = Lines::from(&Position::start("a"));
    let long = Frame::Bytes { file: 0, data: vec![b'x'; LONGEST + 1] };
    assert_eq!(lines.take(long).unwrap(), [Piece::Dropped(LONGEST as u64 + 1)]);
    let rest = lines.take(Frame::Bytes { file: 0, data: b"xx\nnext\n".to_vec() }).unwrap();
    assert!(matches!(&rest[..], [Piece::Dropped(3), Piece::Lines(text, _)] if text == b"next\n"), "{rest:?}");
}
