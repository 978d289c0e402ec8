"""What may stand in the ledger: the events, and the members that each may have.

Nobody can be found in the ledger: it holds ids, hashes, counts, times and words of ours. It outlives what it
speaks of (an erased call's entries stay), so a member that could hold a number, a name or an address has no
place here, and a new event is a new line in this table.
"""

from __future__ import annotations

from typing import Final

START: Final = "start"
STOP: Final = "stop"
CRASH: Final = "crash"
GAP: Final = "gap"
CLOCK: Final = "clock"
OPENED: Final = "rec.open"
SEALED: Final = "rec.seal"
DISCARDED: Final = "rec.discard"
ERASED: Final = "rec.erase"
CUT: Final = "rec.cut"
IMPORTED: Final = "rec.import"
PAUSED: Final = "pause"
PAUSE_CHANGED: Final = "pause.change"
RESUMED: Final = "resume"
PAUSE_REFUSED: Final = "pause.refuse"
KEY_CREATE: Final = "key.create"
KEY_SEAL: Final = "key.seal"
KEY_ROTATE: Final = "key.rotate"
KEY_EPOCH: Final = "key.epoch"
KEY_SHARES: Final = "key.shares"
KEY_BACKUP: Final = "key.backup"
KEY_RECOVER: Final = "key.recover"
KEY_UNLOCK: Final = "key.unlock"
KEY_LOCK: Final = "key.lock"
KEYS_ASKED: Final = "keys.ask"
STAMP: Final = "stamp"
GATE: Final = "gate"
CONFIGURED: Final = "config"
PLAYED: Final = "play"
HEARD: Final = "play.heard"
OVERHEARD: Final = "live"
VIEWED: Final = "view"
DAMAGED: Final = "damage"
SCRUBBED: Final = "scrub"
BACKED_UP: Final = "backup"
DRILLED: Final = "drill"
RESTORED: Final = "restore"
CATALOGUE_RESTORED: Final = "catalogue.restore"
EXPORTED: Final = "export"
LOOK_REFUSED: Final = "look.refuse"
HOLD_PLACED: Final = "hold.place"
HOLD_RELEASED: Final = "hold.release"
ERASE_REFUSED: Final = "erase.refused"
RESTRICTED: Final = "rec.restrict"
UNRESTRICTED: Final = "rec.unrestrict"
CORRECTED: Final = "rec.correct"
TAGGED: Final = "rec.tag"
NOTED: Final = "rec.note"
CUT_ALLOWED: Final = "cut.allow"
RETENTION_CHANGED: Final = "retention.change"
RETENTION_KEPT: Final = "retention.keep"
RETENTION_RUN: Final = "retention.run"
ROOM_MADE: Final = "retention.room"
REQUESTED: Final = "request.make"
APPROVED: Final = "request.approve"
REQUEST_REFUSED: Final = "request.refuse"
INCIDENT_OPENED: Final = "incident.open"
INCIDENT_NOTED: Final = "incident.note"
INCIDENT_TOLD: Final = "incident.tell"
INCIDENT_CLOSED: Final = "incident.close"
REVIEW_PLAN: Final = "review.plan"
REVIEW_CARD: Final = "review.card"
REVIEW_DRAWN: Final = "review.draw"
REVIEW_ASSIGNED: Final = "review.assign"
REVIEWED: Final = "review.score"
SEARCHED: Final = "search"
SUBJECT_OPENED: Final = "subject.open"
SUBJECT_ACT: Final = "subject.act"
SUBJECT_DUE: Final = "subject.due"
SUBJECT_CLOSED: Final = "subject.close"
SUBJECT_FORGOTTEN: Final = "subject.forget"
USER_CHANGED: Final = "user"
ROLE_CHANGED: Final = "role"
WEBHOOK_CHANGED: Final = "webhook"
ALARMS_TESTED: Final = "alarms.test"
LOGIN: Final = "login"
SETTINGS_CHANGED: Final = "settings"
TOKEN_CHANGED: Final = "token"  # noqa: S105 - the name of an event
ANALYSED: Final = "analyse"
VERDICT: Final = "verdict"
VERDICTS_CHECKED: Final = "verdict.check"
QUARANTINE_RELEASED: Final = "quarantine.release"
ANNOUNCEMENT_ADDED: Final = "announcement.add"
ANNOUNCEMENT_CHANGED: Final = "announcement.change"
ANNOUNCEMENT_RETIRED: Final = "announcement.retire"
STORED: Final = "storage.copy"
STORED_GONE: Final = "storage.remove"
STORED_DAMAGED: Final = "storage.damage"
LEFT: Final = "storage.leave"
CANARY: Final = "canary"
SUPPORT: Final = "support"

