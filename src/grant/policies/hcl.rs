//! Reads as much of a policy's HCL as is needed to say what it asks for (pure). What it does not understand, it does not judge.

use std::collections::{BTreeMap, BTreeSet};

/// One `path "…" { … }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stanza {
    /// The path, with its wildcards.
    pub path: String,
    /// What may be done there.
    pub capabilities: BTreeSet<String>,
    /// Everything else it says, each as its tokens with blanks between them: what narrows the capabilities.
    pub limits: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Sign(char),
}

impl Token {
    fn shown(&self) -> String {
        match self {
            Self::Word(word) => word.clone(),
            Self::Text(text) => format!("{text:?}"),
            Self::Sign(sign) => sign.to_string(),
        }
    }
}

/// The stanzas of `text`; `None` where it holds anything else.
pub fn parse(text: &str) -> Option<Vec<Stanza>> {
    let tokens = tokens(text)?;
    let mut rest = tokens.as_slice();
    let mut stanzas = Vec::new();
    while let Some((head, after)) = rest.split_first() {
        let (Token::Word(word), [Token::Text(path), Token::Sign('{'), body @ ..]) = (head, after) else { return None };
        if word != "path" {
            return None;
        }
        let (stanza, behind) = stanza(path, body)?;
        stanzas.push(stanza);
        rest = behind;
    }
    Some(stanzas)
}

fn stanza<'t>(path: &str, mut rest: &'t [Token]) -> Option<(Stanza, &'t [Token])> {
    let mut stanza = Stanza { path: path.to_owned(), capabilities: BTreeSet::new(), limits: BTreeMap::new() };
    loop {
        let (name, after) = match rest {
            [Token::Sign('}'), behind @ ..] => return Some((stanza, behind)),
            [Token::Word(name) | Token::Text(name), Token::Sign('='), after @ ..] => (name, after),
            [Token::Word(name) | Token::Text(name), Token::Sign('{'), ..] => (name, rest.get(1..)?),
            _ => return None,
        };
        let (value, behind) = after.split_at_checked(length(after)?)?;
        if name == "capabilities" {
            let words = value.iter().filter_map(|token| match token {
                Token::Text(word) => Some(word.clone()),
                _ => None,
            });
            stanza.capabilities.extend(words);
        } else {
            let shown: Vec<String> = value.iter().map(Token::shown).collect();
            stanza.limits.insert(name.clone(), shown.join(" "));
        }
        rest = behind;
    }
}

/// How many tokens the value at the beginning of `tokens` has.
fn length(tokens: &[Token]) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Sign('[' | '{') => depth += 1,
            Token::Sign(']' | '}') => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        rest = if first == '#' || rest.starts_with("//") {
            rest.split_once('\n').map_or("", |(_, behind)| behind)
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.split_once("*/")?.1
        } else if first == '"' {
            let (inside, behind) = rest.strip_prefix('"')?.split_once('"')?;
            if inside.contains(['\\', '\n', '$']) {
                return None;
            }
            tokens.push(Token::Text(inside.to_owned()));
            behind
        } else if "{}[]=".contains(first) {
            tokens.push(Token::Sign(first));
            rest.strip_prefix(first)?
        } else if first == ',' {
            rest.strip_prefix(',')?
        } else {
            let is_word = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
            let (word, behind) = rest.split_at(rest.find(|c| !is_word(c)).unwrap_or(rest.len()));
            if word.is_empty() {
                return None;
            }
            tokens.push(Token::Word(word.to_owned()));
            behind
        }
        .trim_start();
    }
    Some(tokens)
}

/// What a policy asks for beyond `shape`, one line each; empty where it asks for no more.
pub fn beyond(policy: &str, shape: &str) -> Vec<String> {
    let (Some(asked), Some(shape)) = (parse(policy), parse(shape)) else {
        return vec!["it holds more than plain `path` blocks, and cannot be compared".to_owned()];
    };
    asked.iter().flat_map(|stanza| stanza_beyond(stanza, &shape)).collect()
}

fn stanza_beyond(asked: &Stanza, shape: &[Stanza]) -> Vec<String> {
    let denies_only = asked.capabilities.iter().all(|word| word == "deny") && asked.limits.is_empty();
    let Some(shipped) = shape.iter().find(|stanza| stanza.path == asked.path) else {
        let words = asked.capabilities.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        return if denies_only { vec![] } else { vec![format!("`{}`: {words}", asked.path)] };
    };
    let more = asked.capabilities.iter().filter(|word| *word != "deny" && !shipped.capabilities.contains(*word));
    let more = more.map(|word| format!("`{}`: {word}", asked.path));
    let wider = shipped.limits.iter().filter(|(name, value)| !denies_only && asked.limits.get(*name) != Some(value));
    let wider = wider.map(|(name, value)| format!("`{}`: without `{name} = {value}`", asked.path));
    let old_form = asked.limits.get("policy").map(|_| format!("`{}`: `policy` in place of capabilities", asked.path));
    more.chain(wider).chain(old_form).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: &str = "path \"kv/data/A\" {\n  capabilities = [\"read\"]\n}\n";

    #[test]
    fn a_policy_that_reads_another_path_or_may_do_more_is_named() {
        let more = |policy: &str| beyond(policy, SHAPE);
        assert!(more(SHAPE).is_empty());
        assert!(more("# a word\npath \"kv/data/A\" { capabilities = [\"read\", \"deny\"], }").is_empty());
        assert_eq!(more("path \"kv/data/*\" { capabilities = [\"read\"] }"), ["`kv/data/*`: read"]);
        assert_eq!(more("path \"kv/data/A\" { capabilities = [\"read\", \"list\"] }"), ["`kv/data/A`: list"]);
        assert_eq!(
            more("path \"kv/data/A\" { policy = \"write\" }"),
            ["`kv/data/A`: `policy` in place of capabilities"]
        );
        assert!(more("path \"x\" { capabilities = [\"deny\"] }").is_empty());
    }

    #[test]
    fn a_limit_that_was_taken_away_is_named() {
        let shape = "path \"p\" { capabilities = [\"update\"]\n min_wrapping_ttl = \"1s\" }";
        let found = beyond("path \"p\" { capabilities = [\"update\"] }", shape);
        assert_eq!(found, ["`p`: without `min_wrapping_ttl = \"1s\"`"]);
        let map = "path \"p\" { capabilities = [\"update\"] allowed_parameters { \"a\" = [\"b\"] } min_wrapping_ttl = \"1s\" }";
        assert!(beyond(map, shape).is_empty());
    }

    #[test]
    fn what_is_not_understood_is_not_called_harmless() {
        for text in
            ["path \"a\" {", "name = \"x\"", "path \"a${b}\" {}", "path = 1", "{\"path\": {}}", "path \"a\" { x = [ }"]
        {
            assert_eq!(beyond(text, SHAPE).len(), 1, "{text}");
        }
    }
}
