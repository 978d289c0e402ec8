"""What the routes about users, roles, tokens and factors share: orders to the one writer, and what nobody may do."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from vittne.appliance.access.factor_operations import FactorUsed
from vittne.appliance.access.operations import CannotChange
from vittne.appliance.access.users import NoSuchUser, User
from vittne.appliance.api.auth import GATE, principal_of
from vittne.appliance.api.logins import OPERATOR
from vittne.appliance.api.problems import Problem
from vittne.appliance.control.caller import Caller
from vittne.appliance.control.operation import Operation, Order


async def change(
    request: web.Request, operation: Operation[Any], order: Order, caller: Caller | None = None
) -> dict[str, Any]:
    """Have an operation done; return its answer. caller: where nobody is known yet. Raises Problem."""
    try:
        return await request.app[OPERATOR].perform(operation, order, caller or principal_of(request).caller)
    except NoSuchUser as error:
        raise Problem(404, "/problems/no-such-user", error.what.capitalize(), error.next_step) from None
    except CannotChange as error:
        raise Problem(409, "/problems/cannot-change", error.what.capitalize(), error.next_step) from None
    except FactorUsed as error:
        raise Problem(403, "/problems/not-right", error.what.capitalize(), error.next_step) from None


def user_asked(request: web.Request) -> User:
    """Return the user whose id stands in the address. Raises Problem."""
    found = request.app[GATE].users.get(request.match_info["id"])
    if found is None:
        raise Problem(404, "/problems/no-such-user", "There is no such user", "GET /api/v1/users lists them")
    return found


def not_oneself(request: web.Request, user: User) -> None:
    """Raise Problem when somebody would change what they may do or see themselves: somebody else must."""
    if principal_of(request).person == user.id:
        detail = "somebody else who may change users can do it, or `vittne user` on the recorder"
        raise Problem(403, "/problems/not-ones-own", "Nobody changes their own rights", detail)
