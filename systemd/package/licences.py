"""Prints the package's copyright file: our licence, and that of each distribution that the package carries.

licences.py SITE. Machine-readable (copyright-format 1.0). The licences' own texts lie in the package, beside the
metadata of each distribution; what is common on Debian is referred to where Debian has it.
"""

from __future__ import annotations

import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path

HOME = "usr/lib/vittne/lib/python3*/site-packages"
_APACHE = " On Debian systems the text is in /usr/share/common-licenses/Apache-2.0."
# Wheels bring libraries that their metadata do not name.
_BROUGHT = {
    "av": (
        "GPL-2+ and LGPL-2.1+ and BSD-3-clause and BSD-2-clause",
        "FFmpeg's libraries with libx264 and libx265 (GPL-2+), LAME, GnuTLS, GMP and Nettle (LGPL), opus, vpx, dav1d"
        " and SVT-AV1 (BSD): dynamically linked, each under its own licence. Sources: pyav-ffmpeg, which built them.",
    ),
    "numpy": ("BSD-3-clause and GPL-3+ with GCC exception", "OpenBLAS (BSD-3-clause), libgfortran (GCC exception)."),
    "cryptography": ("Apache-2.0 or BSD-3-clause", "OpenSSL (Apache-2.0), in its module."),
    "pylibsrtp": ("BSD-3-clause", "libsrtp (BSD-3-clause) and OpenSSL (Apache-2.0)."),
    "pillow": ("MIT-CMU", "libjpeg-turbo, zlib-ng, freetype, lcms2, openjpeg, tiff, webp and others, in pillow.libs."),
}


def licence_of(found: Distribution) -> str:
    """Return what the metadata say, shortest first: expression, classifiers, free text's first line."""
    metadata = found.metadata
    expression = metadata.get("License-Expression")
    classifiers = [
        line.split(" :: ")[-1] for line in metadata.get_all("Classifier") or [] if line.startswith("License")
    ]
    free = (metadata.get("License") or "").strip().splitlines()
    return expression or " and ".join(classifiers) or (free[0] if free else "") or "see its metadata"


def texts_of(found: Distribution) -> list[str]:
    files = [str(file) for file in found.files or [] if "dist-info" in str(file)]
    return [file for file in files if any(word in file.upper() for word in ("LICEN", "COPYING", "NOTICE", "AUTHORS"))]


def stanza(found: Distribution) -> tuple[list[str], str, list[str]]:
    """Return the lines of one distribution, the name of its licence, and the lines that explain it."""
    name = found.name
    folder = Path(str(found._path)).name  # type: ignore[attr-defined]
    modules = sorted({str(file).split("/")[0] for file in found.files or []} - {folder, "..", "__pycache__"})
    paths = [f"{HOME}/{module}{'/*' if '.' not in module or module.endswith('.libs') else ''}" for module in modules]
    author = found.metadata.get("Author") or found.metadata.get("Author-email") or found.metadata.get("Maintainer")
    said, brought = _BROUGHT.get(name.lower(), (licence_of(found), ""))
    label = f"{name}-{found.version}"
    holder = " ".join((author or f"the authors of {name}").split())
    lines = [f"Files: {' '.join([f'{HOME}/{folder}/*', *paths])}", f"Copyright: (c) {holder}", f"License: {label}"]
    words = [f" {said}", *([f" {brought}"] if brought else [])]
    words += [f" Text: /{HOME}/{file}" for file in texts_of(found)]
    return lines, label, words


def copyright_of(site: Path) -> str:
    """Return the whole file."""
    lines = ["Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/", "Upstream-Name: vittne", ""]
    lines += ["Files: *", "Copyright: 2026 the authors of Vittne", "License: Apache-2.0", ""]
    explained = []
    for found in sorted(distributions(path=[str(site)]), key=lambda one: one.name.lower()):
        if found.name == "vittne":
            continue
        stanza_lines, label, words = stanza(found)
        lines += [*stanza_lines, ""]
        explained += [f"License: {label}", *words, ""]
    return "\n".join([*lines, "License: Apache-2.0", _APACHE, "", *explained])


print(copyright_of(Path(sys.argv[1])), end="")
