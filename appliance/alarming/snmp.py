"""Alarms as SNMPv2 notifications (RFC 3416 4.2.6, 4.2.7), with a community or as a user of SNMPv3 (RFC 3414).

An engine is made for each try, in a thread. Of notifications that nobody confirms the sender is the authority: a
manager takes only those whose boots are not less than it knows. So boots are seconds, which no restart puts back.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import time
from collections.abc import Sequence
from typing import Any, Final

from vittne.appliance.alarming.notice import Notice
from vittne.appliance.alarming.settings import AlarmSnmp
from vittne.appliance.keyring.secretfile import read_secret
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import rfc3339
from vittne.appliance.witness.target import OneThread

# Below the OID of our own, as in docs/VITTNE-MIB.txt.
TRAPS: Final = {"raised": "0.1", "cleared": "0.2", "test": "0.3"}
OBJECTS: Final = {"name": "1.1", "weight": "1.2", "words": "1.3", "about": "1.4", "first": "1.5", "host": "1.6"}
_TIMEOUT_S: Final = 5.0
_RETRIES: Final = 2
_BOOTS_FROM: Final = 1_700_000_000  # s: boots are counted from here, as 31 bits must hold them for long


def engine_id(host: str) -> bytes:
    """Return the name of our engine (RFC 3411 SnmpEngineID, octets of our own choice): the same at each start.

    >>> engine_id("recorder").hex()
    '80001f8880fa95ed0f1d33be068a9ab3'
    """
    return bytes.fromhex("80001f8880") + hashlib.sha256(f"vittne {host}".encode()).digest()[:11]


class SnmpCarrier:
    """One manager."""

    def __init__(self, settings: AlarmSnmp) -> None:
        self._settings = settings
        self._thread = OneThread()
        self.engine_id = engine_id(socket.gethostname())

    async def send(self, notices: Sequence[Notice], left_out: int) -> None:
        """Send one notification for each. Raises StoreError, OSError, TimeoutError."""
        await self._thread.run(lambda: asyncio.run(self._send(notices)))

    async def _send(self, notices: Sequence[Notice]) -> None:
        from pysnmp.error import PySnmpError  # noqa: PLC0415 - only where one is configured
        from pysnmp.hlapi.v3arch import asyncio as snmp  # noqa: PLC0415

        settings = self._settings
        where = f"{settings.host}:{settings.port}"
        loop = asyncio.get_running_loop()
        family, _, _, _, address = (await loop.getaddrinfo(settings.host, settings.port, type=socket.SOCK_DGRAM))[0]
        kind = snmp.Udp6TransportTarget if family == socket.AF_INET6 else snmp.UdpTransportTarget
        engine = self._engine(snmp)
        try:
            target = await kind.create((address[0], address[1]), timeout=_TIMEOUT_S, retries=_RETRIES)
            auth = self._auth(snmp)
            for one in notices:
                failed = await self._tell(snmp, engine, auth, target, one)
                if failed:
                    raise StoreError(f"the manager did not take it ({failed})", where, "see [[alarms.snmp]]")
        except PySnmpError as error:
            raise StoreError(f"SNMP failed ({type(error).__name__})", where, "see [[alarms.snmp]]") from error
        finally:
            engine.close_dispatcher()

    async def _tell(self, snmp: Any, engine: Any, auth: Any, target: Any, one: Notice) -> str:
        """Send one; return what went wrong, "" for nothing."""
        base = self._settings.oid
        text = snmp.OctetString
        values = {
            "name": one.name,
            "weight": one.weight,
            "words": one.words,
            "about": ", ".join(f"{name} {value}" for name, value in one.about.items()),
            "first": rfc3339(one.first_us),
            "host": socket.gethostname(),
        }
        kind = snmp.NotificationType(snmp.ObjectIdentity(f"{base}.{TRAPS[one.what]}")).add_varbinds(
            *(
                (f"{base}.{OBJECTS[name]}.0", text(value.encode()[:255].decode(errors="ignore").encode()))
                for name, value in values.items()
            )
        )
        how = "inform" if self._settings.inform else "trap"
        error, status, _, _ = await snmp.send_notification(engine, auth, target, snmp.ContextData(), how, kind)
        return str(error or (status and status.prettyPrint()) or "")

    def _engine(self, snmp: Any) -> Any:
        """Return an engine of our name. It is renamed once made: given it, pysnmp would keep files in /tmp."""
        engine = snmp.SnmpEngine()
        names = engine.get_mib_builder().import_symbols("__SNMP-FRAMEWORK-MIB", "snmpEngineID", "snmpEngineBoots")
        name, boots = names
        name.syntax = name.syntax.clone(self.engine_id)
        engine.snmpEngineID = name.syntax
        boots.syntax = boots.syntax.clone(max(1, int(time.time()) - _BOOTS_FROM))
        return engine

    def _auth(self, snmp: Any) -> Any:
        settings = self._settings
        if settings.version == "2c":
            assert settings.community_file is not None
            return snmp.CommunityData(read_secret(settings.community_file).decode(), mpModel=1)
        assert settings.auth_file is not None
        assert settings.privacy_file is not None
        protocols = {
            "sha": snmp.USM_AUTH_HMAC96_SHA,
            "sha256": snmp.USM_AUTH_HMAC192_SHA256,
            "sha512": snmp.USM_AUTH_HMAC384_SHA512,
            "aes128": snmp.USM_PRIV_CFB128_AES,
            "aes256": snmp.USM_PRIV_CFB256_AES,
        }
        return snmp.UsmUserData(
            settings.user,
            read_secret(settings.auth_file).decode(),
            read_secret(settings.privacy_file).decode(),
            authProtocol=protocols[settings.auth],
            privProtocol=protocols[settings.privacy],
            securityEngineId=None if settings.inform else snmp.OctetString(self.engine_id),
        )
