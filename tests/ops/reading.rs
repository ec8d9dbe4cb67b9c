//! What is in the mirror: changes, entries, blobs, and which commit brought what; and the git that is kept for such questions.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use dispatch::ops::{Blob, Deadlines, Mirror, Mode, OpsError};
use dispatch::support::ids::{BlobId, CommitId};

use crate::ops_repo::OpsRepo;

const ACTIONS: &str = "vault/actions";

/// The git that answers questions is kept however slow the machine is.
async fn fetched(repo: &OpsRepo) -> (Mirror, CommitId) {
    let settings = OpsRepo::settings(&repo.bare().display().to_string());
    let deadlines = Deadlines { idle: std::time::Duration::from_secs(600), ..Deadlines::default() };
    let mirror = Mirror::open_with(&settings, &repo.state(), deadlines).await.unwrap();
    let head = mirror.fetch().await.unwrap();
    (mirror, head)
}

async fn blob_at(mirror: &Mirror, commit: &CommitId, path: &str) -> BlobId {
    mirror.lookup(commit, &[path.to_owned()]).await.unwrap().remove(0).unwrap().object
}

#[tokio::test]
async fn two_thousand_new_files_are_seen_in_one_comparison() {
    let repo = OpsRepo::new();
    for n in 0..2000 {
        repo.write(&format!("{ACTIONS}/a{n}.toml"), &format!("id = \"a{n}\"\n"));
    }
    repo.write("elsewhere.txt", "x");
    repo.commit("many");
    repo.push();
    let (mirror, head) = fetched(&repo).await;
    let first = mirror.commit(&head).await.unwrap().parents.remove(0);
    let before = mirror.processes();
    let changes = mirror.changes(Some(&first), &head, &[ACTIONS]).await.unwrap();
    assert_eq!((changes.len(), mirror.processes() - before), (2000, 1));
    assert!(changes.iter().all(|change| change.old.is_none() && change.new.as_ref().unwrap().0 == Mode::File));
    assert_eq!(mirror.changes(None, &head, &[ACTIONS]).await.unwrap(), changes);
    assert_eq!(mirror.changes(Some(&head), &head, &[ACTIONS]).await.unwrap(), []);
}

#[tokio::test]
async fn links_submodules_and_executables_are_told_apart_from_files() {
    let repo = OpsRepo::new();
    repo.write("vault/actions/plain", "x");
    std::os::unix::fs::symlink("/etc/passwd", repo.work().join("vault/actions/link")).unwrap();
    let head = repo.head();
    repo.git(&["add", "--all"]);
    repo.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{head},vault/actions/module")]);
    repo.git(&["update-index", "--chmod=+x", "vault/actions/plain"]);
    repo.git(&["commit", "--quiet", "-m", "modes"]);
    repo.push();
    let (mirror, head) = fetched(&repo).await;
    let entries = mirror.entries(&head, ACTIONS).await.unwrap();
    let modes: Vec<Mode> = entries.iter().map(|entry| entry.mode).collect();
    assert_eq!(modes, [Mode::Symlink, Mode::Submodule, Mode::Executable]);
}

#[tokio::test]
async fn a_file_name_of_any_bytes_is_listed_as_it_is() {
    let repo = OpsRepo::new();
    let folder = repo.work().join(ACTIONS);
    fs::create_dir_all(&folder).unwrap();
    let names: [&[u8]; 4] = [b"-rf", b"a\nb\tc", b"quote\"back\\slash", b"\xff\xfe"];
    for name in names {
        fs::write(folder.join(std::ffi::OsStr::from_bytes(name)), "x").unwrap();
    }
    repo.commit("names");
    repo.push();
    let (mirror, head) = fetched(&repo).await;
    let entries = mirror.entries(&head, ACTIONS).await.unwrap();
    let found: Vec<&[u8]> = entries.iter().map(|entry| &entry.path.as_bytes()[ACTIONS.len() + 1..]).collect();
    assert_eq!(found, names);
    let changes = mirror.changes(None, &head, &[ACTIONS]).await.unwrap();
    assert_eq!(changes.len(), names.len());
}

#[tokio::test]
async fn lookup_answers_in_the_order_asked_and_starts_nothing_for_it() {
    let repo = OpsRepo::new();
    repo.write("vault/actions/a.toml", "a");
    repo.write("formulas/b.sh", "b");
    repo.commit("files");
    repo.push();
    let (mirror, head) = fetched(&repo).await;
    let before = mirror.processes();
    let paths = ["formulas/b.sh", "no/such/file", "vault/actions/a.toml", "README.md", "README.md/x", "vault"];
    let found = mirror.lookup(&head, &paths.map(str::to_owned)).await.unwrap();
    assert_eq!(mirror.processes(), before, "the git that answered before is asked again");
    let modes: Vec<Option<Mode>> = found.iter().map(|entry| entry.as_ref().map(|entry| entry.mode)).collect();
    let file = Some(Mode::File);
    assert_eq!(modes, [file, None, file, file, None, Some(Mode::Folder)]);
    assert_eq!(mirror.entries(&head, "no/such").await.unwrap(), []);
}

