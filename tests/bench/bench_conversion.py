"""What a conversion through cachetop costs over the same docling call in a bare script, interleaved.

    python tests/bench/bench_conversion.py [RUNS] [PAGES]

Floor: at most 1.03x plus 150 ms (medians); a resident second run has no import and no load. Both sides use
the native pipeline, so that the figure is about cachetop and not about a model.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BARE = """
import sys, pathlib
from docling.datamodel.base_models import InputFormat
from docling.datamodel.pipeline_options import NativePdfPipelineOptions
from docling.document_converter import DocumentConverter, PdfFormatOption
from docling.pipeline.native_pdf_pipeline import NativePdfPipeline
option = PdfFormatOption(pipeline_cls=NativePdfPipeline, pipeline_options=NativePdfPipelineOptions())
converter = DocumentConverter(format_options={InputFormat.PDF: option})
result = converter.convert(sys.argv[1])
pathlib.Path(sys.argv[2]).write_text(result.document.export_to_markdown())
"""
COMMAND = str(Path(sys.executable).parent / "cachetop")


def main() -> None:
    """Run and print."""
    from cachetop.demo.paper import write_pdf

    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    pages = int(sys.argv[2]) if len(sys.argv) > 2 else 40
    home = Path(tempfile.mkdtemp(prefix="cachetop-bench-"))
    env = {**os.environ, "HOME": str(home), "CACHETOP_STATE_DIR": str(home / "state"), "XDG_RUNTIME_DIR": str(home)}
    paper = home / "paper.pdf"
    write_pdf(paper, pages)

    def bare() -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", BARE, paper, home / "bare.md"], env=env, check=True, capture_output=True)
        return time.perf_counter() - began

    def ours(*more: str) -> tuple[float, dict[str, float]]:
        words = [
            COMMAND,
            "convert",
            str(paper),
            "--pipeline",
            "native",
            "--json",
            "--output",
            str(home / "out"),
            "--force",
        ]
        began = time.perf_counter()
        done = subprocess.run([*words, *more], env=env, check=True, capture_output=True, text=True)
        return time.perf_counter() - began, json.loads(done.stdout.splitlines()[-1])["phases"]

    took: dict[str, list[float]] = {"bare": [], "ours": []}
    for n in range(runs + 1):
        one, (other, _) = bare(), ours()
        if n:
            took["bare"].append(one)
            took["ours"].append(other)
    middle = {name: statistics.median(values) for name, values in took.items()}
    over = middle["ours"] - middle["bare"]
    print(f"{pages} pages, native pipeline, {runs} runs each, interleaved, medians")
    print(f"bare docling script   {middle['bare']:.3f} s")
    print(
        f"cachetop convert      {middle['ours']:.3f} s  ({over * 1000:+.0f} ms, {middle['ours'] / middle['bare']:.3f}x)"
    )
    allowed = 1.03 * middle["bare"] + 0.150
    print(f"allowed (1.03x + 150 ms) {allowed:.3f} s: {'kept' if middle['ours'] <= allowed else 'MISSED'}")
    ours("--keep-warm", "60")
    second, phases = ours("--keep-warm", "60")
    print(f"resident second run   {second:.3f} s, phases {phases}")
    subprocess.run([COMMAND, "jobs", "unload"], env=env, check=True, capture_output=True)
    shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
