"""Makes report.png: a picture of the report of a run, as a browser shows it.

In: a Chromium on the PATH. Out: PNG into the file that is named. The example is trained in a folder that goes away, and
the top of its report is photographed. Guarantees: the report is the one that `netc train` writes. Leaves the picture of
a terminal to `picture`.

    python docs/report.py docs/report.png
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

WIDTH, HEIGHT = 1128, 1220  # of the page's widest layout, down to the end of the evaluation
COLOURS = 255  # there are few, and a picture with a palette takes a third of the bytes


def photograph(page: Path, picture: Path) -> None:
    """The top of a page as PNG."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("error: there is no Chromium on the PATH")
    subprocess.run(
        [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
         f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={picture}", page.resolve().as_uri()],
        check=True, capture_output=True,
    )  # fmt: skip
    with Image.open(picture) as image:
        image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(picture, optimize=True)


def main(picture: str) -> None:
    """Train the example, and take the picture of its report."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(Path(__file__).parents[1] / "examples" / "lenet.net", folder)
        command = [sys.executable, "-m", "netc", "train", "lenet.net", "--device", "cpu", "--quiet"]
        subprocess.run(command, cwd=folder, check=True)
        photograph(Path(folder) / "runs" / "lenet" / "001" / "report.html", Path(picture).resolve())


if __name__ == "__main__":
    main(*sys.argv[1:])
