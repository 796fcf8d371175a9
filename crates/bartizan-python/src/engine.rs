//! `Engine` for Python. Every call that waits for a shard gives the GIL away first.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::message::Time;
use bartizan_core::policy::{OpenWindows, Schedule, scope};
use bartizan_core::server::command;
use bartizan_core::server::inspect::Sought;
use bartizan_core::server::listing::Listed;
use bartizan_core::server::observe::{Staged, Watch};
use bartizan_engine::engine;
use bartizan_engine::inspecting::InspectError;
use bartizan_engine::watching::Taken;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::desk::{AuthRequest, AuthVerdict, reason_code};
use crate::errors::{EngineConfigError, raise};
use crate::policy::CompiledPolicy;

/// The engine: reactors, listeners and store.
#[pyclass(frozen, module = "bartizan._engine")]
pub struct Engine {
    inner: engine::Engine,
}

/// A value as JSON.
pub fn json<'py>(py: Python<'py>, value: &impl serde::Serialize) -> PyResult<Bound<'py, PyBytes>> {
    let text = serde_json::to_vec(value).map_err(|error| PyValueError::new_err(error.to_string()))?;
    Ok(PyBytes::new(py, &text))
}

fn seconds(value: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(value).map_err(|_| PyValueError::new_err("seconds must be 0 or more"))
}

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(signature = (*, config))]
    fn new(config: &[u8]) -> PyResult<Engine> {
        let engine = engine::Engine::new(config).map_err(raise)?;
        Ok(Engine { inner: engine.tidied_by(crate::tidy) })
    }

    #[pyo3(signature = (*, policy, identities, schedule=None))]
    fn start(
        &self,
        py: Python<'_>,
        policy: &CompiledPolicy,
        identities: &[u8],
        schedule: Option<&[u8]>,
    ) -> PyResult<()> {
        let image = Arc::clone(policy.image());
        let schedule = windows(schedule)?;
        py.detach(|| self.inner.start(image, identities, schedule)).map_err(raise)
    }

    fn recovery(&self) -> (u64, u64) {
        self.inner.recovery().counts()
    }

    #[pyo3(signature = (*, grace_s))]
    fn stop(&self, py: Python<'_>, grace_s: f64) -> PyResult<()> {
        let grace = seconds(grace_s)?;
        py.detach(|| self.inner.stop(grace));
        Ok(())
    }

    #[pyo3(signature = (*, policy, identities, schedule=None))]
    fn apply(
        &self,
        py: Python<'_>,
        policy: &CompiledPolicy,
        identities: &[u8],
        schedule: Option<&[u8]>,
    ) -> PyResult<u64> {
        let image = Arc::clone(policy.image());
        let schedule = windows(schedule)?;
        py.detach(|| self.inner.apply(image, identities, schedule)).map_err(raise)
    }

    #[pyo3(signature = (*, changed))]
    fn update<'py>(&self, py: Python<'py>, changed: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let updated = py.detach(|| self.inner.update(changed)).map_err(raise)?;
        json(py, &updated)
    }

    #[pyo3(signature = (*, bans))]
    fn ban<'py>(&self, py: Python<'py>, bans: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let cut = py.detach(|| self.inner.ban(bans)).map_err(raise)?;
        json(py, &cut)
    }

    #[pyo3(signature = (*, throttles))]
    fn throttle(&self, py: Python<'_>, throttles: &[u8]) -> PyResult<()> {
        py.detach(|| self.inner.throttle(throttles)).map_err(raise)
    }

    #[pyo3(signature = (*, client_id, tenant=None))]
    fn discard<'py>(&self, py: Python<'py>, client_id: &str, tenant: Option<&str>) -> PyResult<Bound<'py, PyBytes>> {
        let ended = py.detach(|| self.inner.discard(client_id, tenant)).map_err(raise)?;
        json(py, &ended)
    }

    #[pyo3(signature = (*, listener, material))]
    fn set_tls(&self, py: Python<'_>, listener: &str, material: &[u8]) -> PyResult<()> {
        py.detach(|| self.inner.set_tls(listener, material)).map_err(raise)
    }

    #[pyo3(signature = (*, client_id, reason, tenant=None))]
    fn disconnect(&self, py: Python<'_>, client_id: &str, reason: u8, tenant: Option<&str>) -> PyResult<bool> {
        let reason = reason_code(reason)?;
        Ok(py.detach(|| self.inner.disconnect(client_id, tenant, reason)))
    }

    #[pyo3(signature = (*, after, limit, identity=None, client_id=None))]
    fn clients<'py>(
        &self,
        py: Python<'py>,
        after: String,
        limit: usize,
        identity: Option<String>,
        client_id: Option<String>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let listed = Listed { after, limit, identity, client_id };
        let clients = py.detach(|| self.inner.clients(&listed));
        json(py, &clients)
    }

    #[pyo3(signature = (*, client_id, tenant=None))]
    fn session<'py>(
        &self,
        py: Python<'py>,
        client_id: &str,
        tenant: Option<&str>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let found = py.detach(|| self.inner.session(client_id, tenant)).map_err(raise)?;
        found.map(|session| json(py, &session)).transpose()
    }

    #[pyo3(signature = (*, filter, after, limit, whole))]
    fn retained<'py>(
        &self,
        py: Python<'py>,
        filter: &str,
        after: Option<&str>,
        limit: usize,
        whole: bool,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let page = py.detach(|| self.inner.retained(filter, after, limit, whole)).map_err(unanswered)?;
        json(py, &page)
    }

    #[pyo3(signature = (*, filter, after, limit))]
    fn clear_retained<'py>(
        &self,
        py: Python<'py>,
        filter: &str,
        after: Option<&str>,
        limit: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let cleared = py.detach(|| self.inner.clear_retained(filter, after, limit)).map_err(unanswered)?;
        json(py, &cleared)
    }

    #[pyo3(signature = (*, sought, after, limit))]
    fn subscriptions<'py>(
        &self,
        py: Python<'py>,
        sought: &[u8],
        after: Option<(usize, usize)>,
        limit: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let sought: Sought =
            serde_json::from_slice(sought).map_err(|error| PyValueError::new_err(format!("sought: {error}")))?;
        let from = after.unwrap_or_default();
        let page = py.detach(|| self.inner.subscriptions(&sought, from, limit)).map_err(unanswered)?;
        json(py, &page)
    }

    #[pyo3(signature = (*, prefix, depth, traffic=false))]
    fn topics<'py>(&self, py: Python<'py>, prefix: &str, depth: usize, traffic: bool) -> PyResult<Bound<'py, PyBytes>> {
        let tree = py.detach(|| self.inner.topics(prefix, depth, traffic)).map_err(unanswered)?;
        json(py, &tree)
    }

    fn metrics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        json(py, &self.inner.metrics())
    }

    fn listeners<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let listeners: Vec<BTreeMap<&'static str, String>> = self
            .inner
            .listeners()
            .into_iter()
            .map(|(name, address, transport)| {
                BTreeMap::from([("name", name), ("address", address), ("transport", transport.to_owned())])
            })
            .collect();
        json(py, &listeners)
    }

    #[pyo3(signature = (*, learn, staged, schedule))]
    fn watch(
        &self,
        py: Python<'_>,
        learn: Vec<String>,
        staged: Option<PyRef<'_, CompiledPolicy>>,
        schedule: Option<&[u8]>,
    ) -> PyResult<()> {
        let schedule = Arc::new(windows(schedule)?);
        let staged = staged.map(|policy| Staged { image: Arc::clone(policy.image()), schedule });
        let watch = Watch { learn: learn.into_iter().map(Arc::from).collect(), staged };
        py.detach(|| self.inner.watch(Some(&watch))).map_err(raise)
    }

    #[pyo3(signature = (*, uses))]
    fn take_observations<'py>(&self, py: Python<'py>, uses: bool) -> PyResult<Bound<'py, PyBytes>> {
        let observed = py.detach(|| self.inner.take_observations(uses));
        json(py, &observed)
    }

    fn take_activity(&self, py: Python<'_>) -> (Vec<u8>, Vec<Vec<u8>>, Vec<Vec<u8>>) {
        let Taken { figures, fresh, windows } = py.detach(|| self.inner.take_activity());
        (figures, fresh, windows)
    }

    #[pyo3(signature = (*, client_id, for_s, payloads, tenant=None))]
    fn trace(
        &self,
        py: Python<'_>,
        client_id: &str,
        for_s: f64,
        payloads: bool,
        tenant: Option<&str>,
    ) -> PyResult<u64> {
        let within = seconds(for_s)?;
        py.detach(|| self.inner.trace(client_id, tenant, within, payloads)).map_err(raise)
    }

    #[pyo3(signature = (*, trace, limit, octets))]
    fn take_trace<'py>(&self, py: Python<'py>, trace: u64, limit: usize, octets: bool) -> Option<Bound<'py, PyBytes>> {
        let lines = py.detach(|| self.inner.take_trace(trace, limit, octets));
        lines.map(|lines| PyBytes::new(py, &lines))
    }

    #[pyo3(signature = (*, trace))]
    fn end_trace(&self, py: Python<'_>, trace: u64) -> bool {
        py.detach(|| self.inner.end_trace(trace))
    }

    #[pyo3(signature = (*, topics))]
    fn publish_status(&self, topics: &[u8]) -> PyResult<()> {
        let topics: BTreeMap<String, String> = serde_json::from_slice(topics)
            .map_err(|error| EngineConfigError::new_err(format!("status topics: {error}")))?;
        if let Some(other) = topics.keys().find(|topic| !topic.starts_with("$SYS/")) {
            return Err(PyValueError::new_err(format!("{other:?} is not below $SYS/")));
        }
        self.inner.publish_status(topics.into_iter().collect());
        Ok(())
    }

    #[getter]
    fn wake_fd(&self) -> i32 {
        self.inner.wake_fd()
    }

    #[pyo3(signature = (*, limit))]
    fn take_auth_requests(&self, limit: usize) -> Vec<AuthRequest> {
        self.inner.take_auth_requests(limit).into_iter().map(AuthRequest::new).collect()
    }

    #[pyo3(signature = (*, verdicts))]
    fn answer(&self, verdicts: Vec<PyRef<'_, AuthVerdict>>) {
        self.inner.answer(verdicts.iter().map(|verdict| verdict.to_engine()).collect());
    }

    #[pyo3(signature = (*, limit))]
    fn take_control<'py>(&self, py: Python<'py>, limit: usize) -> Vec<Command<'py>> {
        self.inner.take_control(limit).iter().map(|command| crossing(py, command)).collect()
    }

    #[pyo3(signature = (*, client, topic, payload))]
    fn reply(&self, client: Option<&str>, topic: &str, payload: &[u8]) -> PyResult<()> {
        if !topic.starts_with("$CONTROL/") {
            return Err(PyValueError::new_err(format!("{topic:?} is not below $CONTROL/")));
        }
        self.inner.reply(client, topic, payload);
        Ok(())
    }

    #[pyo3(signature = (*, limit))]
    fn take_events<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Bound<'py, PyBytes>> {
        let mut lines = Vec::new();
        for event in self.inner.take_events(limit) {
            serde_json::to_writer(&mut lines, &event).map_err(|error| PyValueError::new_err(error.to_string()))?;
            lines.push(b'\n');
        }
        Ok(PyBytes::new(py, &lines))
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Engine>()
}

