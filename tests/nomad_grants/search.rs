//! A value, looked for in every encoding in which it could have slipped out.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use dispatch::support::ids::hex;

/// The forms of some values.
pub(crate) struct Search {
    forms: Vec<Vec<u8>>,
}

impl Search {
    /// For all of `values`, each of 16 bytes or more.
    pub(crate) fn of(values: &[String]) -> Self {
        Self { forms: values.iter().flat_map(|value| forms(value)).map(String::into_bytes).collect() }
    }

    /// Asserts that nothing of it is in `bytes`, which are those of `place`.
    pub(crate) fn none_in(&self, place: &str, bytes: &[u8]) {
        assert!(!self.is_in(bytes), "a granted value is in {place}");
    }

    /// The same of all files below a folder, or of a file. What vanishes meanwhile is no place.
    pub(crate) fn none_below(&self, path: &Path) -> usize {
        let Ok(kind) = fs::symlink_metadata(path).map(|found| found.file_type()) else { return 0 };
        if kind.is_dir() {
            let entries = fs::read_dir(path).into_iter().flatten().flatten();
            return entries.map(|entry| self.none_below(&entry.path())).sum();
        }
        // Nomad's pipes lie among the files; reading one would wait for ever, and take from it.
        match kind.is_file().then(|| fs::read(path)) {
            Some(Ok(bytes)) => {
                self.none_in(&path.display().to_string(), &bytes);
                1
            }
            _ => 0,
        }
    }

    pub(crate) fn is_in(&self, bytes: &[u8]) -> bool {
        self.forms.iter().any(|form| contains(bytes, form))
    }
}

/// By the first byte, so that megabytes take milliseconds.
fn contains(bytes: &[u8], form: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == form[0]) {
        rest = &rest[at..];
        if rest.starts_with(form) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}

/// Plain, as JSON and URLs write it, in hex, and in base64 at each alignment, of which the ends depend on what stands beside.
fn forms(value: &str) -> Vec<String> {
    let json = serde_json::to_string(value).unwrap();
    let hex = hex(value.as_bytes());
    let url: String = value
        .bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                (byte as char).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect();
    let json_of_json = serde_json::to_string(&json).unwrap();
    let inner = |text: &str, ends: usize| text[ends..text.len() - ends].to_owned();
    let mut all = vec![
        value.to_owned(),
        inner(&json, 1),
        inner(&json_of_json, 4),
        hex.to_uppercase(),
        hex,
        url.to_lowercase(),
        url,
    ];
    for shift in 0..3 {
        let shifted = format!("{}{value}", "x".repeat(shift));
        all.extend([STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)].map(|text| inner(&text, 4)));
    }
    all.sort_unstable();
    all.dedup();
    all
}

#[test]
fn the_search_finds_a_value_however_it_is_written() {
    let value = "canary/of\"a\\value=1".to_owned();
    let search = Search::of(std::slice::from_ref(&value));
    let standard = base64::engine::general_purpose::STANDARD;
    for found in [
        format!("a {value} b"),
        serde_json::json!({ "x": value }).to_string(),
        serde_json::json!({ "x": serde_json::json!(value).to_string() }).to_string(),
        standard.encode(format!("1{value}2")),
        standard.encode(format!("12{value}3")),
        standard.encode(format!("123{value}")),
        "63616e6172792f6f6622615c76616c75653d31".to_owned(),
        "canary%2Fof%22a%5Cvalue%3D1".to_owned(),
    ] {
        assert!(search.is_in(found.as_bytes()), "{found}");
    }
    assert!(!search.is_in(b"canary/of a value"));
}
