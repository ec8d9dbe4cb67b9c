//! `release.sh`, against a stand-in of the forge whose repository is a real one, and against mirrors.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use tempfile::TempDir;

use crate::sealed::{Formula, Ran, commit, git as run_git, repository};
use crate::stand_in::{Answer, Request, Server, answer, git};

const FORGE_TOKEN: &str = "canary-of-the-forge";
const MIRROR_TOKEN: &str = "canary-of-the-mirror";
const FORGE_LOGIN: &str = "Basic eC1hY2Nlc3MtdG9rZW46Y2FuYXJ5LW9mLXRoZS1mb3JnZQ==";
const MIRROR_LOGIN: &str = "Basic eC1hY2Nlc3MtdG9rZW46Y2FuYXJ5LW9mLXRoZS1taXJyb3I=";

/// A forge with the repository `o/r`, one HTTP mirror of it and one on the disk.
struct World {
    root: TempDir,
    commit: String,
    forge: Server,
    mirror: Server,
}

fn world() -> World {
    let root = TempDir::new().unwrap();
    let commit = repository(root.path(), "o/r.git", &[("a.txt", "one")]);
    for mirror in ["m/http.git", "m/disk.git"] {
        repository(root.path(), mirror, &[]);
    }
    let (path, released) = (root.path().to_owned(), Arc::new(AtomicBool::new(false)));
    let forge = Server::start(move |request| as_forge(&path, &released, request));
    let path = root.path().to_owned();
    let mirror = Server::start(move |request| logged_in(request, MIRROR_LOGIN, |request| git(&path, request)));
    World { root, commit, forge, mirror }
}

fn logged_in(request: &Request, login: &str, then: impl FnOnce(&Request) -> Answer) -> Answer {
    if request.header("authorization") == Some(login) { then(request) } else { answer(401, "") }
}

/// The few calls of the forge's API that the formula makes, over the real repository.
fn as_forge(root: &Path, released: &AtomicBool, request: &Request) -> Answer {
    let Some(call) = request.path.strip_prefix("/api/v1/repos/o/r") else {
        return logged_in(request, FORGE_LOGIN, |request| git(root, request));
    };
    logged_in(request, &format!("token {FORGE_TOKEN}"), |request| {
        let bare = root.join("o/r.git");
        match (request.method.as_str(), call) {
            ("GET", "/git/commits/main") => {
                answer(200, json!({"sha": run_git(&bare, &["rev-parse", "main"])}).to_string())
            }
            ("GET", "/tags/v1.0%2Brc") => as_tag(&bare, "v1.0+rc"),
            ("POST", "/tags") => {
                let asked = request.json();
                let mut arguments = vec!["tag", asked["tag_name"].as_str().unwrap(), asked["target"].as_str().unwrap()];
                arguments.extend(asked["message"].as_str().map(|message| ["-m", message]).into_iter().flatten());
                run_git(&bare, &arguments);
                answer(201, "{}")
            }
            ("GET", "/releases/tags/v1.0%2Brc") if released.load(Ordering::SeqCst) => answer(200, "{}"),
            ("POST", "/releases") => {
                released.store(true, Ordering::SeqCst);
                answer(201, "{}")
            }
            _ => answer(404, json!({"message": "not found"}).to_string()),
        }
    })
}

fn as_tag(bare: &Path, tag: &str) -> Answer {
    if run_git(bare, &["tag", "--list", tag]).is_empty() {
        return answer(404, "");
    }
    let at = run_git(bare, &["rev-parse", &format!("{tag}^{{commit}}")]);
    answer(200, json!({"name": tag, "commit": {"sha": at}}).to_string())
}

