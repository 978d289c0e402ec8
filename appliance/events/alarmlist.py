"""The alarms there are: their words in the log, what each is called, how grave it is, and when it is over.

docs/alarms.md says of each what to do; a test compares the two, and both with the source.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

_HOUR_US: Final = 3600 * 1_000_000
_DAY_US: Final = 24 * _HOUR_US
Weight = Literal["bad", "warn"]  # something is lost or stays wrong; something wants looking at


@dataclass(frozen=True, slots=True)
class AlarmKind:
    """name: what programs go by, it never changes. for_us: how long it stands when it only happens; 0: until cleared.

    by: the member of its line that tells one from another.
    """

    name: str
    weight: Weight = "bad"
    for_us: int = _DAY_US
    by: str = ""


_CHANNEL: Final = AlarmKind("channel-down", for_us=0, by="channel")
_CLOCK: Final = AlarmKind("clock-wrong", for_us=0)
_UNANNOUNCED: Final = AlarmKind("many-unannounced", for_us=0)
PACKETS_LOST: Final = AlarmKind("packets-lost", for_us=0)
RING_FULL: Final = AlarmKind("ring-full", "warn", for_us=0)
WRITE_FAILED: Final = AlarmKind("write-failed", for_us=0)
DISK_LOW: Final = AlarmKind("disk-full", for_us=0)  # nearly; its name is older than the one below
_NO_ROOM: Final = AlarmKind("disk-no-room", for_us=0)
_ERASES: Final = AlarmKind("disk-erasing", "warn")
_MAY_NOT: Final = AlarmKind("disk-nothing-to-erase", for_us=0)
_SILENT: Final = AlarmKind("mirror-silent", for_us=0, by="interface")
_NO_CALLS: Final = AlarmKind("no-calls", for_us=0)
_ENDS: Final = AlarmKind("certificate-ends", "warn", for_us=0, by="within_days")
_ENDED: Final = AlarmKind("certificate-ended", for_us=0)
UNTOLD: Final = AlarmKind("alarms-untold", "warn", for_us=0, by="channel")
OVERDUE: Final = AlarmKind("pause-overdue", "warn", for_us=0, by="pause")
_LEDGER: Final = AlarmKind("ledger-damaged", for_us=0)
WORKER_DIED: Final = AlarmKind("worker-died", "warn", for_us=_HOUR_US)
WEBHOOK_DEAD: Final = AlarmKind("webhook-dead", "warn", by="name")
_GONE: Final = AlarmKind("announcement-gone", for_us=0, by="name")
_UNHEARD: Final = AlarmKind("announcement-unheard", for_us=0, by="name")
_SHUT: Final = AlarmKind("gate-shut", for_us=0, by="rule")
_NO_OBJECTION: Final = AlarmKind("gate-no-objection", for_us=0, by="rule")
UNLISTED: Final = AlarmKind("other")
_CATALOGUE: Final = AlarmKind("catalogue-late", "warn", for_us=0)
_STAMPS: Final = AlarmKind("stamps-late", for_us=0, by="authority")
CANARY: Final = AlarmKind("canary", for_us=0)
_CONFIGURATION: Final = AlarmKind("configuration", for_us=0)

# The words of each line after "alarm: ".
ALARMS: Final[dict[str, AlarmKind]] = {
    "packets were lost before they could be read": PACKETS_LOST,
    "the capture ring is nearly full": RING_FULL,
    "recordings cannot be written": WRITE_FAILED,
    "the disk is nearly full": DISK_LOW,
    "the disk is full; calls are not recorded": _NO_ROOM,
    "recordings are erased to make room": _ERASES,
    "the disk fills, and nothing more may be erased": _MAY_NOT,
    "nothing arrives from the mirror": _SILENT,
    "no calls in business hours": _NO_CALLS,
    "nothing was recorded for a while": AlarmKind("not-recorded"),
    "the API's certificate ends soon": _ENDS,
    "the API's certificate ends within a day, or has ended": _ENDED,
    "a channel for alarms does not work": UNTOLD,
    "the capture worker died and was started anew": WORKER_DIED,
    "a webhook's deliveries were given up": WEBHOOK_DEAD,
    "a pause came too late; what was written before it is still there": AlarmKind("pause-late", by="pause"),
    "a number is being keyed in a call that nobody paused; it is paused now": AlarmKind("number-keyed", by="pause"),
    "a pause outlived its lease; the call stays paused": OVERDUE,
    "a pause ended with its lease; nobody resumed the call": AlarmKind("lease-ended", "warn", by="pause"),
    "a pause waited for a call that did not appear; nothing was paused": AlarmKind("pause-no-call", by="pause"),
    "too many pauses live; one was refused, and its call is not paused": AlarmKind("pauses-many", by="pause"),
    "the worker did not confirm what was asked": AlarmKind("not-confirmed"),
    "the worker could not do what was asked": AlarmKind("not-done"),
    "a pause was not confirmed; what it is about is not recorded": AlarmKind("pause-forced", by="pause"),
    "a pause that was not confirmed in time holds now": AlarmKind("pause-holds", "warn", by="pause"),
    "a pause that was not confirmed could not be written down": AlarmKind("pause-not-kept"),
    "a pause was lost with the catalogue; its calls are recorded again": AlarmKind("pause-lost", by="pause"),
    "a control channel that calls depend on is down": _CHANNEL,
    "a PBX asked for a pause and nothing was paused": AlarmKind("pbx-paused-nothing", by="pbx"),
    "a PBX's trigger was not confirmed": AlarmKind("pbx-not-confirmed", by="pbx"),
    "pauses of an agent are over what is configured": AlarmKind("agent-pauses", "warn", by="agent"),
    "a call was not announced as its rule wants": AlarmKind("call-unannounced", "warn", by="recording"),
    "too many of the last calls were not announced": _UNANNOUNCED,
    "the sound of an announcement is gone": _GONE,
    "an announcement is not listened for": _UNHEARD,
    "the announcements cannot be read": AlarmKind("announcements-unread", for_us=_HOUR_US),
    "nothing opens a gate any more; its calls are not recorded": _SHUT,
    "nobody can object by key; the calls of a rule are recorded": _NO_OBJECTION,
    "a recording is damaged; have it restored from a backup": AlarmKind("recording-damaged", for_us=0, by="recording"),
    "the ledger is damaged": _LEDGER,
    "the backup failed": AlarmKind("backup-failed"),
    "a recording is not in the backup": AlarmKind("not-in-backup"),
    "names of erased recordings are still in the catalogue's log, which somebody reads": AlarmKind("log-held", "warn"),
    "recordings wait long for a storage target": AlarmKind("storage-late", "warn", by="target"),
    "a storage target does not lock as it promises; nothing is copied there": AlarmKind("storage-lock", by="target"),
    "a storage target cannot be worked with": AlarmKind("storage-failed", by="target"),
    "a copy at a storage target is damaged": AlarmKind("copy-damaged", by="recording"),
    "a recording could not be copied": AlarmKind("copy-failed", by="recording"),
    "the shared catalogue is late": _CATALOGUE,
    "the shared catalogue is not as this recorder left it; all is compared": AlarmKind("catalogue-foreign", "warn"),
    "this recorder lost calls that the shared catalogue has": AlarmKind("catalogue-lost", "bad"),
    "the shared catalogue refused something; it is only here": AlarmKind("catalogue-refused", "warn"),
    "commands cannot reach the recorder": AlarmKind("no-commands", for_us=0),
    "something beside recording failed, and is begun anew": AlarmKind("beside-failed", for_us=_HOUR_US, by="what"),
    "no time stamp for long": _STAMPS,
    "a certificate of an authority was revoked": AlarmKind("certificate-revoked"),
    "an authority's clock and this machine's differ": AlarmKind("clocks-differ"),
    "the clock may be further from UTC than allowed": _CLOCK,
    "the canary call was not recorded as it should be": CANARY,
    "the configuration cannot be used; the one before stays in force": _CONFIGURATION,
}
# Whole lines that end an alarm.
CLEARED_BY: Final[dict[str, AlarmKind]] = {
    "alarm over: a control channel that calls depend on is back": _CHANNEL,
    "the clock is right again": _CLOCK,
    "the canary call is well again": CANARY,
    "the configuration can be used again": _CONFIGURATION,
    "calls are announced again": _UNANNOUNCED,
    "the sound of an announcement is back": _GONE,
    "an announcement is listened for again": _UNHEARD,
    "a gate can be opened again": _SHUT,
    "somebody can object again": _NO_OBJECTION,
    "the time stamping authority answers again": _STAMPS,
    "the disk has room again": DISK_LOW,
    "there is room again; calls are recorded": _NO_ROOM,
    "something may be erased again, or need not be": _MAY_NOT,
    "packets arrive from the mirror again": _SILENT,
    "there are calls again": _NO_CALLS,
    "the API's certificate is another one, or ends sooner": _ENDS,
    "the API's certificate is good again": _ENDED,
    "alarms can be told again": UNTOLD,
    "the ledger is whole again": _LEDGER,
    "the shared catalogue is up to date again": _CATALOGUE,
}