#[tokio::test]
async fn in_a_large_folder_few_and_many_are_found_alike() {
    let repo = OpsRepo::new();
    for n in 0..8_000 {
        repo.write(&format!("{ACTIONS}/a-name-of-some-length-{n}.toml"), "x");
    }
    repo.commit("many");
    repo.push();
    let (mirror, head) = fetched(&repo).await;
    for count in [1, 3, 40] {
        let numbers = (0..count).map(|n| n * 199);
        let mut paths: Vec<String> = numbers.map(|n| format!("{ACTIONS}/a-name-of-some-length-{n}.toml")).collect();
        paths.extend([format!("{ACTIONS}/none.toml"), "vault".to_owned(), "no/such/file".to_owned()]);
        let found = mirror.lookup(&head, &paths).await.unwrap();
        let there: Vec<bool> = found.iter().map(Option::is_some).collect();
        assert_eq!(there, [vec![true; count], vec![false, true, false]].concat());
        for (entry, path) in found.iter().zip(&paths) {
            assert!(entry.as_ref().is_none_or(|entry| entry.path.as_str() == Some(path)), "{path}: {entry:?}");
        }
    }
    let nowhere: CommitId = "1".repeat(40).parse().unwrap();
    assert!(mirror.lookup(&nowhere, &["vault".to_owned()]).await.is_err(), "no commit is not an empty one");
}

/// The processes that answer questions about the mirror of `repo`.
fn readers(repo: &OpsRepo) -> Vec<i32> {
    let folder = repo.state().join("mirror.git");
    let is_reader = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        line.contains("--batch-command") && line.contains(folder.to_str().unwrap())
    };
    let pids = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(is_reader).collect()
}

#[tokio::test]
async fn the_git_that_is_kept_sees_what_is_fetched_and_packed_later() {
    let repo = OpsRepo::new();
    let (mirror, _) = fetched(&repo).await;
    let reader = readers(&repo);
    assert_eq!(reader.len(), 1);
    // So many objects at once come as a pack, one alone does not.
    for count in [1, 300] {
        (0..count).for_each(|n| repo.write(&format!("a{count}-{n}"), &format!("text {count} {n}")));
        repo.commit("more");
        repo.push();
        let head = mirror.fetch().await.unwrap();
        let blob = blob_at(&mirror, &head, &format!("a{count}-0")).await;
        let found = mirror.blobs(std::slice::from_ref(&blob), 100).await.unwrap();
        assert_eq!(found[&blob], Blob::Whole(format!("text {count} 0").into_bytes()));
        mirror.tidy().await.unwrap();
        assert_eq!(mirror.blobs(std::slice::from_ref(&blob), 100).await.unwrap().len(), 1);
    }
    assert_eq!(readers(&repo), reader, "it was the same one all the time");
}

#[tokio::test]
async fn a_git_that_is_kept_and_killed_is_replaced_and_its_asker_notices_nothing() {
    let repo = OpsRepo::new();
    let (mirror, head) = fetched(&repo).await;
    let reader = readers(&repo);
    let pid = rustix::process::Pid::from_raw(reader[0]).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    assert_eq!(mirror.commit(&head).await.unwrap().id, head);
    assert_ne!(readers(&repo), reader);
}

#[tokio::test]
async fn one_who_goes_away_in_the_middle_of_an_answer_leaves_it_to_nobody_else() {
    let repo = OpsRepo::new();
    repo.write("large", &"x".repeat(20_000_000));
    repo.commit("a large file");
    repo.push();
    let (mirror, head) = fetched(&repo).await;
    let large = blob_at(&mirror, &head, "large").await;
    let asked = std::slice::from_ref(&large);
    let gone = tokio::time::timeout(std::time::Duration::from_millis(1), mirror.blobs(asked, u64::MAX)).await;
    assert!(gone.is_err(), "it was too quick to go away from");
    assert_eq!(mirror.commit(&head).await.unwrap().id, head);
}

