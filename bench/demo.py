"""A day in the life: generate traffic, train, score a million flows, evaluate, and show what came out.

``python -m netsieve.bench.demo --folder demo`` prints every command before running it, so that it can be repeated
by hand on other files.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from netsieve.bench.workload import NETSIEVE

TRAINING_ROWS: Final = 200_000
SCORED_ROWS: Final = 1_000_000
ATTACK_RATE: Final = 0.02
NEIGHBOURS: Final = """
A single flow of a beacon, a log-in attempt, lateral movement or slow exfiltration looks like an ordinary one; its
neighbours give it away. What each attack shows is told in the documentation of netsieve.bench.traffic."""


class Demonstration:
    """Runs the steps and keeps the time each took.

    Parameters
    ----------
    folder
        Where all files go.
    training_rows, scored_rows
        Flows of the training day and of the day that is scored.
    """

    def __init__(self, folder: Path, *, training_rows: int, scored_rows: int) -> None:
        self.folder = folder
        self.training_rows, self.scored_rows = training_rows, scored_rows
        self.seconds: dict[str, float] = {}

    def run(self) -> None:
        """Run all steps and print the summary.

        Raises
        ------
        SystemExit
            A command failed.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        training, today = self.folder / "monday.csv", self.folder / "tuesday.csv"
        model, scored = self.folder / "model.onnx", self.folder / "scored.parquet"
        evaluation, report = self.folder / "evaluation.json", self.folder / "report.html"
        summary = self.folder / "score.json"
        labels = ["--label", "IsAnomaly", "--normal", "0"]

        self._say("1. A day of traffic to learn from, and another day with attacks to find")
        self._traffic("generate the training day", training, self.training_rows, seed=1, day="2026-03-02")
        self._traffic("generate the day to score", today, self.scored_rows, seed=2, day="2026-03-03")
        self._say("2. Train an autoencoder on the normal flows of Monday, and export it to one file")
        self._netsieve("train and export", "train", training, "-o", model, *labels, "--ignore", "Attack")
        self._say("3. Score Tuesday")
        self._netsieve("score", "score", model, today, "-o", scored, "--json-summary", summary)
        self._say("4. Compare the scores with what was really an attack")
        self._netsieve(
            "evaluate",
            "evaluate",
            model,
            today,
            *labels,
            "--attack",
            "Attack",
            "--json",
            evaluation,
            "--report",
            report,
        )
        print()
        print(self._table(_read(summary), _read(evaluation)))
        print(NEIGHBOURS)
        print(
            f"\nThe flows with the highest scores:\n  netsieve score {model} {today} -o alerts.csv --keep all --top 100"
        )
        print(f"\nScores: {scored}\nReport: {report.resolve().as_uri()}")

    def _traffic(self, step: str, path: Path, rows: int, *, seed: int, day: str) -> None:
        options = ["--rows", rows, "--seed", seed, "--start", day, "--attack-rate", ATTACK_RATE]
        module = ["-m", "netsieve.bench.traffic"]
        self._command(step, ["python", *module], [sys.executable, *module], path, *options)

    def _netsieve(self, step: str, *arguments: object) -> None:
        self._command(step, ["netsieve"], NETSIEVE, *arguments)

    def _command(self, step: str, shown: list[str], program: list[str], *arguments: object) -> None:
        texts = [str(argument) for argument in arguments]
        print(f"\n$ {shlex.join([*shown, *texts])}", flush=True)
        start = time.perf_counter()
        code = subprocess.run([*program, *texts], check=False).returncode
        self.seconds[step] = time.perf_counter() - start
        if code:
            sys.exit(f"this command ended with {code}; the demonstration stops here")

    @staticmethod
    def _say(text: str) -> None:
        print(f"\n{text}", flush=True)

    def _table(self, summary: dict[str, Any], evaluation: dict[str, Any]) -> str:
        confusion = evaluation["confusion"]
        attacks = confusion["tp"] + confusion["fn"]
        rows = [
            ("flows scored", f"{summary['rows_scored']:,} in {summary['seconds']:.1f} s"),
            ("", f"{summary['rows_per_second']:,.0f} flows/s, peak memory {summary['peak_rss_bytes'] / 1e6:,.0f} MB"),
            ("flagged", f"{summary['anomalies']:,}"),
            ("attacks among the flows", f"{attacks:,}, of which {confusion['tp']:,} flagged"),
            ("false alarms", f"{confusion['fp']:,} ({evaluation['false_positive_rate']:.3%} of the normal flows)"),
            ("precision", f"{evaluation['precision']:.1%} of the flagged flows are attacks"),
            ("AUROC", f"{evaluation['auroc']:.4f}"),
            ("average precision", f"{evaluation['average_precision']:.4f}"),
            *((f"recall, {kind}", f"{recall:.1%}") for kind, recall in sorted(evaluation["recall_by_attack"].items())),
            *((f"time to {step}", f"{seconds:.1f} s") for step, seconds in self.seconds.items()),
            ("time altogether", f"{sum(self.seconds.values()):.1f} s"),
        ]
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"  {name:<{width}}  {value}" for name, value in rows)


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def main(arguments: list[str] | None = None) -> None:
    """Run the demonstration, as the command line asks."""
    parser = argparse.ArgumentParser(prog="python -m netsieve.bench.demo", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("demo"), help="where all files go (default: %(default)s)")
    parser.add_argument("--rows", type=int, default=SCORED_ROWS, help="flows to score (default: %(default)s)")
    parser.add_argument("--training-rows", type=int, default=TRAINING_ROWS, help="flows to train on (%(default)s)")
    options = parser.parse_args(arguments)
    Demonstration(options.folder, training_rows=options.training_rows, scored_rows=options.rows).run()


if __name__ == "__main__":
    main()
