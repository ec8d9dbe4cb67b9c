//! The closed list of reasons: why something was refused, waits, or ended as it did. Codes are stable; tools may match them.

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($(#[$group:meta])* $name:ident = $code:literal, $words:literal;)*) => {
        /// A stable reason code. `words` says it to people; details go into the message beside it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
        pub enum Reason {
            $(#[doc = $words] #[serde(rename = $code)] $name,)*
        }

        impl Reason {
            /// All reasons, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable code.
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// One sentence for people.
            pub fn words(self) -> &'static str {
                match self { $(Self::$name => $words,)* }
            }
        }
    };
}

reasons! {
    // Form.
    NotUtf8 = "not_utf8", "The file is not valid UTF-8.";
    ByteOrderMark = "byte_order_mark", "The file begins with a byte order mark.";
    FileTooLarge = "file_too_large", "The file is larger than 64 KiB.";
    NestingTooDeep = "nesting_too_deep", "Values are nested more than 32 deep.";
    Syntax = "syntax", "The file is not valid TOML.";
    DuplicateKey = "duplicate_key", "A key stands in the file twice.";
    UnknownField = "unknown_field", "The file has a field that this format does not have.";
    MissingField = "missing_field", "A required field is missing.";
    WrongType = "wrong_type", "A field has a value of the wrong type.";
    InvalidValue = "invalid_value", "A field has a value outside of what is allowed.";
    IdMismatch = "id_mismatch", "The id differs from the file's name.";
    IdCaseCollision = "id_case_collision", "Another action has this name but for the case of its letters.";
    NotAPlainFile = "not_a_plain_file", "The entry is a symbolic link or a submodule, not a plain file.";
    NestedEntry = "nested_entry", "The entry stands deeper than one level below the folder of actions.";
    FormulaNotFound = "formula_not_found", "No source has a formula of this name.";
    FormulaInvalid = "formula_invalid", "The formula or its metadata does not parse or breaks a rule.";
    FormulaUnsupported = "formula_unsupported", "The formula needs an agent CLI, which this dispatcher does not run.";
    PolicyInvalid = "policy_invalid", "vault/policy.toml does not parse.";
    ParamMissing = "param_missing", "A parameter that the formula requires is not given.";
    ParamUnknown = "param_unknown", "A parameter is given that the formula does not declare.";
    ParamInvalid = "param_invalid", "A parameter does not match the formula's pattern.";
    // 2: secrets.
    SecretNotAllowed = "secret_not_allowed", "A secret is not in the allowlist of the config.";
    SecretAbsent = "secret_absent", "A secret does not exist in the secret provider.";
    SecretBeyondFormula = "secret_beyond_formula", "A secret is not among those that the formula may ask for.";
    SecretsUnavailable = "secrets_unavailable", "The secret provider does not answer.";
    // 3: mounts, backend.
    MountUnknown = "mount_unknown", "A mount is not declared for the backend.";
    MountBeyondFormula = "mount_beyond_formula", "A mount is not among those that the formula may ask for.";
    BackendNotAllowed = "backend_not_allowed", "The backend is not allowed for this action.";
    BackendUnavailable = "backend_unavailable", "The backend cannot be reached.";
    WorkingDirectoryNotAllowed = "working_directory_not_allowed", "The working directory is not on the config's list.";
    // 4, 5: tier and approval.
    DirectNotAllowed = "direct_not_allowed", "Only a low tier may be dispatched by a direct commit.";
    ApprovalNotConfigured = "approval_not_configured", "The config names no way to prove an approval for this tier.";
    NotSigned = "not_signed", "The commit that brought the action is not signed.";
    SignatureInvalid = "signature_invalid", "The signature of the commit that brought the action does not verify.";
    SignerNotAllowed = "signer_not_allowed", "The signer may not approve this tier.";
    NotEnoughApprovals = "not_enough_approvals", "Fewer people than required have approved.";
    NoPullRequest = "no_pull_request", "The forge knows no merged pull request into the primary branch that brought it.";
    BytesNotOfRequest = "bytes_not_of_request", "The pull request did not bring these bytes: they came another way.";
    ApprovalOutdated = "approval_outdated", "The file or its formula changed after it was approved.";
    ApprovalElsewhere = "approval_elsewhere", "The commit that was approved is no part of the pull request.";
    ApprovalForOtherBranch = "approval_for_other_branch", "The pull request went to another branch when it was approved.";
    ApprovalWithdrawn = "approval_withdrawn", "The approval was dismissed, or overruled by the same person.";
    ApprovalByAuthor = "approval_by_author", "Whoever wrote a part of the pull request cannot approve it.";
    ApproverNotAllowed = "approver_not_allowed", "Whoever approved is not on the config's list for this tier.";
    ApproverChanged = "approver_changed", "A name on the config's list belongs to another user of the forge by now.";
    // 6: not done.
    IdAlreadyUsed = "id_already_used", "An action of this id was taken up before; a change of its bytes needs a new id.";
    ForeignResult = "foreign_result", "A result that this dispatcher did not write stands in the repository.";
    HistoryRewritten = "history_rewritten", "The primary branch was rewritten; a person must acknowledge it.";
    // 7: when.
    NotBefore = "not_before", "Its time has not come.";
    Expired = "expired", "Its time is over.";
    DependencyPending = "dependency_pending", "An action that it depends on has not succeeded yet.";
    DependencyFailed = "dependency_failed", "An action that it depends on did not succeed.";
    DependencyCycle = "dependency_cycle", "It depends on itself.";
    // Any of the above.
    EvidenceUnavailable = "evidence_unavailable", "Something that must be looked at cannot be read now.";
    // Queue (50).
    QueueFull = "queue_full", "All slots are taken.";
    FormulaBusy = "formula_busy", "The formula runs as often as it may at once.";
    KeyBusy = "key_busy", "Another run holds the same concurrency key.";
    BackendBusy = "backend_busy", "The backend runs as many as it may at once.";
    DirectoryBusy = "directory_busy", "Another run holds the same working directory.";
    Draining = "draining", "The dispatcher takes up nothing new.";
    // Ends of a run.
    Succeeded = "succeeded", "The formula exited with 0.";
    ExitNonzero = "exit_nonzero", "The formula exited with another code than 0.";
    Signalled = "signalled", "A signal ended the formula.";
    OutOfMemory = "out_of_memory", "The kernel ended the run for its memory.";
    TimedOut = "timed_out", "The run took longer than it may.";
    CancelledByOperator = "cancelled_by_operator", "A person cancelled it.";
    RemovedBeforeLaunch = "removed_before_launch", "The action was removed or changed before it was launched.";
    BadEnvelope = "bad_envelope", "The runner refused what it was handed.";
    FenceLost = "fence_lost", "Another execution of this run had already begun.";
    GrantExpired = "grant_expired", "The runner could not open the grant: it was too old, or Vault did not answer.";
    GrantIntercepted = "grant_intercepted", "Somebody else opened the grant.";
    SecretUnusable = "secret_unusable", "A granted secret is absent, empty or unfit.";
    FormulaNotRunnable = "formula_not_runnable", "The formula could not be started.";
    LaunchRefused = "launch_refused", "The backend refused to launch the run.";
    LaunchUnknown = "launch_unknown", "Whether the launch happened cannot be known.";
    ExitUnknown = "exit_unknown", "The run is over and its exit code cannot be learned.";
    PayloadTooLarge = "payload_too_large", "What must be handed over is larger than the backend takes.";
    ChannelNotPrivate = "channel_not_private", "Secret values may not travel by way of this backend.";
    NeverPlaced = "never_placed", "The backend found no place for the run.";
    SetupFailed = "setup_failed", "The backend could not set the run up where it was placed.";
    NodeLost = "node_lost", "The node that it ran on went away.";
    Drained = "drained", "The node that it ran on was drained.";
    StoppedInNomad = "stopped_in_nomad", "Somebody stopped it in Nomad, past the dispatcher.";
    JournalLost = "journal_lost", "The journal was lost while this run was under way.";
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_unique_and_reads_back() {
        let mut seen = std::collections::BTreeSet::new();
        for reason in Reason::ALL {
            assert!(seen.insert(reason.code()), "{reason} stands twice");
            assert_eq!(serde_json::from_str::<Reason>(&format!("\"{reason}\"")).unwrap(), *reason);
        }
    }
}
