"""Environment variables that change what a run loads, compiles or finds, and what each one means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cachetop.base.hostile import show
from cachetop.doctor.records import Area, Finding, Severity

_AREA = Area("variables")
_TRUE = {"1", "true", "yes", "on"}


@dataclass(frozen=True)
class _Rule:
    """What it means that a variable is set. `only`: lower-case values to which the rule is limited."""

    name: str
    reason: str
    severity: Severity = "note"
    fix: str | None = None
    only: frozenset[str] | None = None


_RULES = (
    _Rule(
        "TRANSFORMERS_CACHE",
        "it is ignored: transformers 5 reads HF_HUB_CACHE and HF_HOME only",
        "warning",
        "unset TRANSFORMERS_CACHE; set HF_HUB_CACHE if that folder is meant",
    ),
    _Rule("HF_HUB_OFFLINE", "nothing is downloaded: a model that is not in the cache fails", only=frozenset(_TRUE)),
    _Rule("DOCLING_ARTIFACTS_PATH", "docling takes its models from there, not from the hub cache"),
    _Rule(
        "DOCLING_INFERENCE_COMPILE_TORCH_MODELS",
        "docling compiles its layout model: the first run takes minutes longer",
        only=frozenset(_TRUE),
    ),
    _Rule("DOCLING_DEVICE", "docling's device is fixed by it"),
    _Rule("CUDA_VISIBLE_DEVICES", "CUDA programs see these GPUs only, numbered anew; this program shows all"),
    _Rule(
        "CUDA_MODULE_LOADING",
        "every kernel is loaded at start instead of at its first launch: starts are slower",
        fix="unset CUDA_MODULE_LOADING",
        only=frozenset({"eager"}),
    ),
    _Rule(
        "CUDA_CACHE_DISABLE",
        "the driver keeps nothing that it compiles from PTX",
        "warning",
        "unset CUDA_CACHE_DISABLE",
        frozenset({"1"}),
    ),
    _Rule(
        "TORCHINDUCTOR_FORCE_DISABLE_CACHES",
        "torch.compile starts from nothing in every process",
        "warning",
        "unset TORCHINDUCTOR_FORCE_DISABLE_CACHES",
        frozenset({"1"}),
    ),
    _Rule(
        "USE_PYTORCH_KERNEL_CACHE",
        "PyTorch keeps no NVRTC kernel on disk",
        fix="unset USE_PYTORCH_KERNEL_CACHE",
        only=frozenset({"0"}),
    ),
    _Rule("TRITON_CACHE_MANAGER", "Triton's entries are kept by another program: they may not be on this disk"),
    _Rule("TRITON_REMOTE_CACHE_BACKEND", "Triton's entries are kept on a server: they may not be on this disk"),
    _Rule(
        "TRITON_ALWAYS_COMPILE",
        "Triton ignores its cache and compiles every time",
        "warning",
        "unset TRITON_ALWAYS_COMPILE",
        frozenset(_TRUE),
    ),
    _Rule("TRITON_STORE_BINARY_ONLY", "Triton keeps no PTX and no earlier stage: less to look at, less on disk"),
    _Rule("CACHETOP_READ_ONLY", "everything that would delete is refused", only=frozenset(_TRUE)),
)


def findings(env: Mapping[str, str]) -> Iterator[Finding]:
    """One finding for each of these variables that is set, or one that says there is none."""
    found = [*_set(env), *_empty(env)]
    if any(env.get(name) for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")):
        found.append(_AREA.ok("HF_TOKEN", "****", "a login token is in the environment"))
    yield from found or [_AREA.ok("others", "none set", "nothing changes how models and kernels are cached or loaded")]


def _set(env: Mapping[str, str]) -> Iterator[Finding]:
    for rule in _RULES:
        value = env.get(rule.name)
        if value is not None and (rule.only is None or value.strip().lower() in rule.only):
            yield _AREA.of(rule.severity, rule.name, show(value, 200) or "(empty)", rule.reason, rule.fix)


def _empty(env: Mapping[str, str]) -> Iterator[Finding]:
    for name in ("HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME"):
        if env.get(name) == "":
            reason = "set but empty: huggingface_hub makes a relative path of it, below whatever folder you are in"
            yield _AREA.warning(name, "(empty)", reason, f"unset {name}")
