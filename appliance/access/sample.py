"""What a role sees, shown on a recording that never was: through showing.py, like every answer about a real one."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict

from vittne.appliance.access.profile import FIELD_CLASSES, LEVELS, Profile
from vittne.appliance.access.showing import Of, shown


class Sample(BaseModel):
    """A recording, one member of each kind. Its numbers are of a range that nobody has (ITU-T E.164 does not)."""

    model_config = ConfigDict(frozen=True)

    started_at: str = "2026-03-02T09:14:05Z"
    caller: Annotated[str, Of("party")] = "+49 30 23125 456"
    callee: Annotated[str, Of("party")] = "2041"
    agent: Annotated[str, Of("agent")] = "Anna Berg"
    tags: Annotated[list[str], Of("business")] = ["complaint"]
    note: Annotated[str, Of("business")] = "order 5512 arrived broken"
    audio_caller: Annotated[str, Of("audio-caller")] = "3:12"
    audio_callee: Annotated[str, Of("audio-callee")] = "3:12"
    signalling: Annotated[str, Of("signalling")] = "INVITE sip:2041@pbx.example"
    evidence: Annotated[str, Of("evidence")] = "sealed, in the ledger"
    audit: Annotated[str, Of("audit")] = "heard once"


SAMPLE: Final = Sample()


def preview(role: Profile) -> dict[str, Any]:
    """Return what of it somebody with this role sees; nothing where they may not read at all."""
    if "read" not in role.scopes:
        return {}
    found = shown(SAMPLE, {field: role.level(field) for field in FIELD_CLASSES})
    for part, field in (("audio_caller", "audio-caller"), ("audio_callee", "audio-callee")):
        if "listen" not in role.scopes or role.level(field) != LEVELS[-1]:  # type: ignore[arg-type]
            found.pop(part, None)
    return found
