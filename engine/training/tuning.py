"""Searching for better parameters of a detector with Optuna, in a study on disk that can be gone on with."""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import numpy as np

from netsieve.engine.detectors.parameters import Choices, Range
from netsieve.engine.detectors.registry import detector_class, detector_parameters
from netsieve.engine.errors import TrainingError
from netsieve.engine.training.comparison import validation_score
from netsieve.engine.training.data import TrainingData
from netsieve.engine.training.job import fit_to

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    import optuna

    from netsieve.engine.detectors.detector import Detector

Sampler = Literal["tpe", "random", "grid"]
Objective = Literal["average_precision", "validation_loss"]

STUDY: Final = "netsieve"
STOP_SECONDS: Final = 5.0
"""So long a process may take to end before it is killed."""
GRID_POINTS: Final = 3
"""Numbers of a range that a grid takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningPlan:
    """What is searched.

    Attributes
    ----------
    detector
        Its name.
    data
        With attacks in its validation part where it is labelled.
    study
        Path of the file that the study is kept in: an Optuna journal.
    trials
        Finished trials that the study is to have, those of earlier runs counted.
    sampler
        ``"tpe"`` (tree-structured Parzen estimator), ``"random"`` or ``"grid"``.
    parameters
        Held fixed.
    fingerprint
        Of the data (:func:`tuning_fingerprint`): a study is gone on with only on the same.
    seed, device
        Of the training; a study is gone on with only with the same seed.
    """

    detector: str
    data: TrainingData
    study: str
    trials: int
    sampler: Sampler
    parameters: Mapping[str, Any]
    fingerprint: str
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.sampler not in get_args(Sampler):
            raise TrainingError(f"sampler {self.sampler!r} is not known; expected {', '.join(get_args(Sampler))}")

    @property
    def objective(self) -> Objective:
        """What is optimised: average precision with labels, otherwise the held-out loss of training."""
        return "average_precision" if self.data.labelled else "validation_loss"

    @property
    def space(self) -> dict[str, Range | Choices]:
        """What is tried, by parameter."""
        return searched_space(self.detector, self.parameters, labelled=self.data.labelled)


def searched_space(detector: str, parameters: Mapping[str, Any], *, labelled: bool) -> dict[str, Range | Choices]:
    """Return what is tried of a detector, by parameter: what is not held fixed, and can be judged.

    Raises
    ------
    TrainingError
        That is nothing.
    """
    space = {
        name: tried
        for name, tried in type(detector_parameters(detector)).search_space.items()
        if name not in parameters and (labelled or not tried.changes_loss)
    }
    if not space:
        raise TrainingError(f"{detector} has nothing to tune; set its parameters with --parameter")
    return space


def tune_detector(plan: TuningPlan, *, jobs: int = 1, progress: bool = True) -> tuple[Detector, dict[str, Any]]:
    """Run the trials that are missing, and return the detector of the best one, trained again.

    Parameters
    ----------
    plan
        What is searched.
    jobs
        Processes that run trials side by side.
    progress
        Whether a line a trial is shown on stderr.

    Returns
    -------
    Detector
        Trained with the best parameters.
    dict
        Objective, its best value, the best parameters and the number of trials, as plain JSON values.

    Raises
    ------
    TrainingError
        Optuna is not installed, nothing can be tuned, the study belongs to other data or another detector, or no trial
        came to an end.
    """
    _ = plan.space  # refused where nothing is left to try
    detector_parameters(plan.detector, plan.parameters)
    study = open_study(plan)
    # what an interrupted run left open will not come to an end
    for trial in study.get_trials(deepcopy=False, states=(_states().RUNNING,)):
        study.tell(trial.number, state=_states().FAIL)
    workers = max(1, min(jobs, plan.trials - finished(study)))
    if workers == 1:
        run_trials(plan, progress=progress)
    else:
        context = multiprocessing.get_context("spawn")
        processes = [context.Process(target=_work, args=(plan, worker), daemon=True) for worker in range(workers)]
        with _ended(processes):
            for process in processes:
                process.start()
            for process in processes:
                process.join()
        if any(process.exitcode for process in processes):
            raise TrainingError("a process that ran trials failed; its error is shown above")
    study = open_study(plan)
    if not finished(study):
        raise TrainingError("no trial came to an end; their errors are shown above")
    best = dict(study.best_params)
    model = detector_class(plan.detector)(detector_parameters(plan.detector, {**best, **plan.parameters}))
    fit_to(model, plan.data, seed=plan.seed, device=plan.device, progress=progress)
    return model, {
        "objective": plan.objective,
        "value": study.best_value,
        "parameters": best,
        "trials": finished(study),
        "sampler": plan.sampler,
    }


def open_study(plan: TuningPlan, worker: int = 0) -> optuna.Study:
    """Return the plan's study, made where there is none yet.

    Raises
    ------
    TrainingError
        Optuna is not installed, or the study is another's.
    """
    try:
        import optuna
    except ImportError as error:
        raise TrainingError("tuning needs optuna; pip install 'netsieve[cpu,train,tune]'") from error
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock, JournalStorage

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    backend = JournalFileBackend(plan.study, lock_obj=JournalFileOpenLock(plan.study))
    study = optuna.create_study(
        study_name=STUDY,
        storage=JournalStorage(backend),
        sampler=_sampler(plan, worker),
        direction="maximize" if plan.objective == "average_precision" else "minimize",
        load_if_exists=True,
    )
    belongs = {
        "detector": plan.detector,
        "objective": plan.objective,
        "data": plan.fingerprint,
        "fixed parameters": json.dumps(plan.parameters, sort_keys=True, default=str),
        "seed": plan.seed,
    }
    known = study.user_attrs
    if not known:
        for name, value in belongs.items():
            study.set_user_attr(name, value)
    elif {name: known.get(name) for name in belongs} != belongs:
        differs = next(name for name in belongs if known.get(name) != belongs[name])
        raise TrainingError(f"{plan.study!r} holds a study of another {differs}; name another file, or remove it")
    return study


def tuning_fingerprint(data: TrainingData) -> str:
    """Return the SHA-256 of the fitted schema and of all parts that train or judge a trial."""
    digest = hashlib.sha256(data.schema.to_json().encode())
    for part in (data.train, data.validation, data.attacks_train, data.attacks_validation):
        digest.update(f"{part.shape}".encode())
        digest.update(np.ascontiguousarray(part, dtype="<f4").data)
    return digest.hexdigest()


@contextlib.contextmanager
def _ended(processes: Sequence[BaseProcess]) -> Iterator[None]:
    """Leave none of the processes running, whatever happens: who interrupts may not go through the usual exit."""
    try:
        yield
    finally:
        for process in processes:
            if process.is_alive():
                process.terminate()
        for process in processes:
            if process.is_alive():
                process.join(STOP_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()


def _work(plan: TuningPlan, worker: int) -> None:
    """Run trials in a process of their own, which the first one ends: an interrupt reaches all processes alike."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    run_trials(plan, worker)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def run_trials(plan: TuningPlan, worker: int = 0, *, progress: bool = True) -> None:
    """Run trials until the study has as many as are planned."""
    from optuna.exceptions import TrialPruned
    from optuna.study import MaxTrialsCallback

    study = open_study(plan, worker)
    if finished(study) >= plan.trials:
        return
    space = plan.space

    def objective(trial: optuna.Trial) -> float:
        chosen = {name: _suggested(trial, name, tried) for name, tried in space.items()}
        model = detector_class(plan.detector)(detector_parameters(plan.detector, {**chosen, **plan.parameters}))
        started = time.perf_counter()
        try:
            fit_to(model, plan.data, seed=plan.seed, device=plan.device, progress=False)
        except TrainingError as error:
            _say(f"trial {trial.number}: {error}")
            raise TrialPruned from error
        seconds = time.perf_counter() - started
        if plan.objective == "average_precision":
            return validation_score(model, plan.data, seconds).average_precision
        if "validation_loss" not in model.summary:
            raise TrainingError(f"{plan.detector} tells no held-out loss; tuning it needs labels")
        return float(model.summary["validation_loss"])

    def show(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        if progress and trial.value is not None:
            done, best = finished(study), study.best_value
            _say(f"{done} of {plan.trials} trials, {plan.objective} {trial.value:.5g}, best {best:.5g}")

    study.optimize(objective, callbacks=[show, MaxTrialsCallback(plan.trials, states=(_states().COMPLETE,))])


def finished(study: optuna.Study) -> int:
    """Return how many trials came to an end."""
    return len(study.get_trials(deepcopy=False, states=(_states().COMPLETE,)))


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _states() -> Any:
    from optuna.trial import TrialState

    return TrialState


def _sampler(plan: TuningPlan, worker: int) -> optuna.samplers.BaseSampler:
    from optuna import samplers

    seed = plan.seed + 1_000 * worker
    if plan.sampler == "random":
        return samplers.RandomSampler(seed=seed)
    if plan.sampler == "grid":
        grid = {
            name: list(tried.values if isinstance(tried, Choices) else tried.grid(GRID_POINTS))
            for name, tried in plan.space.items()
        }
        return samplers.GridSampler(grid, seed=plan.seed)
    return samplers.TPESampler(seed=seed)


def _suggested(trial: optuna.Trial, name: str, tried: Range | Choices) -> Any:
    if isinstance(tried, Choices):
        return trial.suggest_categorical(name, tried.values)
    if tried.whole:
        return trial.suggest_int(name, int(tried.low), int(tried.high), log=tried.logarithmic)
    return trial.suggest_float(name, tried.low, tried.high, log=tried.logarithmic)


def default_study(model: str) -> str:
    """Return where the study of a model file is kept unless another place is named."""
    return f"{os.fspath(model)}.study"
