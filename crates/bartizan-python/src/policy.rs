//! `CompiledPolicy` for Python: the one evaluator, for `explain`, `check` and tests as for packets.

use std::collections::BTreeMap;
use std::sync::Arc;

use bartizan_core::policy::{
    self, Asked, Circumstances, Enforce, Identity, Image, Misfit, OpenWindows, PayloadCompiler, PayloadFormat,
    PayloadSpec, Strength, TokenAction, TokenGrants,
};
use bartizan_core::topic::{TopicFilter, TopicName};
use bartizan_core::wire::QoS;
use bartizan_engine::payload::Payloads;
use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

create_exception!(_engine, PolicyImageError, PyValueError, "These bytes are not a policy image.");
create_exception!(_engine, PayloadSchemaError, PyValueError, "Payloads cannot be checked by this.");

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

/// The declaration that holds, what becomes of a message that is not so, how it is not, and why.
type Examined = (Option<String>, &'static str, Option<&'static str>, String);

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
        let image = Image::load_with(image, &Payloads).map_err(|error| PolicyImageError::new_err(error.to_string()))?;
        Ok(CompiledPolicy { image: Arc::new(image) })
    }

    /// SHA-256 of the bytes, in hexadecimal.
    #[getter]
    fn digest(&self) -> &str {
        self.image.digest()
    }

    /// Decides one request. `action` is "publish" or "receive" with a Topic Name, or "subscribe"
    /// with a Topic Filter; `qos` to `utf8` are those of a PUBLISH. Without `listener` nobody is connected.
    #[pyo3(signature = (
        *, identity, client_id, roles, attributes, action, topic, qos, retain, payload_bytes=0, content_type=None,
        utf8=false, listener=None, address=None, method="", strength=Vec::new(), windows=Vec::new(),
        narrowed_to=Vec::new()
    ))]
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
        payload_bytes: usize,
        content_type: Option<&str>,
        utf8: bool,
        listener: Option<&str>,
        address: Option<&str>,
        method: &str,
        strength: Vec<String>,
        windows: Vec<String>,
        narrowed_to: Vec<Vec<(String, String)>>,
    ) -> PyResult<Decision> {
        let refuse = |error: bartizan_core::topic::TopicError| PyValueError::new_err(error.to_string());
        let roles: Vec<Arc<str>> = roles.into_iter().map(Arc::from).collect();
        let attributes: Vec<_> = attributes.into_iter().map(|(k, v)| (Arc::from(k), Arc::from(v))).collect();
        let address =
            address.map(str::parse).transpose().map_err(|_| PyValueError::new_err("address is no IP address"))?;
        let circumstances = match listener {
            Some(listener) => Some(Circumstances { listener, address, method, strength: self::strength(&strength)? }),
            None => None,
        };
        let narrowed_to = token_grants(narrowed_to)?;
        let who = Identity {
            id: identity,
            client_id,
            roles: &roles,
            attributes: &attributes,
            circumstances,
            narrowed_to: narrowed_to.as_ref(),
        };
        let open = OpenWindows(self.image.windows().map(|name| windows.iter().any(|open| open == name)).collect());
        let grants = self.image.bind(&who, &open);
        let decision = match action {
            "publish" => {
                let qos = QoS::from_bits(qos).ok_or_else(|| PyValueError::new_err("qos is 0, 1 or 2"))?;
                let asked = Asked { qos, retain, payload_bytes, content_type, is_utf8: utf8 };
                grants.publish(&TopicName::parse(topic).map_err(refuse)?, &asked)
            }
            "subscribe" => grants.subscribe(&TopicFilter::parse(topic).map_err(refuse)?),
            "receive" => grants.receive(&TopicName::parse(topic).map_err(refuse)?),
            _ => return Err(PyValueError::new_err("action is publish, subscribe or receive")),
        };
        Ok(self.decision(decision))
    }

    /// Holds a message to what is declared of its topic; a payload of None is not looked at. Rates are not either:
    /// nobody keeps count here.
    #[pyo3(signature = (*, topic, payload=None))]
    fn examine(&self, topic: &str, payload: Option<&[u8]>) -> PyResult<Examined> {
        let name = TopicName::parse(topic).map_err(|error| PyValueError::new_err(error.to_string()))?;
        let declared = self.image.declaration(&name);
        let breach = match (self.image.duty(&name), payload) {
            (Some(policy::Duty::Declared(_)), None) | (None, _) => None,
            (Some(duty), payload) => self.image.breach(duty, payload.unwrap_or_default()),
        };
        let enforce = declared.map(|declared| declared.enforce).or(breach.as_ref().map(|breach| breach.enforce));
        Ok((
            declared.map(|declared| declared.name.as_ref().to_owned()),
            enforce.unwrap_or(Enforce::Off).as_str(),
            breach.as_ref().map(|breach| breach.broken.as_str()),
            breach.map_or_else(String::new, |breach| breach.why.into_owned()),
        ))
    }

    /// Names of the time windows that its rules ask for, in the order in which a schedule has them.
    #[getter]
    fn windows(&self) -> Vec<String> {
        self.image.windows().map(str::to_owned).collect()
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

/// The words for how strongly an identity was proved.
pub fn strength(words: &[String]) -> PyResult<Strength> {
    let mut strength = Strength::default();
    for word in words {
        match word.as_str() {
            "certificate" => strength.certificate = true,
            "mfa" => strength.mfa = true,
            _ => return Err(PyValueError::new_err("a strength is certificate or mfa")),
        }
    }
    Ok(strength)
}

/// What tokens allow: a list for each token, of action and filter.
pub fn token_grants(tokens: Vec<Vec<(String, String)>>) -> PyResult<Option<Arc<TokenGrants>>> {
    let action = |word: String| match word.as_str() {
        "publish" => Ok(TokenAction::Publish),
        "subscribe" => Ok(TokenAction::Subscribe),
        "all" => Ok(TokenAction::All),
        _ => Err(PyValueError::new_err("a token's action is publish, subscribe or all")),
    };
    let each = |grants: Vec<(String, String)>| {
        grants.into_iter().map(|(word, filter)| Ok((action(word)?, filter))).collect::<PyResult<Vec<_>>>()
    };
    let tokens = tokens.into_iter().map(each).collect::<PyResult<Vec<_>>>()?;
    let grants = TokenGrants::of(tokens).map_err(|error| PyValueError::new_err(error.to_string()))?;
    Ok(grants.map(Arc::new))
}

/// Whether payloads can be checked by this, and how these do not fit: of each its misfit, None where it fits.
#[pyfunction]
#[pyo3(signature = (*, form, payloads, schema=None, type_name=None, pattern=None, bytes_max=None))]
fn check_payloads(
    py: Python<'_>,
    form: &str,
    payloads: Vec<Vec<u8>>,
    schema: Option<String>,
    type_name: Option<String>,
    pattern: Option<String>,
    bytes_max: Option<u64>,
) -> PyResult<Vec<Option<String>>> {
    let format = match form {
        "json" => PayloadFormat::Json,
        "text" => PayloadFormat::Text,
        "bytes" => PayloadFormat::Bytes,
        "protobuf" => PayloadFormat::Protobuf,
        "sparkplug" => PayloadFormat::Sparkplug,
        _ => return Err(PyValueError::new_err("form is json, text, bytes, protobuf or sparkplug")),
    };
    let spec = PayloadSpec { format, schema, type_name, pattern, bytes_max };
    py.detach(|| {
        let check = Payloads.compile(&spec).map_err(PayloadSchemaError::new_err)?;
        Ok(payloads.iter().map(|payload| check.check(payload).err().map(|Misfit(why)| why)).collect())
    })
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("PolicyImageError", module.py().get_type::<PolicyImageError>())?;
    module.add("PayloadSchemaError", module.py().get_type::<PayloadSchemaError>())?;
    module.add_class::<Decision>()?;
    module.add_function(wrap_pyfunction!(check_payloads, module)?)?;
    module.add_class::<CompiledPolicy>()
}
