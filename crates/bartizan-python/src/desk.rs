//! Questions to the authenticators and their answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use bartizan_core::message::Time;
use bartizan_core::server;
use bartizan_core::server::connect::Verdict;
use bartizan_core::session::Principal;
use bartizan_core::session::auth_exchange::Secret;
use bartizan_core::wire::{ReasonCode, Version};
use bartizan_engine::desk::{self, Token};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// A CONNECT, or a re-authentication, that waits for a verdict. `repr` shows no secret.
#[pyclass(frozen, module = "bartizan._engine")]
pub struct AuthRequest {
    token: Token,
    inner: server::AuthRequest,
}

impl AuthRequest {
    pub fn new((token, inner): (Token, server::AuthRequest)) -> AuthRequest {
        AuthRequest { token, inner }
    }
}

#[pymethods]
impl AuthRequest {
    #[getter]
    fn token(&self) -> u64 {
        self.token.0
    }

    #[getter]
    fn again(&self) -> bool {
        self.inner.again
    }

    #[getter]
    fn client_id(&self) -> &str {
        &self.inner.client_id
    }

    #[getter]
    fn user_name(&self) -> Option<&str> {
        self.inner.user_name.as_deref()
    }

    #[getter]
    fn password<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.inner.password.as_ref().map(|secret| PyBytes::new(py, secret.expose()))
    }

    #[getter]
    fn auth_method(&self) -> Option<&str> {
        self.inner.auth_method.as_deref()
    }

    #[getter]
    fn auth_data<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.inner.auth_data.as_ref().map(|secret| PyBytes::new(py, secret.expose()))
    }

    #[getter]
    fn state<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.inner.state.as_ref().map(|secret| PyBytes::new(py, secret.expose()))
    }

    #[getter]
    fn certificate<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let Some(certificate) = &self.inner.certificate else { return Ok(None) };
        let json = serde_json::to_vec(&**certificate).map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(Some(PyBytes::new(py, &json)))
    }

    #[getter]
    fn channel_binding<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.inner.channel_binding.as_ref().map(|secret| PyBytes::new(py, secret.expose()))
    }

    #[getter]
    fn certificate_chain<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        let chain = self.inner.certificate.as_ref().and_then(|certificate| certificate.chain.as_deref());
        chain.into_iter().flatten().map(|der| PyBytes::new(py, der)).collect()
    }

    #[getter]
    fn listener(&self) -> &str {
        &self.inner.listener
    }

    #[getter]
    fn anonymous_allowed(&self) -> bool {
        self.inner.anonymous_allowed
    }

    #[getter]
    fn address(&self) -> &str {
        &self.inner.address
    }

    #[getter]
    fn version(&self) -> &'static str {
        match self.inner.version {
            Version::V31 => "3.1",
            Version::V311 => "3.1.1",
            Version::V5 => "5.0",
        }
    }

    fn __repr__(&self) -> String {
        format!("<AuthRequest {} of {:?} from {}>", self.token.0, self.inner.client_id, self.inner.address)
    }
}

/// The answer to one AuthRequest. `repr` shows no secret.
#[pyclass(frozen, module = "bartizan._engine")]
pub struct AuthVerdict {
    token: u64,
    answer: Answer,
    remembered_s: u32,
}

#[derive(Clone)]
enum Answer {
    Allow { principal: Principal, client_id: Option<String>, ends_at: Option<Time>, data: Option<Vec<u8>> },
    Deny { reason: ReasonCode, why: String },
    Proceed(Vec<u8>, Option<Secret>),
}

#[pymethods]
impl AuthVerdict {
    /// It is this identity; for so many seconds the same credential is not asked about again.
    #[staticmethod]
    #[pyo3(signature = (*, token, identity, roles, attributes, method, managed, client_id=None, ends_at_ms=None, data=None, remembered_s=0, strength=Vec::new(), narrowed_to=Vec::new()))]
    #[allow(clippy::too_many_arguments)] // Keyword-only: one verdict, spelled out.
    fn allow(
        token: u64,
        identity: String,
        roles: Vec<String>,
        attributes: BTreeMap<String, String>,
        method: String,
        managed: bool,
        client_id: Option<String>,
        ends_at_ms: Option<u64>,
        data: Option<Vec<u8>>,
        remembered_s: u32,
        strength: Vec<String>,
        narrowed_to: Vec<Vec<(String, String)>>,
    ) -> PyResult<AuthVerdict> {
        let strength = crate::policy::strength(&strength)?;
        let principal = Principal {
            id: Arc::from(identity),
            roles: roles.into_iter().map(Arc::from).collect(),
            attributes: attributes.into_iter().map(|(k, v)| (Arc::from(k), Arc::from(v))).collect(),
            method: Arc::from(method),
            managed,
            strength,
            narrowed_to: crate::policy::token_grants(narrowed_to)?,
        };
        let answer = Answer::Allow { principal, client_id, ends_at: ends_at_ms.map(Time), data };
        Ok(AuthVerdict { token, answer, remembered_s })
    }

    /// No: a Reason Code for the client, words for the log.
    #[staticmethod]
    #[pyo3(signature = (*, token, reason, why))]
    fn deny(token: u64, reason: u8, why: String) -> PyResult<AuthVerdict> {
        let reason = reason_code(reason)?;
        Ok(AuthVerdict { token, answer: Answer::Deny { reason, why }, remembered_s: 0 })
    }

    /// The exchange goes on: AUTH 0x18 with this data; `state` comes back with the client's answer.
    #[staticmethod]
    #[pyo3(signature = (*, token, data, state=None))]
    fn proceed(token: u64, data: Vec<u8>, state: Option<&[u8]>) -> AuthVerdict {
        AuthVerdict { token, answer: Answer::Proceed(data, state.map(Secret::new)), remembered_s: 0 }
    }

    fn __repr__(&self) -> String {
        let word = match &self.answer {
            Answer::Allow { principal, .. } => format!("allow {}", principal.id),
            Answer::Deny { reason, .. } => format!("deny {}", reason.name()),
            Answer::Proceed(..) => "proceed".to_owned(),
        };
        format!("<AuthVerdict {} {word}>", self.token)
    }
}

impl AuthVerdict {
    pub fn to_engine(&self) -> desk::Answer {
        let verdict = match self.answer.clone() {
            Answer::Allow { principal, client_id, ends_at, data } => {
                Verdict::Allow { principal, client_id, ends_at, auth_data: data }
            }
            Answer::Deny { reason, why } => Verdict::Deny { reason, why },
            Answer::Proceed(challenge, state) => Verdict::Continue { challenge, state },
        };
        desk::Answer { token: Token(self.token), verdict, remembered_s: self.remembered_s }
    }
}

/// A Reason Code that refuses.
pub fn reason_code(octet: u8) -> PyResult<ReasonCode> {
    ReasonCode::from_u8(octet)
        .filter(|reason| reason.is_error())
        .ok_or_else(|| PyValueError::new_err(format!("0x{octet:02x} is not a Reason Code that refuses")))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<AuthRequest>()?;
    module.add_class::<AuthVerdict>()
}
