//! The ops repo of a bench: a bare repository into which commits are put by `git fast-import`, as a forge merges, without a
//! work tree.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jiff::Timestamp;

/// A bare repository with the branch `main`.
#[derive(Debug)]
pub(crate) struct Repo(PathBuf);

/// Where results of earlier days stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    Flat,
    Dated,
}

impl Layout {
    /// Its word in the config.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Dated => "dated",
        }
    }
}

impl Repo {
    /// A new one, with formulas and a policy in it.
    pub(crate) fn new(folder: &Path) -> Self {
        let this = Self(folder.to_owned());
        run(Command::new("git").args(["init", "--quiet", "--bare", "-b", "main"]).arg(folder));
        this.land(&[
            ("formulas/quick.sh".to_owned(), "true\n".to_owned()),
            ("formulas/tell.sh".to_owned(), "echo $EPOCHREALTIME\n".to_owned()),
            ("formulas/second.sh".to_owned(), "sleep 1\n".to_owned()),
            ("vault/policy.toml".to_owned(), "[tiers]\nquick = \"low\"\ntell = \"low\"\nsecond = \"low\"\n".to_owned()),
        ]);
        this
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Puts `files` on the branch as one commit, and answers when it moved.
    pub(crate) fn land(&self, files: &[(String, String)]) -> Timestamp {
        self.import(|stream| {
            for (path, text) in files {
                write!(stream, "M 100644 inline {path}\ndata {}\n{text}\n", text.len()).unwrap();
            }
        });
        self.moved_at()
    }

    /// Actions `<name>-<number>` of `formula`.
    pub(crate) fn land_actions(&self, name: &str, count: u32, formula: &str) -> Timestamp {
        let files: Vec<_> = (0..count).map(|number| action(&format!("{name}-{number}"), formula, "[]")).collect();
        self.land(&files)
    }

    /// `count` actions of earlier days with their results, on the branch as one commit. Its folders are made as whole trees:
    /// `git fast-import` looks through a folder for each file that it adds, which takes minutes at 100,000.
    pub(crate) fn settle(&self, count: u32, layout: Layout) {
        if count == 0 {
            return;
        }
        let mut folders: BTreeMap<String, String> = BTreeMap::new();
        for (number, blob) in (0..count).zip(self.blobs(count).chunks(2)) {
            let id = format!("settled-{number:06}");
            let results = match layout {
                Layout::Flat => "vault/actions".to_owned(),
                Layout::Dated => format!("vault/results/{}/{:02}", 2018 + number / 12_000, number / 1_000 % 12 + 1),
            };
            let actions = folders.entry("vault/actions".to_owned()).or_default();
            writeln!(actions, "100644 blob {}\t{id}.toml", blob[0]).unwrap();
            let results = folders.entry(results).or_default();
            writeln!(results, "100644 blob {}\t{id}.result.json", blob[1]).unwrap();
        }
        let trees = folders.into_iter().map(|(path, entries)| (path, self.tree(&entries))).collect::<Vec<_>>();
        self.import(|stream| {
            for (path, tree) in trees {
                writeln!(stream, "M 040000 {tree} {path}").unwrap();
            }
        });
    }

    /// The ids of the blobs of `count` actions, each with the one of its result behind it.
    fn blobs(&self, count: u32) -> Vec<String> {
        let marks = self.0.join("marks");
        let mut git = self.fast_import().arg(format!("--export-marks={}", marks.display())).spawn().unwrap();
        let mut stream = BufWriter::new(git.stdin.take().unwrap());
        for number in 0..count {
            let id = format!("settled-{number:06}");
            for (mark, text) in [(2 * number + 1, action(&id, "quick", "[]").1), (2 * number + 2, result(&id))] {
                write!(stream, "blob\nmark :{mark}\ndata {}\n{text}\n", text.len()).unwrap();
            }
        }
        stream.write_all(b"done\n").unwrap();
        drop(stream.into_inner().unwrap());
        assert!(git.wait().unwrap().success());
        let mut ids: Vec<(u32, String)> = fs::read_to_string(&marks)
            .unwrap()
            .lines()
            .map(|line| line.trim_start_matches(':').split_once(' ').unwrap())
            .map(|(mark, id)| (mark.parse().unwrap(), id.to_owned()))
            .collect();
        fs::remove_file(marks).unwrap();
        ids.sort_unstable();
        ids.into_iter().map(|(_, id)| id).collect()
    }

    /// The id of a tree with these entries.
    fn tree(&self, entries: &str) -> String {
        let mut git = Command::new("git")
            .arg("--git-dir")
            .arg(&self.0)
            .args(["mktree", "--missing"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        git.stdin.take().unwrap().write_all(entries.as_bytes()).unwrap();
        let output = git.wait_with_output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn fast_import(&self) -> Command {
        let mut git = Command::new("git");
        git.arg("--git-dir").arg(&self.0).args(["fast-import", "--quiet", "--date-format=now", "--done"]);
        git.stdin(Stdio::piped());
        git
    }

    fn import(&self, commands: impl FnOnce(&mut dyn std::io::Write)) {
        let mut git = self.fast_import().spawn().unwrap();
        let mut stream = BufWriter::new(git.stdin.take().unwrap());
        write!(stream, "commit refs/heads/main\ncommitter A <a@example.com> now\ndata 4\nland\n").unwrap();
        if self.reference().exists() {
            writeln!(stream, "from refs/heads/main^0").unwrap();
        }
        commands(&mut stream);
        write!(stream, "\ndone\n").unwrap();
        drop(stream.into_inner().unwrap());
        assert!(git.wait().unwrap().success());
    }

    fn reference(&self) -> PathBuf {
        self.0.join("refs/heads/main")
    }

    /// When the branch moved last.
    pub(crate) fn moved_at(&self) -> Timestamp {
        fs::metadata(self.reference()).unwrap().modified().unwrap().try_into().unwrap()
    }

    /// How many commits the branch has.
    pub(crate) fn commits(&self) -> u64 {
        let mut git = Command::new("git");
        let text = run(git.arg("--git-dir").arg(&self.0).args(["rev-list", "--count", "main"]));
        text.trim().parse().unwrap()
    }

    /// The text of a file on the branch.
    pub(crate) fn show(&self, path: &str) -> String {
        run(Command::new("git").arg("--git-dir").arg(&self.0).args(["show", &format!("main:{path}")]))
    }
}

/// An action's path and text.
pub(crate) fn action(id: &str, formula: &str, secrets: &str) -> (String, String) {
    let text = format!("id = \"{id}\"\nformula = \"{formula}\"\ncontext = \"bench\"\nsecrets = {secrets}\n");
    (format!("vault/actions/{id}.toml"), text)
}

/// About as long as results are.
fn result(id: &str) -> String {
    format!(
        "{{\n  \"id\": \"{id}\",\n  \"exit_code\": 0,\n  \"timestamp\": \"2026-01-01T00:00:00Z\",\n  \"logs\": \"\",\n  \
         \"schema\": 1,\n  \"state\": \"succeeded\",\n  \"message\": \"{}\"\n}}\n",
        "the formula exited with 0; ".repeat(25)
    )
}

/// Runs a command that succeeds, and answers what it printed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{command:?}");
    String::from_utf8(output.stdout).unwrap()
}