/// Topic, payload, identity, Client Identifier, tenant, Correlation Data, Response Topic.
type Command<'py> =
    (&'static str, Bound<'py, PyBytes>, String, String, Option<String>, Option<Bound<'py, PyBytes>>, Option<String>);

fn crossing<'py>(py: Python<'py>, command: &command::Command) -> Command<'py> {
    let (tenant, client_id) = scope::parts(&command.publisher.client_id);
    (
        command.topic,
        PyBytes::new(py, command.payload.expose()),
        command.publisher.identity.to_string(),
        client_id.to_owned(),
        tenant.map(str::to_owned),
        command.correlation.as_ref().map(|octets| PyBytes::new(py, octets.expose())),
        command.response_topic.as_deref().map(str::to_owned),
    )
}

fn unanswered(error: InspectError) -> PyErr {
    match error {
        InspectError::Filter(error) => PyValueError::new_err(error.to_string()),
        InspectError::Engine(error) => raise(error),
    }
}

/// When time windows are open; without it, never.
fn windows(json: Option<&[u8]>) -> PyResult<Schedule> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Text {
        until_ms: u64,
        changes: Vec<(u64, Vec<bool>)>,
    }
    let Some(json) = json else { return Ok(Schedule::default()) };
    let text: Text = serde_json::from_slice(json).map_err(|error| PyValueError::new_err(error.to_string()))?;
    let state = |(at, open): (u64, Vec<bool>)| (Time(at), OpenWindows(open.into()));
    Ok(Schedule::new(text.changes.into_iter().map(state).collect(), Time(text.until_ms)))
}
