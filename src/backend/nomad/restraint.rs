//! What of a registered job keeps Nomad from executing a run a second time: its group's `restart`, `reschedule` and `disconnect`. Somebody
//! may change them by hand and leave the marker as it is. Pure.

use super::client::types::{Disconnect, Job, ReschedulePolicy, RestartPolicy, TaskGroup};

/// What the shipped jobs say, in nanoseconds: a client that is away for less than this is not lost.
const LOST_AFTER: i64 = 8760 * 3600 * 1_000_000_000;

/// What does not hold in `job`, in words; none where all does.
pub(super) fn loosened(job: &Job) -> Option<String> {
    let wrong: Vec<String> = job.task_groups.iter().flatten().flat_map(of_group).collect();
    let words = |wrong: Vec<String>| {
        format!("it was changed by hand so that a run may be executed twice: {}", wrong.join(", "))
    };
    (!wrong.is_empty()).then(|| words(wrong))
}

fn of_group(group: &TaskGroup) -> Vec<String> {
    let whose = format!("group {}", group.name);
    let mut wrong = Vec::new();
    match group.restart_policy {
        None => wrong.push(format!("{whose} has no restart")),
        Some(policy) => wrong.extend(restarts(policy, &whose)),
    }
    match group.reschedule_policy {
        None => wrong.push(format!("{whose} has no reschedule")),
        Some(ReschedulePolicy { attempts: 0, unlimited: false }) => {}
        Some(_) => wrong.push(format!("reschedule of {whose} is not 0 attempts")),
    }
    match group.disconnect {
        None => wrong.push(format!("{whose} has no disconnect")),
        Some(Disconnect { lost_after, .. }) if lost_after < LOST_AFTER => {
            wrong.push(format!("disconnect.lost_after of {whose} is {} s", lost_after / 1_000_000_000));
        }
        Some(Disconnect { replace: Some(false), .. }) => {}
        Some(_) => wrong.push(format!("disconnect.replace of {whose} is not false")),
    }
    let tasks = group.tasks.iter().flatten();
    let own = tasks.filter_map(|task| restarts(task.restart_policy?, &format!("task {}", task.name)));
    wrong.extend(own);
    wrong
}

fn restarts(policy: RestartPolicy, whose: &str) -> Option<String> {
    (policy.attempts != 0).then(|| format!("restart.attempts of {whose} is {}", policy.attempts))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn group() -> Value {
        json!({
            "Name": "run",
            "RestartPolicy": { "Attempts": 0, "Mode": "fail" },
            "ReschedulePolicy": { "Attempts": 0, "Unlimited": false },
            "Disconnect": { "LostAfter": LOST_AFTER, "Replace": false },
            "Tasks": [{ "Name": "runner", "RestartPolicy": { "Attempts": 0 } }],
        })
    }

    fn of(group: &Value) -> Option<String> {
        loosened(&serde_json::from_value(json!({ "TaskGroups": [group] })).unwrap())
    }

    #[test]
    fn a_job_as_it_is_shipped_is_restrained() {
        assert_eq!(of(&group()), None);
    }

    #[test]
    fn each_restraint_that_was_loosened_is_named() {
        let cases = [
            ("/RestartPolicy/Attempts", json!(3), "restart.attempts of group run is 3"),
            ("/ReschedulePolicy/Attempts", json!(1), "reschedule of group run is not 0 attempts"),
            ("/ReschedulePolicy/Unlimited", json!(true), "reschedule of group run is not 0 attempts"),
            ("/Disconnect/LostAfter", json!(60_000_000_000_i64), "disconnect.lost_after of group run is 60 s"),
            ("/Disconnect/Replace", json!(true), "disconnect.replace of group run is not false"),
            ("/Disconnect/Replace", Value::Null, "disconnect.replace of group run is not false"),
            ("/Disconnect", Value::Null, "group run has no disconnect"),
            ("/RestartPolicy", Value::Null, "group run has no restart"),
            ("/Tasks/0/RestartPolicy/Attempts", json!(2), "restart.attempts of task runner is 2"),
        ];
        for (path, value, words) in cases {
            let mut group = group();
            *group.pointer_mut(path).unwrap() = value;
            assert!(of(&group).is_some_and(|said| said.contains(words)), "{path}: {:?}", of(&group));
        }
    }
}
