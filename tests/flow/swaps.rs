//! Swaps: large transactions, and requests approved before, in and after what they ask for.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use bson::oid::ObjectId;
use bson::{Bson, DateTime, Document, doc};
use futures::TryStreamExt;
use taskwire_tests::service::NewTask;
use taskwire_tests::{Observed, Process, Profile, Program, Stack, eventually};

use crate::common::{SOON, event_log};

/// Long enough that nothing leaves before a request that follows has been read.
const PATIENT_MS: &str = "10000";

async fn launch(stack: &Stack) -> Result<Process> {
    stack.launch(Program::Indexer).set("TASKWIRE_ACTOR_WAIT_MS", PATIENT_MS).arguments(&["watch"]).start().await
}

/// When a request is approved, as seen from the writes that it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Before,
    Within,
    After,
    Alone,
    BeforeSeparateWrites,
    AfterSeparateWrites,
}

/// How it is approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Insert,
    Replace,
    Update,
    Pipeline,
}

const ORDERS: [Order; 6] =
    [Order::Before, Order::Within, Order::After, Order::Alone, Order::BeforeSeparateWrites, Order::AfterSeparateWrites];

/// Two tasks of two people, and the request that they be swapped.
struct Pair {
    order: Order,
    form: Form,
    tasks: [ObjectId; 2],
    people: [ObjectId; 2],
    request: ObjectId,
}

impl Pair {
    async fn new(stack: &Stack, order: Order, form: Form) -> Result<Self> {
        let people = [stack.service.group().members[0], stack.service.group().members[1]];
        let mut tasks = Vec::new();
        for person in people {
            let new = NewTask::named(&format!("{order:?} {form:?}")).assigned_to(person);
            tasks.push(stack.service.create(new).await?.0.id);
        }
        let pair = Self { order, form, tasks: [tasks[0], tasks[1]], people, request: ObjectId::new() };
        if form != Form::Insert {
            stack.db.collection("swapRequests").insert_one(pair.request(stack, "Pending")).await?;
        }
        Ok(pair)
    }

    fn request(&self, stack: &Stack, status: &str) -> Document {
        let approver = if status == "Approved" { Bson::ObjectId(stack.service.group().admin) } else { Bson::Null };
        let side = |nth: usize| doc! { "userId": self.people[nth], "taskId": self.tasks[nth] };
        doc! { "_id": self.request, "status": status, "requester": side(0), "target": side(1), "approvedBy": approver }
    }

    async fn approve(&self, stack: &Stack, session: &mut mongodb::ClientSession) -> Result<()> {
        let (requests, filter) = (stack.db.collection::<Document>("swapRequests"), doc! { "_id": self.request });
        let set = doc! { "$set": { "status": "Approved", "approvedBy": stack.service.group().admin } };
        match self.form {
            Form::Insert => drop(requests.insert_one(self.request(stack, "Approved")).session(session).await?),
            Form::Replace => {
                drop(requests.replace_one(filter, self.request(stack, "Approved")).session(session).await?)
            }
            Form::Update => drop(requests.update_one(filter, set).session(session).await?),
            Form::Pipeline => drop(requests.update_one(filter, vec![set]).session(session).await?),
        }
        Ok(())
    }

    /// Gives each task to the other's person.
    async fn exchange(&self, stack: &Stack, session: &mut mongodb::ClientSession) -> Result<()> {
        let field = match stack.service.profile() {
            Profile::TasksTracker => "AssignedUserId",
            Profile::CamelCase => "assignedTo",
        };
        for (task, person) in self.tasks.iter().zip(self.people.iter().rev()) {
            let update = doc! { "$set": { field: person } };
            stack.service.tasks().update_one(doc! { "_id": task }, update).session(&mut *session).await?;
        }
        Ok(())
    }

    async fn first_half(&self, stack: &Stack, session: &mut mongodb::ClientSession) -> Result<()> {
        match self.order {
            Order::Before | Order::Alone | Order::BeforeSeparateWrites => self.approve(stack, session).await,
            Order::AfterSeparateWrites => self.exchange(stack, session).await,
            Order::After | Order::Within => {
                session.start_transaction().await?;
                self.exchange(stack, session).await?;
                if self.order == Order::Within {
                    self.approve(stack, session).await?;
                }
                Ok(session.commit_transaction().await?)
            }
        }
    }

