"""The registry of in-memory scoring: ours and each peer, by the family of the model that they score.

:data:`CONTENDERS` and :data:`RECORD_CONTENDERS` drive the correctness tests, the pytest-benchmark suites and the
interleaved run ``python -m netsieve.bench.scoring``. A contender of the same model must give the reference's scores.
Two train models of their own, of the same size: PyOD's autoencoder and isotree cannot take over ours. Peers whose
package is not installed (``pip install 'netsieve[bench,peers]'``) are named as such, by the tests and in the tables.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final, Generic, TypeVar

from netsieve.bench import forest_contenders as forests
from netsieve.bench import model_file_contenders as model_files
from netsieve.bench import torch_contenders as torch_modules
from netsieve.bench.scoring_case import AUTOENCODER, FOREST, Floats, ScoringCase, ScoringModel

SLOW_ROWS: Final = 50_000
"""Records of contenders that score a quarter of a million a second or fewer, not to wait for them for long."""

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Contender(Generic[Answer]):
    """One way to score.

    Attributes
    ----------
    name, family
        What it is called, and the family of its model.
    prepare
        Does what is done once, and returns what is timed.
    package
        What must be installed beside netsieve, as it is imported.
    same_model
        Whether it scores our trained model rather than one of its own.
    most_rows
        It is given no more records than these.
    """

    name: str
    family: str
    prepare: Callable[[ScoringCase, ScoringModel], Callable[[], Answer]]
    package: str | None = None
    same_model: bool = True
    most_rows: int | None = None

    @property
    def missing(self) -> str | None:
        """The package that it lacks; None where it can run."""
        return self.package if self.package is not None and find_spec(self.package) is None else None

    def rows(self, case: ScoringCase) -> int:
        """Return how many records of a case it scores."""
        return case.rows if self.most_rows is None else min(case.rows, self.most_rows)

    def start(self, case: ScoringCase) -> Callable[[], Answer]:
        """Prepare, and return what is timed: scoring the first :meth:`rows` records of the case."""
        return self.prepare(case.first(self.rows(case)), case.model(self.family))


OURS: Final = {AUTOENCODER: "netsieve, matrix", FOREST: "netsieve forest"}
"""What the others of a family are compared with."""

CONTENDERS: Final[tuple[Contender[Floats], ...]] = (
    Contender(OURS[AUTOENCODER], AUTOENCODER, model_files.netsieve_matrix),
    Contender("netsieve, frame", AUTOENCODER, model_files.netsieve_frame),
    Contender("onnxruntime loop", AUTOENCODER, model_files.onnxruntime_loop),
    Contender("OpenVINO", AUTOENCODER, model_files.openvino_queue, "openvino"),
    Contender("torch eager", AUTOENCODER, torch_modules.torch_eager),
    Contender("torch compiled", AUTOENCODER, torch_modules.torch_compiled),
    Contender(
        "PyOD AutoEncoder", AUTOENCODER, torch_modules.pyod_autoencoder, "pyod", same_model=False, most_rows=SLOW_ROWS
    ),
    Contender(OURS[FOREST], FOREST, model_files.netsieve_matrix),
    Contender("onnxruntime loop, forest", FOREST, model_files.onnxruntime_loop),
    Contender("scikit-learn IsolationForest", FOREST, forests.scikit_learn, most_rows=SLOW_ROWS),
    Contender("skl2onnx and onnxruntime", FOREST, forests.skl2onnx_graph, "skl2onnx", most_rows=SLOW_ROWS),
    Contender("PyOD IForest", FOREST, forests.pyod_forest, "pyod", most_rows=SLOW_ROWS),
    Contender("isotree", FOREST, forests.isotree_forest, "isotree", same_model=False, most_rows=SLOW_ROWS),
)
"""Over all records, or the first of them. OpenVINO has no operator for trees, so it scores the autoencoder alone."""

RECORD_CONTENDERS: Final[tuple[Contender[float], ...]] = (
    Contender("netsieve, one record", AUTOENCODER, model_files.netsieve_record),
    Contender("onnxruntime, one record", AUTOENCODER, model_files.onnxruntime_record),
    Contender("OpenVINO, one record", AUTOENCODER, model_files.openvino_record, "openvino"),
    Contender("torch eager, one record", AUTOENCODER, torch_modules.torch_record),
)
"""For one record, from a dict to a float."""


def not_installed() -> dict[str, str]:
    """Return the contenders that cannot run here, and the package that each lacks."""
    everyone: tuple[Contender[Any], ...] = (*CONTENDERS, *RECORD_CONTENDERS)
    return {contender.name: contender.missing for contender in everyone if contender.missing is not None}
