"""How right this machine's clock is, as far as it can say: one value, from the best source that answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from vittne.appliance.clock.chrony import Tracking, ask_chrony
from vittne.appliance.clock.kernel import KernelClock, read_ptp_clocks
from vittne.appliance.edge.clocks import kernel_clock
from vittne.appliance.seal.canonical import Json
from vittne.appliance.store.times import now_us, rfc3339

CHRONY: Final = "chrony"
TIMESYNCD: Final = "timesyncd"
KERNEL: Final = "kernel"  # somebody keeps it right, or nobody: the kernel does not say who
UNKNOWN: Final = "unknown"  # nobody may be asked, or nobody answers
_UNKNOWN_US: Final = 16_000_000  # what the kernel says of a clock that nobody keeps
_TIMESYNCD_FILE: Final = Path("/run/systemd/timesync/synchronized")


@dataclass(frozen=True, slots=True)
class ClockState:
    """The clock at one moment. max_error_us: the source's bound on how far it may be from UTC."""

    source: str
    synchronised: bool
    offset_us: int  # this machine's clock less the source's; what is known and being corrected
    max_error_us: int
    stratum: int | None = None  # steps from a reference clock; None: the source does not say
    tai_s: int = 0
    at_us: int = 0
    ptp_us: dict[str, int] = field(default_factory=dict, hash=False)  # PTP clocks of cards, ahead of ours

    def as_json(self) -> dict[str, Json]:
        """Return what ledger and manifests hold of it."""
        found: dict[str, Json] = {
            "source": self.source,
            "synchronised": self.synchronised,
            "offset_us": self.offset_us,
            "max_error_us": self.max_error_us,
        }
        if self.stratum is not None:
            found["stratum"] = self.stratum
        if self.tai_s:
            found["tai_s"] = self.tai_s
        return found

    def for_manifest(self) -> dict[str, Json]:
        """Return it with the time at which it was found so."""
        return {**self.as_json(), "at": rfc3339(self.at_us)}

    def exceeds(self, max_error_us: float) -> bool:
        """Say whether the clock may be further from UTC than that, or nobody knows."""
        return not self.synchronised or self.max_error_us > max_error_us


def sample_kernel() -> ClockState:
    """Return what the kernel says, at once."""
    return combine(kernel_clock(), None, now_us(), is_timesyncd=_TIMESYNCD_FILE.exists())


def sample() -> ClockState:
    """Return what the best source says; asks chrony, so it may take seconds."""
    tracking = ask_chrony()
    is_timesyncd = tracking is None and _TIMESYNCD_FILE.exists()
    return combine(kernel_clock(), tracking, now_us(), is_timesyncd, read_ptp_clocks())


def combine(
    kernel: KernelClock | None,
    tracking: Tracking | None,
    at_us: int,
    is_timesyncd: bool = False,
    ptp_us: dict[str, int] | None = None,
) -> ClockState:
    """Return one state of what several sources say.

    chrony knows its error better than the kernel; but when the kernel's clock is not chrony's to set
    (chronyd -x), or both disagree, the larger error and the worse word count.
    """
    ptp = ptp_us or {}
    if kernel is None:
        if tracking is None:
            return ClockState(UNKNOWN, False, 0, _UNKNOWN_US, None, 0, at_us, ptp)
        kernel = KernelClock(0, 0, 0, tracking.synchronised, 0)
    if tracking is not None:
        is_good = tracking.synchronised and kernel.synchronised
        error = tracking.max_error_us if is_good else max(tracking.max_error_us, kernel.max_error_us)
        return ClockState(CHRONY, is_good, tracking.offset_us, error, tracking.stratum, kernel.tai_s, at_us, ptp)
    source = TIMESYNCD if is_timesyncd and kernel.synchronised else KERNEL
    return ClockState(
        source, kernel.synchronised, kernel.offset_us, kernel.max_error_us, None, kernel.tai_s, at_us, ptp
    )
