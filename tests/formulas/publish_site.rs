//! `publish-site.sh`, against bare repositories on the disk and over HTTP.

use std::path::PathBuf;

use tempfile::TempDir;

use crate::sealed::{Formula, Ran, commit, git as run_git, repository};
use crate::stand_in::{Server, answer, git};

const TOKEN: &str = "canary-of-the-site";
const LOGIN: &str = "Basic eC1hY2Nlc3MtdG9rZW46Y2FuYXJ5LW9mLXRoZS1zaXRl";
const FILES: [(&str, &str); 3] =
    [("public/index.html", "<p>one"), ("public/a/b.css", "p{}"), ("secret.txt", "not public")];

struct World {
    root: TempDir,
    commit: String,
}

fn world() -> World {
    let root = TempDir::new().unwrap();
    let commit = repository(root.path(), "source.git", &FILES);
    repository(root.path(), "target.git", &[("README", "a target")]);
    World { root, commit }
}

impl World {
    fn bare(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn formula(&self) -> Formula {
        Formula::new("publish-site")
            .param("source", &self.bare("source.git").display().to_string())
            .param("target", &self.bare("target.git").display().to_string())
            .param("ref", "main")
            .param("folder", "public")
            .param("branch", "pages")
    }

    fn run(&self, formula: &Formula) -> Ran {
        let mut ran = formula.run();
        for text in [&mut ran.stdout, &mut ran.stderr] {
            *text = text.replace(&self.root.path().display().to_string(), "");
        }
        ran
    }

    fn in_target(&self, arguments: &[&str]) -> String {
        run_git(&self.bare("target.git"), arguments)
    }
}

#[test]
fn it_publishes_the_folder_and_nothing_else_as_one_commit() {
    let world = world();
    let ran = world.run(&world.formula());
    let page = world.in_target(&["rev-parse", "pages"]);
    ran.succeeded(&format!("published public of {} on pages of /target.git as {page}", world.commit));
    assert_eq!(world.in_target(&["ls-tree", "-r", "--name-only", "pages"]), "a/b.css\nindex.html");
    assert_eq!(
        world.in_target(&["log", "--format=%B", "pages"]),
        format!("Publish public of {}\n\nAction: an-action", world.commit)
    );
}

#[test]
fn the_same_content_makes_no_commit_and_new_content_one_on_top() {
    let world = world();
    assert_eq!(world.run(&world.formula()).code, Some(0));
    let first = world.in_target(&["rev-parse", "pages"]);
    commit(&world.bare("source.git"), &[("elsewhere.txt", "outside of the folder")]);
    world.run(&world.formula()).succeeded(&format!("pages of /target.git holds this content already, at {first}"));
    assert_eq!(world.in_target(&["rev-parse", "pages"]), first);
    commit(&world.bare("source.git"), &[("public/index.html", "<p>two")]);
    assert_eq!(world.run(&world.formula()).code, Some(0));
    assert_eq!(world.in_target(&["rev-parse", "pages^"]), first);
    assert_eq!(world.in_target(&["show", "pages:index.html"]), "<p>two");
}

#[test]
fn a_commit_can_be_named_and_the_whole_repository_published() {
    let world = world();
    commit(&world.bare("source.git"), &[("public/index.html", "<p>two")]);
    let ran = world.run(&world.formula().param("ref", &world.commit).param("folder", "."));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(world.in_target(&["show", "pages:public/index.html"]), "<p>one");
}

#[test]
fn over_http_the_token_goes_to_the_target_in_a_header_and_nowhere_else() {
    let world = world();
    let root = world.root.path().to_owned();
    let server = Server::start(move |request| {
        if request.header("authorization") == Some(LOGIN) { git(&root, request) } else { answer(401, "") }
    });
    let formula = world.formula().param("target", &format!("{}/target.git", server.url)).secret("SITE_TOKEN", TOKEN);
    let ran = world.run(&formula);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(world.in_target(&["show", "pages:index.html"]), "<p>one");
    formula.assert_command_lines_are_clean(&server);
    let wrong =
        world.formula().param("target", &format!("{}/target.git", server.url)).secret("SITE_TOKEN", "canary-wrong");
    let ran = world.run(&wrong);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains(&format!("{}/target.git cannot be read: ", server.url)), "{ran:?}");
}

