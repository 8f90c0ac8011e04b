"""The schedule in the released folder: `scheduler/scheduler_config.json`."""

from __future__ import annotations

from typing import Any

from moyin.flow.schedule import Schedule

FOLDER = "scheduler"
CLASS = "FlowMatchEulerDiscreteScheduler"

_KEYS = {
    "base_image_seq_len": "base_tokens",
    "base_shift": "base_shift",
    "max_shift": "max_shift",
    "num_train_timesteps": "train_steps",
}
_FIXED = {
    "invert_sigmas": False,
    "shift_terminal": None,
    "stochastic_sampling": False,
    "time_shift_type": "linear",
    "use_beta_sigmas": False,
    "use_dynamic_shifting": True,
    "use_exponential_sigmas": False,
    "use_karras_sigmas": False,
}


def to_config(schedule: Schedule) -> dict[str, Any]:
    """Our schedule as the released scheduler_config.json."""
    ours = {theirs: getattr(schedule, name) for theirs, name in _KEYS.items()}
    return {"_class_name": CLASS, "max_image_seq_len": 4096, "shift": 1.0} | _FIXED | ours


def from_config(config: dict[str, Any]) -> Schedule:
    """A released scheduler_config.json as ours. Raises ValueError for another kind of schedule."""
    for key, must in _FIXED.items():
        if config.get(key, must) != must:
            raise ValueError(f"{FOLDER}/scheduler_config.json: {key} must be {must!r}")
    return Schedule(**{name: config[theirs] for theirs, name in _KEYS.items()})
