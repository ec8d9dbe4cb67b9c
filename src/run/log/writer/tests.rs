//! Tests of the log writer, with its reader beside it.

use super::super::{LogStore, Part};
use super::*;
use crate::support::ids::RunId;

fn line(text: &str) -> Vec<u8> {
    format!("{{\"t\":\"T\",\"kind\":\"log\",\"stream\":\"stdout\",\"text\":\"{text}\"}}\n").into_bytes()
}

fn at(position: u64) -> Cursor {
    Cursor(serde_json::json!({ "at": position }))
}

fn store() -> (tempfile::TempDir, LogStore, RunId) {
    let folder = tempfile::tempdir().unwrap();
    let store = LogStore::new(folder.path().join("logs"));
    (folder, store, "a@1".parse().unwrap())
}

fn content(store: &LogStore, run: &RunId) -> Vec<u8> {
    fs::read(store.path(run)).unwrap()
}

/// 64 KiB of one letter as an event.
fn block(letter: &str) -> Vec<u8> {
    line(&letter.repeat(65_535))
}

#[test]
fn output_is_kept_as_it_was_and_events_are_counted() {
    let (_folder, store, run) = store();
    let mut log = store.open(&run).unwrap();
    let events = [
        &b"{\"t\":\"2026-01-01T00:00:00.000Z\",\"kind\":\"status\",\"state\":\"started\"}\n"[..],
        &line("one"),
        b"{\"t\":\"T\",\"kind\":\"log\",\"stream\":\"stderr\",\"base64\":\"/w==\"}\n",
        b"{\"t\":\"T\",\"kind\":\"from_the_future\"}\nnot an event\n",
        b"{\"t\":\"T\",\"kind\":\"log\",\"stream\":\"stdout\",\"text\":\"unfinished\",\"partial\":true}\n",
        b"{\"t\":\"T\",\"kind\":\"exit\",\"code\":7,\"bytes\":16}\n",
    ];
    log.feed(&events.concat(), &at(1)).unwrap();
    let summary = log.finish().unwrap();
    assert_eq!(content(&store, &run), b"one\n\xff\nunfinished");
    assert_eq!((summary.bytes, summary.truncated, summary.tail.as_str()), (16, false, "one\n\u{fffd}\nunfinished"));
    assert_eq!(summary.sha256, crate::support::ids::sha256_hex(b"one\n\xff\nunfinished"));
    assert_eq!((summary.progress.started, summary.progress.exit), (1, Some(7)));
    assert_eq!(summary.progress.started_at.as_deref(), Some("2026-01-01T00:00:00.000Z"));
}

#[test]
fn a_runner_that_began_nothing_behind_one_that_had_is_told_from_it() {
    const STARTED: &str = "\"kind\":\"status\",\"state\":\"started\"";
    const ERROR: &str = "\"kind\":\"error\",\"message\":\"taken\"";
    const EXIT: &str = "\"kind\":\"exit\",\"code\":65,\"bytes\":0";
    for (told, turned_away) in [
        (&[STARTED, EXIT][..], None),
        (&[ERROR, EXIT], None),
        // The first one died without a word, or said how it ended.
        (&[STARTED, ERROR, EXIT], Some(65)),
        (&[STARTED, EXIT, ERROR, EXIT], Some(65)),
    ] {
        let (_folder, store, run) = store();
        let mut log = store.open(&run).unwrap();
        let events = format!("{{\"t\":\"T\",{}}}\n", told.join("}\n{\"t\":\"T\","));
        log.feed(events.as_bytes(), &at(1)).unwrap();
        assert_eq!(log.finish().unwrap().progress.turned_away, turned_away, "{told:?}");
    }
}

#[test]
fn what_was_written_after_the_last_recorded_point_is_fed_again_and_stands_once() {
    let (_folder, store, run) = store();
    let mut log = store.open(&run).unwrap();
    let many: Vec<u8> = (0..20).flat_map(|_| block("a")).collect();
    log.feed(&many, &at(1)).unwrap();
    log.feed(&line("after"), &at(2)).unwrap();
    drop(log);

    let mut log = store.open(&run).unwrap();
    assert_eq!(*log.cursor(), at(1));
    log.feed(&line("after"), &at(2)).unwrap();
    let summary = log.finish().unwrap();
    assert_eq!(summary.bytes, 20 * 65_536 + 6);
    assert_eq!(content(&store, &run).len() as u64, summary.bytes);
}

#[test]
fn a_finished_log_answers_the_same_again_and_takes_no_more() {
    let (_folder, store, run) = store();
    let mut log = store.open(&run).unwrap();
    log.dropped(99).unwrap();
    let first = log.finish().unwrap();
    let mut log = store.open(&run).unwrap();
    log.dropped(99).unwrap();
    log.feed(&line("more"), &at(9)).unwrap();
    assert_eq!(log.finish().unwrap(), first);
    assert!(first.truncated && first.tail.contains("99 bytes of the event stream were dropped"));
}

