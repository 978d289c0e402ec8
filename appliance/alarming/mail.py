"""Alarms by e-mail: one letter for all that came at about the same time."""

from __future__ import annotations

from collections.abc import Sequence

from vittne.appliance.alarming.notice import Notice, Words, body, subject
from vittne.appliance.alarming.settings import AlarmMail
from vittne.appliance.mailing import hand_over, new_letter
from vittne.appliance.witness.target import OneThread


class MailCarrier:
    """Mailboxes with one server. say: a text in their language."""

    def __init__(self, settings: AlarmMail, say: Words) -> None:
        self._settings = settings
        self._say = say
        self._thread = OneThread()

    async def send(self, notices: Sequence[Notice], left_out: int) -> None:
        """Send one mail. Raises StoreError, OSError, TimeoutError."""
        letter = new_letter(self._settings, subject(notices, self._say), body(notices, self._say, left_out))
        await self._thread.run(lambda: hand_over(self._settings, letter, "alarms.mail"))
