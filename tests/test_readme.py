"""What README and docs say is what the program does: settings, commands, counters, members of JSON, links."""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

import pytest
from building.playing import play
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from scenarios import digits, network, transfers

from vittne.appliance.alarming.settings import AlarmMail, AlarmSnmp
from vittne.appliance.api import consent as consent_routes
from vittne.appliance.api import pauses as pause_routes
from vittne.appliance.cli import parser
from vittne.appliance.config import Config, checked
from vittne.appliance.copies_cli import FORMATS
from vittne.appliance.policy.announcements import AnnouncementConfig
from vittne.appliance.policy.classes import PRESETS
from vittne.appliance.policy.config import BasisConfig, ClassConfig, RetentionConfig
from vittne.appliance.policy.decide import decide, policy_rules
from vittne.appliance.recordconfig import RecordConfig
from vittne.appliance.ruleconfig import RuleConfig
from vittne.appliance.seal import events
from vittne.appliance.signon.settings import LdapSource, OidcSource
from vittne.appliance.stamps.settings import AuthoritySettings
from vittne.appliance.storage.settings import StorageTarget
from vittne.appliance.store.rows import CallRow, StreamRow
from vittne.appliance.triggers.settings import AmiSettings, EslSettings
from vittne.appliance.witness.settings import DirectorySettings, MailSettings, SyslogSettings, WitnessSettings
from vittne.capture import gates
from vittne.capture.layers import Fate
from vittne.capture.pipeline import Settings
from vittne.capture.recordrules import Keys, RecordRule, RecordRules
from vittne.capture.rules import Rule

ROOT: Final = Path(__file__).resolve().parent.parent
PAGES: Final = sorted(
    [
        ROOT / "README.md",
        *(ROOT / "docs").glob("*.md"),
        ROOT / "capture/DESIGN.md",
        ROOT / "appliance/THREATS.md",
        ROOT / "systemd/README.md",
        ROOT / "ansible/README.md",
        ROOT / "CHANGELOG.md",
    ]
)
README: Final = (ROOT / "README.md").read_text()
SETTINGS: Final = "".join((ROOT / "docs" / name).read_text() for name in ("settings.md", "settings-tables.md"))
API: Final = (ROOT / "docs/api.md").read_text()
AUDITOR: Final = (ROOT / "docs/auditor.md").read_text()
RULES: Final = (ROOT / "docs/recording-rules.md").read_text()
EVENTS: Final = (ROOT / "docs/ledger-events.md").read_text()
OPERATOR: Final = (ROOT / "docs/operator.md").read_text()
INTEGRATOR: Final = (ROOT / "docs/integrator.md").read_text()

TABLES: Final[list[type[BaseModel]]] = [
    *(RuleConfig, AmiSettings, EslSettings, AuthoritySettings),
    *(RecordConfig, ClassConfig, RetentionConfig, BasisConfig, AnnouncementConfig),
    *(SyslogSettings, MailSettings, DirectorySettings, WitnessSettings),
    *(StorageTarget, OidcSource, LdapSource),
    *(AlarmMail, AlarmSnmp),
]

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


# Settings


def settings(model: type[BaseModel] = Config, prefix: str = "") -> dict[str, FieldInfo]:
    """Every key by its path. A table that may stand several times (rules, PBXs) is one key."""
    found: dict[str, FieldInfo] = {}
    for name, field in model.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            found |= settings(section, f"{prefix}{name}.")
        else:
            found[prefix + name] = field
    return found


def told_settings() -> dict[str, list[str]]:
    table = SETTINGS.split("| key | default | range |")[1].split("\n\n")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("| `")
    ]
    return {row[0].strip("`"): row[1:] for row in rows}


def toml(value: object) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return f"`{str(value).lower()}`"
        case tuple():
            return f"`{json.dumps(value)}`"
        case Path() | str():
            return f'`"{value}"`'
    return f"`{value}`"


def bounds(field: FieldInfo) -> str:
    found = {
        name: getattr(limit, name)
        for limit in field.metadata
        for name in ("ge", "le", "max_length")
        if hasattr(limit, name)
    }
    if "max_length" in found:
        return f"up to {found['max_length']}"
    if found:
        return f"{found['ge']} to {found['le']}"
    return ", ".join(f"`{word}`" for word in choices(field.annotation))


