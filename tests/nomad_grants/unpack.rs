//! What bytes hold besides themselves, for a search: decoded, decompressed, put together again. It shares no code with what has packed them.

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use rusqlite::OpenFlags;
use rusqlite::types::ValueRef;
use serde_json::Value;

/// A payload within a job within an event, and what is packed in it.
const DEEPEST: usize = 5;

/// Shorter texts in base64 hold no value.
const SHORTEST: usize = 16;

const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// `bytes` themselves, and all that can be read in them.
pub(crate) fn readings(bytes: &[u8]) -> Vec<Vec<u8>> {
    let (mut all, mut next) = (Vec::new(), vec![bytes.to_vec()]);
    for _ in 0..DEEPEST {
        let packed = std::mem::take(&mut next);
        next.extend(packed.iter().flat_map(|bytes| opened(bytes)));
        all.extend(packed);
    }
    all.extend(next);
    all
}

/// What can be read in `bytes` at one level.
fn opened(bytes: &[u8]) -> Vec<Vec<u8>> {
    if bytes.starts_with(&ZSTD) {
        return zstd::stream::decode_all(bytes).into_iter().collect();
    }
    // One document, lines of them, or documents back to back.
    let documents: Vec<Value> =
        serde_json::Deserializer::from_slice(bytes).into_iter::<Value>().map_while(Result::ok).collect();
    let documents = if documents.iter().any(|document| document.is_object() || document.is_array()) {
        documents
    } else {
        bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
    };
    let mut all = vec![put_together(&documents, "text", "base64"), put_together(&documents, "", "Data")];
    for document in &documents {
        leaves(document, &mut all);
    }
    all.retain(|bytes| bytes.len() >= SHORTEST);
    all
}

/// Every text below `value`, as it is read, and decoded where it is in base64.
fn leaves(value: &Value, into: &mut Vec<Vec<u8>>) {
    match value {
        Value::String(text) => {
            into.push(text.clone().into_bytes());
            into.extend(decoded(text));
        }
        Value::Array(items) => items.iter().for_each(|item| leaves(item, into)),
        Value::Object(fields) => fields.iter().for_each(|(name, field)| {
            into.push(name.clone().into_bytes());
            leaves(field, into);
        }),
        _ => {}
    }
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    if text.len() < SHORTEST {
        return None;
    }
    [alphabet::STANDARD, alphabet::URL_SAFE]
        .iter()
        .find_map(|alphabet| GeneralPurpose::new(alphabet, LENIENT).decode(text).ok())
}

/// The stream that some objects carry in parts: plain in one field, or in base64 in another. What is marked as partial goes on in the next one.
fn put_together(documents: &[Value], plain: &str, encoded: &str) -> Vec<u8> {
    let mut all = Vec::new();
    for document in documents {
        let part = document[plain].as_str().map(|text| text.as_bytes().to_vec());
        let Some(part) = part.or_else(|| decoded_part(document[encoded].as_str()?)) else { continue };
        all.extend(part);
        if encoded == "base64" && document["partial"] != true {
            all.push(b'\n');
        }
    }
    all
}

fn decoded_part(text: &str) -> Option<Vec<u8>> {
    GeneralPurpose::new(&alphabet::STANDARD, LENIENT).decode(text).ok()
}

/// Each row of each table of a database, its log included; none where the file is no database.
pub(crate) fn rows(file: &Path) -> Vec<Vec<u8>> {
    let Ok(database) = rusqlite::Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE) else {
        return Vec::new();
    };
    database.execute_batch("PRAGMA query_only = ON; PRAGMA busy_timeout = 5000").unwrap();
    let mut tables = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").unwrap();
    let tables: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    tables.iter().flat_map(|table| rows_of(&database, table)).collect()
}

fn rows_of(database: &rusqlite::Connection, table: &str) -> Vec<Vec<u8>> {
    let mut all = database.prepare(&format!("SELECT * FROM \"{table}\"")).unwrap();
    let columns = all.column_count();
    let row = |row: &rusqlite::Row<'_>| {
        let cell = |column| match row.get_ref(column).unwrap() {
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.to_vec(),
            _ => Vec::new(),
        };
        Ok((0..columns).map(cell).collect::<Vec<_>>())
    };
    all.query_map([], row).unwrap().flat_map(Result::unwrap).filter(|cell| cell.len() >= SHORTEST).collect()
}

/// Whether a folder is a repository of git.
pub(crate) fn is_repository(folder: &Path) -> bool {
    folder.join("HEAD").is_file() && folder.join("objects").is_dir()
}

/// All objects of a repository, unpacked, one behind another: those that nothing refers to as well.
pub(crate) fn objects(repository: &Path) -> Vec<u8> {
    let mut command = Command::new("git");
    command.arg("--git-dir").arg(repository).args(["cat-file", "--batch-all-objects", "--batch"]);
    let output = command.env("GIT_CONFIG_NOSYSTEM", "1").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
