//! Values, looked for in every encoding in which they could have slipped out, also where they are packed: in git's objects, in a database, in
//! what is compressed, and in a stream whose lines are cut into events.
//!
//! A [`Search`] knows the forms of some values and tells which of them are in some bytes. `unpack` shows what bytes hold besides themselves.

use std::collections::BTreeSet;

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use dispatch::support::ids::hex;
use serde_json::Value;

use crate::unpack::readings;

/// Of a shorter part too little is left in base64, where its ends depend on what stands beside it.
const LONG: usize = 16;

/// The forms of some values.
pub(crate) struct Search {
    forms: AhoCorasick,
    /// Which value each form is one of.
    of: Vec<usize>,
}

impl Search {
    /// For all of `values`, each of 16 bytes or more.
    pub(crate) fn of(values: &[String]) -> Self {
        let all = values
            .iter()
            .enumerate()
            .flat_map(|(number, value)| forms(value).into_iter().map(move |form| (number, form)).collect::<Vec<_>>());
        let (of, forms): (Vec<usize>, Vec<String>) = all.unzip();
        Self { forms: AhoCorasick::new(forms).unwrap(), of }
    }

    /// Which of the values are in `bytes`, or in what they hold.
    pub(crate) fn within(&self, bytes: &[u8]) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        for reading in readings(bytes) {
            found.extend(self.forms.find_overlapping_iter(&reading[..]).map(|hit| self.of[hit.pattern().as_usize()]));
        }
        found
    }

    pub(crate) fn is_in(&self, bytes: &[u8]) -> bool {
        !self.within(bytes).is_empty()
    }
}

/// The parts of a value that are worth as much as the whole: its lines, and the texts in it where it is JSON.
fn parts(value: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::from([value.trim().to_owned()]);
    all.extend(value.lines().map(|line| line.trim().to_owned()).filter(|line| line.len() >= LONG));
    let mut open = vec![serde_json::from_str::<Value>(value).unwrap_or_default()];
    while let Some(value) = open.pop() {
        match value {
            Value::String(leaf) if leaf.len() >= LONG => all.extend(parts(&leaf)),
            Value::Array(items) => open.extend(items),
            Value::Object(fields) => open.extend(fields.into_iter().map(|(_, field)| field)),
            _ => {}
        }
    }
    all
}

fn forms(value: &str) -> BTreeSet<String> {
    parts(value).iter().flat_map(|part| encodings(part)).collect()
}

