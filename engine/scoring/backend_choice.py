"""Which backend scores with a model file: native kernels where they compute its graph, onnxruntime otherwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.errors import DeviceError, ModelFileError
from netsieve.engine.scoring.backend import Device, OnnxRuntimeBackend, check_probes
from netsieve.engine.scoring.cuda_backend import GPU_BATCH, CudaBackend
from netsieve.engine.scoring.model_file import ModelFile

BackendName = Literal["auto", "onnxruntime", "native"]
BACKENDS: Final[tuple[str, ...]] = get_args(BackendName)


class Backend(Protocol):
    """Computes scores. The classes are :class:`netsieve.engine.scoring.native.NativeBackend`,
    :class:`netsieve.engine.scoring.backend.OnnxRuntimeBackend`, which say more of the methods, and
    :class:`netsieve.engine.scoring.cuda_backend.CudaBackend`.
    """

    name: str
    description: str

    def score(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the scores of one batch, float32 ``[n]``."""
        ...

    def column_scores(
        self, columns: Sequence[NDArray[Any]], batch_size: int
    ) -> Callable[[int, int], NDArray[np.float32]]:
        """Return what scores rows of a table, for one thread."""
        ...

    def feature_error(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return each feature's part of the scores, float32, shaped as ``x``."""
        ...


def chosen_backend(model: ModelFile, device: Device, wanted: str, batch_size: int = GPU_BATCH) -> Backend:
    """Return a backend whose scores of the model's probe rows are those stored with them.

    Parameters
    ----------
    model
        The model file.
    device
        Where to score; on ``"cuda"`` only onnxruntime does.
    wanted
        ``"auto"``, ``"onnxruntime"`` or ``"native"``.
    batch_size
        Rows that the buffers of a GPU's batches hold.

    Raises
    ------
    DeviceError
        The backend is not known, is not there, or does not score on this device.
    ModelFileError
        The backend cannot compute the graph, or gives other scores than are stored.
    """
    if wanted not in BACKENDS:
        raise DeviceError(f"backend {wanted!r} is not known; it is 'auto', 'onnxruntime' or 'native'")
    if wanted == "native" and device != "cpu":
        raise DeviceError(f"backend 'native' scores on device 'cpu' only, not on {device!r}; leave one of them out")
    if wanted != "onnxruntime" and device == "cpu":
        native, reason = native_backend(model)
        if native is not None:
            return native
        if wanted == "native":
            raise ModelFileError(
                f"{model.name} cannot be scored by native kernels: {reason}; use backend 'auto' or 'onnxruntime'"
            )
    backend = OnnxRuntimeBackend(model) if device == "cpu" else CudaBackend(model, batch_size)
    check_probes(backend, model)
    return backend


def native_backend(model: ModelFile) -> tuple[Backend | None, str]:
    """Return the native backend of a model file, or None and the reason why it has none.

    Raises
    ------
    DeviceError
        The environment variable ``NETSIEVE_CPU`` names kernels that this machine does not have.
    """
    from netsieve.engine.scoring.native import NativeBackend
    from netsieve.engine.scoring.recognition import NotRecognisedError

    if not len(model.calibration.probe_rows):
        return None, "it has no probe rows, by which native scores are checked"
    try:
        backend = NativeBackend(model)
        check_probes(backend, model)
    except NotRecognisedError as error:
        return None, str(error)
    except ModelFileError:
        return None, "native kernels give other scores to its probe rows than are stored with them"
    return backend, ""
