//! Bringing a run about at most once, and finding out whether it was.
//!
//! A dispatch carries a token. Of all dispatches under one token, however many at once, one child comes (350 of 350 rounds on 1.11.3),
//! and as long as the server has that child, every further one answers it. But nine of ten losers of a race are answered with an id that does
//! not exist, so the child is always read back, and asked for again under the same token where it is not there.
//!
//! # Why a launch can be ruled out
//! A dispatch that was sent and not answered may be carried out much later (a server that was frozen does it after its thaw). To make sure
//! that it will not be, the token is taken up: by a child whose payload is no envelope, so that nothing could come of it even if it
//! started, and which is deregistered at once. Then either the dispatch came first, and its child is what the server answers; or the
//! seal did, and the dispatch will answer the seal. The next launch under the key has a token of its own (the next generation).
//!
//! That holds while the server remembers the token, which is until the child is collected (four hours after its end; at once on
//! `system gc`). So a seal alone does not prove that there was no child before: it may have run, ended and been collected. What
//! proves it is a [`tidemark`](super::tidemark) of before the launch that is still there. Where there is none, the answer is that it cannot be
//! known.

use std::collections::BTreeMap;

use super::client::{ClientError, Dispatch, Prospect};
use super::names::{self, META_ACTION, META_ATTEMPT, META_KEY, META_RUN, Purpose, prefix, purpose, token};
use super::{Maker, NAME, NomadBackend, PAYLOAD_LIMIT, Place, of_prospect, point, question, refused};
use crate::backend::{BackendError, Found, Mark};
use crate::runner::envelope::{Envelope, Handover};
use crate::support::chain;
use crate::support::ids::{LaunchKey, MountName};
use crate::support::retry::RetryPolicy;

/// What a seal and a tidemark carry: no runner takes it for an envelope.
pub(super) const NOTHING: &[u8] = b"{\"protocol\":0,\"this\":\"is no run\"}";

/// Launches under one key that were ruled out, at the most; each is a launch whose outcome was in doubt.
const GENERATIONS: u32 = 100;

/// What there is under a key.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Children {
    /// The run, where there is one.
    pub(super) run: Option<Place>,
    /// The last generation that was sealed; 0 for none.
    sealed: u32,
}

/// A child that the server has, as its answer to a dispatch was read back.
struct Child {
    id: String,
    purpose: Option<Purpose>,
}

/// Why a dispatch has not come to a child.
struct Trouble {
    prospect: Prospect,
    /// Whether it is worth asking again at once.
    may_pass: bool,
    words: String,
}

impl Trouble {
    fn of(error: &ClientError) -> Self {
        Self { prospect: error.prospect(), may_pass: error.may_pass(), words: chain::words(error) }
    }

    fn doubt(words: String) -> Self {
        Self { prospect: Prospect::InDoubt, may_pass: true, words }
    }
}

impl NomadBackend {
    /// Looks under every job that a launch may have been made of.
    pub(super) async fn children(&self, key: &LaunchKey) -> Result<Children, BackendError> {
        let mut found = Children::default();
        for job in self.variants() {
            let prefix = names::children(&job, key);
            for child in question(|| self.urgent.jobs(&prefix)).await? {
                let whole = child.meta.as_ref().and_then(|meta| meta.get(META_KEY));
                match purpose(&child.id, key).filter(|_| whole.is_some_and(|whole| whole == key.as_str())) {
                    Some(Purpose::Run(_)) => {
                        found.run = Some(Place { key: key.clone(), job: child.id, maker: Maker::Unknown });
                    }
                    Some(Purpose::Seal(generation)) => found.sealed = found.sealed.max(generation),
                    None => {}
                }
            }
        }
        Ok(found)
    }

