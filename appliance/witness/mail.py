"""Checkpoints by e-mail: a few lines for people, and the signed note as a file to keep."""

from __future__ import annotations

import smtplib
import socket
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Final

from vittne.appliance.store.errors import StoreError
from vittne.appliance.triggers.settings import read_secret
from vittne.appliance.witness.settings import MailSettings
from vittne.appliance.witness.target import OneThread, Published

_TIMEOUT_S: Final = 30.0  # of each step of the conversation
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
        await self._thread.run(lambda: self._send(letter(self._settings, published)))

    def _send(self, message: EmailMessage) -> None:
        settings = self._settings
        where = f"{settings.host}:{settings.port_in_force}"
        try:
            with self._connected() as server:
                if settings.username is not None and settings.password_file is not None:
                    server.login(settings.username, read_secret(settings.password_file))
                server.send_message(message, settings.sender, list(settings.to))
        except smtplib.SMTPNotSupportedError as error:
            raise StoreError(f"the mail server lacks what is set ({error})", where, "see [[ledger.mail]]") from error
        except smtplib.SMTPAuthenticationError as error:
            raise StoreError("the mail server refuses username or password", where, "see [[ledger.mail]]") from error
        except smtplib.SMTPException as error:
            raise StoreError(
                f"the mail server does not take it ({type(error).__name__})", where, "see its log"
            ) from error

    def _connected(self) -> smtplib.SMTP:
        settings = self._settings
        context = ssl.create_default_context(cafile=settings.ca_file)
        name = socket.gethostname()  # given, so that nothing is asked of a name server for it
        address = settings.host, settings.port_in_force
        if settings.security == "tls":
            return smtplib.SMTP_SSL(*address, local_hostname=name, timeout=_TIMEOUT_S, context=context)
        server = smtplib.SMTP(*address, local_hostname=name, timeout=_TIMEOUT_S)
        if settings.security == "starttls":
            try:
                server.starttls(context=context)
            except BaseException:
                server.close()
                raise
        return server


def letter(settings: MailSettings, published: Published) -> EmailMessage:
    """Return the mail of a checkpoint."""
    checkpoint = published.checkpoint
    message = EmailMessage()
    message["From"], message["To"] = settings.sender, ", ".join(settings.to)
    message["Subject"] = f"checkpoint of {checkpoint.origin}: {checkpoint.size} entries"
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain=settings.sender.partition("@")[2])
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday answers it
    message.set_content(_WORDS.format(origin=checkpoint.origin, size=checkpoint.size))
    name = f"checkpoint-{checkpoint.size}"
    message.add_attachment(published.note, maintype="application", subtype="octet-stream", filename=name)
    return message