def choices(annotation: object) -> list[str]:
    """Return the words of a Literal, also of one that may be None."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [word for part in get_args(annotation) for word in choices(part)]


def test_the_settings_page_lists_every_setting_with_its_default_and_range() -> None:
    wanted = {name: [toml(field.default), bounds(field)] for name, field in settings().items()}

    assert {name: row[:2] for name, row in told_settings().items()} == wanted


def test_the_readme_leads_to_the_settings() -> None:
    assert "docs/settings.md" in README


@pytest.mark.parametrize("model", TABLES, ids=lambda model: model.__name__)
def test_every_key_of_a_table_is_described(model: type[BaseModel]) -> None:
    assert sorted(name for name in keys_of(model) if f"`{name}`" not in SETTINGS) == []


def keys_of(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def tables() -> set[str]:
    return {name for model in TABLES for name in keys_of(model)}


@every_page
def test_a_setting_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text()
    sections = "|".join({name.partition(".")[0] for name in settings() if "." in name})
    dotted = set(re.findall(rf"`((?:{sections})\.\w+)`", text))
    given = set(re.findall(r"`(\w+) = [^`]+`", text))

    files = {
        "keys.db",
        "keys.cms",
        "ledger.vkey",
        "catalogue.db",
        "site.yml",
        "inventory.yml",
        "backup.yml",
        "alarms.json",
    }
    assert dotted <= settings().keys() | events.MEMBERS.keys() | files
    assert given <= {name.rpartition(".")[2] for name in settings()} | tables()


def test_environment_variables_that_pages_name_are_those_of_the_code() -> None:
    pages = "".join(page.read_text() for page in PAGES)
    code = "".join(path.read_text() for path in (ROOT / "appliance").rglob("*.py"))

    assert set(re.findall(r"\bVITTNE_[A-Z_]+", pages)) == set(re.findall(r'"(VITTNE_[A-Z_]+)"', code))


# Commands


def blocks(text: str) -> Iterator[str]:
    """Lines of code blocks, fenced or indented, with continued lines joined."""
    fenced = False
    for line in text.replace("\\\n", " ").splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            yield line.strip()


def command_lines(text: str) -> Iterator[list[str]]:
    """Every command line of ours: in code blocks behind `$`, and in the text between backticks."""
    for line in blocks(text):
        if re.search(r"(^\$ |\bbin/|\| )vittne ", line) and "─" not in line:
            words = shlex.split(line.removeprefix("$ "), comments=True)
            start = next(n for n, word in enumerate(words) if word.split("/")[-1] == "vittne")
            rest = words[start + 1 :]
            yield rest[: rest.index("|")] if "|" in rest else rest
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    for found in re.findall(r"`vittne ([^`]+)`", prose):
        yield shlex.split(found)


@every_page
def test_every_command_line_on_a_page_is_one_that_the_program_takes(page: Path) -> None:
    assert [shlex.join(words) for words in command_lines(page.read_text()) if not is_taken(words)] == []


def is_taken(words: list[str]) -> bool:
    alone = len(words) == 1 and words[0] not in ("list", "streams", "version")  # the name of a command in a sentence
    try:
        parser().parse_args([words[0], "--help"] if alone else words)
    except SystemExit as end:
        return end.code == 0
    return True


def test_the_pages_show_commands() -> None:
    assert len(list(command_lines(README))) > 15


def test_every_format_of_export_is_described() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", INTEGRATOR.split("## Exports")[1], re.MULTILINE)) >= set(FORMATS)


@every_page
def test_targets_of_make_on_a_page_exist(page: Path) -> None:
    there = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = page.read_text()

    assert set(re.findall(r"`make (\w+)", text)) | set(re.findall(r"^\$ make (\w+)", text, re.MULTILINE)) <= there


# Counters


def words_of(node: ast.expr) -> Iterator[str]:
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp(body=body, orelse=orelse):
            yield from words_of(body)
            yield from words_of(orelse)


def counter_names() -> set[str]:
    """Names of counters that stand in the code as they are; those made from parts are left out."""
    names: set[str] = set()
    for folder in ("capture", "appliance"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                match node:
                    case ast.Call(func=ast.Name(id="Malformed"), args=[reason, *_]):
                        names |= set(words_of(reason))
                    case ast.Call(func=ast.Attribute(attr="count"), args=[reason]):
                        names |= set(words_of(reason))
                    case ast.Call(func=ast.Attribute(attr="_drop"), args=[_, reason]):
                        names |= set(words_of(reason))
                    case ast.Subscript(value=ast.Name(id=name) | ast.Attribute(attr=name), slice=reason):
                        names |= set(words_of(reason)) if name.lstrip("_") == "counters" else set()
    return names


def test_the_operators_guide_explains_every_counter() -> None:
    read = {"frames", "udp", "tcp", "tcp without payload", "fragment", "sip other method"}  # not shown: no losses
    names = {name for name in counter_names() | {fate.words for fate in Fate} if not name.startswith("encap ")}

    assert sorted(name for name in names - read if name and f"`{name}`" not in OPERATOR) == []


def test_the_operators_guide_explains_every_outcome_and_reason() -> None:
    code = "".join(path.read_text() for path in (ROOT / "capture").glob("*.py"))
    code += "".join((ROOT / "appliance" / f"{name}.py").read_text() for name in ("recorder", "recover", "worker"))
    reasons = set(re.findall(r'reasons\.add\("([a-z-]+)"\)', code))
    names = "RECORDED|PARTIAL|NO_MEDIA|ENCRYPTED|CAPTURE_LOSS|UNANSWERED|PAUSED_THROUGHOUT|DISCARDED|DISK|REASON"
    outcomes = set(re.findall(rf'^(?:{names}): Final = "([^"]+)"', code, re.MULTILINE))

    assert len(outcomes) == 10
    assert sorted(word for word in reasons | outcomes if f"`{word}`" not in OPERATOR) == []


# JSON


def reports() -> list[dict[str, Any]]:
    return [report for make in (transfers.b2bua, network.audio_and_video) for report in play(make()).reports]


def test_every_member_of_the_json_is_described() -> None:
    stream = StreamRow("caller", "PCMU", 0, 8000, 1, "", "", 0, 0, 0, 0)
    names = CallRow("", "", (), "", "", 0).as_json().keys() | stream.as_json().keys()
    for report in reports():
        details = report["details"]
        for part in (details, *details["links"], *details["dialogs"], *report["parties"]):
            names |= part.keys()

    assert sorted(name for name in names if f"`{name}`" not in INTEGRATOR) == []


def test_every_member_of_a_pause_is_described() -> None:
    everything = Settings(rules=(Rule("all", "number", "pause", numbers=("*",)),))
    pauses = [pause for report in play(transfers.b2bua(), everything).reports for pause in report["details"]["pauses"]]
    names = {name for pause in pauses for part in (pause, *pause["streams"]) for name in part}

    assert len(names) > 15
    assert sorted(name for name in names if f"`{name}`" not in INTEGRATOR) == []


def test_every_member_of_what_rules_decide_is_described() -> None:
    asked = RecordRules((RecordRule("ask", gate="after-consent", keys=Keys("9", "", "either")),))
    grounds = [{"name": "b", "lawful_basis": "consent", "purpose": "p", "proof": "consent"}]
    ground = policy_rules(checked({"basis": grounds}, "a test"))
    (report,) = play(digits.in_sip(), Settings(recording=asked)).reports
    ruled = report["details"]["recording_rule"]
    names = {
        name for part in (ruled, *ruled["decisions"], *ruled["rulings"], report["details"]["facts"]) for name in part
    }
    names |= set(decide(report, ground).basis)

    assert len(names) > 25
    assert sorted(name for name in names if f"`{name}`" not in INTEGRATOR) == []


def test_every_outcome_and_reason_of_rules_and_gates_is_explained() -> None:
    words = {gates.EXCLUDED, gates.DISCARDED, gates.REFUSED, gates.LIMIT, gates.NOT_OPENED, gates.GATE_LOST}

    for page in (OPERATOR, RULES):
        assert sorted(word for word in words if f"`{word}`" not in page) == []


def test_every_preset_of_retention_is_listed() -> None:
    assert sorted(name for name in PRESETS if f"`{name}`" not in RULES) == []


def test_every_event_of_the_ledger_is_explained() -> None:
    assert sorted(name for name in events.MEMBERS if f"`{name}`" not in EVENTS) == []


def test_every_route_and_problem_of_pauses_is_described() -> None:
    for module, page in ((pause_routes, API), (consent_routes, RULES)):
        problems = set(re.findall(r'"/problems/([a-z-]+)"', Path(str(module.__file__)).read_text()))
        assert sorted(name for name in problems if f"`{name}`" not in page) == []
        assert sorted(f"{r.method} {r.path}" for r in module.ROUTES if f"`{r.method} {r.path}" not in API) == []


# Links


def anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        path, _, anchor = target.partition("#")
        there = (page.parent / path) if path else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


@every_page
def test_a_page_is_short_enough_to_be_read(page: Path) -> None:
    assert len(page.read_text().splitlines()) <= 250


def test_every_alarm_is_explained() -> None:
    told = (ROOT / "docs/alarms.md").read_text()
    code = "".join(path.read_text() for path in sorted((ROOT / "appliance").rglob("*.py")))
    alarms = set(re.findall(r'"(alarm: [^"{}]+)"', code))

    assert len(alarms) > 15
    assert sorted(alarm for alarm in alarms if f"`{alarm}`" not in told) == []
