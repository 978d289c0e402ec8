"""botocore's client, told everything: nothing of the environment, of ~/.aws or of a proxy has a say in it."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Any, Final

from botocore.config import Config
from botocore.session import Session

from vittne.appliance.storage.credentials import credentials_of
from vittne.appliance.storage.settings import StorageTarget
from vittne.appliance.storage.target import TargetAway

_SYSTEM_CA: Final = "/etc/ssl/certs/ca-certificates.crt"


def s3_client(settings: StorageTarget) -> Any:
    """Return a client for the configured endpoint. Raises TargetAway (credentials, certificates)."""
    key, secret = credentials_of(settings)
    ca = str(settings.ca_file) if settings.ca_file is not None else _system_ca()
    if settings.ca_file is not None and not settings.ca_file.is_file():
        raise TargetAway("the certificates of this target are not there", settings.ca_file, "mend ca_file")
    nothing: Any = (None, None, None, None)  # neither a variable of the environment nor a file says anything
    session = Session(
        session_vars={
            **dict.fromkeys(("profile", "ca_bundle", "region", "data_path", "sdk_ua_app_id"), nothing),
            **dict.fromkeys(("config_file", "credentials_file"), (None, None, os.devnull, None)),
        }
    )
    return session.create_client(
        "s3",
        region_name=settings.region,
        endpoint_url=settings.endpoint,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        verify=ca,
        config=Config(
            signature_version="s3v4",
            s3={
                "addressing_style": "path",
                "use_accelerate_endpoint": False,
                "us_east_1_regional_endpoint": "regional",
            },
            proxies={},
            connect_timeout=min(settings.timeout_s, 10),
            read_timeout=settings.timeout_s,
            retries={"mode": "standard", "total_max_attempts": 3},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            ignore_configured_endpoint_urls=True,
            user_agent="vittne",
        ),
    )


def _system_ca() -> str | bool:
    found = ssl.get_default_verify_paths().cafile or _SYSTEM_CA
    return found if Path(found).is_file() else True
