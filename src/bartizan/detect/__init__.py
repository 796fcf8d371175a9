"""Events -> signals -> findings. Pure: time is in the signals, nothing here waits, reads or writes.

base       what a detector is
signals    what the journal tells, as signals
activity   what the engine counts of identities, as signals
counting   how many, and how many different ones, lately: bounded
rules      a detector that counts
builtin    the rules that come with the broker, and all its detectors
certain    detectors that one signal is enough for: decoys, copies, ends
novelty    what an identity was never seen doing
silence    who is always there, and is not
volume     more than an identity usually sends at this hour of the week (`baseline`)
topics     a topic that an identity never asked for, a wider filter than ever
actuators  commands by whom they never came from
watch      asks all detectors, and says the same thing once
"""

from bartizan.detect.base import Detector, Remembering
from bartizan.model.finding import About, Finding

__all__ = ["About", "Detector", "Finding", "Remembering"]