    pub(super) async fn launch_once(&self, key: &LaunchKey, envelope: &Envelope) -> Result<Place, BackendError> {
        let payload = self.payload(envelope)?;
        let parent = self.parent(envelope)?;
        let meta = BTreeMap::from([
            (META_RUN, envelope.run.to_string()),
            (META_KEY, key.to_string()),
            (META_ATTEMPT, envelope.run.attempt().to_string()),
            (META_ACTION, envelope.action.sha256.clone()),
        ]);
        // Nobody lists first what there is under the key: a token that is taken answers its child, and of a seal's the next one is tried.
        for generation in 1..=GENERATIONS {
            let of = Purpose::Run(generation);
            let (token, prefix) = (token(key, generation), prefix(key, of, Some(&envelope.run)));
            let dispatch =
                Dispatch { parent: &parent, token: &token, prefix: &prefix, meta: meta.clone(), payload: &payload };
            point("nomad.dispatch.before", "dispatching")?;
            let child = self.bring_about(key, &dispatch).await?;
            if matches!(child.purpose, Some(Purpose::Run(_))) {
                // It has happened, whatever becomes of the step.
                let in_doubt = |error| BackendError::Ambiguous { backend: NAME, detail: chain::words(&error) };
                point("nomad.dispatch.after", "dispatching").map_err(in_doubt)?;
                let place = Place { key: key.clone(), job: child.id, maker: Maker::Unknown };
                return Ok(self.recognised(place, envelope, &payload).await);
            }
        }
        Err(refused(format!("{GENERATIONS} launches of it were given up already")))
    }

    /// Whether the child is of our making, where something will be handed over to it: a launch key can be known to others who may
    /// dispatch jobs, and with the key they have a child of their own, which a grant must not reach.
    async fn recognised(&self, place: Place, envelope: &Envelope, payload: &[u8]) -> Place {
        if !envelope.handover.needs_identity() {
            return place;
        }
        match question(|| self.client.payload(&place.job)).await {
            Ok(Some(found)) if found == payload => return Place { maker: Maker::We, ..place },
            Ok(_) => tracing::warn!(
                run = %envelope.run,
                job = place.job,
                "its job has another payload than was sent: somebody else has made it under its key; nothing is handed over to it"
            ),
            Err(error) => {
                tracing::warn!(run = %envelope.run, %error, "its payload cannot be read back; nothing is handed over to it");
            }
        }
        place
    }

    /// The job that mounts what the run needs.
    fn parent(&self, envelope: &Envelope) -> Result<String, BackendError> {
        let parent = names::variant(&self.settings.job, envelope.mounts.keys());
        if self.is_registered(&parent) {
            return Ok(parent);
        }
        let mounts: Vec<&str> = envelope.mounts.keys().map(MountName::as_str).collect();
        Err(refused(format!(
            "no job has the mounts {0}: add `{0}` to backends.nomad.runner.mounts, then `dispatch jobs apply`",
            mounts.join("+")
        )))
    }

    /// The envelope as it travels, with the places of its mounts.
    fn payload(&self, envelope: &Envelope) -> Result<zeroize::Zeroizing<Vec<u8>>, BackendError> {
        if matches!(&envelope.handover, Handover::Values(values) if !values.is_empty()) {
            let words = "a payload can be read in Nomad by whoever may read jobs there, so secret values do not travel \
                         in it: configure the vault provider for secrets";
            return Err(refused(words.to_owned()));
        }
        let mut envelope = envelope.clone();
        for (name, place) in &mut envelope.mounts {
            let known = self.settings.mounts.get(name);
            let unknown =
                || refused(format!("the mount {name} has no `nomad` in the config: add it to [mounts.{name}]"));
            place.clone_from(known.ok_or_else(unknown)?);
        }
        let payload = match &self.recipient {
            None => envelope.to_handover(),
            Some(recipient) => envelope.to_sealed_handover(recipient).map(zeroize::Zeroizing::new),
        };
        let payload = payload.map_err(|error| refused(chain::words(&error)))?;
        if payload.len() > PAYLOAD_LIMIT {
            return Err(refused(format!(
                "the run's envelope has {} bytes, and Nomad takes {PAYLOAD_LIMIT}",
                payload.len()
            )));
        }
        Ok(payload)
    }

