//! The webhooks of a run: which there are, which events each wants at which point of its group's writes, and their changes.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bson::oid::ObjectId;
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use taskwire::model::{EventFilter, EventKind, Ordering};
use taskwire_tests::admin_api::webhook_for_all_events;
use taskwire_tests::service::Group;
use taskwire_tests::{AdminApi, Answer, Receiver};
use tokio::sync::{Mutex, RwLock};
use tokio_util::sync::CancellationToken;

use crate::stage::Stage;
use crate::{Plan, any_of};

/// One webhook.
#[derive(Debug)]
pub(crate) struct Hook {
    pub(crate) id: ObjectId,
    pub(crate) path: String,
    pub(crate) ordering: Ordering,
    /// Whether it is changed now and then.
    changes: bool,
}

/// What one webhook wants.
#[derive(Debug, Clone, Copy)]
struct Wish {
    events: EventFilter,
    enabled: bool,
    rotating: bool,
}

/// A group, its webhooks, and what they want at present. Whoever writes for the group holds the lock as a reader, whoever
/// changes a webhook as a writer: so it is known which events came before a change and which after.
#[derive(Debug)]
pub(crate) struct GroupHooks {
    pub(crate) group: Group,
    pub(crate) hooks: Vec<Hook>,
    admin: AdminApi,
    wishes: RwLock<Vec<Wish>>,
    /// Who wanted what, by generation.
    past: std::sync::Mutex<Vec<Vec<Wish>>>,
}

/// All groups, and the receiver that learns new secrets.
#[derive(Debug)]
pub(crate) struct Hooks {
    pub(crate) groups: Vec<GroupHooks>,
    receiver: Arc<Mutex<Receiver>>,
}

/// Which webhooks there are in which group: the events they want, their order, and whether they are changed.
fn layout() -> [Vec<(EventFilter, Ordering, bool)>; 4] {
    let all = of(&EventKind::ALL);
    let reviews = of(&[EventKind::Approved, EventKind::Rejected, EventKind::Completed]);
    let some = of(&[EventKind::Created, EventKind::Swapped, EventKind::Completed]);
    [
        vec![(all, Ordering::None, false)],
        vec![(all, Ordering::PerTask, false)],
        vec![(reviews, Ordering::None, false), (all, Ordering::None, true)],
        vec![(some, Ordering::None, true), (all, Ordering::PerTask, true)],
    ]
}

fn of(kinds: &[EventKind]) -> EventFilter {
    EventFilter {
        task_created: kinds.contains(&EventKind::Created),
        task_updated: kinds.contains(&EventKind::Updated),
        task_completed: kinds.contains(&EventKind::Completed),
        task_approved: kinds.contains(&EventKind::Approved),
        task_rejected: kinds.contains(&EventKind::Rejected),
        task_swapped: kinds.contains(&EventKind::Swapped),
    }
}

/// What the receiver answers while faults are played: about one attempt in seven fails, and some outlast the deadline.
fn answers() -> Vec<(u32, Answer)> {
    vec![
        (850, Answer::Status(204)),
        (40, Answer::Status(500)),
        (20, Answer::Status(503)),
        (20, Answer::slow(Duration::from_millis(700), 204)),
        (10, Answer::slow(Duration::from_millis(2500), 204)),
        (20, Answer::Close),
        (10, Answer::HalfBody),
        (20, Answer::retry_after(429, 1)),
        (10, Answer::retry_after(503, 1)),
    ]
}

/// Makes groups and webhooks, through the API as an admin would.
pub(crate) async fn set_up(plan: &Plan, stage: &Stage) -> Result<Hooks> {
    let mut groups = Vec::new();
    for (number, wanted) in layout().into_iter().enumerate() {
        let group = Group::create(&stage.database).await?;
        let admin = AdminApi::new(&stage.api.url(), group.admin)?;
        let (mut hooks, mut wishes) = (Vec::new(), Vec::new());
        for (nth, (events, ordering, changes)) in wanted.into_iter().enumerate() {
            let path = format!("/group{number}/hook{nth}");
            let receiver = stage.receiver.lock().await;
            let mut webhook = webhook_for_all_events(group.id, &receiver.url(&path));
            webhook["events"] = serde_json::to_value(events)?;
            webhook["ordering"] = serde_json::to_value(ordering)?;
            // Retries that lie far away would keep the run from coming to rest.
            webhook["retryPolicy"] = json!({ "maxAttempts": 20, "backoffSeconds": 1 });
            webhook["timeoutSeconds"] = json!(2);
            let made = admin.create_webhook(&webhook).await?;
            let text = |name: &str| made.get(name).and_then(Value::as_str).context("the answer lacks a field");
            receiver.set_secret(&path, text("secret")?);
            receiver.mix(&path, plan.seed ^ u64::try_from(number * 10 + nth)?, answers());
            hooks.push(Hook { id: ObjectId::parse_str(text("id")?)?, path, ordering, changes });
            wishes.push(Wish { events, enabled: true, rotating: false });
        }
        let past = std::sync::Mutex::new(vec![wishes.clone()]);
        groups.push(GroupHooks { group, hooks, admin, wishes: RwLock::new(wishes), past });
    }
    Ok(Hooks { groups, receiver: Arc::clone(&stage.receiver) })
}

