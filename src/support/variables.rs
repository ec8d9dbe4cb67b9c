//! Names of environment variables: what is one, and which of them neither a secret nor the config may set. The config is checked by
//! the same list as each run is by its runner, so that what starts does not fail at its first run.

/// Names that neither a secret nor the config may set: they choose what is executed or how the shell reads it, or they are
/// set for each run.
const RESERVED: [&str; 31] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "PWD",
    "BASH_ENV",
    "ENV",
    "IFS",
    "PS4",
    "SHELLOPTS",
    "BASHOPTS",
    "BASH_XTRACEFD",
    "PROMPT_COMMAND",
    "GLOBIGNORE",
    "CDPATH",
    "POSIXLY_CORRECT",
    "GCONV_PATH",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_PROXY_COMMAND",
    "GIT_ASKPASS",
    "GIT_EDITOR",
    "GIT_PAGER",
    "GIT_EXTERNAL_DIFF",
    "GIT_EXEC_PATH",
    "GIT_TEMPLATE_DIR",
    "GIT_DIR",
    "GIT_WORK_TREE",
    "VAULT_ACTION_TOML",
    "TRACEPARENT",
];

/// Beginnings of such names.
const RESERVED_PREFIXES: [&str; 5] = ["LD_", "DYLD_", "BASH_FUNC_", "GIT_CONFIG", "DISPATCH_"];

/// Whether neither a secret nor the config may set the variable `name`.
pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether a shell can have a variable `name`: letters, digits and `_`, no digit first.
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_steer_the_shell_git_or_the_runner_are_reserved_and_ordinary_ones_are_not() {
        for name in
            ["PATH", "LD_PRELOAD", "BASH_ENV", "BASH_FUNC_ls%%", "GIT_CONFIG_COUNT", "GIT_SSH_COMMAND", "DISPATCH_X"]
        {
            assert!(is_reserved(name), "{name}");
        }
        for name in ["GIT_TOKEN", "FORGE_URL", "PATHS", "LANG", "GIT_AUTHOR_NAME", "ENVIRONMENT"] {
            assert!(!is_reserved(name), "{name}");
        }
    }
}
