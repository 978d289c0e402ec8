"""Mail to a server that was configured: how it is reached, and a letter handed over. Blocking; TLS is verified."""

from __future__ import annotations

import smtplib
import socket
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from vittne.appliance.signon.secret import secret_for
from vittne.appliance.store.errors import StoreError
from vittne.appliance.triggers.settings import Word

TIMEOUT_S: Final = 30.0  # of each step of the conversation
CREDENTIAL: Final = "smtp"  # in systemd's CREDENTIALS_DIRECTORY


def _mailbox(text: str) -> str:
    if (
        not text.isascii()
        or not text.isprintable()
        or len(text.split("@")) != 2
        or any(c in text for c in " <>,;:\"'()")
    ):
        raise ValueError("an address such as audit@example.org is expected, without a name")
    return text


Mailbox = Annotated[str, AfterValidator(_mailbox)]


class MailServer(BaseModel):
    """A mail server, and mailboxes with it. Without a password_file systemd's credential `smtp` is the password."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    host: Word
    port: int | None = Field(default=None, ge=1, le=65_535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    ca_file: Path | None = Field(default=None, strict=False)
    username: Word | None = None
    password_file: Path | None = Field(default=None, strict=False)
    sender: Mailbox
    to: tuple[Mailbox, ...] = Field(strict=False, min_length=1, max_length=16)

    @property
    def port_in_force(self) -> int:
        """The port, by the security when none was given."""
        return self.port or {"starttls": 587, "tls": 465, "none": 25}[self.security]

    @model_validator(mode="after")
    def _password_is_not_readable(self) -> Self:
        if self.username is None and self.password_file is not None:
            raise ValueError("username and password_file go together")
        if self.username is not None and self.security == "none":
            raise ValueError('a password is not sent readable: use security = "starttls" or "tls"')
        return self


def new_letter(server: MailServer, subject: str, words: str) -> EmailMessage:
    """Return a letter from us to all who are to have it."""
    message = EmailMessage()
    message["From"], message["To"] = server.sender, ", ".join(server.to)
    message["Subject"] = subject
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain=server.sender.partition("@")[2])
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday answers it
    message.set_content(words)
    return message


def hand_over(server: MailServer, message: EmailMessage, section: str) -> None:
    """Send a letter. section: of the configuration, named in errors. Raises StoreError, OSError."""
    where = f"{server.host}:{server.port_in_force}"
    try:
        with _connected(server) as connection:
            if server.username is not None:
                secret = secret_for(CREDENTIAL, server.password_file, f"{section}.password_file")
                connection.login(server.username, secret)
            connection.send_message(message, server.sender, list(server.to))
    except smtplib.SMTPNotSupportedError as error:
        raise StoreError(f"the mail server lacks what is set ({error})", where, f"see [[{section}]]") from error
    except smtplib.SMTPAuthenticationError as error:
        raise StoreError("the mail server refuses username or password", where, f"see [[{section}]]") from error
    except smtplib.SMTPException as error:
        raise StoreError(f"the mail server does not take it ({type(error).__name__})", where, "see its log") from error


def _connected(server: MailServer) -> smtplib.SMTP:
    context = ssl.create_default_context(cafile=server.ca_file)
    name = socket.gethostname()  # given, so that nothing is asked of a name server for it
    address = server.host, server.port_in_force
    if server.security == "tls":
        return smtplib.SMTP_SSL(*address, local_hostname=name, timeout=TIMEOUT_S, context=context)
    connection = smtplib.SMTP(*address, local_hostname=name, timeout=TIMEOUT_S)
    if server.security == "starttls":
        try:
            connection.starttls(context=context)
        except BaseException:
            connection.close()
            raise
    return connection
