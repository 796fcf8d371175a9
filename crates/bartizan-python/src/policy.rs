//! `CompiledPolicy` for Python: the one evaluator, for `explain`, `check` and tests as for packets.

use std::collections::BTreeMap;
use std::sync::Arc;

use bartizan_core::policy::{self, Identity, Image};
use bartizan_core::topic::{TopicFilter, TopicName};
use bartizan_core::wire::QoS;
use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

create_exception!(_engine, PolicyImageError, PyValueError, "These bytes are not a policy image.");

/// Allowed or not, by which rule, and why.
#[pyclass(frozen, get_all, module = "bartizan._engine")]
struct Decision {
    allow: bool,
    per_delivery: bool,
    rule: Option<String>,
    why: &'static str,
}

#[pymethods]
impl Decision {
    fn __repr__(&self) -> String {
        let word = if self.allow { "allow" } else { "deny" };
        let rule = self.rule.as_deref().unwrap_or("no rule");
        format!("<Decision {word} ({}) by {rule}>", self.why)
    }
}

/// A policy as the engine evaluates it. Immutable.
#[pyclass(frozen, module = "bartizan._engine")]
pub struct CompiledPolicy {
    image: Arc<Image>,
}

impl CompiledPolicy {
    /// The image inside, for the engine.
    pub fn image(&self) -> &Arc<Image> {
        &self.image
    }
}

#[pymethods]
impl CompiledPolicy {
    /// Loads the bytes that the policy compiler wrote; PolicyImageError if they are anything else.
    #[staticmethod]
    #[pyo3(signature = (*, image))]
    fn load(image: &[u8]) -> PyResult<CompiledPolicy> {
        let image = Image::load(image).map_err(|error| PolicyImageError::new_err(error.to_string()))?;
        Ok(CompiledPolicy { image: Arc::new(image) })
    }

    /// SHA-256 of the bytes, in hexadecimal.
    #[getter]
    fn digest(&self) -> &str {
        self.image.digest()
    }

    /// Decides one request. `action` is "publish" or "receive" with a Topic Name, or "subscribe"
    /// with a Topic Filter; `qos` and `retain` are those of a PUBLISH.
    #[pyo3(signature = (*, identity, client_id, roles, attributes, action, topic, qos, retain))]
    #[allow(clippy::too_many_arguments)] // Keyword-only: one request, spelled out.
    fn decide(
        &self,
        identity: &str,
        client_id: &str,
        roles: Vec<String>,
        attributes: BTreeMap<String, String>,
        action: &str,
        topic: &str,
        qos: u8,
        retain: bool,
    ) -> PyResult<Decision> {
        let refuse = |error: bartizan_core::topic::TopicError| PyValueError::new_err(error.to_string());
        let roles: Vec<Arc<str>> = roles.into_iter().map(Arc::from).collect();
        let attributes: Vec<_> = attributes.into_iter().map(|(k, v)| (Arc::from(k), Arc::from(v))).collect();
        let who = Identity { id: identity, client_id, roles: &roles, attributes: &attributes };
        let grants = self.image.bind(&who);
        let decision = match action {
            "publish" => {
                let qos = QoS::from_bits(qos).ok_or_else(|| PyValueError::new_err("qos is 0, 1 or 2"))?;
                grants.publish(&TopicName::parse(topic).map_err(refuse)?, qos, retain)
            }
            "subscribe" => grants.subscribe(&TopicFilter::parse(topic).map_err(refuse)?),
            "receive" => grants.receive(&TopicName::parse(topic).map_err(refuse)?),
            _ => return Err(PyValueError::new_err("action is publish, subscribe or receive")),
        };
        Ok(self.decision(decision))
    }

    fn __repr__(&self) -> String {
        format!("<CompiledPolicy {}>", self.image.digest())
    }
}

impl CompiledPolicy {
    fn decision(&self, decision: policy::Decision) -> Decision {
        Decision {
            allow: decision.allow,
            per_delivery: decision.per_delivery,
            rule: decision.rule.map(|rule| self.image.rule_name(rule).to_owned()),
            why: decision.why.as_str(),
        }
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("PolicyImageError", module.py().get_type::<PolicyImageError>())?;
    module.add_class::<Decision>()?;
    module.add_class::<CompiledPolicy>()
}
