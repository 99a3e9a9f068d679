"""The reference backend, onnxruntime, on CPUs and on NVIDIA GPUs; and the check of any backend by probe rows."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.errors import DeviceError, ModelFileError
from netsieve.engine.features.encoding import write_rows
from netsieve.engine.scoring.model_file import FEATURE_ERROR, INPUT, SCORE, ModelFile

if TYPE_CHECKING:
    from netsieve.engine.scoring.backend_choice import Backend

Device = Literal["cpu", "cuda"]

PROBE_TOLERANCE: Final = 2e-5
"""Of ``|stored score| + median calibration score``: twice the contract's, since the stored score is rounded too."""
LOG_ERRORS: Final = 3
"""onnxruntime's log severity of errors. Warnings tell of nodes placed on the CPU, which is expected."""
CUDA_PROVIDER: Final = "CUDAExecutionProvider"


class OnnxRuntimeBackend:
    """One onnxruntime session, which any number of threads may run at once.

    The session computes on the calling thread alone: several callers with one thread each are faster than one
    caller with several. Measured with an autoencoder of 41 features on two threads: one shared session scores
    as fast as two (3.7 against 3.8 M rows/s) and costs half the memory; the arena and its memory pattern make
    single rows 10 % faster, and the memory is bounded by the batch size.

    Parameters
    ----------
    model
        The model file.
    device
        ``"cpu"`` or ``"cuda"``.

    Raises
    ------
    DeviceError
        onnxruntime, or its CUDA provider, is not there or cannot be loaded.
    ModelFileError
        onnxruntime refuses the graph.
    """

    name = "onnxruntime"
    description = "onnxruntime"

    def __init__(self, model: ModelFile, device: Device = "cpu") -> None:
        self._model_name = model.name
        self._session = _session(model, device)

    def score(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the scores of one batch.

        Parameters
        ----------
        x
            float32 ``[n, n_features]``, or windows ``[n, window, n_features]``, C-contiguous.

        Returns
        -------
        float32 ``[n]``, finite.

        Raises
        ------
        ModelFileError
            The graph fails, or gives something else than one finite score a row.
        """
        scores = self._run(SCORE, x)
        if scores.shape != (len(x),):
            raise ModelFileError(
                f"{self._model_name} gives scores of the shape {list(scores.shape)} for {len(x)} rows, where one a row "
                "is expected; train or export it again"
            )
        check_finite(scores, self._model_name)
        return scores

    def column_scores(
        self, columns: Sequence[NDArray[Any]], batch_size: int
    ) -> Callable[[int, int], NDArray[np.float32]]:
        """Return what scores rows of a table, for one thread.

        Parameters
        ----------
        columns
            One array ``[n]`` a feature, from :meth:`netsieve.engine.features.encoding.Encoder.column_arrays`.
        batch_size
            Rows at a time, at most.

        Returns
        -------
        A function of the first row and the one behind the last.
        """
        # Each batch is put into the same buffer just before it is scored, and stays in the cache
        x = np.empty((batch_size, len(columns)), dtype=np.float32)

        def score(start: int, stop: int) -> NDArray[np.float32]:
            batch = x[: stop - start]
            write_rows(columns, start, batch)
            return self.score(batch)

        return score

    def feature_error(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return each feature's part of the scores, float32, shaped as ``x``; parameters as in :meth:`score`.

        Raises
        ------
        ModelFileError
            The graph has no such output, or fails.
        """
        if FEATURE_ERROR not in (output.name for output in self._session.get_outputs()):
            raise no_feature_error(self._model_name)
        return self._run(FEATURE_ERROR, x)

    def _run(self, output: str, x: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            result: NDArray[np.float32] = self._session.run([output], {INPUT: x})[0]
        except Exception as error:  # onnxruntime's errors share no other base
            raise ModelFileError(f"{self._model_name} failed on {len(x)} rows ({first_line(error)})") from error
        return result


def check_finite(scores: NDArray[np.float32], model_name: str) -> None:
    """Raise ModelFileError where a score is not finite."""
    if not np.isfinite(scores).all():
        raise ModelFileError(
            f"{model_name} gives the score {scores[~np.isfinite(scores)][0]} to a record, where every score must be "
            "finite; train or export it again"
        )


def no_feature_error(model_name: str) -> ModelFileError:
    """Return the error of a model whose score is not made of the features' parts."""
    return ModelFileError(f"{model_name} does not tell each feature's part of the score")


def check_probes(backend: Backend, model: ModelFile) -> None:
    """Score the calibration's probe rows and compare with the scores stored beside them.

    Raises
    ------
    ModelFileError
        A score differs: the file is damaged, or this machine's runtime does not compute as the exporter's did.
    """
    calibration = model.calibration
    if not len(calibration.probe_rows):
        return
    scores = backend.score(np.ascontiguousarray(calibration.probe_rows))
    stored = calibration.probe_scores.astype(np.float64)
    error = np.abs(scores - stored)
    allowed = PROBE_TOLERANCE * (np.abs(stored) + abs(calibration.median)) + np.finfo(np.float32).tiny
    if (error > allowed).any():
        row = int(np.argmax(error - allowed))
        raise ModelFileError(
            f"{model.name} gives {scores[row]:.8g} to the probe row {row}, where {stored[row]:.8g} is stored with it: "
            "the file is damaged, or this runtime computes it wrongly; copy it again, and run `netsieve doctor`"
        )


def _session(model: ModelFile, device: Device) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise DeviceError(
            f"onnxruntime cannot be imported ({first_line(error)}); pip install 'netsieve[cpu]', or 'netsieve[gpu]' "
            "for NVIDIA GPUs"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = LOG_ERRORS
    providers: list[Any] = ["CPUExecutionProvider"]
    if device == "cuda":
        _check_cuda_is_built_in(onnxruntime)
        # TF32 keeps 10 bits of a float32: it would break the parity with the CPU
        providers.insert(0, (CUDA_PROVIDER, {"use_tf32": "0", "arena_extend_strategy": "kSameAsRequested"}))
    try:
        # With its fallback on, onnxruntime prints to standard output, where data may be going, and carries on
        session = onnxruntime.InferenceSession(model.data, options, providers=providers, enable_fallback=0)
    except Exception as error:  # onnxruntime's errors share no other base
        if "CUDA" in str(error):
            raise DeviceError(_cuda_message(first_line(error))) from error
        raise ModelFileError(
            f"{model.name} is refused by onnxruntime {onnxruntime.__version__} ({first_line(error)}); train or export "
            "it again"
        ) from error
    if device == "cuda" and session.get_providers()[0] != CUDA_PROVIDER:
        # onnxruntime falls back to the CPU without a word
        raise DeviceError(_cuda_message("its CUDA provider did not load"))
    return session


def _check_cuda_is_built_in(onnxruntime: Any) -> None:
    if CUDA_PROVIDER not in onnxruntime.get_available_providers():
        raise DeviceError(
            "device 'cuda' is asked for, and the installed onnxruntime is built for CPUs only; pip uninstall "
            "onnxruntime, then pip install 'netsieve[gpu]', or use device 'cpu'"
        )
    # Finds the CUDA and cuDNN libraries that pip installed, and prints about those that it does not find
    with redirect_stdout(sys.stderr):
        onnxruntime.preload_dlls()


def _cuda_message(reason: str) -> str:
    return (
        f"device 'cuda' is asked for, and onnxruntime cannot use it ({reason}); it needs an NVIDIA driver, the CUDA "
        "and cuDNN libraries of its version (pip install 'onnxruntime-gpu[cuda,cudnn]') and a GPU of compute "
        "capability 7.5 or more (GTX 16xx and newer); otherwise use device 'cpu'"
    )


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, at most 300 characters."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