/// Plain, as JSON and URLs write it, in hex, and in base64 at each alignment, of which the ends depend on what stands beside.
fn encodings(value: &str) -> Vec<String> {
    let json = serde_json::to_string(value).unwrap();
    let hex = hex(value.as_bytes());
    let percent = |kept: &[u8], space: &str| -> String {
        let each = value.bytes().map(|byte| match byte {
            b' ' => space.to_owned(),
            _ if byte.is_ascii_alphanumeric() || kept.contains(&byte) => (byte as char).to_string(),
            _ => format!("%{byte:02X}"),
        });
        each.collect()
    };
    let (url, path, form) = (percent(b"-_.~", "%20"), percent(b"-_.~/", "%20"), percent(b"-_.*", "+"));
    let json_of_json = serde_json::to_string(&json).unwrap();
    let inner = |text: &str, ends: usize| text[ends..text.len() - ends].to_owned();
    let mut all = vec![
        value.to_owned(),
        inner(&json, 1),
        inner(&json, 1).replace('/', "\\/"),
        inner(&json_of_json, 4),
        hex.to_uppercase(),
        hex,
        url.to_lowercase(),
        url,
        path,
        form,
    ];
    for shift in 0..3 {
        let shifted = format!("{}{value}", "x".repeat(shift));
        all.extend([STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)].map(|text| inner(&text, 4)));
    }
    all
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    use serde_json::json;

    use super::*;

    const VALUE: &str = "canary/of\"a\\value=1";

    #[test]
    fn a_value_is_found_however_it_is_written() {
        let search = Search::of(&[VALUE.to_owned()]);
        let written = [
            format!("a {VALUE} b"),
            json!({ "x": VALUE }).to_string(),
            json!({ "x": VALUE }).to_string().replace('/', "\\/"),
            json!({ "x": json!(VALUE).to_string() }).to_string(),
            STANDARD.encode(format!("1{VALUE}2")),
            STANDARD.encode(format!("12{VALUE}3")),
            URL_SAFE.encode(format!("123{VALUE}")),
            "63616e6172792f6f6622615c76616c75653d31".to_owned(),
            "63616E6172792F6F6622615C76616C75653D31".to_owned(),
            "canary%2Fof%22a%5Cvalue%3D1".to_owned(),
            "canary%2fof%22a%5cvalue%3d1".to_owned(),
            "canary/of%22a%5Cvalue%3D1".to_owned(),
        ];
        for found in written {
            assert!(search.is_in(found.as_bytes()), "{found}");
        }
        assert!(!search.is_in(b"canary/of a value"));
    }

    #[test]
    fn the_lines_of_a_value_and_the_texts_in_it_are_found_by_themselves_and_each_is_told_from_other_values() {
        let lines = "-----BEGIN-----\n  a-line-of-a-canary  \n-----END-----\n".to_owned();
        let object = json!({ "deep": [{ "password": "canary-in-a-leaf/" }], "short": "somebody" }).to_string();
        let search = Search::of(&[lines, object]);
        assert_eq!(search.within(b"a-line-of-a-canary"), BTreeSet::from([0]));
        assert_eq!(search.within(STANDARD.encode("?canary-in-a-leaf/?").as_bytes()), BTreeSet::from([1]));
        assert!(!search.is_in(b"somebody"));
    }

    /// What the runner writes of a line that it had to cut.
    fn events(parts: &[&[u8]]) -> Vec<u8> {
        let last = parts.len() - 1;
        let line = |(n, part): (usize, &&[u8])| {
            let text = std::str::from_utf8(part);
            let mut event = json!({ "t": "2026-01-01T00:00:00.000Z", "kind": "log", "stream": "stdout" });
            match text {
                Ok(text) => event["text"] = json!(text),
                Err(_) => event["base64"] = json!(STANDARD.encode(part)),
            }
            if n < last {
                event["partial"] = json!(true);
            }
            format!("{event}\n{{\"t\":\"x\",\"kind\":\"heartbeat\"}}\n")
        };
        parts.iter().enumerate().map(line).collect::<String>().into_bytes()
    }

    #[test]
    fn a_line_that_was_cut_into_events_is_read_as_the_line_that_it_was() {
        let search = Search::of(&[VALUE.to_owned()]);
        let (one, other) = VALUE.as_bytes().split_at(7);
        let odd = [&b"\xff\xfe"[..], one].concat();
        let (whole, cut) = (events(&[VALUE.as_bytes()]), events(&[one, other]));
        for stream in [whole, cut.clone(), events(&[&odd, other])] {
            assert!(search.is_in(&stream), "{}", String::from_utf8_lossy(&stream));
        }
        // As the API of Nomad frames a log.
        let frames: String = cut.chunks(10).map(|part| json!({ "Data": STANDARD.encode(part) }).to_string()).collect();
        assert!(search.is_in(frames.as_bytes()));
    }

    #[test]
    fn what_is_compressed_or_encoded_as_a_whole_is_opened() {
        let search = Search::of(&[VALUE.to_owned()]);
        let text = format!("#!/bin/bash\n{}\necho {VALUE}\n", "x".repeat(3000));
        let zstd = zstd::stream::encode_all(text.as_bytes(), 3).unwrap();
        let envelope = json!({ "script": { "zstd": STANDARD.encode(&zstd) } }).to_string();
        let job = json!({ "Job": { "Payload": STANDARD.encode(&envelope) } }).to_string();
        for packed in [zstd, envelope.into_bytes(), job.into_bytes()] {
            assert!(search.is_in(&packed));
        }
    }

    #[test]
    fn a_database_is_read_with_what_stands_in_its_log_and_over_the_borders_of_its_pages() {
        let search = Search::of(&[VALUE.to_owned()]);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("some.db");
        let database = rusqlite::Connection::open(&file).unwrap();
        database.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (a TEXT, b BLOB)").unwrap();
        // Somewhere in it a page ends in the midst of the value.
        let long = (0..400).fold(String::new(), |text, n| text + VALUE + &"-".repeat(n % 17));
        database.execute("INSERT INTO t VALUES (?1, NULL)", [&long]).unwrap();
        assert!(
            search.is_in(&std::fs::read(folder.path().join("some.db-wal")).unwrap()),
            "in the log as it lies there"
        );
        let once = format!("{}{VALUE}", "y".repeat(4096 - 40));
        database.execute("UPDATE t SET a = NULL, b = ?1", [once.as_bytes()]).unwrap();
        database.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); VACUUM").unwrap();
        let rows = crate::unpack::rows(&file);
        assert!(rows.iter().any(|row| search.is_in(row)), "in its rows");
    }

    #[test]
    fn an_object_of_a_repository_is_found_that_nothing_refers_to() {
        let search = Search::of(&[VALUE.to_owned()]);
        let folder = tempfile::tempdir().unwrap();
        let git = |arguments: &[&str]| {
            let mut command = std::process::Command::new("git");
            command.args(arguments).current_dir(folder.path()).stdin(std::process::Stdio::piped());
            let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
            child.stdin.take().unwrap().write_all(VALUE.as_bytes()).unwrap();
            assert!(child.wait().unwrap().success());
        };
        git(&["init", "--quiet", "--bare", "some.git"]);
        git(&["--git-dir", "some.git", "hash-object", "-w", "--stdin"]);
        assert!(search.is_in(&crate::unpack::objects(&folder.path().join("some.git"))));
    }
}
