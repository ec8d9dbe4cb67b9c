//! The policy: `vault/policy.toml`, which formula has which tier, and how many approvals a tier needs.
//!
//! Who may approve is the daemon's own config, never the repo's.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Tier;
use super::diagnostic::{Diagnostics, Findings};
use super::document;
use super::fields::Fields;
use crate::support::ids::FormulaName;

/// The fields of a policy.
pub const FIELDS: [&str; 2] = ["tiers", "approvals"];
/// The most approvals that a tier can be made to need.
pub const MAX_APPROVALS: u32 = 16;

/// A parsed policy. The default is that of a repo without one: every formula is `high`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Policy {
    /// What `[tiers]` says.
    pub tiers: BTreeMap<FormulaName, Tier>,
    /// What `[approvals]` says.
    pub approvals: BTreeMap<Tier, u32>,
}

impl Policy {
    /// Reads `vault/policy.toml`. `path` is what the diagnostics call the file.
    pub fn parse(path: &str, bytes: &[u8]) -> Result<Self, Diagnostics> {
        document::read(path, bytes, |findings, table| {
            let mut fields = Fields::top(findings, table, "a policy");
            fields.only(&FIELDS);
            let tiers = read_tiers(&mut fields);
            Some(Self { tiers, approvals: read_approvals(&mut fields) })
        })
    }

    /// The tier of a formula; one that is not named is `high`.
    pub fn tier(&self, formula: &FormulaName) -> Tier {
        self.tiers.get(formula).copied().unwrap_or(Tier::High)
    }

    /// How many approvals a tier needs: what the policy says, or none for `low` and one for the others.
    pub fn approvals(&self, tier: Tier) -> u32 {
        self.approvals.get(&tier).copied().unwrap_or_else(|| fewest(tier))
    }
}

/// The fewest approvals that a tier can need. A policy cannot make `medium` or `high` need none: that is what `low` is for.
fn fewest(tier: Tier) -> u32 {
    match tier {
        Tier::Low => 0,
        Tier::Medium | Tier::High => 1,
    }
}

fn read_tiers(fields: &mut Fields<'_, '_>) -> BTreeMap<FormulaName, Tier> {
    let Some((table, span)) = fields.table("tiers", "a table of formulas and their tiers") else {
        return BTreeMap::new();
    };
    let mut inner = Fields::inner(&mut *fields.findings, table, span, "the table `tiers`");
    let mut tiers = BTreeMap::new();
    for key in table.keys() {
        let name = inner.parse_id::<FormulaName>(&toml::Spanned::new(key.span(), key.get_ref().as_ref()));
        let tier = read_tier(&mut inner, key.get_ref());
        tiers.extend(name.zip(tier));
    }
    tiers
}

/// Without quotes a dot in a formula's name makes a table, which is worth saying.
fn read_tier(fields: &mut Fields<'_, '_>, formula: &str) -> Option<Tier> {
    let value = fields.value(formula)?;
    if value.get_ref().is_table() {
        let help = "put a name that holds dots between quotes: \"release-1.2\" = \"low\"".to_owned();
        fields.refuse_type(formula, "a tier", value, Some(help));
        return None;
    }
    fields.choice(formula, &Tier::WORDS)
}

fn read_approvals(fields: &mut Fields<'_, '_>) -> BTreeMap<Tier, u32> {
    let Some((table, span)) = fields.table("approvals", "a table of tiers and numbers") else {
        return BTreeMap::new();
    };
    let findings: &mut Findings = &mut *fields.findings;
    let mut inner = Fields::inner(findings, table, span, "the table `approvals`");
    inner.only(&Tier::WORDS.map(|(word, _)| word));
    let counts = Tier::WORDS.map(|(word, tier)| (tier, inner.integer(word, fewest(tier)..=MAX_APPROVALS)));
    counts.into_iter().filter_map(|(tier, count)| Some((tier, count?))).collect()
}

/// Who claimed a tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Claimant {
    /// The formula, by its metadata's `blast_radius`.
    Formula,
    /// The action, by its `blast_radius`.
    Action,
}

/// A claim that was ignored, since it would have lowered the tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LowerClaim {
    /// Who claimed it.
    pub by: Claimant,
    /// What was claimed.
    pub tier: Tier,
}

/// The tier that counts: the policy's, raised by the formula or the action, never lowered by either. Beside it a lower claim
/// that was ignored; the action's where both made one.
pub fn effective_tier(policy: Tier, formula: Option<Tier>, action: Option<Tier>) -> (Tier, Option<LowerClaim>) {
    let below =
        |floor: Tier, claim: Option<Tier>, by| claim.filter(|claim| *claim < floor).map(|tier| LowerClaim { by, tier });
    let by_formula = policy.max(formula.unwrap_or(policy));
    let ignored = below(by_formula, action, Claimant::Action).or(below(policy, formula, Claimant::Formula));
    (by_formula.max(action.unwrap_or(by_formula)), ignored)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Policy, Diagnostics> {
        Policy::parse("vault/policy.toml", text.as_bytes())
    }

    fn name(text: &str) -> FormulaName {
        text.parse().unwrap()
    }

    #[test]
    fn a_formula_that_is_not_named_is_high() {
        let policy = parse("[tiers]\nrotate = \"low\"\n\"release-1.2\" = \"medium\"\n").unwrap();
        assert_eq!(policy.tier(&name("rotate")), Tier::Low);
        assert_eq!(policy.tier(&name("release-1.2")), Tier::Medium);
        assert_eq!(policy.tier(&name("rotat")), Tier::High);
        assert_eq!(Policy::default().tier(&name("rotate")), Tier::High);
    }

    #[test]
    fn approvals_are_what_the_policy_says_or_one_above_low() {
        let policy = parse("[approvals]\nhigh = 2\n").unwrap();
        assert_eq!(Tier::WORDS.map(|(_, tier)| policy.approvals(tier)), [0, 1, 2]);
    }

    #[test]
    fn a_policy_cannot_let_a_higher_tier_pass_without_approval() {
        assert!(parse("[approvals]\nhigh = 0\n").is_err());
        assert!(parse("[approvals]\nmedium = 0\n").is_err());
        assert!(parse("[approvals]\nlow = 0\n").is_ok());
    }

    #[test]
    fn a_tier_can_be_raised_and_not_lowered() {
        use Tier::{High, Low, Medium};
        assert_eq!(effective_tier(Medium, None, None), (Medium, None));
        assert_eq!(effective_tier(Low, Some(Medium), None), (Medium, None));
        assert_eq!(effective_tier(Low, None, Some(High)), (High, None));
        assert_eq!(effective_tier(Medium, None, Some(Medium)), (Medium, None));
        assert_eq!(effective_tier(Low, Some(Medium), Some(High)), (High, None));
        let ignored = |by, tier| Some(LowerClaim { by, tier });
        assert_eq!(effective_tier(High, None, Some(Low)), (High, ignored(Claimant::Action, Low)));
        assert_eq!(effective_tier(High, Some(Medium), None), (High, ignored(Claimant::Formula, Medium)));
        assert_eq!(effective_tier(High, Some(Medium), Some(Low)), (High, ignored(Claimant::Action, Low)));
    }
}