#[test]
fn nothing_of_the_repository_is_run() {
    let world = world();
    let attributes = "* filter=evil\n*.css export-ignore\n";
    commit(&world.bare("source.git"), &[("public/.gitattributes", attributes), (".gitattributes", attributes)]);
    assert_eq!(world.run(&world.formula()).code, Some(0));
    assert_eq!(world.in_target(&["ls-tree", "-r", "--name-only", "pages"]), ".gitattributes\na/b.css\nindex.html");
}

#[test]
fn the_default_branch_is_never_replaced() {
    let world = world();
    let before = world.in_target(&["rev-parse", "main"]);
    let words = "main is the default branch of /target.git; publishing there would replace the repository's own files";
    world.run(&world.formula().param("branch", "main")).refused(2, words);
    assert_eq!(world.in_target(&["rev-parse", "main"]), before);
}

#[test]
fn a_push_that_is_refused_fails_the_run() {
    let world = world();
    let hook = world.bare("target.git").join("hooks/pre-receive");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(&hook, "#!/bin/sh\nexit 1\n").unwrap();
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let ran = world.run(&world.formula());
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("/target.git refused the branch pages: "), "{ran:?}");
}

#[test]
fn what_is_not_there_is_named() {
    let world = world();
    let with = |name: &str, value: &str| world.run(&world.formula().param(name, value));
    with("folder", "nowhere").refused(1, "main of /source.git has no folder nowhere");
    with("folder", "public/index.html").refused(1, "public/index.html is a file at main of /source.git, not a folder");
    with("ref", "nowhere")
        .refused(1, "nowhere cannot be fetched from /source.git: fatal: couldn't find remote ref nowhere");
    let gone = with("target", &world.bare("gone.git").display().to_string());
    gone.refused(1, "/gone.git cannot be read: and the repository exists.");
}

#[test]
fn a_submodule_is_refused() {
    let world = world();
    let tree = TempDir::new().unwrap();
    run_git(tree.path(), &["clone", "--quiet", &world.bare("source.git").display().to_string(), "."]);
    let entry = format!("160000,{},public/sub", world.commit);
    run_git(tree.path(), &["update-index", "--add", "--cacheinfo", &entry]);
    run_git(tree.path(), &["commit", "--quiet", "--message", "a submodule"]);
    run_git(tree.path(), &["push", "--quiet", "origin", "HEAD:refs/heads/main"]);
    world.run(&world.formula()).refused(1, "the folder public holds a submodule, which cannot be published");
}

#[test]
fn bad_parameters_are_named_before_anything_is_done() {
    let world = world();
    let with = |name: &str, value: &str| world.run(&world.formula().param(name, value));
    with("source", "ext::sh -c id").refused(2, "the parameter source is not a git URL");
    with("source", "--upload-pack=id").refused(2, "the parameter source is not a git URL");
    with("target", "https://a:b@example.com/x")
        .refused(2, "the parameter target holds a credential; use the secret SITE_TOKEN");
    with("ref", "--all").refused(2, "the parameter ref must name a branch, a tag or a commit");
    for folder in ["../x", "/etc", "a/../b"] {
        with("folder", folder).refused(2, "the parameter folder must be a path inside the repository");
    }
    with("branch", "a..b").refused(2, "the parameter branch is not a branch's name");
    let clear = world.formula().secret("SITE_TOKEN", TOKEN).param("target", "http://example.com/x");
    world.run(&clear).refused(2, "the parameter target must begin with https:// to be sent the secret SITE_TOKEN");
}