#[tokio::test]
async fn without_questions_no_git_is_kept() {
    let repo = OpsRepo::new();
    let deadlines = Deadlines { idle: std::time::Duration::from_millis(20), ..Deadlines::default() };
    let settings = OpsRepo::settings(&repo.bare().display().to_string());
    let mirror = Mirror::open_with(&settings, &repo.state(), deadlines).await.unwrap();
    for _ in 0..2 {
        mirror.fetch().await.unwrap();
        let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while !readers(&repo).is_empty() {
            assert!(std::time::Instant::now() < end, "it is still there");
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_blob_over_the_limit_comes_with_its_size_only() {
    let repo = OpsRepo::new();
    repo.write("small", "1234");
    repo.write("large", &"x".repeat(70_000));
    repo.commit("files");
    repo.push();
    let (mirror, head) = fetched(&repo).await;
    let (small, large) = (blob_at(&mirror, &head, "small").await, blob_at(&mirror, &head, "large").await);
    let nowhere: BlobId = "1".repeat(40).parse().unwrap();
    let blobs = mirror.blobs(&[small.clone(), large.clone(), small.clone(), nowhere], 4).await.unwrap();
    assert_eq!(blobs.len(), 2);
    assert_eq!(blobs[&small], Blob::Whole(b"1234".to_vec()));
    assert_eq!(blobs[&large], Blob::TooLarge { size: 70_000 });
}

#[tokio::test]
async fn a_rewritten_branch_is_fetched_and_known_for_what_it_is() {
    let repo = OpsRepo::new();
    repo.write("a", "1");
    repo.commit("second");
    repo.push();
    let (mirror, second) = fetched(&repo).await;
    repo.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    repo.write("a", "2");
    repo.commit("another second");
    repo.push();
    let other = mirror.fetch().await.unwrap();
    assert!(!mirror.is_ancestor(&second, &other).await.unwrap());
    let first = mirror.commit(&other).await.unwrap().parents.remove(0);
    assert!(mirror.is_ancestor(&first, &other).await.unwrap());
    let unknown: CommitId = "1".repeat(40).parse().unwrap();
    assert!(!mirror.is_ancestor(&unknown, &other).await.unwrap());
}

#[tokio::test]
async fn a_merge_that_puts_another_line_first_does_not_continue_the_branch() {
    let repo = OpsRepo::new();
    repo.git(&["checkout", "--quiet", "-b", "side"]);
    repo.write("evil", "x");
    repo.commit("side");
    repo.git(&["checkout", "--quiet", "main"]);
    repo.write("good", "x");
    let main = repo.commit("main");
    repo.push();
    repo.git(&["checkout", "--quiet", "side"]);
    repo.git(&["merge", "--quiet", "--no-edit", "main"]);
    let (mirror, before) = fetched(&repo).await;
    repo.push();
    let after = mirror.fetch().await.unwrap();
    assert_eq!(before, main);
    assert!(mirror.is_ancestor(&before, &after).await.unwrap());
    assert!(!mirror.continues(&before, &after).await.unwrap());
    assert!(mirror.continues(&after, &after).await.unwrap());
}

#[tokio::test]
async fn an_empty_ops_repo_has_no_head_and_says_so_when_fetched() {
    let repo = OpsRepo::empty();
    let mirror = Mirror::open(&OpsRepo::settings(&repo.bare().display().to_string()), &repo.state()).await.unwrap();
    assert_eq!(mirror.remote_head().await.unwrap(), None);
    assert!(matches!(mirror.fetch().await, Err(OpsError::NoBranch { branch }) if branch == "main"));
}

#[tokio::test]
async fn a_tree_with_two_entries_of_one_name_is_not_fetched() {
    let repo = OpsRepo::new();
    let (mirror, _) = fetched(&repo).await;
    let blob = repo.git(&["rev-parse", "HEAD:README.md"]);
    let raw: Vec<u8> = (0..20).map(|n| u8::from_str_radix(&blob[2 * n..2 * n + 2], 16).unwrap()).collect();
    let entry = [&b"100644 twice\0"[..], &raw].concat();
    fs::write(repo.work().join("tree"), [entry.clone(), entry].concat()).unwrap();
    let tree = repo.git(&["hash-object", "--literally", "-t", "tree", "-w", "tree"]);
    let commit = repo.git(&["commit-tree", "-p", "HEAD", "-m", "twice", tree.trim()]);
    repo.git(&["push", "--quiet", "origin", &format!("{}:refs/heads/main", commit.trim())]);
    let error = mirror.fetch().await.unwrap_err().to_string();
    assert!(error.contains("duplicateEntries"), "{error}");
}

#[tokio::test]
async fn what_a_merge_or_a_squash_brought_was_introduced_by_it() {
    let repo = OpsRepo::new();
    let path = "vault/actions/a.toml";
    repo.git(&["checkout", "--quiet", "-b", "side"]);
    repo.write(path, "draft");
    repo.commit("draft");
    repo.write(path, "final");
    repo.commit("final");
    repo.git(&["checkout", "--quiet", "main"]);
    repo.git(&["merge", "--quiet", "--no-ff", "--no-edit", "side"]);
    let merge = repo.head();
    repo.write("other", "x");
    repo.commit("later");
    repo.push();
    let (mirror, head) = fetched(&repo).await;
    let blob = blob_at(&mirror, &head, path).await;
    assert_eq!(mirror.introduced(&head, path, &blob).await.unwrap(), Some(merge.clone()));
    assert_eq!(mirror.first_parent_changes(None, &head, path).await.unwrap(), [merge]);
    let draft = blob_at(&mirror, &repo.git(&["rev-parse", "side~1"]).trim().parse().unwrap(), path).await;
    assert_eq!(mirror.introduced(&head, path, &draft).await.unwrap(), None);
}

#[tokio::test]
async fn bytes_that_were_reverted_and_came_back_were_introduced_when_they_came_back() {
    let repo = OpsRepo::new();
    let path = "vault/actions/a.toml";
    repo.write(path, "x");
    let first = repo.commit("add");
    repo.git(&["revert", "--no-edit", "HEAD"]);
    let revert = repo.head();
    repo.git(&["revert", "--no-edit", "HEAD"]);
    let again = repo.head();
    repo.push();
    let (mirror, head) = fetched(&repo).await;
    let blob = blob_at(&mirror, &head, path).await;
    assert_eq!(mirror.introduced(&head, path, &blob).await.unwrap(), Some(again.clone()));
    assert_eq!(mirror.introduced(&revert, path, &blob).await.unwrap(), None);
    assert_eq!(mirror.first_parent_changes(None, &head, path).await.unwrap(), [first, revert, again]);
}

#[tokio::test]
async fn a_change_of_mode_does_not_bring_the_bytes_but_a_link_that_becomes_a_file_does() {
    let repo = OpsRepo::new();
    std::os::unix::fs::symlink("text", repo.work().join("a")).unwrap();
    repo.commit("a link");
    fs::remove_file(repo.work().join("a")).unwrap();
    repo.write("a", "text");
    let file = repo.commit("a file");
    repo.git(&["update-index", "--chmod=+x", "a"]);
    repo.git(&["commit", "--quiet", "-m", "executable"]);
    repo.push();
    let (mirror, head) = fetched(&repo).await;
    let blob = blob_at(&mirror, &head, "a").await;
    assert_eq!(mirror.introduced(&head, "a", &blob).await.unwrap(), Some(file));
}

#[tokio::test]
async fn tidying_loses_nothing() {
    let repo = OpsRepo::new();
    let (mirror, first) = fetched(&repo).await;
    repo.write("a", "x");
    repo.commit("second");
    repo.push();
    let head = mirror.fetch().await.unwrap();
    mirror.tidy().await.unwrap();
    assert_eq!(mirror.changes(Some(&first), &head, &[]).await.unwrap().len(), 1);
    let loose = fs::read_dir(repo.state().join("mirror.git/objects")).unwrap();
    assert!(!loose.flatten().any(|entry| entry.file_name().len() == 2), "loose objects are left");
}

#[tokio::test]
async fn what_a_killed_git_left_behind_stops_nobody() {
    let repo = OpsRepo::new();
    let (mirror, head) = fetched(&repo).await;
    repo.write("a", "x");
    let second = repo.commit("second");
    repo.push();
    for lock in ["refs/dispatch/head.lock", "refs/dispatch/outbox.lock", "packed-refs.lock"] {
        fs::write(repo.state().join("mirror.git").join(lock), "").unwrap();
    }
    assert_eq!(mirror.fetch().await.unwrap(), second);
    assert_ne!(head, second);
}

#[tokio::test]
async fn a_git_configuration_in_the_home_of_git_is_not_read() {
    let repo = OpsRepo::new();
    let (mirror, head) = fetched(&repo).await;
    let elsewhere = format!("[url \"/nowhere\"]\n\tinsteadOf = {}\n", repo.bare().display());
    fs::write(repo.state().join("mirror.git/home/.gitconfig"), elsewhere).unwrap();
    assert_eq!(mirror.fetch().await.unwrap(), head);
}

#[test]
fn git_variables_around_the_dispatcher_do_not_reach_git() {
    let other = "reading::lookup_answers_in_the_order_asked_and_starts_nothing_for_it";
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", other])
        .env("GIT_OBJECT_DIRECTORY", "/dev/null/elsewhere")
        .env("GIT_NAMESPACE", "elsewhere")
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
}
