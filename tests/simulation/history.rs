//! One history from its seed.

use std::sync::Arc;
use std::time::Duration;

use dispatch::admission::Admitted;
use dispatch::backend::End;
use dispatch::backend::fake::{FakeBackend, FindAnswer, LaunchAnswer, Script, Step as Scripted};
use dispatch::run::step::Request;
use dispatch::support::ids::{BlobId, CommitId, LaunchKey, RunId};
use serde_json::json;
use tokio::time::{Instant, advance, sleep, timeout};

use crate::chance::Chance;
use crate::check;
use crate::life::Surroundings;
use crate::place::{Grants, Place};
use crate::remote::Remote;

/// How long a history may take in virtual time once nothing fails any more.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// What came of a seed.
pub(crate) struct History {
    /// Everything worth telling, in order.
    pub(crate) told: Vec<String>,
    /// Promises that were broken.
    pub(crate) wrong: Vec<String>,
    /// How often the dispatcher died.
    pub(crate) deaths: u64,
}

/// One action that is asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) name: String,
    /// After the history began.
    pub(crate) at: Duration,
    pub(crate) cancel_at: Option<Duration>,
    /// Once it is over, another attempt is asked for.
    pub(crate) again: bool,
    priority: u64,
    concurrency_key: Option<&'static str>,
    /// What its formula does.
    pub(crate) script: Script,
    /// The backend can at times not say what became of a launch.
    pub(crate) unknown: bool,
}

/// The head of the primary branch, which nobody looks at here.
pub(crate) fn head() -> CommitId {
    "d".repeat(40).parse().unwrap()
}

impl Asked {
    fn by(chance: &Chance, number: u64) -> Self {
        let at = chance.millis(5_000);
        Self {
            name: format!("act-{number}"),
            at,
            cancel_at: chance.percent(20).then(|| at + chance.millis(6_000)),
            again: chance.percent(15),
            priority: 1 + chance.below(100),
            concurrency_key: chance.percent(30).then_some("one-at-a-time"),
            script: script(chance),
            unknown: chance.percent(8),
        }
    }

    pub(crate) fn run(&self, attempt: u32) -> RunId {
        RunId::new(self.name.parse().unwrap(), attempt)
    }

    pub(crate) fn attempts(&self) -> std::ops::RangeInclusive<u32> {
        1..=1 + u32::from(self.again)
    }

    pub(crate) fn last_run(&self) -> RunId {
        self.run(*self.attempts().end())
    }

    fn blob() -> BlobId {
        "a".repeat(40).parse().unwrap()
    }

    pub(crate) fn key(&self, attempt: u32) -> LaunchKey {
        LaunchKey::of_action(&self.name.parse().unwrap(), &Self::blob(), attempt)
    }

    pub(crate) fn request(&self) -> Request {
        let path = format!("vault/actions/{}.toml", self.name);
        Request { path, blob: Self::blob(), mode: "100644".to_owned(), head: head(), occasion: None }
    }

    pub(crate) fn admitted(&self) -> Admitted {
        let pinned = json!({ "sha256": "", "bytes": "" });
        serde_json::from_value(json!({
            "id": self.name, "blob": Self::blob(), "action": pinned, "context": "a simulation",
            "formula": {
                "name": "f", "kind": "mechanical", "source": "ops:formulas/f.sh", "script": pinned, "meta": null,
                "context_files": {}, "idempotent": false, "max_concurrent": null,
            },
            "params": {}, "tier": "low", "approval": { "how": "branch", "by": [], "commit": null }, "arrived": null,
            "head": head(), "backend": "fake", "mounts": [], "secrets": ["TOKEN"], "timeout_minutes": 1,
            "priority": self.priority, "concurrency_key": self.concurrency_key, "working_directory": null,
            "not_after": null, "depends_on": [], "evidence": [],
        }))
        .unwrap()
    }
}

