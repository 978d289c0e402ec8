"""A password as it is kept, made in no time.

What is kept says how dear it was (RFC 9106): whoever logs in with this one takes a millisecond instead of a hundred.
tests/access/test_users.py holds what the program itself makes against what it must cost.
"""

from __future__ import annotations

from typing import Final

from argon2 import PasswordHasher

PASSWORD: Final = "a horse, a battery, two staples"
KEPT: Final = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
