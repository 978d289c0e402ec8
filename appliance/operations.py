"""All operations that a running recorder does for others."""

from __future__ import annotations

from typing import Any, Final

from vittne.appliance.access.factor_operations import FACTOR_OPERATIONS
from vittne.appliance.access.operations import ACCESS_OPERATIONS
from vittne.appliance.alarming.operations import ALARM_OPERATIONS
from vittne.appliance.announcements.operations import ANNOUNCEMENT_OPERATIONS
from vittne.appliance.backup.operation import ENTER_BACKUP, ENTER_DRILL, POINT
from vittne.appliance.canary.operation import PLACE_CANARY
from vittne.appliance.compliance.incident_operations import CLOSE_INCIDENT, NOTE_INCIDENT, OPEN_INCIDENT
from vittne.appliance.control.operation import Operation
from vittne.appliance.cut import ENTER_CUT, KEEP_KEYS, SETTLE_CUTS
from vittne.appliance.doctor.asking import ASK_FACTS
from vittne.appliance.key_operations import KEY_OPERATIONS
from vittne.appliance.life.approving import APPROVE, ASK_BULK, ASK_CUT, REFUSE
from vittne.appliance.life.operations import CORRECT, ERASE, PLACE_HOLD, RELEASE_HOLD, RESTRICT, SETTLE_ERASURES
from vittne.appliance.life.retention import CHANGE_RETENTION, RUN_RETENTION
from vittne.appliance.life.room import MAKE_ROOM
from vittne.appliance.listing.operations import LISTING_OPERATIONS
from vittne.appliance.looks import HEARD, LOOK
from vittne.appliance.review.operations import REVIEW_OPERATIONS
from vittne.appliance.scrub.runner import ENTER_SCRUB
from vittne.appliance.searches import SEARCHED
from vittne.appliance.settings_operation import CHANGE_SETTINGS
from vittne.appliance.signon.operations import SIGN_ON_OPERATIONS
from vittne.appliance.stamps.operation import ENTER_STAMPS
from vittne.appliance.storage.operation import ADOPT, ENTER_STORED, LEAVE
from vittne.appliance.subjects.operations import SUBJECT_OPERATIONS
from vittne.appliance.support.told import SUPPORT
from vittne.appliance.vcon.filing import FILE_IMPORT
from vittne.appliance.verdicts.operations import VERDICT_OPERATIONS
from vittne.appliance.webhooks.operations import WEBHOOK_OPERATIONS

OPERATIONS: Final[tuple[Operation[Any], ...]] = (
    LOOK,
    SEARCHED,
    HEARD,
    ENTER_STAMPS,
    ENTER_SCRUB,
    PLACE_CANARY,
    POINT,
    ENTER_BACKUP,
    ENTER_DRILL,
    SETTLE_CUTS,
    KEEP_KEYS,
    ENTER_CUT,
    ASK_CUT,
    ASK_BULK,
    PLACE_HOLD,
    RELEASE_HOLD,
    ERASE,
    SETTLE_ERASURES,
    RESTRICT,
    CORRECT,
    RUN_RETENTION,
    MAKE_ROOM,
    CHANGE_RETENTION,
    APPROVE,
    REFUSE,
    OPEN_INCIDENT,
    NOTE_INCIDENT,
    CLOSE_INCIDENT,
    *KEY_OPERATIONS,
    ENTER_STORED,
    LEAVE,
    ADOPT,
    *REVIEW_OPERATIONS,
    *SUBJECT_OPERATIONS,
    *ACCESS_OPERATIONS,
    *FACTOR_OPERATIONS,
    *SIGN_ON_OPERATIONS,
    CHANGE_SETTINGS,
    *VERDICT_OPERATIONS,
    *ANNOUNCEMENT_OPERATIONS,
    *WEBHOOK_OPERATIONS,
    *ALARM_OPERATIONS,
    FILE_IMPORT,
    *LISTING_OPERATIONS,
    ASK_FACTS,
    SUPPORT,
)
