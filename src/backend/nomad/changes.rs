//! What a plan says that a registration would change, field by field. Pure.

use serde::Serialize;
use serde_json::Value;

/// One field of a job that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Where it stands: `group run / task runner / Resources / MemoryMB`.
    pub field: String,
    /// What is registered; empty where there is nothing.
    pub old: String,
    /// What would be; empty where it would go.
    pub new: String,
}

/// Whether and how a job would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Planned {
    /// It is not registered.
    New,
    /// It is as it would be registered.
    Same,
    /// It differs in these.
    Differs(Vec<Change>),
}

impl Planned {
    /// Reads the `Diff` of a plan's answer.
    pub fn of(diff: Option<&Value>) -> Self {
        let Some(diff) = diff else { return Self::Differs(Vec::new()) };
        match diff.get("Type").and_then(Value::as_str) {
            Some("Added") => Self::New,
            Some("None") => Self::Same,
            _ => {
                let mut changes = Vec::new();
                collect(diff, "", &mut changes);
                Self::Differs(changes)
            }
        }
    }
}

/// The parts of a diff that have fields of their own, and the word before their name.
const PARTS: [(&str, &str); 3] = [("Objects", ""), ("TaskGroups", "group "), ("Tasks", "task ")];

fn collect(part: &Value, place: &str, changes: &mut Vec<Change>) {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let differs = |value: &&Value| text(value, "Type") != "None";
    let list = |name: &str| part.get(name).and_then(Value::as_array).into_iter().flatten().filter(differs);
    let below = |name: &str| if place.is_empty() { name.to_owned() } else { format!("{place} / {name}") };
    for field in list("Fields") {
        let (old, new) = (text(field, "Old"), text(field, "New"));
        changes.push(Change { field: below(&text(field, "Name")), old, new });
    }
    for (kind, word) in PARTS {
        for inner in list(kind) {
            collect(inner, &below(&format!("{word}{}", text(inner, "Name"))), changes);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_changed_field_is_named_by_where_it_stands() {
        let diff = json!({ "Type": "Edited", "Fields": [{ "Type": "None", "Name": "Priority", "Old": "50", "New": "50" }],
            "TaskGroups": [{ "Type": "Edited", "Name": "run", "Tasks": [{ "Type": "Edited", "Name": "runner", "Objects": [
                { "Type": "Edited", "Name": "Resources", "Fields": [
                    { "Type": "None", "Name": "CPU", "Old": "1", "New": "1" },
                    { "Type": "Edited", "Name": "MemoryMB", "Old": "64", "New": "128" }] },
                { "Type": "None", "Name": "Config" }] }] }] });
        let Planned::Differs(changes) = Planned::of(Some(&diff)) else { panic!("it differs") };
        let field = "group run / task runner / Resources / MemoryMB".to_owned();
        assert_eq!(changes, [Change { field, old: "64".to_owned(), new: "128".to_owned() }]);
    }

    #[test]
    fn a_new_job_and_an_unchanged_one_are_told_apart() {
        assert_eq!(Planned::of(Some(&json!({ "Type": "Added" }))), Planned::New);
        assert_eq!(Planned::of(Some(&json!({ "Type": "None" }))), Planned::Same);
    }
}