/// What a formula does: it prints, it takes its time, it comes to an end or hangs.
fn script(chance: &Chance) -> Script {
    let status = "{\"t\":\"\",\"kind\":\"status\",\"state\":\"started\"}\n".to_owned();
    let mut steps = vec![Scripted::Events(status.into_bytes())];
    for number in 0..chance.below(5) {
        steps.push(match chance.below(5) {
            0 => Scripted::ConnectionLost,
            1 | 2 => Scripted::Wait(chance.millis(3_000)),
            _ => Scripted::Events(log_line(number).into_bytes()),
        });
    }
    let end = match chance.below(20) {
        0 => None,
        1 => Some(End::OutOfMemory),
        2 => Some(End::Unknown),
        3..=6 => Some(End::Exited(7)),
        _ => Some(End::Exited(0)),
    };
    Script { steps, end, cancel_takes: chance.millis(3_000), ..Script::default() }
}

fn log_line(number: u64) -> String {
    json!({ "t": "", "kind": "log", "stream": "stdout", "text": format!("line {number}") }).to_string() + "\n"
}

impl History {
    pub(crate) fn play(seed: u64) -> Self {
        let chance = Chance::of(seed);
        let folder = tempfile::Builder::new().prefix("simulation").tempdir_in(memory()).unwrap();
        let asked: Arc<Vec<Asked>> = Arc::new((0..=chance.below(6)).map(|n| Asked::by(&chance, n)).collect());
        let surroundings = Surroundings {
            place: Place { fake: FakeBackend::new(), chance: chance.clone() },
            grants: Grants::new(chance.clone()),
            remote: Remote::new(chance.clone()),
            folder: folder.path(),
            slots: 1 + u32::try_from(chance.below(3)).unwrap(),
            asked,
            chance: chance.clone(),
        };
        let deaths = chance.below(6);
        let mut reached = Duration::ZERO;
        for _ in 0..deaths {
            surroundings.say_what_launches_do();
            let dies_after = chance.millis(9_000);
            reached = surroundings.in_a_life(reached, async {
                let _ = timeout(dies_after, surroundings.live()).await;
                chance.tell("the dispatcher dies");
            });
        }
        surroundings.in_a_life(reached, async {
            chance.calm_down();
            surroundings.say_what_launches_do();
            if timeout(PATIENCE, surroundings.live()).await.is_err() {
                chance.wrong("it does not come to rest".to_owned());
            }
            // What came last may still be cleared up.
            sleep(Duration::from_secs(1)).await;
            check::at_rest(&surroundings);
        });
        let (told, wrong) = chance.notes();
        Self { told, wrong, deaths }
    }
}

/// A folder that costs no disk, where there is one.
fn memory() -> std::path::PathBuf {
    let shared = std::path::Path::new("/dev/shm");
    if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() }
}

impl Surroundings<'_> {
    /// Plays a part of the history on a runtime of its own, with which all tasks of a dispatcher are gone, as in a crash; goes on
    /// from where virtual time had got by `reached`, and answers how far it is then.
    fn in_a_life(&self, reached: Duration, part: impl Future<Output = ()>) -> Duration {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            self.place.fake.put_off(self.chance.goes_on(Instant::now()));
            advance(reached).await;
            part.await;
            self.chance.elapsed()
        })
    }

    /// What launches do for as long as this dispatcher lives.
    fn say_what_launches_do(&self) {
        for asked in self.asked.iter() {
            for attempt in asked.attempts() {
                let launch = match self.chance.below(20) {
                    0 | 4 => LaunchAnswer::DoneButAmbiguous,
                    1 => LaunchAnswer::NotDoneAndAmbiguous,
                    2 => LaunchAnswer::AmbiguousAndLate(self.chance.millis(4_000)),
                    3 => LaunchAnswer::Unreachable,
                    _ => LaunchAnswer::Works,
                };
                let find = match self.chance.below(10) {
                    0 if asked.unknown => FindAnswer::Unknown,
                    1 => FindAnswer::Unreachable,
                    _ => FindAnswer::Truth,
                };
                let calm = !self.chance.trouble(100);
                let (launch, find) = if calm { (LaunchAnswer::Works, FindAnswer::Truth) } else { (launch, find) };
                let launch_takes = self.chance.millis(50);
                let script = Script { launch, find, launch_takes, ..asked.script.clone() };
                self.place.fake.script(&asked.key(attempt), script);
            }
        }
    }
}
