"""One SIP dialog, written message by message (RFC 3261), through any number of proxies."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from building.carriers import Carrier
from building.sdp import sdp
from building.truth import CallTruth

if TYPE_CHECKING:
    from builders import Scenario

HOP_S: Final = 0.002  # a proxy takes 2 ms
Headers = Iterable[tuple[str, str]]
REASONS: Final = {
    100: "Trying",
    180: "Ringing",
    181: "Call Is Being Forwarded",
    183: "Session Progress",
    200: "OK",
    202: "Accepted",
    302: "Moved Temporarily",
    401: "Unauthorized",
    404: "Not Found",
    407: "Proxy Authentication Required",
    481: "Call/Transaction Does Not Exist",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    491: "Request Pending",
    503: "Service Unavailable",
}
TRY_AGAIN: Final = (401, 407, 422, 491)  # a final response that is not the end of the attempt


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A telephone, gateway, PBX or proxy. public_*: what the mirror shows when a NAT is in the way."""

    name: str
    ip: str
    user: str = ""
    rtp_port: int = 40_000
    sip_port: int = 5060
    public_ip: str = ""
    public_rtp_port: int = 0

    @property
    def wire_ip(self) -> str:
        return self.public_ip or self.ip

    @property
    def wire_rtp_port(self) -> int:
        return self.public_rtp_port or self.rtp_port

    @property
    def host(self) -> str:
        return f"[{self.ip}]" if ":" in self.ip else self.ip

    @property
    def uri(self) -> str:
        return f"sip:{self.user or self.name}@{self.host}:{self.sip_port}"

    @property
    def address_of_record(self) -> str:
        return f"sip:{self.user or self.name}@example.net"

    def moved(self, rtp_port: int, ip: str = "") -> Endpoint:
        """The same party with its media elsewhere."""
        return dataclasses.replace(self, rtp_port=rtp_port, ip=ip or self.ip)


@dataclass(frozen=True, slots=True)
class Transaction:
    """A request as responses, ACK and CANCEL refer to it."""

    method: str
    number: int
    from_caller: bool
    branch: str
    uri: str
    forms_dialog: bool