#[test]
fn a_stretch_that_was_dropped_and_is_observed_again_is_counted_once() {
    let (_folder, store, run) = store();
    let much: Vec<u8> = (0..20).flat_map(|_| block("a")).collect();
    let mut log = store.open(&run).unwrap();
    log.feed(&line("before"), &at(1)).unwrap();
    log.record().unwrap();
    log.dropped(99).unwrap();
    drop(log);
    // Adopted before anything behind the gap was on record: the gap is told again.
    let mut log = store.open(&run).unwrap();
    assert_eq!(*log.cursor(), at(1));
    log.dropped(99).unwrap();
    log.feed(&much, &at(2)).unwrap();
    drop(log);
    // Adopted after that: it is not.
    let log = store.open(&run).unwrap();
    assert_eq!((log.cursor(), log.progress().dropped), (&at(2), 99));
    log.finish().unwrap();
    let text = String::from_utf8(content(&store, &run)).unwrap();
    assert_eq!(text.matches("were dropped here").count(), 1);
}

#[test]
fn of_a_long_log_beginning_and_end_are_kept_and_the_middle_is_counted_in_one_line() {
    let (_folder, store, run) = store();
    let mut log = store.open(&run).unwrap();
    for n in 0..1_120_u64 {
        let letter = ["b", "m", "e"][usize::from(n >= 160) + usize::from(n >= 960)];
        log.feed(&block(letter), &at(n)).unwrap();
    }
    let summary = log.finish().unwrap();
    let kept = content(&store, &run);
    let left_out = 1_120 * 65_536 - 2 * KEEP;
    assert_eq!((summary.bytes, summary.truncated), (1_120 * 65_536, true));
    let edge = usize::try_from(KEEP).unwrap();
    assert_eq!(kept.len(), 2 * edge + marker(left_out).len());
    assert!(kept[edge..].starts_with(&marker(left_out)), "{:?}", String::from_utf8_lossy(&kept[edge..edge + 60]));
    assert!(kept[..edge].iter().all(|byte| b"b\n".contains(byte)));
    assert!(kept[kept.len() - edge..].iter().all(|byte| b"e\n".contains(byte)));
}

#[test]
fn a_log_whose_exchange_was_cut_short_goes_on_from_the_shortened_one() {
    let (_folder, store, run) = store();
    let mut log = store.open(&run).unwrap();
    for n in 0..500 {
        log.feed(&block("x"), &at(n)).unwrap();
    }
    // As after a kill between the recording and the renaming: the state speaks of a file that has another name still.
    let shortened = log.state.length;
    let path = store.path(&run);
    log.record().unwrap();
    let generation = log.state.generation;
    assert_eq!(generation, 1);
    drop(log);
    fs::rename(&path, beside(&path, "1")).unwrap();
    fs::write(&path, "the old log").unwrap();
    let log = store.open(&run).unwrap();
    assert_eq!(*log.cursor(), at(499));
    assert_eq!(content(&store, &run).len() as u64, shortened);
    assert!(!beside(&path, "1").exists());
}

#[test]
fn a_log_that_lost_its_end_or_its_state_is_begun_anew() {
    for damaged in ["a@1.log", "a@1.log.state"] {
        let (folder, store, run) = store();
        let mut log = store.open(&run).unwrap();
        log.feed(&line("text"), &at(1)).unwrap();
        log.record().unwrap();
        fs::write(folder.path().join("logs").join(damaged), "t").unwrap();
        let mut log = store.open(&run).unwrap();
        assert_eq!(*log.cursor(), Cursor::default());
        log.feed(&line("text"), &at(1)).unwrap();
        assert_eq!(log.finish().unwrap().tail, "text\n");
    }
}

#[test]
fn a_reader_that_follows_sees_every_byte_once_while_the_middle_is_left_out() {
    let (_folder, store, run) = store();
    let mut log = store.open(&run).unwrap();
    let mut reader = store.read(&run).unwrap();
    let mut seen = 0;
    for n in 0..1_200 {
        log.feed(&block("x"), &at(n)).unwrap();
        loop {
            let bytes = reader.read(Part::WholeLines).unwrap();
            if bytes.is_empty() {
                break;
            }
            assert!(bytes.starts_with(b"x") && !bytes.contains(&b'['), "at block {n}");
            seen += bytes.len() as u64;
        }
    }
    assert_eq!(seen, 1_200 * 65_536);
}

#[tokio::test]
async fn a_follower_wakes_when_the_log_grows_and_gets_whole_lines_until_it_is_over() {
    let (_folder, store, run) = store();
    let mut log = store.open(&run).unwrap();
    let mut reader = store.read(&run).unwrap();
    let watcher = crate::support::watch::Watcher::new().unwrap();
    let mut growth = reader.watch(&watcher).unwrap();
    let partial = b"{\"t\":\"T\",\"kind\":\"log\",\"stream\":\"stdout\",\"text\":\"two\",\"partial\":true}\n";
    log.feed(&[line("one"), partial.to_vec()].concat(), &at(1)).unwrap();
    tokio::time::timeout(std::time::Duration::from_secs(20), growth.changed()).await.unwrap();
    assert_eq!(reader.read(Part::WholeLines).unwrap(), b"one\n");
    assert_eq!(reader.read(Part::All).unwrap(), b"two");
}
