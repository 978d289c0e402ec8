"""The catalogue's tables, in SQL that SQLite and PostgreSQL both take.

A change here goes with a step in migrations/versions and a new HEAD; a test compares the two.
Times are microseconds since 1970 UTC. JSON columns hold what is shown and never searched.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)

HEAD: Final = "0024"  # the last step in migrations/versions

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _stream_columns() -> list[Column[object]]:
    columns: list[Column[object]] = [
        Column("party", Text, nullable=False),
        Column("codec", Text, nullable=False),
        Column("payload_type", Integer, nullable=False),
        Column("clock_rate", Integer, nullable=False),
        Column("ssrc", BigInteger, nullable=False),
        Column("source", Text, nullable=False),
        Column("destination", Text, nullable=False),
        Column("packets", BigInteger, nullable=False),
        Column("stored", BigInteger, nullable=False),
        Column("first_at_us", BigInteger, nullable=False),
        Column("last_at_us", BigInteger, nullable=False),
        Column("dropped", JSON, nullable=False),
        Column("lost", BigInteger, nullable=False),
        Column("reordered", BigInteger, nullable=False),
        Column("duplicates", BigInteger, nullable=False),
        Column("late", BigInteger, nullable=False),
        Column("jitter_ms", Float, nullable=False),
        Column("ptime_ms", Float),
        Column("mos", Float),
    ]
    return columns


calls: Final = Table(
    "calls",
    metadata,
    Column("id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("caller", Text, nullable=False),
    Column("callee", Text, nullable=False),
    Column("started_us", BigInteger, nullable=False),
    Column("answered_us", BigInteger),
    Column("ended_us", BigInteger),
    Column("parties", JSON, nullable=False),
    Column("end_reason", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("outcome_reasons", JSON, nullable=False),
    Column("folder", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("details", JSON, nullable=False),
    Column("site", Text, nullable=False, server_default=""),
    Column("retention_class", Text, nullable=False, server_default=""),
    Column("locked_until_us", BigInteger),
    Column("expires_us", BigInteger),
    Column("restricted_us", BigInteger),
    Column("erased_us", BigInteger),
    Column("basis", JSON, nullable=False, server_default="{}"),
    Column("tags", JSON, nullable=False, server_default="[]"),
    Column("announced", Text, nullable=False, server_default=""),
    Column("quarantined_us", BigInteger),
    Index(None, "started_us"),
    Index(None, "caller"),
    Index(None, "callee"),
    Index(None, "outcome"),
    Index(None, "expires_us"),
    Index(None, "site", "started_us"),
    Index(None, "announced", "started_us"),
    Index(None, "quarantined_us"),
)

dialogs: Final = Table(
    "dialogs",
    metadata,
    Column("call", Text, ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("call_id", Text, nullable=False),
    Index(None, "call_id"),
)

streams: Final = Table(
    "streams",
    metadata,
    Column("call", Text, ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    *_stream_columns(),
)

runs: Final = Table(
    "runs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("source", JSON, nullable=False),
    Column("started_us", BigInteger, nullable=False),
    Column("version", Text, nullable=False),
    Column("ended_us", BigInteger),
    Column("packets", BigInteger, nullable=False),
    Column("drops", JSON, nullable=False),
    Column("calls", JSON, nullable=False),
)

unsignalled: Final = Table(
    "unsignalled",
    metadata,
    Column("run", Integer, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    *_stream_columns(),
)

# What is asked of it by call comes from the recording; this table is for those that live, and for reports.
pauses: Final = Table(
    "pauses",
    metadata,
    Column("id", Text, primary_key=True),
    Column("asked_us", BigInteger, nullable=False),
    Column("ended_us", BigInteger),
    Column("body", JSON, nullable=False),
    Index(None, "asked_us"),
)

# On gates of calls that may still be up, by SIP's Call-ID (appliance/store/decisions.py).
decisions: Final = Table(
    "decisions",
    metadata,
    Column("call_id", Text, primary_key=True),
    Column("decision", Text, primary_key=True),
    Column("by", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("trigger", Text, nullable=False, server_default="api"),
    Index(None, "at_us"),
)

# The two below are the API's (appliance/api). `vittne token` writes the first one while a recorder runs.
tokens: Final = Table(
    "tokens",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("secret_sha256", Text, nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("networks", JSON, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger),
    Column("last_used_us", BigInteger),
    Column("revoked_us", BigInteger),
    Column("maker", Text, nullable=False, server_default=""),
)

answers: Final = Table(
    "answers",
    metadata,
    Column("token", Text, primary_key=True),
    Column("key_sha256", Text, primary_key=True),
    Column("request_sha256", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("status", Integer),
    Column("content_type", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index(None, "created_us"),
)

# Who looked at what, and who changed what. The ledger has a hash of each row: `salt` is what makes it a commitment.
audit: Final = Table(
    "audit",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at_us", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("via", Text, nullable=False),
    Column("recording", Text, nullable=False),
    Column("details", JSON, nullable=False),
    Column("salt", Text, nullable=False),
    Column("entry", BigInteger),
    Index(None, "at_us"),
    Index(None, "recording"),
    Index(None, "actor"),
)

# A legal hold: what it was placed on is in `held`, by id; a standing one takes what is sealed later and matches.
holds: Final = Table(
    "holds",
    metadata,
    Column("id", Text, primary_key=True),
    Column("label", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("search", JSON(none_as_null=True)),
    Column("standing", Boolean, nullable=False),
    Column("placed_us", BigInteger, nullable=False),
    Column("placed_by", Text, nullable=False),
    Column("released_us", BigInteger),
    Column("released_by", Text, nullable=False),
    Column("release_reason", Text, nullable=False),
    Column("salt", Text, nullable=False),
)

held: Final = Table(
    "held",
    metadata,
    Column("hold", Text, ForeignKey("holds.id", ondelete="CASCADE"), primary_key=True),
    Column("recording", Text, primary_key=True),
    Index(None, "recording"),
)

# What was entered wrongly and is shown as it should be; what is sealed in the recording stays (GDPR Art. 16).
corrections: Final = Table(
    "corrections",
    metadata,
    Column("recording", Text, primary_key=True),
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("field", Text, nullable=False),
    Column("before", Text, nullable=False),
    Column("after", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
)

# What is asked for and needs a second person.
requests: Final = Table(
    "requests",
    metadata,
    Column("id", Text, primary_key=True),
    Column("operation", Text, nullable=False),
    Column("recording", Text, nullable=False),
    Column("order", JSON, nullable=False),
    Column("asked_us", BigInteger, nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("decided_us", BigInteger),
    Column("decided_by", Text, nullable=False),
    Column("asked_user", Text, nullable=False, server_default=""),
    Column("decided_user", Text, nullable=False, server_default=""),
    Index(None, "state"),
    Index(None, "recording"),
)

# Erasures, from before their entry in the ledger until nothing is left to do; a crash goes on from here.
erasures: Final = Table(
    "erasures",
    metadata,
    Column("recording", Text, primary_key=True),
    Column("at_us", BigInteger, nullable=False),
    Column("word", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("approvers", JSON, nullable=False),
    Column("manifest", Text, nullable=False),
    Column("folder", Text, nullable=False),
    Column("entry", BigInteger),
    Column("done_us", BigInteger),
    Index(None, "done_us"),
)

# Incidents (GDPR Art. 33(5)), a line each time somebody wrote: the first opens it. Lines are never altered.
incidents: Final = Table(
    "incidents",
    metadata,
    Column("incident", Text, primary_key=True),
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("word", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("by", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("facts", JSON, nullable=False),
    Column("salt", Text, nullable=False),
    Index(None, "at_us"),
)

# What is reviewed, how, and by whom (appliance/review). A plan's terms change by a new version.
review_plans: Final = Table(
    "review_plans",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("terms", JSON, nullable=False),
    Column("made_us", BigInteger, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("ended_us", BigInteger),
)

review_cards: Final = Table(
    "review_cards",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("body", JSON, nullable=False),
    Column("made_us", BigInteger, nullable=False),
    Column("made_by", Text, nullable=False),
)

# One draw of a plan and a month. groups: names; population: [id, group, risks] of every call that could be drawn.
review_draws: Final = Table(
    "review_draws",
    metadata,
    Column("plan", Text, primary_key=True),
    Column("month", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("seed", Text, nullable=False),
    Column("groups", JSON, nullable=False),
    Column("population", JSON, nullable=False),
    Column("drawn_us", BigInteger, nullable=False),
    Column("drawn_by", Text, nullable=False),
    Column("is_late", Boolean, nullable=False),
    Column("row", Text, nullable=False),
)

reviews: Final = Table(
    "reviews",
    metadata,
    Column("id", Text, primary_key=True),
    Column("plan", Text, nullable=False),
    Column("month", Text, nullable=False),
    Column("recording", Text, nullable=False),
    Column("group", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("risks", JSON, nullable=False),
    Column("reviewer", Text, nullable=False),
    Column("due_us", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("card", Text, nullable=False),
    Column("card_version", Integer),
    Column("answers", JSON, nullable=False),
    Column("score", Float),
    Column("outcome", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("coaching", Text, nullable=False),
    Column("done_us", BigInteger),
    Column("done_by", Text, nullable=False),
    Column("salt", Text, nullable=False),
    Index(None, "plan", "month"),
    Index(None, "recording"),
    Index(None, "state"),
)

# Requests of persons (appliance/subjects). who: what the person is found by; empty once forget_us is over.
subjects: Final = Table(
    "subjects",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("who", JSON, nullable=False),
    Column("opened_us", BigInteger, nullable=False),
    Column("opened_by", Text, nullable=False),
    Column("due_us", BigInteger, nullable=False),
    Column("closed_us", BigInteger),
    Column("closed_by", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("forget_us", BigInteger),
    Column("forgotten_us", BigInteger),
    Index(None, "due_us"),
    Index(None, "forget_us"),
)

# What was done, or not done and why, in a case; act "note" for what people write. who it is about is not in here.
subject_acts: Final = Table(
    "subject_acts",
    metadata,
    Column("subject", Text, ForeignKey("subjects.id", ondelete="CASCADE"), primary_key=True),
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("at_us", BigInteger, nullable=False),
    Column("by", Text, nullable=False),
    Column("act", Text, nullable=False),
    Column("recording", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("salt", Text, nullable=False),
    Index(None, "recording"),
)

# Who may log in. own: extensions and agent names; origin: local, oidc, ldap; subject: the name that one knows.
# password: argon2id, or empty. Roles of one's own are in `roles`, the others in appliance/access/profile.py.
_IS_KNOWN: Final = text("subject != ''")
users: Final = Table(
    "users",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("full_name", Text, nullable=False),
    Column("roles", JSON, nullable=False),
    Column("own", JSON, nullable=False),
    Column("sites", JSON, nullable=False),
    Column("language", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("password", Text, nullable=False),
    Column("password_us", BigInteger),
    Column("created_us", BigInteger, nullable=False),
    Column("disabled_us", BigInteger),
    Index(None, "origin", "subject", unique=True, sqlite_where=_IS_KNOWN, postgresql_where=_IS_KNOWN),
)

roles: Final = Table(
    "roles",
    metadata,
    Column("name", Text, primary_key=True),
    Column("body", JSON, nullable=False),
    Column("changed_us", BigInteger, nullable=False),
)

# A code with which a user sets the first, or a new, password: once.
invitations: Final = Table(
    "invitations",
    metadata,
    Column("code_sha256", Text, primary_key=True),
    Column("user", Text, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
)

# Second factors: totp, passkey, code.
factors: Final = Table(
    "factors",
    metadata,
    Column("id", Text, primary_key=True),
    Column("user", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("body", JSON, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("used_us", BigInteger),
    Index(None, "user"),
)

# Written by the API, like `tokens`. secret_sha256: of what the cookie holds.
sessions: Final = Table(
    "sessions",
    metadata,
    Column("secret_sha256", Text, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("user", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("seen_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    Column("factors", JSON, nullable=False),
    Column("source", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("proved_us", BigInteger),
    Column("checked_us", BigInteger),
    Column("foreign_sid", Text),
    Index(None, "user"),
)

# Announcements (appliance/announcements): a row for every version, never altered. reference: SHA-256 of the samples.
announcements: Final = Table(
    "announcements",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("reference", Text, nullable=False),
    Column("length_ms", Integer, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("required_ms", JSON, nullable=False),
    Column("agree", Text, nullable=False),
    Column("refuse", Text, nullable=False),
    Column("within_ms", Integer, nullable=False),
    Column("sites", JSON, nullable=False),
    Column("from_us", BigInteger),
    Column("until_us", BigInteger),
    Column("note", Text, nullable=False),
    Column("retired", Boolean, nullable=False),
    Column("file", Text, nullable=False),
    Column("file_sha256", Text, nullable=False),
    Column("cut_ms", JSON, nullable=False),
    Column("made_us", BigInteger, nullable=False),
    Column("made_by", Text, nullable=False),
    Index(None, "reference"),
)

# What was found out about a call's announcement (appliance/verdicts), a row each time: the newest counts. Shares are
# thousandths. body: the verdict as JSON, and against which references it was found.
announcement_verdict: Final = Table(
    "announcement_verdict",
    metadata,
    Column("recording", Text, primary_key=True),
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("at_us", BigInteger, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("announced", Text, nullable=False),
    Column("expected", Boolean, nullable=False),
    Column("proven", Boolean, nullable=False),
    Column("rule", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("party", Text, nullable=False),
    Column("stream", Integer),
    Column("begin_us", BigInteger),
    Column("end_us", BigInteger),
    Column("offset_ms", BigInteger),
    Column("share", Integer),
    Column("required_share", Integer),
    Column("score", Integer),
    Column("overlap", Integer),
    Column("detector", Text, nullable=False),
    Column("body", JSON, nullable=False),
    Index(None, "reference"),
)

# The newest verdict of each answered call with what is counted by: narrow, so that a million rows are read at once.
announcement_call: Final = Table(
    "announcement_call",
    metadata,
    Column("recording", Text, primary_key=True),
    Column("at_us", BigInteger, nullable=False),
    Column("site", Text, nullable=False),
    Column("trunk", Text, nullable=False),
    Column("caller", Text, nullable=False),
    Column("callee", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("announced", Text, nullable=False),
    Column("expected", Boolean, nullable=False),
    Column("proven", Boolean, nullable=False),
    Column("due_us", BigInteger),
    Index("ix_announcement_call_sums", "at_us", "expected", "announced", "proven", "site", "trunk", "language"),
    Index("ix_announcement_call_numbers", "at_us", "expected", "announced", "proven", "callee", "caller"),
    Index("ix_announcement_call_missing", "expected", "proven", "at_us"),
)

# Copies at storage targets (appliance/storage). place: folder below recordings/; manifest: SHA-256 of the one there.
stored: Final = Table(
    "stored",
    metadata,
    Column("recording", Text, primary_key=True),
    Column("target", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("place", Text, nullable=False),
    Column("manifest", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("stored_us", BigInteger),
    Column("checked_us", BigInteger),
    Column("locked_us", BigInteger),
    Column("held", Boolean, nullable=False),
    Column("next_us", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("problem", Text, nullable=False),
    Index(None, "target", "state"),
)

# Recordings whose parts have left this machine: their manifests are here, the rest is at a target.
away: Final = Table(
    "away",
    metadata,
    Column("recording", Text, primary_key=True),
    Column("since_us", BigInteger, nullable=False),
)

# What calls are searched by (appliance/listing): narrow, so that all of it is read in a moment; in order of time on the
# disk. It holds nothing that `calls` and its children do not, and is written with them.
listing: Final = Table(
    "listing",
    metadata,
    Column("started_us", BigInteger, primary_key=True, autoincrement=False),
    Column("recording", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("answered", Boolean, nullable=False),
    Column("numbers", Text, nullable=False),
    Column("names", Text, nullable=False),
    Column("agents", Text, nullable=False),
    Column("call_ids", Text, nullable=False),
    Column("tags", Text, nullable=False),
    Column("codecs", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("duration_ms", BigInteger, nullable=False),
    Column("mos", Integer, nullable=False),
    Column("pauses", Integer, nullable=False),
    Column("announced", Text, nullable=False),
    Column("site", Text, nullable=False),
    Column("is_quarantined", Boolean, nullable=False),
    Column("is_restricted", Boolean, nullable=False),
    Column("is_erased", Boolean, nullable=False),
    Index(None, "recording"),
    Index(None, "duration_ms", "started_us", "recording"),
    Index(None, "mos", "started_us", "recording"),
    Index(None, "outcome", "started_us", "recording"),
    sqlite_with_rowid=False,
)

# What people wrote about a recording: added to, never altered. It goes with the recording.
notes: Final = Table(
    "notes",
    metadata,
    Column("recording", Text, primary_key=True),
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("at_us", BigInteger, nullable=False),
    Column("by", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("salt", Text, nullable=False),
)

# Searches that somebody kept. owner: a user's id; roles: whose holders see it as well. body: as listing/search.Query.
saved_searches: Final = Table(
    "saved_searches",
    metadata,
    Column("id", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("body", JSON, nullable=False),
    Column("roles", JSON, nullable=False),
    Column("made_us", BigInteger, nullable=False),
    Index(None, "owner"),
)

webhooks: Final = Table(
    "webhooks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("events", JSON, nullable=False),
    Column("secret", Text, nullable=False),  # sealed
    Column("owner_kind", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("disabled_us", BigInteger),
)

# What webhooks are to be told: ids and words of ours, nothing of a person.
webhook_deliveries: Final = Table(
    "webhook_deliveries",
    metadata,
    Column("id", Text, primary_key=True),
    Column("webhook", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("body", JSON, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_us", BigInteger),
    Column("last_status", Integer),
    Column("last_error", Text, nullable=False),
    Column("done_us", BigInteger),
    Index("ix_webhook_deliveries_due", "state", "next_us"),
    Index("ix_webhook_deliveries_webhook", "webhook", "created_us"),
)

# Runs of the canary call (appliance/canary). Which calls are canaries is told by `recording` alone.
canaries: Final = Table(
    "canaries",
    metadata,
    Column("id", Text, primary_key=True),
    Column("started_us", BigInteger, nullable=False),
    Column("ended_us", BigInteger),
    Column("recording", Text, nullable=False),
    Column("sealed_us", BigInteger),
    Column("result", Text, nullable=False),
    Column("checks", JSON, nullable=False),
    Column("sent", JSON, nullable=False),
    Index(None, "recording"),
    Index(None, "started_us"),
)

# What a shared catalogue does not have yet (appliance/fleet): filled by triggers, a row for each that is to be sent.
unshipped: Final = Table(
    "unshipped",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("unit", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Index(None, "unit", "key"),
    sqlite_autoincrement=True,
)

# How far it is: the mark of the last batch, here and there. next: of a batch of which nobody knows yet whether it is
# there. about: of the recorder, for those who search over several.
shipping: Final = Table(
    "shipping",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("mark", Text, nullable=False),
    Column("next", Text, nullable=False),
    Column("about", JSON, nullable=False),
    Column("shipped_us", BigInteger, nullable=False),
)