/// A change of one webhook.
enum Change {
    Events(EventFilter),
    Enabled(bool),
    Rotate(String),
    Finalize,
}

impl Change {
    fn draw(rng: &mut StdRng, wish: &Wish) -> Self {
        match rng.random_range(0..4u8) {
            0 if wish.rotating => Self::Finalize,
            0 => Self::Rotate(format!("whsec_{}", data_encoding::BASE64.encode(&rng.random::<[u8; 32]>()))),
            1 | 2 => {
                let some = EventKind::ALL.into_iter().filter(|_| rng.random_ratio(2, 3));
                Self::Events(of(&some.collect::<Vec<_>>()))
            }
            _ => Self::Enabled(!wish.enabled),
        }
    }

    fn body(&self) -> Result<Value> {
        Ok(match self {
            Self::Events(events) => json!({ "events": serde_json::to_value(events)? }),
            Self::Enabled(enabled) => json!({ "enabled": enabled }),
            Self::Rotate(secret) => json!({ "rotateSecret": true, "secret": secret }),
            Self::Finalize => json!({ "finalizeRotation": true }),
        })
    }

    /// Whether a webhook, as the API shows it, has this change.
    fn stands(&self, webhook: &Value) -> bool {
        match self {
            Self::Events(events) => serde_json::to_value(events).is_ok_and(|events| webhook["events"] == events),
            Self::Enabled(enabled) => webhook["enabled"] == json!(enabled),
            Self::Rotate(_) => !webhook["rotation"].is_null(),
            Self::Finalize => webhook["rotation"].is_null(),
        }
    }

    fn apply(&self, wish: &mut Wish) {
        match self {
            Self::Events(events) => wish.events = *events,
            Self::Enabled(enabled) => wish.enabled = *enabled,
            Self::Rotate(_) => wish.rotating = true,
            Self::Finalize => wish.rotating = false,
        }
    }
}

impl GroupHooks {
    /// Lets somebody write for the group; the number says which webhooks want what follows. Hold it until all is written.
    pub(crate) async fn write(&self) -> (impl Sized + '_, usize) {
        let guard = self.wishes.read().await;
        let generation = self.past.lock().unwrap_or_else(PoisonError::into_inner).len() - 1;
        (guard, generation)
    }

    /// The webhooks (places in `hooks`) that wanted an event of this kind in this generation.
    pub(crate) fn wanted(&self, generation: usize, kind: EventKind) -> Vec<usize> {
        let past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        let wishes = past.get(generation).into_iter().flatten().enumerate();
        wishes.filter(|(_, wish)| wish.enabled && wish.events.wants(kind)).map(|(place, _)| place).collect()
    }

    async fn change(&self, place: usize, change: &Change) -> Result<()> {
        let mut wishes = self.wishes.write().await;
        self.put(self.hooks[place].id, change).await?;
        change.apply(&mut wishes[place]);
        self.past.lock().unwrap_or_else(PoisonError::into_inner).push(wishes.clone());
        Ok(())
    }

    /// Repeats the call until it is known that the change stands.
    async fn put(&self, webhook: ObjectId, change: &Change) -> Result<()> {
        let (path, body) = (format!("/api/integrations/webhooks/{webhook}"), change.body()?);
        let begun = Instant::now();
        loop {
            let answer = self.admin.put(&path, &body).await;
            if answer.as_ref().is_ok_and(|answer| answer.status.is_success()) {
                return Ok(());
            }
            if let Ok(shown) = self.admin.get(&path).await
                && shown.status.is_success()
                && change.stands(&shown.body)
            {
                return Ok(());
            }
            if begun.elapsed() > Duration::from_secs(180) {
                bail!("a webhook could not be changed for three minutes: {answer:?}");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

impl Hooks {
    /// Changes one of the webhooks that are changed.
    async fn change_one(&self, rng: &mut StdRng) -> Result<()> {
        let hooks = |group: usize| self.groups[group].hooks.iter().enumerate().filter(|(_, hook)| hook.changes);
        let all = (0..self.groups.len()).flat_map(|group| hooks(group).map(move |(place, _)| (group, place)));
        let changing: Vec<(usize, usize)> = all.collect();
        let Some(&(number, place)) = changing.get(any_of(rng, changing.len())) else { return Ok(()) };
        let group = &self.groups[number];
        let wish = group.wishes.read().await[place];
        let change = Change::draw(rng, &wish);
        if let Change::Rotate(secret) = &change {
            // Before the first request can be signed with it.
            self.receiver.lock().await.add_secret(&group.hooks[place].path, secret);
        }
        group.change(place, &change).await
    }

    /// Enables everything, so that what waits is delivered.
    pub(crate) async fn enable_all(&self) -> Result<()> {
        for group in &self.groups {
            for place in 0..group.hooks.len() {
                let enabled = group.wishes.read().await[place].enabled;
                if !enabled {
                    group.change(place, &Change::Enabled(true)).await?;
                }
            }
        }
        Ok(())
    }
}

/// A change every few seconds until stopped.
pub(crate) async fn keep_changing(hooks: Arc<Hooks>, mut rng: StdRng, stop: CancellationToken) -> Result<()> {
    loop {
        let pause = Duration::from_millis(rng.random_range(2000..8000));
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(pause) => hooks.change_one(&mut rng).await?,
        }
    }
}