impl World {
    fn bare(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn formula(&self) -> Formula {
        asking(&self.forge.url)
    }

    fn mirrors(&self) -> String {
        format!("MIRROR_TOKEN={}/m/http.git\n  {}", self.mirror.url, self.bare("m/disk.git").display())
    }

    fn run(&self, formula: &Formula) -> Ran {
        let mut ran = formula.run();
        for text in [&mut ran.stdout, &mut ran.stderr] {
            *text = text.replace(&self.root.path().display().to_string(), "");
        }
        ran
    }

    fn tag_in(&self, repository: &str) -> String {
        run_git(
            &self.bare(repository),
            &["for-each-ref", "--format=%(objecttype) %(objectname) %(*objectname)", "refs/tags/v1.0+rc"],
        )
    }
}

fn asking(forge: &str) -> Formula {
    Formula::new("release")
        .param("forge_url", &format!("{forge}/"))
        .param("repo", "o/r")
        .param("ref", "main")
        .param("tag", "v1.0+rc")
        .secret("FORGE_RELEASE_TOKEN", FORGE_TOKEN)
}

#[test]
fn it_tags_pushes_to_the_mirrors_makes_the_entry_and_does_nothing_the_second_time() {
    let world = world();
    let formula = world
        .formula()
        .param("mirrors", &world.mirrors())
        .param("entry", "yes")
        .param("notes", "First — at last")
        .secret("MIRROR_TOKEN", MIRROR_TOKEN);
    world.run(&formula).succeeded("made the release entry v1.0+rc");
    let tag = format!("commit {}", world.commit);
    assert_eq!(
        ["o/r.git", "m/http.git", "m/disk.git"].map(|repository| world.tag_in(repository)),
        [tag.clone(), tag.clone(), tag]
    );
    let entry =
        world.forge.requests().iter().find(|r| r.line().ends_with("POST /api/v1/repos/o/r/releases")).unwrap().json();
    assert_eq!(entry, json!({"tag_name": "v1.0+rc", "name": "v1.0+rc", "body": "First — at last"}));

    let ran = world.run(&formula);
    ran.succeeded("the release entry v1.0+rc is there already");
    assert_eq!(
        ran.stdout.lines().take(3).collect::<Vec<_>>(),
        [
            &format!("release: the tag v1.0+rc already stands at {}", world.commit),
            &format!("release: the mirror {}/m/http.git has the tag v1.0+rc already", world.mirror.url),
            "release: the mirror /m/disk.git has the tag v1.0+rc already",
        ]
    );
    assert_eq!(world.forge.lines().iter().filter(|line| line.starts_with("POST /api")).count(), 2);
    formula.assert_command_lines_are_clean(&world.forge);
    formula.assert_command_lines_are_clean(&world.mirror);
}

#[test]
fn each_side_is_sent_its_own_token_and_never_the_other() {
    let world = world();
    let formula = world.formula().param("mirrors", &world.mirrors()).secret("MIRROR_TOKEN", MIRROR_TOKEN);
    assert_eq!(world.run(&formula).code, Some(0));
    let logins = |server: &Server| {
        let mut logins: Vec<_> =
            server.requests().iter().filter_map(|r| r.header("authorization").map(str::to_owned)).collect();
        logins.sort();
        logins.dedup();
        logins
    };
    assert_eq!(logins(&world.forge), [FORGE_LOGIN.to_owned(), format!("token {FORGE_TOKEN}")]);
    assert_eq!(logins(&world.mirror), [MIRROR_LOGIN]);
}

#[test]
fn a_message_makes_an_annotated_tag_which_the_mirrors_get_as_it_is() {
    let world = world();
    let formula =
        world.formula().param("message", "Release 1").param("mirrors", &world.bare("m/disk.git").display().to_string());
    world.run(&formula).succeeded("pushed v1.0+rc to /m/disk.git");
    assert!(world.tag_in("o/r.git").starts_with("tag ") && world.tag_in("o/r.git").ends_with(&world.commit));
    assert_eq!(world.tag_in("m/disk.git"), world.tag_in("o/r.git"));
    world.run(&formula).succeeded("the mirror /m/disk.git has the tag v1.0+rc already");
}

#[test]
fn a_tag_at_another_commit_is_never_moved() {
    let world = world();
    world.run(&world.formula()).succeeded(&format!("tagged {} as v1.0+rc", world.commit));
    let newer = commit(&world.bare("o/r.git"), &[("a.txt", "two")]);
    let words = format!(
        "the tag v1.0+rc already stands at {}, not at {newer}; a tag is never moved, choose another",
        world.commit
    );
    world.run(&world.formula()).refused(1, &words);
    assert_eq!(world.tag_in("o/r.git"), format!("commit {}", world.commit));
}

#[test]
fn a_mirror_that_fails_does_not_keep_the_others_from_theirs() {
    let world = world();
    let other = repository(world.root.path(), "m/other.git", &[("b.txt", "theirs")]);
    run_git(&world.bare("m/other.git"), &["tag", "v1.0+rc", &other]);
    let disk = |name: &str| world.bare(name).display().to_string();
    let mirrors = [disk("m/other.git"), disk("m/none.git"), disk("m/disk.git")].join(" ");
    let ran = world.run(&world.formula().param("mirrors", &mirrors));
    ran.refused(
        1,
        &format!(
            "the mirror /m/other.git has another tag v1.0+rc: {other}, not {}; a tag is never moved\n\
             the mirror /m/none.git cannot be read: and the repository exists.\n\
             2 of 3 mirrors did not take the tag v1.0+rc; run it again once that is mended",
            world.commit
        ),
    );
    assert_eq!(world.tag_in("m/disk.git"), format!("commit {}", world.commit));
}

#[test]
fn a_mirror_that_refuses_the_token_is_named() {
    let world = world();
    let formula = world.formula().param("mirrors", &world.mirrors()).secret("MIRROR_TOKEN", "canary-that-is-wrong");
    let ran = world.run(&formula);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains(&format!("the mirror {}/m/http.git cannot be read: ", world.mirror.url)), "{ran:?}");
}

