"""Options of `vittne export` and `bundle`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from vittne.appliance.calls_cli import PARTIES, add_audio, add_id
from vittne.appliance.cli_values import Add, call_of, data_of
from vittne.appliance.life_cli import add_purpose, add_review_reason
from vittne.appliance.store.errors import StoreError

FORMATS: Final = ("wav", "flac", "opus", "mp3", "mka", "pcap", "vcon")


def add_copies(add: Add) -> None:
    """Add `export` and `bundle`."""
    _add_export(add("export", _export, "write a call as audio, or as packets"))
    _add_bundle(add("bundle", _bundle, "write recordings with all that a stranger needs to check them"))


def _add_export(command: argparse.ArgumentParser) -> None:
    add_audio(add_id(command))
    command.add_argument("--format", choices=FORMATS, default="wav", help="default: wav")
    command.add_argument("-o", "--output", required=True, metavar="FILE", help="where to; - is standard output")
    command.add_argument("--force", action="store_true", help="replace the file when there is one")
    command.add_argument("--with-audio", action="store_true", help="vcon: the sound in it, as WAV")
    command.add_argument("--audio-url", default="", metavar="URL", help="vcon: its hash, and where the sound will be")
    command.add_argument("--to", type=Path, metavar="CERTIFICATE", help="vcon: encrypt for this recipient (PEM)")
    command.add_argument("--unsigned", action="store_true", help="vcon: plain JSON, not signed")
    command.add_argument("--as-imported", action="store_true", help="vcon: the one that it was imported from, as kept")


def _add_bundle(command: argparse.ArgumentParser) -> None:
    command.add_argument("ids", metavar="ID", nargs="+", help="calls' ids, or their first letters")
    command.add_argument("-o", "--output", required=True, metavar="WHERE", help="a new folder, or FILE.zip, FILE.tar")
    command.add_argument("--audio", choices=("flac", "wav", "none"), default="flac", help="the sound; default: flac")
    command.add_argument("--party", choices=PARTIES, default="both", help="whose voice; default: both")
    command.add_argument("--sealed", action="store_true", help="the sealed parts as well, as they are stored")
    command.add_argument(
        "--to", type=Path, metavar="CERTIFICATE", help="encrypt sound and keys for this recipient (PEM)"
    )
    command.add_argument("--checkpoint", type=Path, metavar="FILE", help="prove that the ledger begins with this one")
    command.add_argument("--force", action="store_true", help="replace a .zip or .tar file when there is one")
    add_purpose(command)
    add_review_reason(command)


def _export(options: argparse.Namespace) -> int:
    data = data_of(options)
    if options.format == "vcon":
        from vittne.appliance.vcon.export import VconOptions, export_vcon  # noqa: PLC0415

        wanted = VconOptions(
            options.party,
            options.with_audio,
            options.audio_url,
            options.to,
            options.unsigned,
            options.purpose,
            review=options.review,
            as_imported=options.as_imported,
        )
        return export_vcon(data, call_of(data, options.id), wanted, options.output, options.force)
    if options.with_audio or options.audio_url or options.to or options.unsigned or options.as_imported:
        raise StoreError("that is for vCons", options.output, "give --format vcon, or leave it out")
    from vittne.appliance import export  # noqa: PLC0415

    return export.export(
        data,
        call_of(data, options.id),
        options.format,
        options.output,
        options.party,
        not options.early_media,
        options.force,
        options.purpose,
        options.review,
    )


def _bundle(options: argparse.Namespace) -> int:
    from vittne.appliance import bundle_command  # noqa: PLC0415

    names = ("ids", "output", "audio", "party", "sealed", "to", "checkpoint", "force", "purpose", "review")
    wanted = bundle_command.BundleOptions(**{name: getattr(options, name) for name in names})
    return bundle_command.run(data_of(options), wanted)
