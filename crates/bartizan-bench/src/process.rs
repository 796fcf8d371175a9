//! What the broker's processes use, as `/proc` tells it: CPU time of all their threads, and resident memory.

use std::fs;
use std::time::Instant;

use crate::failure::Failure;

/// The processes of the broker under test.
#[derive(Clone, Debug, Default)]
pub struct Processes {
    pids: Vec<u32>,
}

impl Processes {
    /// Of these process ids; none is allowed, and then nothing is told.
    #[must_use]
    pub fn new(pids: Vec<u32>) -> Processes {
        Processes { pids }
    }

    /// User and system time of all threads, in seconds; `None` if no process was named.
    pub fn cpu_s(&self) -> Result<Option<f64>, Failure> {
        let each: Result<Vec<f64>, Failure> = self.pids.iter().map(|pid| cpu_s(*pid)).collect();
        Ok(sum(each?))
    }

    /// Resident memory, in octets; `None` if no process was named.
    pub fn resident_bytes(&self) -> Result<Option<f64>, Failure> {
        let each: Result<Vec<f64>, Failure> = self.pids.iter().map(|pid| resident_bytes(*pid)).collect();
        Ok(sum(each?))
    }

    /// The clocks, now.
    pub fn mark(&self) -> Result<Mark, Failure> {
        Ok(Mark { at: Instant::now(), broker_cpu_s: self.cpu_s()?, own_cpu_s: own_cpu_s() })
    }

    /// What has passed since a mark.
    pub fn since(&self, from: &Mark) -> Result<Span, Failure> {
        let to = self.mark()?;
        Ok(Span {
            seconds: micro((to.at - from.at).as_secs_f64()),
            broker_cpu_s: to.broker_cpu_s.zip(from.broker_cpu_s).map(|(to, from)| micro(to - from)),
            own_cpu_s: micro(to.own_cpu_s - from.own_cpu_s),
        })
    }
}

/// Wall clock and CPU clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    at: Instant,
    broker_cpu_s: Option<f64>,
    own_cpu_s: f64,
}

/// What passed between two moments.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    /// By the clock on the wall.
    pub seconds: f64,
    /// CPU time of the broker.
    pub broker_cpu_s: Option<f64>,
    /// CPU time of this process.
    pub own_cpu_s: f64,
}

/// CPU time of this process, in seconds.
#[must_use]
pub fn own_cpu_s() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// Raises the limit of open descriptors as far as it goes, and tells it.
#[must_use]
pub fn raise_descriptors(wanted: u64) -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let has = getrlimit(Resource::Nofile);
    let enough = has.current.is_none_or(|current| current >= wanted);
    if !enough {
        // Above the hard limit only for who may: then the hard limit is what there is.
        let raised = Rlimit { current: Some(wanted), maximum: has.maximum.map(|hard| hard.max(wanted)) };
        if setrlimit(Resource::Nofile, raised).is_err() {
            let _ = setrlimit(Resource::Nofile, Rlimit { current: has.maximum, maximum: has.maximum });
        }
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Without the digits that only floating point has.
fn micro(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e6
}

fn sum(each: Vec<f64>) -> Option<f64> {
    if each.is_empty() { None } else { Some(each.iter().sum()) }
}

fn cpu_s(pid: u32) -> Result<f64, Failure> {
    let text = read(pid, "stat")?;
    // The second field is the command in parentheses, and may hold anything, parentheses and spaces too.
    let after = text.rsplit_once(')').map_or("", |(_, after)| after);
    // utime and stime are fields 14 and 15: the 12th and 13th after the command.
    let ticks: u64 = after.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

fn resident_bytes(pid: u32) -> Result<f64, Failure> {
    let text = read(pid, "status")?;
    let kibibytes = text
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse::<f64>().ok());
    kibibytes.map(|kibibytes| kibibytes * 1024.0).ok_or_else(|| Failure::Usage(format!("process {pid} has no memory")))
}

fn read(pid: u32, file: &str) -> Result<String, Failure> {
    fs::read_to_string(format!("/proc/{pid}/{file}"))
        .map_err(|error| Failure::Usage(format!("process {pid} cannot be looked at: {error}: is it the broker's?")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_uses_cpu_and_memory() {
        let own = Processes::new(vec![std::process::id()]);
        let before = own.cpu_s().unwrap().unwrap();
        let begun = own_cpu_s();
        let mut total = 0_u64;
        while own_cpu_s() - begun < 0.05 {
            total = total.wrapping_add(1);
        }
        assert!(own.resident_bytes().unwrap().unwrap() > 100_000.0);
        assert!(own.cpu_s().unwrap().unwrap() - before >= 0.03, "{total}");
    }

    #[test]
    fn without_a_process_nothing_is_told_and_one_that_is_not_there_is_a_mistake() {
        assert_eq!(Processes::default().cpu_s().unwrap(), None);
        assert_eq!(Processes::new(vec![u32::MAX]).cpu_s().unwrap_err().exit_code(), 2);
    }
}
