//! What a deliberately faulty relay does wrong: how the generator's verification is itself tested.

/// One kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// A message is not delivered.
    Lose,
    /// A message is delivered twice.
    Duplicate,
    /// A message is delivered after the one that follows it.
    Reorder,
    /// The last octet of a payload is another.
    Corrupt,
    /// A message is delivered at another QoS.
    WrongQos,
}

impl FaultKind {
    /// All of them.
    pub const ALL: [FaultKind; 5] =
        [FaultKind::Lose, FaultKind::Duplicate, FaultKind::Reorder, FaultKind::Corrupt, FaultKind::WrongQos];

    /// As the command line calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            FaultKind::Lose => "lose",
            FaultKind::Duplicate => "duplicate",
            FaultKind::Reorder => "reorder",
            FaultKind::Corrupt => "corrupt",
            FaultKind::WrongQos => "wrong_qos",
        }
    }
}

/// A fault in every n-th delivery.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    kind: FaultKind,
    every: u64,
    deliveries: u64,
}

impl Fault {
    /// In every `every`-th delivery.
    #[must_use]
    pub fn new(kind: FaultKind, every: u64) -> Fault {
        Fault { kind, every: every.max(1), deliveries: 0 }
    }

    /// What is wrong with the delivery that is made now.
    pub fn strike(&mut self) -> Option<FaultKind> {
        self.deliveries += 1;
        self.deliveries.is_multiple_of(self.every).then_some(self.kind)
    }
}