MEMBERS: Final[dict[str, frozenset[str]]] = {
    # a run of the recorder; run is the catalogue's number of it
    START: frozenset({"run", "version"}),
    STOP: frozenset({"run", "calls", "packets"}),
    # the run before ended without "stop"; cut counts ledger bytes that no checkpoint had covered
    CRASH: frozenset({"run", "cut", "recordings"}),
    # nothing was recorded from..to (RFC 3339); rec when it is about one recording only
    GAP: frozenset({"rec", "from", "to", "reason", "packets"}),
    # what the clock says of itself, hourly and when that changes; source and reason are words of ours.
    # worst_error_us: the greatest max_error_us since the entry before, while synchronised
    CLOCK: frozenset(
        {
            *("step_us", "source", "synchronised", "offset_us", "max_error_us", "worst_error_us"),
            *("stratum", "tai_s", "reason"),
        }
    ),
    # a part was begun; capsule is SHA-256 of its key's capsule, in hex
    OPENED: frozenset({"rec", "part", "capsule"}),
    # a recording was finished; manifest is SHA-256 of manifest.json, in hex
    SEALED: frozenset({"rec", "manifest", "state"}),
    # a recording was begun and nothing of it is kept, by a rule
    DISCARDED: frozenset({"rec", "reason"}),
    # its keys are destroyed; reason: a word of ours, manifest: the last one's SHA-256; row as below
    ERASED: frozenset({"rec", "row", "reason", "manifest"}),
    # a span was cut out of a finished recording: version follows the one whose manifest is "before". Hashes in hex:
    # kept is a commitment to all that stayed, event to the sealed record of who cut, why, and from when to when
    CUT: frozenset({"rec", "version", "before", "manifest", "kept", "event", "packets", "reports", "milliseconds"}),
    # it was captured by nobody here: a file of another system became a recording. original is SHA-256 of that file, in
    # hex; kept: as it came, cleaned or decrypted; signature: what was found of its own (appliance/vcon)
    IMPORTED: frozenset({"rec", "row", "original", "kept", "signature"}),
    # nothing of these recordings is stored from then on (RFC 3339); by: a token's id, or the name of a rule or a link
    # or the control channel that calls depend on; unconfirmed: the worker was ended so that nothing is written
    PAUSED: frozenset({"pause", "recs", "trigger", "by", "asked", "from", "lease", "incomplete", "unconfirmed"}),
    # it waits for a call, took one more, was extended, was confirmed after all, or outlived its lease
    PAUSE_CHANGED: frozenset({"pause", "recs", "lease", "overdue", "incomplete"}),
    RESUMED: frozenset({"pause", "recs", "by", "to"}),
    # a request that paused nothing, and why
    PAUSE_REFUSED: frozenset({"by", "reason"}),
    # keys by their ids, never a secret: key and former are ids of roots, archive and destroyed of the archive's pairs
    KEY_CREATE: frozenset({"kind", "key", "archive"}),
    # the root was put under another passphrase, token or TPM
    KEY_SEAL: frozenset({"key", "provider"}),
    # kind: root, archive, bucket, ledger. old and new are the ledger's public keys (ledger.vkey), size the ledger's
    # with this entry, proof and seconded the old and the new one's signature of all three, base64
    KEY_ROTATE: frozenset(
        {
            *("kind", "key", "former", "provider", "count", "rows", "archive", "destroyed"),
            *("old", "new", "size", "proof", "seconded"),
        }
    ),
    # state: begun, then done. count buckets and the archive pairs in "destroyed" are gone: rows erased before are dead
    KEY_EPOCH: frozenset({"epoch", "state", "archive", "destroyed", "rows", "count"}),
    KEY_SHARES: frozenset({"key", "threshold", "shares"}),
    # a backup was made, or proven by opening it
    KEY_BACKUP: frozenset({"key", "epoch", "proven"}),
    KEY_RECOVER: frozenset({"key", "provider"}),
    KEY_UNLOCK: frozenset({"key", "provider", "by"}),
    KEY_LOCK: frozenset({"key", "by"}),
    # a user wants to unlock or lock in the console; the row says which, and who
    KEYS_ASKED: frozenset({"row"}),
    # a third party's token over the checkpoint with so many entries; token is its SHA-256, in hex
    STAMP: frozenset({"authority", "size", "token"}),
    # somebody said over the API whether a call may be recorded: agreed, refused, announced or keep
    GATE: frozenset({"rec", "decision", "by", "at"}),
    # a start with another configuration than the last; the row has it whole
    CONFIGURED: frozenset({"row"}),
    # a recording is not as it was sealed, or is gone; without "rec": the ledger itself
    DAMAGED: frozenset({"rec"}),
    # the archive was read through
    SCRUBBED: frozenset({"recordings", "bytes", "damaged"}),
    # a backup was written: recordings in it, copied and missing, entries of the ledger, SHA-256 of its snapshot.json
    BACKED_UP: frozenset({"recordings", "copied", "missing", "bytes", "size", "sum"}),
    # recordings were brought back from a backup and opened; good: as they should be; size: as above
    DRILLED: frozenset({"recordings", "good", "ok", "size"}),
    # this archive goes on from a backup of so many entries; missing: sealed, and not in it; lost: begun, never sealed
    RESTORED: frozenset({"size", "snapshot", "recordings", "missing", "lost"}),
    # the catalogue was brought back from a shared one; from_disk: calls that only their recordings told of
    CATALOGUE_RESTORED: frozenset({"calls", "audit", "sent_at", "from_disk", "missing"}),
    # somebody listened, or took a copy; row is a commitment to the audit trail's row (appliance/audit.py)
    PLAYED: frozenset({"rec", "row"}),
    EXPORTED: frozenset({"rec", "row"}),
    # somebody searched; found: how many calls there were. What for is in the row only
    SEARCHED: frozenset({"row", "found"}),
    # what of it was fetched in the end, from second to second; and that somebody saw who spoke when
    HEARD: frozenset({"rec", "row"}),
    # somebody began to hear a call while it lasted
    OVERHEARD: frozenset({"rec", "row"}),
    VIEWED: frozenset({"rec", "row"}),
    # the life of a recording (appliance/life): who, why and what is in the row
    LOOK_REFUSED: frozenset({"rec", "row"}),
    HOLD_PLACED: frozenset({"row"}),
    HOLD_RELEASED: frozenset({"row"}),
    ERASE_REFUSED: frozenset({"rec", "row"}),
    RESTRICTED: frozenset({"rec", "row"}),
    UNRESTRICTED: frozenset({"rec", "row"}),
    CORRECTED: frozenset({"rec", "row"}),
    # a tag was put on it or taken off; a note was written: the row has a commitment to it
    TAGGED: frozenset({"rec", "row"}),
    NOTED: frozenset({"rec", "row"}),
    # why a cut was allowed, right before "rec.cut"
    CUT_ALLOWED: frozenset({"rec", "row"}),
    RETENTION_CHANGED: frozenset({"rec", "row"}),
    # it was due, and is kept: by a hold, a lock or a restriction
    RETENTION_KEPT: frozenset({"rec", "row"}),
    RETENTION_RUN: frozenset({"row"}),
    ROOM_MADE: frozenset({"row"}),
    REQUESTED: frozenset({"rec", "row"}),
    APPROVED: frozenset({"rec", "row"}),
    REQUEST_REFUSED: frozenset({"rec", "row"}),
    # the row has a commitment to what was written of an incident (appliance/compliance/incidents.py)
    INCIDENT_OPENED: frozenset({"row"}),
    INCIDENT_NOTED: frozenset({"row"}),
    INCIDENT_TOLD: frozenset({"row"}),
    INCIDENT_CLOSED: frozenset({"row"}),
    # review (appliance/review): seed and population are hashes in hex, month is such as 2026-01, drawn a count; what a
    # reviewer wrote is in tables, and the row has a commitment to it
    REVIEW_PLAN: frozenset({"row"}),
    REVIEW_CARD: frozenset({"row"}),
    REVIEW_DRAWN: frozenset({"row", "month", "seed", "population", "drawn"}),
    REVIEW_ASSIGNED: frozenset({"rec", "row"}),
    REVIEWED: frozenset({"rec", "row"}),
    # requests of persons (appliance/subjects): the row has the case's id, and never who it is about
    SUBJECT_OPENED: frozenset({"row"}),
    SUBJECT_ACT: frozenset({"rec", "row"}),
    SUBJECT_DUE: frozenset({"row"}),
    SUBJECT_CLOSED: frozenset({"row"}),
    SUBJECT_FORGOTTEN: frozenset({"row"}),
    # users (appliance/access): who, what and from where is in the row
    USER_CHANGED: frozenset({"row"}),
    ROLE_CHANGED: frozenset({"row"}),
    # somebody added, changed or removed a webhook
    WEBHOOK_CHANGED: frozenset({"row"}),
    ALARMS_TESTED: frozenset({"row"}),
    LOGIN: frozenset({"row"}),
    # settings were changed in the console; the row has those before and after
    SETTINGS_CHANGED: frozenset({"row"}),
    # a token of the API was made or revoked by somebody who logged in
    TOKEN_CHANGED: frozenset({"row"}),
    # a stored recording is about to be listened to by the program; nobody hears it
    ANALYSED: frozenset({"rec", "row"}),
    # whether a call was announced (appliance/verdicts): n counts the verdicts on a recording, the newest counts. rule
    # and name are those of the configuration and of the prompt, which may name nobody; reference is the prompt's hash,
    # rules that of all rules; shares are thousandths; by: recorder or check; listened: a hash of all references
    VERDICT: frozenset(
        {
            *("rec", "n", "by", "announced", "expected", "proven", "rule", "rules", "reason", "then", "due", "kept_by"),
            "missing",  # references that were not listened for, by hash and name
            *("reference", "name", "language", "party", "stream", "begin", "end", "offset_ms"),
            *("share_permille", "required_permille", "score_permille", "overlap_permille", "detector", "listened"),
        }
    ),
    # stored recordings were listened to again: how many, of them changed, and such as should have come out the same
    VERDICTS_CHECKED: frozenset({"row", "recordings", "changed", "differing", "failed"}),
    # a person looked at a recording that was not announced as it should be, and lets others hear it
    QUARANTINE_RELEASED: frozenset({"rec", "row"}),
    # announcements (appliance/announcements): reference is SHA-256 of a sound's samples, terms SHA-256 of what is laid
    # down of it; which it is by name, and who did it, is in the row
    ANNOUNCEMENT_ADDED: frozenset({"row", "reference", "terms"}),
    ANNOUNCEMENT_CHANGED: frozenset({"row", "reference", "terms"}),
    ANNOUNCEMENT_RETIRED: frozenset({"row", "reference", "terms"}),
    # storage targets (appliance/storage): target is SHA-256 of its name, 16 digits in hex; manifest as in rec.seal.
    # a copy is there, read back and as it was sealed; is gone, since the recording was erased; is not as it should be
    STORED: frozenset({"rec", "target", "manifest"}),
    STORED_GONE: frozenset({"rec", "target"}),
    STORED_DAMAGED: frozenset({"rec", "target"}),
    # its parts left this machine: from then on they are at targets only
    LEFT: frozenset({"rec"}),
    # a call of our own, to see whether calls are recorded: it is in no sum, and opened by the recorder to be looked at
    CANARY: frozenset({"rec"}),
    # a support bundle is about to be made; with "rec" when the signalling of a recording goes into it, scrubbed
    SUPPORT: frozenset({"rec", "row"}),
}
