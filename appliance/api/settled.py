"""The configuration in force, for what answers by it."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from vittne.appliance.config import Config
from vittne.appliance.life.policy import LifePolicy
from vittne.appliance.life.settings import life_policy

CONFIG: Final = web.AppKey("vittne.config", Config)


def policy_of(config: Config) -> LifePolicy:
    """Return the part that is about the life of recordings."""
    return life_policy(config.approval, config.store, config.classes)