#[test]
fn the_forges_refusals_are_told_in_words() {
    let refuses = |answers: Vec<Answer>| {
        let forge = Server::scripted(answers);
        asking(&forge.url).run()
    };
    let sha = || answer(200, json!({"sha": "a".repeat(40)}).to_string());
    let at = |sha: &str| answer(200, json!({"commit": {"sha": sha}}).to_string());
    refuses(vec![answer(404, "")]).refused(1, "o/r has no ref main, or the token may not see it");
    refuses(vec![answer(401, "")]).refused(1, "the forge refuses FORGE_RELEASE_TOKEN (status 401)");
    refuses(vec![answer(200, "{}")]).refused(1, "the forge's answer for main holds no commit");
    refuses(vec![sha(), answer(404, ""), answer(403, "")])
        .refused(1, "FORGE_RELEASE_TOKEN may not write to o/r (status 403)");
    refuses(vec![sha(), answer(404, ""), answer(422, r#"{"message": "the tag\nis protected"}"#)])
        .refused(1, "the forge refused to make the tag v1.0+rc (status 422): the tag\nis protected");
    // Somebody else made it between the question and the order.
    let raced = |at: Answer| refuses(vec![sha(), answer(404, ""), answer(409, ""), at]);
    assert_eq!(raced(at(&"a".repeat(40))).code, Some(0));
    assert_eq!(raced(at(&"b".repeat(40))).code, Some(1));
}

#[test]
fn bad_parameters_are_named_before_anything_is_sent() {
    let forge = Server::scripted(vec![]);
    let with = |name: &str, value: &str| asking(&forge.url).param(name, value).run();
    with("forge_url", "http://example.com").refused(2, "the parameter forge_url must begin with https://");
    with("forge_url", "https://a:b@example.com")
        .refused(2, "the parameter forge_url holds a credential; name a secret instead");
    with("repo", "o/r/../x").refused(2, "the parameter repo must be `owner/name`");
    with("ref", "-x").refused(2, "the parameter ref must name a branch, a tag or a commit");
    with("tag", "a..b").refused(2, "the parameter tag is not a tag's name");
    with("entry", "maybe").refused(2, "the parameter entry must be yes or no");
    with("mirrors", "MIRROR_TOKEN=https://example.com/x").refused(
        2,
        "the secret MIRROR_TOKEN of the mirror https://example.com/x is not granted; name it in the action's secrets",
    );
    with("mirrors", "FORGE_RELEASE_TOKEN=https://example.com/x")
        .refused(2, "a mirror may be sent GITHUB_TOKEN, CODEBERG_TOKEN or MIRROR_TOKEN, not FORGE_RELEASE_TOKEN");
    with("mirrors", "https://a:b@example.com/x").refused(2, "a mirror holds a credential; write SECRET=URL instead");
    with("mirrors", "ext::sh").refused(2, "the mirror ext::sh is not a git URL");
    with("mirrors", "--upload-pack=x").refused(2, "the mirror --upload-pack=x is not a git URL");
    asking(&forge.url)
        .secret("GITHUB_TOKEN", "canary-of-github")
        .param("mirrors", "GITHUB_TOKEN=http://example.com/x")
        .run()
        .refused(2, "the mirror http://example.com/x must begin with https:// to be sent a secret");
    assert!(forge.requests().is_empty());
}

#[test]
fn the_ssh_mount_is_used_for_mirrors_and_an_empty_one_is_refused() {
    let world = world();
    let mount = TempDir::new().unwrap();
    let formula = world.formula().param("mirrors", "ssh://git@127.0.0.1:9/x.git").mount("SSH", mount.path());
    world.run(&formula).refused(2, "the mount ssh holds none of id_ed25519, id_ecdsa, id_rsa");
}
