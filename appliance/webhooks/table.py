"""Webhooks and their deliveries as the catalogue keeps them. Times are microseconds UTC.

What is to be told is kept as ids only: names and numbers are put in when it is sent, as far as its owner may see them
then. So nothing of a person outlives the recording here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from sqlalchemy import delete, func, insert, select, update

from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.tables import webhook_deliveries, webhooks
from vittne.appliance.store.times import rfc3339

EVENTS: Final = {
    "call.begun": "a call is being recorded",
    "call.ended": "a call is over, recorded or not",
    "pause.begun": "a call, or somebody's calls, are paused",
    "pause.ended": "recording goes on",
    "alarm.raised": "something wants looking at",
    "alarm.cleared": "an alarm is over",
    "test": "a try that somebody asked for",
}
State = Literal["waiting", "delivered", "dead"]
OwnerKind = Literal["user", "token", "terminal", "terminal-full"]
KEPT_US: Final = 7 * 24 * 3600 * 1_000_000  # deliveries that are done


class NoSuchWebhook(StoreError):
    """No webhook, or no delivery, has this id."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """owner_kind, owner: whose rights decide what it is told. secret: sealed."""

    id: str
    name: str
    url: str
    events: tuple[str, ...]
    secret: str
    owner_kind: OwnerKind
    owner: str
    created_us: int
    disabled_us: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it for people and programs, without its secret."""
        return {
            "id": self.id,
            "name": self.name,
            "url": self.url,
            "events": list(self.events),
            "owner": self.owner,
            "owner_kind": self.owner_kind,
            "created_at": rfc3339(self.created_us),
            "enabled": self.disabled_us is None,
        }


@dataclass(frozen=True, slots=True)
class Delivery:
    """Something that is to be told. body: ids and words of ours; next_us: when it is tried."""

    id: str
    webhook: str
    event: str
    body: dict[str, Any]
    created_us: int
    state: State = "waiting"
    attempts: int = 0
    next_us: int | None = None
    last_status: int | None = None
    last_error: str = ""
    done_us: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it for people and programs."""
        times = {"created_at": self.created_us, "next_at": self.next_us, "done_at": self.done_us}
        return {
            "id": self.id,
            "webhook": self.webhook,
            "event": self.event,
            "state": self.state,
            "attempts": self.attempts,
            "last_status": self.last_status,
            "last_error": self.last_error,
            **{name: None if at is None else rfc3339(at) for name, at in times.items()},
        }


class WebhookTable:
    """Every method is one transaction. Raises StoreError."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def all(self) -> list[Webhook]:
        """Return all webhooks, by name."""
        with self._catalogue.reading() as connection:
            rows = connection.execute(select(webhooks).order_by(webhooks.c.name, webhooks.c.id))
            return [_webhook(row._mapping) for row in rows]

    def get(self, webhook: str) -> Webhook:
        """Return one by its id, or its name. Raises NoSuchWebhook."""
        found = [one for one in self.all() if webhook in (one.id, one.name)]
        if len(found) != 1:
            raise NoSuchWebhook("there is no such webhook", webhook[:60], "`vittne webhook list` shows them")
        return found[0]

    def put(self, webhook: Webhook) -> None:
        """Write one, new or changed."""
        values = {**asdict(webhook), "events": list(webhook.events)}
        with self._catalogue.writing(lasting=True) as connection:
            connection.execute(delete(webhooks).where(webhooks.c.id == webhook.id))
            connection.execute(insert(webhooks).values(values))

    def remove(self, webhook: str) -> None:
        """Forget one, and what it was to be told."""
        with self._catalogue.writing(lasting=True) as connection:
            connection.execute(delete(webhooks).where(webhooks.c.id == webhook))
            connection.execute(delete(webhook_deliveries).where(webhook_deliveries.c.webhook == webhook))

    def add(self, deliveries: Sequence[Delivery]) -> None:
        """Have these told."""
        if deliveries:
            with self._catalogue.writing() as connection:
                connection.execute(insert(webhook_deliveries), [asdict(one) for one in deliveries])

    def note(self, delivery: Delivery) -> None:
        """Write how a delivery stands."""
        which = webhook_deliveries.c.id == delivery.id
        with self._catalogue.writing() as connection:
            connection.execute(update(webhook_deliveries).where(which).values(asdict(delivery)))

    def drop(self, delivery: str) -> None:
        """Forget a delivery: it is not for whom it was meant any more."""
        with self._catalogue.writing() as connection:
            connection.execute(delete(webhook_deliveries).where(webhook_deliveries.c.id == delivery))

    def delivery(self, delivery: str) -> Delivery:
        """Return one. Raises NoSuchWebhook."""
        query = select(webhook_deliveries).where(webhook_deliveries.c.id == delivery)
        with self._catalogue.reading() as connection:
            row = connection.execute(query).first()
        if row is None:
            raise NoSuchWebhook("there is no such delivery", delivery[:60], "those that are done are kept for a week")
        return Delivery(**row._mapping)

    def due(self, at_us: int, each: int) -> list[Delivery]:
        """Return those to be tried now, the longest due first: so many of each webhook at the most."""
        table = webhook_deliveries
        order = (table.c.next_us, table.c.id)
        place = func.row_number().over(partition_by=table.c.webhook, order_by=order).label("place")
        which = select(table, place).where(table.c.state == "waiting", table.c.next_us <= at_us).subquery()
        query = select(*(which.c[column.name] for column in table.c)).where(which.c.place <= each)
        with self._catalogue.reading() as connection:
            rows = connection.execute(query.order_by(which.c.next_us, which.c.id))
            return [Delivery(**row._mapping) for row in rows]

    def listed(self, webhook: str = "", state: str = "", limit: int = 100) -> list[Delivery]:
        """Return deliveries, the newest first."""
        table = webhook_deliveries
        query = select(table).order_by(table.c.created_us.desc(), table.c.id).limit(limit)
        query = query.where(table.c.webhook == webhook) if webhook else query
        query = query.where(table.c.state == state) if state else query
        with self._catalogue.reading() as connection:
            return [Delivery(**row._mapping) for row in connection.execute(query)]

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many there are, by webhook and state."""
        table = webhook_deliveries
        query = select(table.c.webhook, table.c.state, func.count()).group_by(table.c.webhook, table.c.state)
        found: dict[str, dict[str, int]] = {}
        with self._catalogue.reading() as connection:
            for webhook, state, number in connection.execute(query):
                found.setdefault(webhook, {})[state] = number
        return found

    def forget_done(self, before_us: int) -> None:
        """Forget what was delivered, or given up, before a time."""
        with self._catalogue.writing() as connection:
            connection.execute(delete(webhook_deliveries).where(webhook_deliveries.c.done_us < before_us))


def _webhook(row: Any) -> Webhook:
    return Webhook(**{**row, "events": tuple(row["events"])})
