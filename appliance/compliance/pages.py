"""A report as one HTML file, and as a PDF to print. Every text is shown as text, whatever somebody wrote into it."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from vittne.appliance.compliance.finding import MET, NOT_COVERED, NOT_MET
from vittne.appliance.compliance.report import CAUTION, Report
from vittne.appliance.terminal import clean

_FONTS: Final = Path("/usr/share/fonts/truetype/dejavu")
_WIDTHS: Final = (32, 62, 30, 99, 46)  # mm, of 269 between the margins of A4 landscape
_COLOURS: Final = {MET: (26, 127, 55), NOT_MET: (179, 38, 30), NOT_COVERED: (154, 103, 0)}
_GREY: Final = (89, 99, 110)
_LONGEST: Final = 2000  # letters in a cell: a page must hold it


def as_html(report: Report) -> bytes:
    """Return a page that needs nothing else."""
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415

    text = files("vittne.appliance.compliance").joinpath("report.html").read_text("utf-8")
    made = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(text)
    return made.render(report=report, caution=CAUTION).encode()


def as_pdf(report: Report) -> bytes:
    """Return a PDF, A4 landscape. Without the DejaVu fonts, letters beyond Latin-1 become question marks."""
    from fpdf import FPDF  # noqa: PLC0415 - only who wants a PDF pays for it

    class Pages(FPDF):
        def footer(self) -> None:
            self.set_y(-12)
            self.set_font(size=7)
            self.set_text_color(*_GREY)
            self.cell(0, 5, f"{self.page_no()}/{{nb}}", align="R")

    pdf = Pages(orientation="landscape", format="A4")
    pdf.set_margin(14)
    pdf.set_title("Vittne: auditor's report")
    pdf.set_creator("vittne")
    family = _family(pdf)
    pdf.add_page()
    pdf.set_font(family, "B", 16)
    pdf.cell(0, 10, "Auditor's report", new_x="LMARGIN", new_y="NEXT")
    for name, value in report.head():
        pdf.set_font(family, "", 8)
        pdf.set_text_color(*_GREY)
        pdf.cell(22, 5, name)
        pdf.set_text_color(0)
        pdf.multi_cell(0, 5, _text(value, family), new_x="LMARGIN", new_y="NEXT")
    pdf.ln(2)
    pdf.multi_cell(0, 5, CAUTION, new_x="LMARGIN", new_y="NEXT")
    for title, rows in report.by_regime():
        pdf.ln(5)
        if pdf.will_page_break(30):
            pdf.add_page()
        pdf.set_font(family, "B", 11)
        pdf.cell(0, 8, title, new_x="LMARGIN", new_y="NEXT")
        _table(pdf, family, rows)
    return bytes(pdf.output())


def _table(pdf: Any, family: str, rows: list[Any]) -> None:
    from fpdf.fonts import FontFace  # noqa: PLC0415

    pdf.set_font(family, "", 7)
    pdf.set_draw_color(209, 217, 224)
    head = FontFace(emphasis="BOLD", color=_GREY, fill_color=(255, 255, 255))
    look = {"borders_layout": "HORIZONTAL_LINES", "headings_style": head, "line_height": 3.6, "text_align": "LEFT"}
    with pdf.table(col_widths=_WIDTHS, padding=1.2, v_align="TOP", **look) as table:
        table.row(("where", "asks", "state", "found", "shown by"))
        for one in rows:
            state = FontFace(emphasis="BOLD", color=_COLOURS.get(one.finding.state, _GREY))
            command = f"vittne {one.row.command}" if one.row.command else ""
            row = table.row()
            row.cell(_text(one.row.article, family))
            row.cell(_text(one.row.asks, family))
            row.cell(one.finding.state, style=state)
            row.cell("\n".join(_text(words, family) for words in one.finding.evidence)[:_LONGEST])
            row.cell(_text(command, family))


def _family(pdf: Any) -> str:
    """Return the font to write with: DejaVu where it is installed, else one that every reader of PDF has."""
    plain, bold = _FONTS / "DejaVuSans.ttf", _FONTS / "DejaVuSans-Bold.ttf"
    if not (plain.exists() and bold.exists()):
        return "helvetica"
    pdf.add_font("dejavu", "", plain)
    pdf.add_font("dejavu", "B", bold)
    return "dejavu"


def _text(text: str, family: str) -> str:
    shown = clean(text, _LONGEST)
    return shown if family == "dejavu" else shown.encode("latin-1", "replace").decode("latin-1")
