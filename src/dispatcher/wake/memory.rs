//! What the endpoint remembers: which deliveries it heard, so that one that comes again is not heard twice, and who was refused
//! how often, so that guessing costs us nothing. Pure, and bounded whatever comes.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::signature::Signature;

/// Deliveries that are remembered. More than a forge sends while it would still repeat one.
const DELIVERIES: usize = 1_024;

/// Addresses that are remembered; with more, all are forgotten rather than the memory growing.
const ADDRESSES: usize = 1_024;

/// Refusals within [`WINDOW`] after which an address is not listened to until the window is over.
const REFUSALS: u32 = 20;

/// See [`REFUSALS`].
const WINDOW: Duration = Duration::from_secs(60);

/// Whether a delivery is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// It is.
    First,
    /// It came before.
    Again,
}

/// The memory.
#[derive(Debug, Default)]
pub(super) struct Memory {
    deliveries: VecDeque<(Option<String>, Signature)>,
    refused: HashMap<IpAddr, (u32, Instant)>,
}

impl Memory {
    /// Notes a delivery whose signature is right. It came before if its id did, or its body: the id is not signed, so that one
    /// who replays a body can give it another.
    pub(super) fn hear(&mut self, id: Option<&str>, signature: Signature) -> Heard {
        let known = |(known, code): &(Option<String>, Signature)| {
            *code == signature || id.is_some_and(|id| known.as_deref() == Some(id))
        };
        if self.deliveries.iter().any(known) {
            return Heard::Again;
        }
        if self.deliveries.len() == DELIVERIES {
            self.deliveries.pop_front();
        }
        self.deliveries.push_back((id.map(str::to_owned), signature));
        Heard::First
    }

    /// Notes that `address` was refused at `now`.
    pub(super) fn refuse(&mut self, address: IpAddr, now: Instant) {
        if self.refused.len() >= ADDRESSES && !self.refused.contains_key(&address) {
            self.refused.clear();
        }
        let (count, since) = self.refused.entry(address).or_insert((0, now));
        if now.duration_since(*since) >= WINDOW {
            (*count, *since) = (0, now);
        }
        *count = count.saturating_add(1);
    }

    /// How long `address` is not listened to; `None`: it is.
    pub(super) fn deaf_to(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let (count, since) = self.refused.get(&address)?;
        let left = WINDOW.checked_sub(now.duration_since(*since)).filter(|left| !left.is_zero())?;
        (*count >= REFUSALS).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(number: usize) -> Signature {
        let headers = axum::http::HeaderMap::from_iter([(
            "x-gitea-signature".parse().unwrap(),
            format!("{number:064x}").parse().unwrap(),
        )]);
        Signature::of(&headers).unwrap()
    }

    #[test]
    fn a_delivery_is_heard_once_by_its_id_and_by_its_body() {
        let mut memory = Memory::default();
        assert_eq!(memory.hear(Some("a"), signature(1)), Heard::First);
        assert_eq!(memory.hear(Some("a"), signature(2)), Heard::Again);
        assert_eq!(memory.hear(Some("b"), signature(1)), Heard::Again, "the id is not signed");
        assert_eq!(memory.hear(None, signature(3)), Heard::First);
        assert_eq!(memory.hear(None, signature(4)), Heard::First, "two without an id are not one");
    }

    #[test]
    fn however_many_come_only_so_many_are_remembered() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        for number in 0..5_000_u32 {
            memory.hear(Some(&number.to_string()), signature(number as usize));
            memory.refuse(IpAddr::from(number.to_be_bytes()), now);
        }
        assert!(memory.deliveries.len() <= DELIVERIES && memory.refused.len() <= ADDRESSES);
    }

    #[test]
    fn one_who_guesses_is_not_listened_to_for_a_while_and_nobody_else_suffers() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        let (guesser, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        for _ in 0..REFUSALS {
            assert_eq!(memory.deaf_to(guesser, now), None);
            memory.refuse(guesser, now);
        }
        assert_eq!(memory.deaf_to(guesser, now), Some(WINDOW));
        assert_eq!(memory.deaf_to(other, now), None);
        assert_eq!(memory.deaf_to(guesser, now + WINDOW), None);
        memory.refuse(guesser, now + WINDOW);
        assert_eq!(memory.deaf_to(guesser, now + WINDOW), None, "it begins anew");
    }
}
