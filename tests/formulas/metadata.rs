//! Each script and its `.meta.toml` say the same, and the documentation has them all.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const FORMULAS: [&str; 4] = ["publish-site", "release", "rotate-secret-check", "webhook-call"];

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn metadata(name: &str) -> toml::Table {
    fs::read_to_string(at(&format!("formulas/{name}.meta.toml"))).unwrap().parse().unwrap()
}

fn script(name: &str) -> String {
    fs::read_to_string(at(&format!("formulas/{name}.sh"))).unwrap()
}

fn declared(name: &str) -> BTreeSet<String> {
    let metadata = metadata(name);
    let params = metadata["params"].as_array().unwrap();
    params.iter().map(|param| param["name"].as_str().unwrap().to_owned()).collect()
}

/// The words in `text` that follow `prefix`, made of upper-case letters, digits and `_`.
fn words_after(text: &str, prefix: &str) -> BTreeSet<String> {
    let of_name = |c: &char| c.is_ascii_uppercase() || c.is_ascii_digit() || *c == '_';
    text.split(prefix).skip(1).map(|rest| rest.chars().take_while(of_name).collect::<String>().to_lowercase()).collect()
}

#[test]
fn every_formula_that_ships_is_tested_here() {
    let files = fs::read_dir(at("formulas")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let scripts: BTreeSet<String> = files.filter_map(|file| file.strip_suffix(".sh").map(str::to_owned)).collect();
    assert_eq!(scripts, FORMULAS.map(str::to_owned).into());
}

#[test]
fn a_script_reads_exactly_the_parameters_that_its_metadata_declares() {
    for name in FORMULAS {
        assert_eq!(words_after(&script(name), "DISPATCH_PARAM_"), declared(name), "{name}");
    }
}

#[test]
fn every_parameter_is_described_and_is_required_or_has_a_default() {
    for name in FORMULAS {
        for param in metadata(name)["params"].as_array().unwrap() {
            let required = param.get("required").is_some_and(|required| required.as_bool() == Some(true));
            assert!(required != param.get("default").is_some(), "{name}: {param}");
            assert!(param["description"].as_str().is_some_and(|words| words.ends_with('.')), "{name}: {param}");
        }
    }
}

#[test]
fn the_defaults_of_a_script_are_those_of_its_metadata() {
    for name in FORMULAS {
        for param in metadata(name)["params"].as_array().unwrap() {
            let variable = format!("DISPATCH_PARAM_{}", param["name"].as_str().unwrap().to_uppercase());
            let default = param.get("default").and_then(|value| value.as_str()).unwrap_or_default();
            let reads = [format!("${{{variable}:-{default}}}"), format!("${{{variable}-{default}}}")];
            // The target of a site is the source where it is empty: a default that metadata cannot express.
            let of_site = name == "publish-site" && variable == "DISPATCH_PARAM_TARGET";
            assert!(of_site || reads.iter().any(|read| script(name).contains(read)), "{name}: {reads:?}");
        }
    }
}

#[test]
fn the_documentation_names_every_formula_parameter_and_secret() {
    let docs = fs::read_to_string(at("docs/formulas.md")).unwrap();
    for name in FORMULAS {
        let section = docs.split(&format!("\n### `{name}`\n")).nth(1).unwrap_or_else(|| panic!("no section on {name}"));
        let section = section.split("\n### ").next().unwrap();
        for param in declared(name) {
            assert!(section.contains(&format!("| `{param}` |")), "{name}: {param}");
        }
        for secret in metadata(name).get("secrets").and_then(|s| s.as_array()).into_iter().flatten() {
            assert!(section.contains(&format!("`{}`", secret.as_str().unwrap())), "{name}: {secret}");
        }
    }
}

/// The actions that the documentation shows.
fn examples() -> Vec<toml::Table> {
    let docs = fs::read_to_string(at("docs/formulas.md")).unwrap();
    let blocks = docs.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.map(|block| block.parse().unwrap()).filter(|table: &toml::Table| table.contains_key("formula")).collect()
}

#[test]
fn the_examples_ask_for_what_their_formulas_take() {
    let mut shown = Vec::new();
    for example in examples() {
        let name = example["formula"].as_str().unwrap();
        let metadata = metadata(name);
        let params = example["params"].as_table().unwrap();
        let unknown: Vec<_> = params.keys().filter(|param| !declared(name).contains(*param)).collect();
        assert!(unknown.is_empty(), "{name}: {unknown:?}");
        for param in metadata["params"].as_array().unwrap() {
            let required = param.get("required").is_some() && !params.contains_key(param["name"].as_str().unwrap());
            assert!(!required, "{name}: {param}");
        }
        if let Some(limit) = metadata.get("secrets") {
            let limit = limit.as_array().unwrap();
            assert!(example["secrets"].as_array().unwrap().iter().all(|secret| limit.contains(secret)), "{name}");
        }
        shown.push(name.to_owned());
    }
    shown.sort();
    assert_eq!(shown, FORMULAS);
}
