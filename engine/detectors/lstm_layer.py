"""The plain arithmetic of a long short-term memory layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class LstmLayer:
    """A layer of long short-term memory; its gates are stored in the order input, output, forget, cell.

    References
    ----------
    Gers, Schmidhuber and Cummins, "Learning to Forget: Continual Prediction with LSTM", Neural Computation 12 (2000).

    Attributes
    ----------
    input_weight
        float32 ``[inputs, 4 * units]``.
    recurrent_weight
        float32 ``[units, 4 * units]``.
    bias
        float32 ``[4 * units]``.
    """

    input_weight: NDArray[np.float32]
    recurrent_weight: NDArray[np.float32]
    bias: NDArray[np.float32]

    @property
    def units(self) -> int:
        """Length of the state."""
        return len(self.recurrent_weight)

    def states(self, values: NDArray[Any], recorded: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        """Return the output after each step, float64 ``[n, steps, units]``.

        Parameters
        ----------
        values
            ``[n, steps, inputs]``, finite.
        recorded
            bool ``[n, steps]``: where it is False a step leaves the state as it was, at first 0; None: all steps count.
        """
        n, steps, _ = values.shape
        units = self.units
        recurrent = self.recurrent_weight.astype(np.float64)
        driven = np.asarray(values, dtype=np.float64) @ self.input_weight.astype(np.float64) + self.bias
        cell, output = np.zeros((n, units)), np.zeros((n, units))
        states = np.empty((n, steps, units))
        for step in range(steps):
            gates = driven[:, step] + output @ recurrent
            opening = _logistic(gates[:, : 3 * units])
            entering, leaving, kept = np.split(opening, 3, axis=1)
            new_cell = kept * cell + entering * np.tanh(gates[:, 3 * units :])
            new_output = leaving * np.tanh(new_cell)
            if recorded is not None:
                counts = recorded[:, step, None]
                new_cell, new_output = np.where(counts, new_cell, cell), np.where(counts, new_output, output)
            cell, output = new_cell, new_output
            states[:, step] = output
        return states

    def last_state(self, values: NDArray[Any], recorded: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the output after the last step, float64 ``[n, units]``; 0 without steps."""
        if not values.shape[1]:
            return np.zeros((len(values), self.units))
        return self.states(values, recorded)[:, -1]


def _logistic(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * values), dtype=np.float64)