    async fn second_half(&self, stack: &Stack, session: &mut mongodb::ClientSession) -> Result<()> {
        match self.order {
            Order::Alone | Order::Within => Ok(()),
            Order::After | Order::AfterSeparateWrites => self.approve(stack, session).await,
            Order::BeforeSeparateWrites => self.exchange(stack, session).await,
            Order::Before => {
                session.start_transaction().await?;
                self.exchange(stack, session).await?;
                Ok(session.commit_transaction().await?)
            }
        }
    }

    fn names(&self) -> Vec<&'static str> {
        match self.order {
            Order::Before | Order::Within | Order::After | Order::Alone => vec!["task.created", "task.swapped"],
            Order::BeforeSeparateWrites => vec!["task.created", "task.swapped", "task.updated"],
            Order::AfterSeparateWrites => vec!["task.created", "task.updated", "task.swapped"],
        }
    }

    /// What is wrong with what was told of it.
    fn check(&self, log: &[Observed], approver: ObjectId, actor_is_known: bool) -> Result<()> {
        for (task, with) in [(self.tasks[0], self.tasks[1]), (self.tasks[1], self.tasks[0])] {
            let mut told: Vec<_> = log.iter().filter(|event| event.task == task.to_hex()).collect();
            told.sort_by_key(|event| event.sequence);
            let names: Vec<_> = told.iter().map(|event| event.event.as_str()).collect();
            let what = format!("{:?} by {:?}", self.order, self.form);
            ensure!(names == self.names(), "{what}: {names:?}");
            let swap = told.iter().find(|event| event.event == "task.swapped").context("a swap")?;
            ensure!(swap.swapped_with == Some(with.to_hex()), "{what}: with {:?}", swap.swapped_with);
            let known = actor_is_known || self.order != Order::After;
            ensure!(!known || swap.actor == Some(approver.to_hex()), "{what}: by {:?}", swap.actor);
        }
        Ok(())
    }
}

/// Every order and form; between the halves of each the indexer is started anew, or not.
async fn requests(profile: Profile, restart: bool) -> Result<()> {
    let stack = Stack::new(profile).await?;
    let mut indexer = launch(&stack).await?;
    let mut session = stack.db.client().start_session().await?;
    let forms = [Form::Insert, Form::Replace, Form::Update, Form::Pipeline];
    let mut pairs = Vec::new();
    for order in ORDERS {
        for form in forms {
            pairs.push(Pair::new(&stack, order, form).await?);
        }
    }
    if restart {
        for pair in &pairs {
            pair.first_half(&stack, &mut session).await?;
        }
        wait_for(&stack, NewTask::named("between")).await?;
        indexer.stop(SOON).await?;
        indexer = launch(&stack).await?;
        for pair in &pairs {
            pair.second_half(&stack, &mut session).await?;
        }
    } else {
        for pair in &pairs {
            pair.first_half(&stack, &mut session).await?;
            pair.second_half(&stack, &mut session).await?;
        }
    }
    // An approved request that is written once more is no other swap.
    let noted = doc! { "$set": { "note": "x", "status": "Approved" } };
    for pair in &pairs {
        let requests = stack.db.collection::<Document>("swapRequests");
        let mut whole = pair.request(&stack, "Approved");
        whole.insert("note", "y");
        requests.update_one(doc! { "_id": pair.request }, noted.clone()).await?;
        requests.replace_one(doc! { "_id": pair.request }, whole).await?;
    }
    wait_for(&stack, NewTask::named("last")).await?;
    eventually("each task's swap is told once", SOON, async || {
        let log = event_log(&stack).await.map_err(|error| format!("{error:#}"))?;
        let admin = stack.service.group().admin;
        pairs.iter().try_for_each(|pair| pair.check(&log, admin, !restart)).map_err(|error| error.to_string())
    })
    .await?;
    indexer.stop(SOON).await?;
    Ok(())
}

/// Creates a task and waits until it is told.
async fn wait_for(stack: &Stack, new: NewTask) -> Result<()> {
    let task = stack.service.create(new).await?.0.id.to_hex();
    eventually("what was written last is told", SOON, async || {
        let log = event_log(stack).await.map_err(|error| format!("{error:#}"))?;
        if log.iter().any(|event| event.task == task) { Ok(()) } else { Err(format!("{} events are", log.len())) }
    })
    .await
}

#[tokio::test]
async fn a_request_tells_each_tasks_swap_once_in_every_order_and_form_by_its_approver() -> Result<()> {
    for profile in [Profile::TasksTracker, Profile::CamelCase] {
        requests(profile, false).await.context(profile.name())?;
    }
    Ok(())
}