    /// Dispatches until a child has been read back: the one that was made now, or the one that holds the token.
    async fn bring_about(&self, key: &LaunchKey, dispatch: &Dispatch<'_>) -> Result<Child, BackendError> {
        let mut delays = RetryPolicy::QUESTION.delays();
        let mut doubt: Option<String> = None;
        loop {
            let Trouble { prospect, may_pass, words } = match self.dispatch_and_read_back(key, dispatch).await {
                Ok(child) => return Ok(child),
                Err(trouble) => trouble,
            };
            if prospect == Prospect::InDoubt {
                doubt.get_or_insert_with(|| words.clone());
            }
            match (delays.next().filter(|_| may_pass), doubt.take()) {
                (Some(delay), before) => {
                    doubt = before;
                    tokio::time::sleep(delay).await;
                }
                // What came before may have taken effect, whatever is said now.
                (None, Some(detail)) => return Err(BackendError::Ambiguous { backend: NAME, detail }),
                (None, None) => return Err(of_prospect(prospect, words)),
            }
        }
    }

    async fn dispatch_and_read_back(&self, key: &LaunchKey, dispatch: &Dispatch<'_>) -> Result<Child, Trouble> {
        // Here, since a launch looks and asks again for longer than a lease may last.
        if !self.tenure.holds() {
            let words = "the lease is over: another dispatcher may lead by now".to_owned();
            return Err(Trouble { prospect: Prospect::Later, may_pass: false, words });
        }
        let dispatched = self.urgent.dispatch(dispatch).await.map_err(|error| Trouble::of(&error))?;
        let read = self.urgent.job(&dispatched.job).await;
        // It has happened: whatever is wrong with reading leaves it in doubt which child there is.
        match read.map_err(|error| Trouble::doubt(chain::words(&error)))? {
            Some(job) if job.dispatch_idempotency_token == dispatch.token => {
                Ok(Child { purpose: purpose(&job.id, key), id: job.id })
            }
            _ => Err(Trouble::doubt(format!("Nomad answered {}, which does not exist", dispatched.job))),
        }
    }

    /// Takes up the tokens of all launches that may have been made under the key.
    pub(super) async fn seal(&self, key: &LaunchKey, before: Option<&Mark>) -> Result<Found, BackendError> {
        let children = self.children(key).await?;
        if let Some(place) = children.run {
            return Ok(Found::Launched(place.handle()));
        }
        for job in self.variants() {
            for generation in 1..=(children.sealed + 1).min(GENERATIONS) {
                match self.seal_one(&job, key, generation).await {
                    Ok(None) => {}
                    Ok(Some(place)) => return Ok(Found::Launched(place.handle())),
                    Err(BackendError::Refused { detail, .. }) => return Ok(Found::Unknown(detail)),
                    Err(error) => return Err(error),
                }
            }
        }
        if self.is_as_it_was(before).await? {
            return Ok(Found::NotLaunched);
        }
        let words = "Nomad has no such job now; it may have had one, and have collected it since";
        Ok(Found::Unknown(words.to_owned()))
    }

    /// The run that holds the token, if one does; otherwise a seal does from now on.
    async fn seal_one(&self, job: &str, key: &LaunchKey, generation: u32) -> Result<Option<Place>, BackendError> {
        // A job that is not registered can have had no dispatch.
        let Some(parent) = question(|| self.client.job(job)).await?.filter(|job| !job.stop) else { return Ok(None) };
        let (token, prefix) = (token(key, generation), prefix(key, Purpose::Seal(generation), None));
        let meta = BTreeMap::from([(META_RUN, "seal".to_owned()), (META_KEY, key.to_string())]);
        let dispatch = Dispatch { parent: &parent.id, token: &token, prefix: &prefix, meta, payload: NOTHING };
        point("nomad.seal.before", "taking up the token of a launch")?;
        let child = self.bring_about(key, &dispatch).await?;
        point("nomad.seal.made", "taking up the token of a launch")?;
        if matches!(child.purpose, Some(Purpose::Run(_))) {
            return Ok(Some(Place { key: key.clone(), job: child.id, maker: Maker::Unknown }));
        }
        question(|| self.client.deregister(&child.id)).await?;
        point("nomad.seal.after", "taking up the token of a launch")?;
        Ok(None)
    }
}
