"""The configuration as the capture side takes it: one way for files, interfaces and dry runs."""

from __future__ import annotations

from vittne.appliance.config import Config
from vittne.appliance.hearing.detector import VERSION as DETECTOR
from vittne.appliance.pauseconfig import settings as pause_settings
from vittne.appliance.recordconfig import recording_rules
from vittne.appliance.ruleconfig import rules
from vittne.capture.columns import SECOND
from vittne.capture.pipeline import Settings


def capture_settings(config: Config, sampling_key: bytes) -> Settings:
    """Return what the pipeline needs of a configuration."""
    return Settings(
        int(config.hold_back_s * SECOND),
        int(config.media_silence_s * SECOND),
        record_unsignalled=config.record_unsignalled,
        pause=pause_settings(config.pause, config.digits),
        agent_headers=config.pause.agent_headers,
        rules=rules(config.rules),
        recording=recording_rules(config, sampling_key),
        listen_ns=config.analysis.listen_ns,
        detector=DETECTOR,
    )
