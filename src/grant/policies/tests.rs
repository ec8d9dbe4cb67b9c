//! The shapes, and folders of a site's own.

use super::*;

fn of(mount: &str, prefix: &str, role: &str) -> Site {
    let [mount, prefix, role] = [mount, prefix, role].map(str::to_owned);
    Site { mount, prefix, role, identity: None, namespace: None }
}

fn site() -> Site {
    of("kv", "disinto/runner/", "runner")
}

fn secret(name: &str) -> SecretName {
    name.parse().unwrap()
}

fn allow(names: &[&str]) -> BTreeSet<SecretName> {
    names.iter().map(|name| secret(name)).collect()
}

#[test]
fn every_shipped_file_is_the_shape_of_its_secret() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let files = policy_files(&folder).unwrap();
    for name in SHIPPED {
        assert_eq!(files.get(&format!("runner-{name}")), Some(&site().runner_policy(&secret(name))), "{name}");
    }
    let runners = files.keys().filter(|stem| stem.starts_with("runner-")).count();
    assert_eq!(runners, SHIPPED.len(), "a policy was added that `SHIPPED` does not name");
}

#[test]
fn a_secrets_policy_reads_exactly_one_path() {
    let stanzas = hcl::parse(&site().runner_policy(&secret("NPM_TOKEN"))).unwrap();
    assert_eq!(stanzas.len(), 1);
    assert_eq!(stanzas[0].path, "kv/data/disinto/runner/NPM_TOKEN");
    assert_eq!(stanzas[0].capabilities, ["read".to_owned()].into());
}

#[test]
fn another_mount_prefix_and_role_are_in_every_path() {
    let site = of("team/kv", "ci/", "jobs");
    let all = site.dispatcher_policy() + &site.runner_policy(&secret("A"));
    for path in ["team/kv/metadata/ci/*", "team/kv/data/ci/A", "auth/token/create/jobs"] {
        assert!(all.contains(&format!("path \"{path}\"")), "{path}: {all}");
    }
    assert!(!all.contains("disinto"), "{all}");
}

#[test]
fn the_dispatchers_policy_reads_no_secret() {
    let stanzas = hcl::parse(&site().dispatcher_policy()).unwrap();
    assert!(stanzas.iter().all(|stanza| !stanza.path.contains("/data/")), "{stanzas:?}");
    let mint = stanzas.iter().find(|stanza| stanza.path.starts_with("auth/token/create")).unwrap();
    for limit in
        ["required_parameters", "allowed_parameters", "denied_parameters", "min_wrapping_ttl", "max_wrapping_ttl"]
    {
        assert!(mint.limits.contains_key(limit), "{limit}");
    }
}

#[test]
fn without_an_allowlist_the_shipped_secrets_are_meant_and_with_one_only_those() {
    let names = |allow: &BTreeSet<SecretName>| -> Vec<String> {
        Wanted::shipped(&site(), allow, 3600).unwrap().policies.into_iter().map(|policy| policy.name).collect()
    };
    assert_eq!(names(&allow(&[])).len(), 7);
    assert_eq!(names(&allow(&["MY_KEY"])), ["service-dispatcher", "runner-my_key"]);
}

#[test]
fn a_folder_of_a_sites_own_is_taken_as_it_is_and_what_it_asks_beyond_the_shape_is_named() {
    let folder = tempfile::tempdir().unwrap();
    add(folder.path(), &site(), &secret("A_KEY")).unwrap();
    let wide = "path \"kv/data/*\" {\n  capabilities = [\"read\"]\n}\n";
    fs::write(folder.path().join("runner-B_KEY.hcl"), wide).unwrap();
    fs::write(folder.path().join("nomad-dispatcher.hcl"), "namespace \"x\" {}").unwrap();
    let wanted = Wanted::in_folder(folder.path(), &site(), &allow(&["A_KEY"]), 3600).unwrap();
    let beyond: Vec<(&str, Vec<String>)> =
        wanted.policies.iter().map(|policy| (policy.name.as_str(), policy.beyond())).collect();
    assert_eq!(
        beyond,
        [
            ("service-dispatcher", vec![]),
            ("runner-a_key", vec![]),
            ("runner-b_key", vec!["`kv/data/*`: read".to_owned()])
        ]
    );
}

#[test]
fn names_that_differ_only_by_case_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    add(folder.path(), &site(), &secret("FOO_KEY")).unwrap();
    fs::write(folder.path().join("runner-Foo_Key.hcl"), "").unwrap();
    let error = Wanted::in_folder(folder.path(), &site(), &allow(&[]), 3600).unwrap_err();
    assert!(matches!(error, PolicyError::SameName { .. }), "{error}");
    assert!(matches!(add(folder.path(), &site(), &secret("BAR_KEY")), Err(PolicyError::SameName { .. })));
}

#[test]
fn a_file_that_is_named_after_no_secret_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("runner-npm.hcl"), "").unwrap();
    let error = Wanted::in_folder(folder.path(), &site(), &allow(&[]), 3600).unwrap_err();
    assert_eq!(error.to_string(), format!("runner-npm.hcl is not named after a secret: {}", SecretName::RULE));
}

#[test]
fn a_secret_without_a_policy_is_named_with_the_next_step() {
    let folder = tempfile::tempdir().unwrap();
    let error = Wanted::in_folder(folder.path(), &site(), &allow(&["A_KEY"]), 3600).unwrap_err();
    assert!(error.to_string().ends_with("`dispatch policies add A_KEY` writes it"), "{error}");
}

#[test]
fn a_policy_is_added_once_and_never_over_another() {
    let folder = tempfile::tempdir().unwrap();
    let add = || add(folder.path(), &site(), &secret("A_KEY"));
    assert_eq!(add().unwrap().1, Added::Written);
    assert_eq!(add().unwrap().1, Added::Unchanged);
    fs::write(folder.path().join("runner-A_KEY.hcl"), "path \"x\" {}").unwrap();
    assert!(add().is_err());
}
