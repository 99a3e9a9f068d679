"""Scoring on an NVIDIA GPU: onnxruntime's CUDA provider, with its inputs and outputs bound to the device.

A batch goes through one of two lanes: copied into page-locked host memory, from there to the device, scored, and its
scores copied back. Two callers at a time get a lane each, and onnxruntime gives each run a stream of its own, so that
one lane's copies overlap with the other's computing.
"""

from __future__ import annotations

import ctypes
import re
import weakref
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.errors import DeviceError, ModelFileError
from netsieve.engine.scoring.backend import Device, OnnxRuntimeBackend, first_line
from netsieve.engine.scoring.model_file import INPUT, ModelFile

GPU_BATCH: Final = 65_536
"""Rows a batch, by default: each costs two copies and a launch of every kernel."""
LANES: Final = 2
"""Batches that are on their way at once: one is copied while the other is scored."""
TREE_DOMAIN: Final = "ai.onnx.ml"
"""Domain of the operators of decision trees, for which onnxruntime's CUDA provider has no kernels."""
PORTABLE: Final = 1
"""cudaHostRegisterPortable: the memory is locked for every context of the process."""


def placement(model: ModelFile, device: Device) -> tuple[Device, str | None]:
    """Return the device that a model is scored on where ``device`` is asked for, and why it is another, if it is.

    A forest is nearly all of the work of a model that has one, and onnxruntime would compute it on one CPU thread
    between two copies. Such a model stays on the CPU as a whole, with all threads and the CPU's batch size.
    """
    if device == "cuda" and any(node.domain == TREE_DOMAIN for node in model.nodes):
        return "cpu", (
            f"{model.name} was scored on the CPU though device 'cuda' was asked for: it holds decision trees, for "
            "which onnxruntime has no CUDA kernels"
        )
    return device, None


class CudaBackend(OnnxRuntimeBackend):
    """One onnxruntime session on a GPU, which any number of threads may run; two of them are at work at once.

    Parameters
    ----------
    model
        The model file.
    batch_size
        Rows that the page-locked buffers hold. More rows are scored all the same, from where they are.
    device
        ``"cpu"`` takes the same way through host memory, for tests without a GPU.

    Attributes
    ----------
    pinned
        Whether the buffers are page-locked, so that copies run at the full speed of the bus; else they are not used.

    Raises
    ------
    DeviceError
        onnxruntime, or its CUDA provider, is not there or cannot be loaded, or the GPU's memory is too small.
    ModelFileError
        onnxruntime refuses the graph.
    """

    description = "onnxruntime on CUDA"

    def __init__(self, model: ModelFile, batch_size: int = GPU_BATCH, device: Device = "cuda") -> None:
        super().__init__(model, device)
        shape = (batch_size, *model.schema.row_shape)
        lanes = [_Lane(self._session, shape, device) for _ in range(LANES)]
        self.pinned = all(lane.staging is not None for lane in lanes)
        self._free: SimpleQueue[_Lane] = SimpleQueue()
        for lane in lanes:
            self._free.put(lane)

    def _run(self, output: str, x: NDArray[np.float32]) -> NDArray[np.float32]:
        if not len(x):  # no memory, and nothing to bind
            return super()._run(output, x)
        lane = self._free.get()
        try:
            return lane.run(output, x)
        except Exception as error:  # onnxruntime's errors share no other base
            reason = first_line(error)
            if "memory" in reason.lower():
                raise DeviceError(
                    f"the GPU's memory is too small for {len(x)} rows of {self._model_name} at once ({reason}); use a "
                    "smaller batch size"
                ) from error
            raise ModelFileError(f"{self._model_name} failed on {len(x)} rows ({reason})") from error
        finally:
            self._free.put(lane)


class _Lane:
    """Buffers and bindings of one batch on its way, for one thread at a time."""

    def __init__(self, session: Any, shape: tuple[int, ...], device: Device) -> None:
        self._session = session
        self._device = device
        self._binding = session.io_binding()
        self.staging = _page_locked(shape) if device == "cuda" else None
        self._value: Any = None

    def run(self, output: str, x: NDArray[np.float32]) -> NDArray[np.float32]:
        # Copies onto the device are finished when they return, and so is a run. The binding's own synchronisation
        # would wait for all of the device, and so for the other lane.
        self._binding.bind_ortvalue_input(INPUT, self._on_device(x))
        # Bound anew each time: an output that is still bound is taken for a buffer of the right size
        self._binding.clear_binding_outputs()
        self._binding.bind_output(output, self._device, 0)
        self._session.run_with_iobinding(self._binding)
        result: NDArray[np.float32] = self._binding.copy_outputs_to_cpu()[0]
        return result

    def _on_device(self, x: NDArray[np.float32]) -> Any:
        """Return a batch as a value on the device: the one before, overwritten, where the shape is the same."""
        from onnxruntime import OrtValue

        if self._value is None or tuple(self._value.shape()) != x.shape:
            self._value = None  # frees it before the other is allocated
            self._value = OrtValue.ortvalue_from_shape_and_type(list(x.shape), np.float32, self._device, 0)
        if self.staging is not None and len(x) <= len(self.staging):
            staged = self.staging[: len(x)]
            np.copyto(staged, x)
            x = staged
        self._value.update_inplace(x)
        return self._value


def _page_locked(shape: tuple[int, ...]) -> NDArray[np.float32] | None:
    """Return page-locked host memory, or None where it cannot be had.

    onnxruntime-gpu allocates none for Python: its builds up to 1.31 register no library of execution providers, whose
    devices alone have such memory. So ordinary memory is locked by the CUDA runtime that onnxruntime has loaded.
    """
    try:
        maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
        runtime = ctypes.CDLL(re.findall(r"(/.*libcudart\.so\S*)", maps)[0])
        register, unregister = runtime.cudaHostRegister, runtime.cudaHostUnregister
    except (OSError, IndexError, AttributeError):
        return None
    array = np.empty(shape, dtype=np.float32)
    address = ctypes.c_void_p(array.ctypes.data)
    if register(address, ctypes.c_size_t(array.nbytes), ctypes.c_uint(PORTABLE)) != 0:
        return None
    weakref.finalize(array, unregister, address)
    return array
