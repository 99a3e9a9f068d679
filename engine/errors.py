"""Every error that netsieve raises on purpose.

The text of each is one line that says what was got, where, what was expected and what to do; the command
line prints it as it is.
"""

from typing import Any


class NetsieveError(Exception):
    """Base of all errors that netsieve raises on purpose."""


class SourceError(NetsieveError):
    """An input cannot be read: absent, empty, truncated, of an unknown format or without a header."""


class SchemaError(NetsieveError):
    """A feature schema is wrong, or does not fit the data it is used with."""


class MissingColumnError(SchemaError):
    """A frame or file lacks columns that the schema needs."""


class EncodeError(SchemaError):
    """A cell or a column has a value that the schema's feature cannot hold."""


class ModelFileError(NetsieveError):
    """A file is not a netsieve model, is damaged, or was written by a newer format version."""


class StateError(NetsieveError):
    """A state of neighbour features is damaged, or belongs to other features than it is used for."""


class DeviceError(NetsieveError):
    """The device or execution provider that was asked for is not there."""


class ForkError(NetsieveError):
    """A scorer is used in a forked child of the process that made it."""


class ThresholdError(NetsieveError):
    """A threshold policy is malformed, or the calibration cannot support it."""


class TrainingError(NetsieveError):
    """A detector cannot be trained on the data given."""


class ExportError(NetsieveError):
    """A detector cannot be written as a model file."""


class ParityError(ExportError):
    """The exported graph does not reproduce the detector's reference scores."""


class OutputError(NetsieveError):
    """An output cannot be written: no space, no permission, or it is one of the inputs."""


class RejectLimitError(NetsieveError):
    """More records were rejected than the job allows, or none could be scored.

    Attributes
    ----------
    summary
        The :class:`~netsieve.engine.scoring.summary.ScoreSummary` of the job.
    """

    summary: Any = None


class UnreadFilesError(NetsieveError):
    """Some of many files could not be scored; the others were.

    Attributes
    ----------
    summary
        The :class:`~netsieve.engine.scoring.summary.ScoreSummary` of the job.
    """

    summary: Any = None