def message(start: str, headers: Headers, body: bytes = b"") -> bytes:
    """A SIP message; Content-Length is added."""
    lines = [start, *(f"{name}: {value}" for name, value in headers), f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class Dialog:
    """Requests and responses of one dialog, each sent over every hop of its path.

    path: the proxies between caller and callee. visible: which hops the mirror shows
    (0 is the caller's own), None for all. Times are seconds from the scenario's start.
    """

    def __init__(
        self,
        scenario: Scenario,
        caller: Endpoint,
        callee: Endpoint,
        call: CallTruth,
        *,
        carrier: Carrier,
        call_id: str,
        path: Sequence[Endpoint] = (),
        visible: Iterable[int] | None = None,
        compact: bool = False,
    ) -> None:
        self.scenario, self.caller, self.callee, self.call = scenario, caller, callee, call
        self.carrier, self.call_id, self.path, self.compact = carrier, call_id, tuple(path), compact
        self.visible = None if visible is None else frozenset(visible)
        self.caller_tag, self.callee_tag = scenario.token("a"), ""
        self.transactions: dict[str, Transaction] = {}
        self.headers: list[tuple[str, str]] = []  # added to every message: Session-ID, X-CID
        self.fork_mark = ""  # told apart by the branch that the forking proxy gives
        self._numbers = {True: 0, False: 100}
        if call_id not in call.call_ids:
            call.call_ids.append(call_id)

    # Sending

    def request(
        self,
        at: float,
        method: str,
        *,
        by: Endpoint | None = None,
        body: bytes = b"",
        content_type: str = "application/sdp",
        headers: Headers = (),
        uri: str = "",
    ) -> Transaction:
        """Send a new request of the caller, or of `by`."""
        from_caller = by is None or by.name == self.caller.name
        first = method in ("INVITE", "REGISTER", "OPTIONS", "SUBSCRIBE", "MESSAGE") and not self.callee_tag
        target = self.callee if from_caller else self.caller
        self._numbers[from_caller] += 1
        transaction = Transaction(
            method,
            self._numbers[from_caller],
            from_caller,
            self.scenario.token("z9hG4bK"),
            uri or (f"sip:{target.user or target.name}@{target.host}" if first else target.uri),
            first,
        )
        self.transactions[method] = transaction
        self._send_request(at, transaction, method, body, content_type, headers)
        return transaction

    def again(
        self, at: float, transaction: Transaction, method: str = "", *, body: bytes = b"", headers: Headers = ()
    ) -> None:
        """Send a request of a known transaction: a retransmission, its CANCEL, or the ACK of a failure."""
        self._send_request(at, transaction, method or transaction.method, body, "application/sdp", headers)

    def respond(
        self,
        at: float,
        status: int,
        to: Transaction | str = "INVITE",
        *,
        body: bytes = b"",
        content_type: str = "application/sdp",
        headers: Headers = (),
        reason: str = "",
    ) -> None:
        """Send a response to a transaction, or to the last one of a method."""
        transaction = self.transactions[to] if isinstance(to, str) else to
        if status > 100 and not self.callee_tag:
            self.callee_tag = self.scenario.token("b")
        answerer = self.callee if transaction.from_caller else self.caller
        hops = self._hops(transaction.from_caller)
        start = f"SIP/2.0 {status} {reason or REASONS[status]}"
        seen = False
        for passed, hop in enumerate(reversed(range(len(hops)))):
            lines = self._vias(hops, hop, transaction.branch, seen_by_server=True)
            if transaction.forms_dialog and status > 100:
                lines += self._record_route(len(self.path))
            lines += self._names(transaction, with_tag=status > 100)
            lines.append(("CSeq", f"{transaction.number} {transaction.method}"))
            if transaction.method in ("INVITE", "UPDATE", "REFER", "SUBSCRIBE") and status > 100:
                lines.append(("Contact", f"<{answerer.uri}>"))
            lines += [*self.headers, *headers, *([("Content-Type", content_type)] if body else [])]
            src, dst = hops[hop][1], hops[hop][0]
            seen |= self._put(at + passed * HOP_S, hop, src, dst, transaction, message(start, lines, body))
        if seen:
            self._note_response(at, status, transaction)

    def _send_request(
        self, at: float, transaction: Transaction, method: str, body: bytes, content_type: str, headers: Headers
    ) -> None:
        sender = self.caller if transaction.from_caller else self.callee
        hops = self._hops(transaction.from_caller)
        seen = False
        for hop, (src, dst) in enumerate(hops):
            lines = self._vias(hops, hop, transaction.branch)
            if transaction.forms_dialog:
                lines += self._record_route(hop)
            else:
                onward = self.path[hop:] if transaction.from_caller else self.path[::-1][hop:]
                lines += [("Route", f"<sip:{proxy.host};lr>") for proxy in onward]
            lines.append(("Max-Forwards", str(70 - hop)))
            lines += self._names(transaction, with_tag=not transaction.forms_dialog or method == "ACK")
            lines.append(("CSeq", f"{transaction.number} {method}"))
            if method not in ("ACK", "CANCEL", "BYE"):
                lines.append(("Contact", f"<{sender.uri}>"))
            lines += [*self.headers, *headers, *([("Content-Type", content_type)] if body else [])]
            data = message(f"{method} {transaction.uri} SIP/2.0", lines, body)
            seen |= self._put(at + hop * HOP_S, hop, src, dst, transaction, data)
        if seen:
            self._note_request(at, method)

    def _hops(self, from_caller: bool) -> list[tuple[Endpoint, Endpoint]]:
        """(from, to) of every hop of a request."""
        chain = [self.caller, *self.path, self.callee]
        chain = chain if from_caller else chain[::-1]
        return list(itertools.pairwise(chain))

    def _put(self, at: float, hop: int, src: Endpoint, dst: Endpoint, transaction: Transaction, data: bytes) -> bool:
        """Put a message on the wire; return whether the mirror shows it."""
        place = hop if transaction.from_caller else len(self.path) - hop
        at_ns = self.scenario.ns(at)
        if self.visible is not None and place not in self.visible:
            return False
        if self.compact:
            data = _compacted(data)
        self.carrier.send(at_ns, (src.wire_ip, src.sip_port), (dst.wire_ip, dst.sip_port), data)
        return self.scenario.shows(at_ns, src.wire_ip, dst.wire_ip)

    def _vias(
        self, hops: Sequence[tuple[Endpoint, Endpoint]], hop: int, branch: str, *, seen_by_server: bool = False
    ) -> list[tuple[str, str]]:
        vias = []
        for number in range(hop, -1, -1):
            src = hops[number][0]
            mark = f"{number}{self.fork_mark}" if number else "0"
            value = f"SIP/2.0/{self.carrier.via} {src.host}:{src.sip_port};branch={branch}.{mark}"
            known = seen_by_server or number < hop
            value += f";received={src.wire_ip};rport={src.sip_port}" if known and src.public_ip else ";rport"
            vias.append(("Via", value))
        return vias

    def _record_route(self, proxies: int) -> list[tuple[str, str]]:
        return [("Record-Route", f"<sip:{proxy.host};lr>") for proxy in reversed(self.path[:proxies])]

    def _names(self, transaction: Transaction, *, with_tag: bool) -> list[tuple[str, str]]:
        caller = f'"{self.caller.name.title()}" <{self.caller.address_of_record}>;tag={self.caller_tag}'
        callee = f"<{self.callee.address_of_record}>"
        if self.callee_tag and (with_tag or not transaction.from_caller):
            callee += f";tag={self.callee_tag}"
        names = (caller, callee) if transaction.from_caller else (callee, caller)
        return [("From", names[0]), ("To", names[1]), ("Call-ID", self.call_id)]

    # What the scenario expects

    def _note_request(self, at: float, method: str) -> None:
        if method == "INVITE" and self.call.invited_at_ns is None:
            self.call.invited_at_ns = self.scenario.ns(at)
            self.call.end_reason = "unanswered"

    def _note_response(self, at: float, status: int, transaction: Transaction) -> None:
        if transaction.method != "INVITE" or self.call.answered_at_ns is not None or status < 200:
            return
        if status < 300:
            self.call.answered_at_ns = self.scenario.ns(at)
            self.call.end_reason = "capture-end"
            self.call.outcome = self.call.outcome or "recorded"
        elif status not in TRY_AGAIN:
            self.call.end_reason = "cancelled" if status == 487 else "redirected" if status < 400 else "rejected"

    # The usual messages

    def invite(self, at: float, body: bytes = b"", *, by: Endpoint | None = None, headers: Headers = ()) -> Transaction:
        """INVITE, or re-INVITE once the dialog has both tags."""
        return self.request(at, "INVITE", by=by, body=body, headers=headers)

    def ack(self, at: float, body: bytes = b"", *, to: Transaction | None = None) -> None:
        """ACK of a 2xx: a transaction of its own with the INVITE's number (RFC 3261 13.2.2.4)."""
        invite = to or self.transactions["INVITE"]
        target = self.callee if invite.from_caller else self.caller
        fresh = dataclasses.replace(
            invite, method="ACK", branch=self.scenario.token("z9hG4bK"), uri=target.uri, forms_dialog=False
        )
        self._send_request(at, fresh, "ACK", body, "application/sdp", ())

    def ack_failure(self, at: float, *, to: Transaction | None = None) -> None:
        """ACK of a 3xx to 6xx: part of the INVITE's transaction (RFC 3261 17.1.1.3). A next attempt begins afresh."""
        invite = to or self.transactions["INVITE"]
        self.again(at, invite, "ACK")
        if invite.forms_dialog:
            self.callee_tag = ""

    def cancel(self, at: float) -> None:
        """CANCEL, its 200, the INVITE's 487 and the ACK of that."""
        invite = self.transactions["INVITE"]
        self.again(at, invite, "CANCEL")
        self.respond(at + 0.01, 200, dataclasses.replace(invite, method="CANCEL", forms_dialog=False))
        self.respond(at + 0.02, 487, invite)
        self.ack_failure(at + 0.03, to=invite)

    def bye(self, at: float, *, by: Endpoint | None = None, answered: bool = True, headers: Headers = ()) -> None:
        """BYE and its 200; the call ends here unless a later BYE says otherwise."""
        src, dst = (
            (self.caller, self.callee) if by is None or by.name == self.caller.name else (self.callee, self.caller)
        )
        self.request(at, "BYE", by=by, headers=headers)
        if self.scenario.shows(self.scenario.ns(at), src.wire_ip, dst.wire_ip) or self.path:
            self.call.ended_at_ns, self.call.end_reason = self.scenario.ns(at), "bye"
        if answered:
            self.respond(at + 0.01, 200, "BYE")

    def exchange(
        self,
        at: float,
        method: str,
        *,
        by: Endpoint | None = None,
        body: bytes = b"",
        content_type: str = "application/sdp",
        headers: Headers = (),
        status: int = 200,
        answer: bytes = b"",
    ) -> Transaction:
        """A request and its response 10 ms later; an INVITE's ACK 10 ms after that."""
        transaction = self.request(at, method, by=by, body=body, content_type=content_type, headers=headers)
        self.respond(at + 0.01, status, transaction, body=answer)
        if method == "INVITE" and status < 300:
            self.ack(at + 0.02, to=transaction)
        elif method == "INVITE":
            self.ack_failure(at + 0.02, to=transaction)
        elif status >= 300 and transaction.forms_dialog:
            self.callee_tag = ""
        return transaction

    def set_up(
        self,
        at: float,
        *,
        answer_after: float = 0.5,
        offer: bytes | None = None,
        answer: bytes | None = None,
        headers: Headers = (),
    ) -> float:
        """INVITE, 100, 180, 200 and ACK with plain G.711 offers unless given; return the time of the 200."""
        offer = sdp(self.caller.ip, self.caller.rtp_port) if offer is None else offer
        answer = sdp(self.callee.ip, self.callee.rtp_port) if answer is None else answer
        self.invite(at, offer, headers=headers)
        self.respond(at + 0.01, 100)
        self.respond(at + 0.05, 180)
        self.respond(at + answer_after, 200, body=answer)
        self.ack(at + answer_after + 0.01)
        return at + answer_after

    def fork(self, callee: Endpoint, at: float) -> Dialog:
        """A second branch of the INVITE to another callee: same Call-ID and From tag, its own To tag."""
        branch = Dialog(
            self.scenario,
            self.caller,
            callee,
            self.call,
            carrier=self.carrier,
            call_id=self.call_id,
            path=self.path,
            visible=self.visible,
        )
        branch.caller_tag, branch._numbers = self.caller_tag, dict(self._numbers)
        branch.fork_mark, branch.headers = self.scenario.token("f"), list(self.headers)
        branch.transactions = dict(self.transactions)
        last = len(self.path)
        if last and (self.visible is None or last in self.visible):
            whole, branch.visible = branch.visible, frozenset((last,))
            branch.again(at, self.transactions["INVITE"], body=sdp(self.caller.ip, self.caller.rtp_port))
            branch.visible = whole
        return branch


COMPACT: Final = {
    "Via": "v",
    "From": "f",
    "To": "t",
    "Call-ID": "i",
    "Contact": "m",
    "Content-Length": "l",
    "Content-Type": "c",
    "Supported": "k",
    "Session-Expires": "x",
    "Refer-To": "r",
}


def _compacted(data: bytes) -> bytes:
    """The message with compact header names (RFC 3261 7.3.3)."""
    head, blank, body = data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    for number, line in enumerate(lines[1:], 1):
        name, colon, value = line.partition(":")
        lines[number] = COMPACT.get(name, name) + colon + value
    return "\r\n".join(lines).encode() + blank + body
