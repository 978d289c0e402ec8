"""Checkpoints by e-mail: a few lines for people, and the signed note as a file to keep."""

from __future__ import annotations

from email.message import EmailMessage
from typing import Final

from vittne.appliance.mailing import hand_over, new_letter
from vittne.appliance.witness.settings import MailSettings
from vittne.appliance.witness.target import OneThread, Published

_WORDS: Final = """\
The ledger {origin} of the call recorder had {size} entries when this mail was written.

Keep this mail where nobody who administers the recorder can change it. The file with it proves what the
ledger was. Whether today's ledger still begins with it, tells on the recorder:

    vittne ledger consistency checkpoint-{size}
"""


class MailTarget:
    """One mailbox, or several with one server."""

    def __init__(self, settings: MailSettings) -> None:
        self._settings = settings
        self._thread = OneThread()

    async def send(self, published: Published) -> None:
        """Send one mail. Raises StoreError when the server refuses it."""
        await self._thread.run(lambda: hand_over(self._settings, letter(self._settings, published), "ledger.mail"))


def letter(settings: MailSettings, published: Published) -> EmailMessage:
    """Return the mail of a checkpoint."""
    checkpoint = published.checkpoint
    words = _WORDS.format(origin=checkpoint.origin, size=checkpoint.size)
    message = new_letter(settings, f"checkpoint of {checkpoint.origin}: {checkpoint.size} entries", words)
    name = f"checkpoint-{checkpoint.size}"
    message.add_attachment(published.note, maintype="application", subtype="octet-stream", filename=name)
    return message