#[tokio::test]
async fn a_swap_is_told_once_also_when_the_indexer_starts_anew_between_the_request_and_the_writes() -> Result<()> {
    for profile in [Profile::TasksTracker, Profile::CamelCase] {
        requests(profile, true).await.context(profile.name())?;
    }
    Ok(())
}

/// A task of the tracker's profile.
fn task(id: ObjectId, group: ObjectId, person: ObjectId, description: &str) -> Document {
    doc! {
        "_id": id, "GroupId": group, "TemplateId": null, "AssignedUserId": person, "Name": "n",
        "Description": description, "Difficulty": 1, "Status": 0, "RequiresApproval": false,
        "DueAt": DateTime::from_millis(1_800_000_000_000), "Frequency": 0, "CreatedAt": DateTime::now(),
        "CreatedByUserId": person.to_hex(),
    }
}

/// How often each event was told.
async fn counts(stack: &Stack) -> Result<BTreeMap<String, usize>> {
    let mut counts = BTreeMap::new();
    let mut events =
        stack.db.collection::<Document>("taskEvents").find(doc! {}).projection(doc! { "event": 1 }).await?;
    while let Some(event) = events.try_next().await? {
        *counts.entry(event.get_str("event")?.to_owned()).or_default() += 1;
    }
    Ok(counts)
}

async fn counts_are(stack: &Stack, expected: &[(&str, usize)]) -> Result<()> {
    let expected = expected.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
    eventually("the log holds each event as often as it must", SOON * 4, async || {
        let counts = counts(stack).await.map_err(|error| format!("{error:#}"))?;
        if counts == expected { Ok(()) } else { Err(format!("{counts:?}")) }
    })
    .await
}

#[tokio::test]
async fn a_transaction_of_forty_megabytes_comes_in_several_batches_and_is_one() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let mut indexer = stack.launch(Program::Indexer).arguments(&["watch"]).start().await?;
    let (group, people) = (stack.service.group().id, stack.service.group().members.clone());
    let ids: Vec<ObjectId> = (0..40).map(|_| ObjectId::new()).collect();
    let text = |letter: &str| letter.repeat(1 << 20);
    // The first twenty of one person, the others of another: each pair spans the batches.
    for (nth, id) in ids.iter().enumerate() {
        stack.service.tasks().insert_one(task(*id, group, people[nth / 20], &text("a"))).await?;
    }
    let mut session = stack.db.client().start_session().await?;
    session.start_transaction().await?;
    for (nth, id) in ids.iter().enumerate() {
        let whole = task(*id, group, people[1 - nth / 20], &text("b"));
        stack.service.tasks().replace_one(doc! { "_id": id }, whole).session(&mut session).await?;
    }
    session.commit_transaction().await?;
    counts_are(&stack, &[("task.created", 40), ("task.swapped", 40), ("task.updated", 40)]).await?;
    indexer.stop(SOON).await?;
    Ok(())
}

#[tokio::test]
#[ignore = "long: a transaction of more than ten thousand changes"]
async fn long_a_transaction_of_more_than_ten_thousand_changes_is_told_one_by_one_and_logged() -> Result<()> {
    const TASKS: usize = 10_050;
    let stack = Stack::new(Profile::TasksTracker).await?;
    let mut indexer = stack.launch(Program::Indexer).arguments(&["watch"]).start().await?;
    let (group, people) = (stack.service.group().id, stack.service.group().members.clone());
    let docs: Vec<Document> = (0..TASKS).map(|nth| task(ObjectId::new(), group, people[nth % 2], "d")).collect();
    stack.service.tasks().insert_many(&docs).await?;
    let exchanged = doc! { "$cond": [{ "$eq": ["$AssignedUserId", people[0]] }, people[1], people[0]] };
    let mut session = stack.db.client().start_session().await?;
    session.start_transaction().await?;
    let stages = vec![doc! { "$set": { "AssignedUserId": exchanged } }];
    stack.service.tasks().update_many(doc! {}, stages).session(&mut session).await?;
    session.commit_transaction().await?;
    counts_are(&stack, &[("task.created", TASKS), ("task.updated", TASKS)]).await?;
    assert!(indexer.log().contains("a transaction of the service exceeds the limit"));
    indexer.stop(SOON).await?;
    Ok(())
}
