"""What a conversion through cachetop costs over the same docling call in a bare script, interleaved.

    python tests/bench/bench_conversion.py [--runs 7] [--pages 40] [--pipeline native|standard] [--tables]

Floors: at most 1.03x plus 150 ms (medians); a resident second run has no import and no load; writing the events
takes less than 1 % of the conversion. Both sides make the same docling objects with the same options; `standard`
runs docling's layout and OCR (with `--tables` its tables) on tiny models in the layout of a hub cache.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

BARE = """
import pathlib, sys
from docling.datamodel.base_models import InputFormat
from docling.document_converter import DocumentConverter, NativePdfFormatOption, PdfFormatOption
_, pipeline, tables, paper, output = sys.argv
if pipeline == "native":
    from docling.datamodel.pipeline_options import NativePdfPipelineOptions
    option = NativePdfFormatOption(pipeline_options=NativePdfPipelineOptions(generate_page_images=False))
else:
    from docling.datamodel.accelerator_options import AcceleratorOptions
    from docling.datamodel.pipeline_options import PdfPipelineOptions
    options = PdfPipelineOptions(accelerator_options=AcceleratorOptions(device="cpu"))
    options.do_table_structure = tables == "yes"
    option = PdfFormatOption(pipeline_options=options)
converter = DocumentConverter(format_options={InputFormat.PDF: option})
pathlib.Path(output).write_text(converter.convert(paper).document.export_to_markdown())
"""
COMMAND = str(Path(sys.executable).parent / "cachetop")
MOST, MORE = 1.03, 0.150
Told = list[dict[str, Any]]


class Bench:
    """One sandbox with a paper and, for `standard`, tiny models."""

    def __init__(self, home: Path, pipeline: str, tables: bool, pages: int) -> None:
        from cachetop.demo.paper import write_pdf

        self.home, self.pipeline, self.tables = home, pipeline, tables
        self.paper = write_pdf(home / "paper.pdf", pages)
        self.env = {
            **os.environ, "HOME": str(home), "TMPDIR": str(home), "CACHETOP_STATE_DIR": str(home / "state"),
            "XDG_RUNTIME_DIR": str(home), "HF_HOME": str(home / "tiny-models"), "HF_HUB_OFFLINE": "1",
            "CACHETOP_CONFIG": str(home / "config.toml"),
        }  # fmt: skip
        if pipeline == "standard":
            sys.path.insert(0, str(Path(__file__).parent.parent))
            from support.models import tiny_home

            tiny_home(home)

    def bare(self) -> float:
        """Seconds of the script without cachetop."""
        words = [self.pipeline, "yes" if self.tables else "no", str(self.paper), str(self.home / "bare.md")]
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", BARE, *words], env=self.env, check=True, capture_output=True)
        return time.perf_counter() - began

    def ours(self, *more: str) -> tuple[float, Told]:
        """Seconds of `cachetop convert`, and its events."""
        words = ["convert", str(self.paper), "--pipeline", self.pipeline, "--device", "cpu", "--json", "--force"]
        words += ["--output", str(self.home / "out"), *([] if self.tables else ["--no-tables"]), *more]
        began = time.perf_counter()
        done = subprocess.run([COMMAND, *words], env=self.env, check=True, capture_output=True, text=True)
        return time.perf_counter() - began, [json.loads(line) for line in done.stdout.splitlines()]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--pages", type=int, default=40)
    parser.add_argument("--pipeline", choices=("native", "standard"), default="native")
    parser.add_argument("--tables", action="store_true")
    args = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="cachetop-bench-"))
    try:
        compare(Bench(home, args.pipeline, args.tables, args.pages), args.runs, args.pages)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def compare(bench: Bench, runs: int, pages: int) -> None:
    """The two in turns, then a resident second run, then the events."""
    took: dict[str, list[float]] = {"bare": [], "ours": []}
    told: Told = []
    for number in range(runs + 1):
        turns = [("bare", bench.bare), ("ours", bench.ours)]
        for name, turn in turns if number % 2 else reversed(turns):
            result = turn()  # type: ignore[operator]
            if name == "ours":
                result, told = result
            if number:  # the first of each warms the page cache
                took[name].append(result)
    middle = {name: statistics.median(values) for name, values in took.items()}
    over, allowed = middle["ours"] - middle["bare"], MOST * middle["bare"] + MORE
    print(
        f"{pages} pages, {bench.pipeline}{', tables' if bench.tables else ''}, {runs} runs each, interleaved, medians"
    )
    print(f"bare docling script      {middle['bare']:.3f} s  ({min(took['bare']):.3f} to {max(took['bare']):.3f})")
    print(
        f"cachetop convert         {middle['ours']:.3f} s  ({min(took['ours']):.3f} to {max(took['ours']):.3f}), "
        f"{over * 1000:+.0f} ms, {middle['ours'] / middle['bare']:.3f}x"
    )
    print(f"allowed (1.03x + 150 ms) {allowed:.3f} s: {'kept' if middle['ours'] <= allowed else 'MISSED'}")
    bench.ours("--keep-warm", "60")
    second, warm = bench.ours("--keep-warm", "60")
    phases = warm[-1]["phases"]
    kept = not {"import", "load"} & set(phases)
    print(f"resident second run      {second:.3f} s, phases {phases}: {'kept' if kept else 'MISSED'}")
    print(f"                         outside docling: {second - sum(phases.values()):.3f} s")
    subprocess.run([COMMAND, "jobs", "unload"], env=bench.env, check=True, capture_output=True)
    count, each = len(told), emitting(bench.home, told)
    share = count * each / told[-1]["phases"]["convert"]
    print(
        f"events                   {count}, {each * 1e6:.1f} us each: {share:.3%} of the conversion: "
        f"{'kept' if share < 0.01 else 'MISSED'}"
    )


def emitting(home: Path, told: Told) -> float:
    """Seconds to write one event, over the very events of a run."""
    from cachetop.conversion.worker.record import Recorder

    recorder = Recorder()
    recorder.open(str(home / "again.jsonl"), "again")
    fields = [{k: v for k, v in event.items() if k not in ("seq", "time", "job")} for event in told]
    began, rounds = time.perf_counter(), max(1, 20_000 // len(fields))
    for _ in range(rounds):
        for one in fields:
            recorder.emit(**one)
    return (time.perf_counter() - began) / rounds / len(fields)


if __name__ == "__main__":
    main()
