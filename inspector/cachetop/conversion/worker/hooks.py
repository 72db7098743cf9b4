"""Watch models being loaded: disk to RAM, RAM to VRAM, and tensors as they come.

Every hook is optional. One that cannot be installed is named in the `hooks` event with its reason, and
docling goes on without it. The hooks wrap public functions: transformers.PreTrainedModel.from_pretrained,
safetensors.torch.load_model (TableFormer), torch.nn.Module.to, onnxruntime.InferenceSession (OCR), and
transformers.utils.logging.set_tqdm_hook. They stay installed for the life of a resident worker.
"""

import functools
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from . import weights
from .record import Recorder

_TICK = 0.05


@dataclass
class Load:
    """One model between its `model-loading` and its `model-loaded`."""

    repo: str | None
    revision: str | None
    path: str | None
    files: list[str]
    bytes: int
    resident: int | None
    began: float = field(default_factory=time.monotonic)
    vram: int | None = None
    seconds: float = 0.0
    reading: tuple[float, float] | None = None
    parameters: int | None = None
    device: str = "cpu"


class ModelWatch:
    """Installs the hooks and tells the recorder what they see."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._thread = threading.local()
        self._lock = threading.RLock()
        self._pending: tuple[weakref.ref[Any], Load] | None = None
        self._models: weakref.WeakKeyDictionary[Any, Load] = weakref.WeakKeyDictionary()
        self._done: list[str] = []
        self.active: list[str] = []
        self.inactive: list[dict[str, str]] = []
        self.held: dict[str, dict[str, Any]] = {}
        """Repo or file of each model that was loaded -> what its newest load cost, for the worker's status."""
        self.gpu: int | None = None
        """NVML's index of the one GPU this process sees, where that is known: devices are told by it."""
        self.forget()

    def forget(self) -> None:
        """Start a new account of what is read, for a new job."""
        self._bytes = 0
        self._resident: int | None = 0

    def start(self) -> tuple[str | None, str | None]:
        """('disk-warm' or 'cold', None), from the page cache just before each first read, else (None, why)."""
        if not self._bytes:
            return None, "no model file was read: none was needed"
        if self._resident is None:
            return None, "the page cache cannot be asked for these files"
        return ("disk-warm" if self._resident >= 0.9 * self._bytes else "cold"), None

    def install(self, name: str, hook: Callable[[], None]) -> None:
        """Install one hook once; a failure makes it inactive, with the reason."""
        if name in self._done:
            return
        self._done.append(name)
        try:
            hook()
        except Exception as error:
            self.inactive.append({"name": name, "reason": f"{type(error).__name__}: {error}"})
        else:
            self.active.append(name)

    def install_torch(self) -> None:
        """The hooks on torch, transformers and safetensors."""
        self.install("model-load", self._hook_transformers)
        self.install("weights", self._hook_tensors)
        self.install("safetensors", self._hook_safetensors)
        self.install("model-move", self._hook_moves)

    def install_onnx(self) -> None:
        """The hook on ONNX Runtime."""
        self.install("onnx", self._hook_onnx)

    # what one load says

    def loading(self, path: str) -> Load:
        """Report `model-loading`, having asked the page cache before anything is read."""
        self.settle()
        found = weights.files(path)
        size, resident = weights.size(found), weights.resident(found) if found else None
        repo, revision = weights.origin(path)
        load = Load(repo, revision, path, found, size, resident, vram=_allocated())
        with self._lock:
            self._bytes += size
            self._resident = None if resident is None or self._resident is None else self._resident + resident
        self._recorder.begin("load")
        self._recorder.emit(
            "model-loading", repo=repo, path=path, revision=revision, bytes=size, resident_before=resident
        )
        return load

    def read(self, load: Load, model: Any = None, mapped: bool = False) -> None:
        """The weights are in RAM; with a model, `model-loaded` waits for the move that may follow.

        `mapped` weights of a model on the CPU are pages of their file that come in with the first use.
        """
        now = time.monotonic()
        load.seconds = now - load.began
        reading = load.reading[1] - load.reading[0] if load.reading else load.seconds
        names = [os.path.basename(path) for path in load.files]
        if model is not None:
            load.parameters = sum(parameter.numel() for parameter in model.parameters())
            load.device = _device(model) or load.device
        self._recorder.emit(
            "model-read", repo=load.repo, file=names[0] if names else None, files=names, bytes=load.bytes,
            seconds=round(reading, 6), mapped=mapped and load.device == "cpu",
        )  # fmt: skip
        if model is None:
            self._loaded(load)
            return
        with self._lock:
            self._models[model] = load
            self._pending = (weakref.ref(model), load)

    def failed(self) -> None:
        """A load that raised leaves the load phase."""
        self._recorder.end("load")

    def settle(self, model: Any = None) -> None:
        """Report `model-loaded` for the model that waits for its move: for `model` only, or whichever it is."""
        with self._lock:
            if self._pending is None or (model is not None and self._pending[0]() is not model):
                return
            (_, load), self._pending = self._pending, None
        self._loaded(load)

    def _loaded(self, load: Load) -> None:
        allocated = _allocated()
        grown = None if allocated is None or load.vram is None or load.device == "cpu" else allocated - load.vram
        name = load.repo or os.path.basename(load.path or "?")
        self.held[name] = {"model": name, "bytes": load.bytes, "seconds": round(load.seconds, 6), "vram": grown}
        self._recorder.emit(
            "model-loaded", repo=load.repo, path=load.path, revision=load.revision, bytes=load.bytes,
            parameters=load.parameters, seconds=round(load.seconds, 6), device=self._shown(load.device), vram=grown,
        )  # fmt: skip
        self._recorder.end("load")

    def _shown(self, device: str | None) -> str | None:
        return f"cuda:{self.gpu}" if self.gpu is not None and device and device.startswith("cuda") else device

    # the hooks

    def _hook_transformers(self) -> None:
        from transformers import PreTrainedModel

        original = PreTrainedModel.__dict__["from_pretrained"].__func__

        @functools.wraps(original)
        def from_pretrained(cls: Any, source: Any, *args: Any, **options: Any) -> Any:
            path = _local(source, options)
            if path is None or getattr(self._thread, "load", None) is not None:
                return original(cls, source, *args, **options)
            load = self._thread.load = self.loading(path)
            try:
                result = original(cls, source, *args, **options)
            except BaseException:
                self.failed()
                raise
            finally:
                self._thread.load = None
            mapped = any(path.endswith(".safetensors") for path in load.files)
            self.read(load, result[0] if isinstance(result, tuple) else result, mapped)
            return result

        PreTrainedModel.from_pretrained = classmethod(from_pretrained)

    def _hook_tensors(self) -> None:
        from transformers.utils import logging

        def hook(factory: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
            if options.get("desc") != "Loading weights" or not args:
                return previous(factory, args, options) if previous else factory(*args, **options)
            return _Tensors(args[0], self._recorder, getattr(self._thread, "load", None))

        previous = logging.set_tqdm_hook(hook)

    def _hook_safetensors(self) -> None:
        import safetensors.torch as library

        original = library.load_model

        @functools.wraps(original)
        def load_model(model: Any, filename: Any, *args: Any, **options: Any) -> Any:
            load = self.loading(str(filename))
            try:
                result = original(model, filename, *args, **options)
            except BaseException:
                self.failed()
                raise
            self.read(load, model)
            self.settle(model)
            return result

        library.load_model = load_model

    def _hook_moves(self) -> None:
        from torch.nn import Module

        original = Module.to

        @functools.wraps(original)
        def to(model: Any, *args: Any, **options: Any) -> Any:
            load = self._models.get(model)
            if load is None:
                return original(model, *args, **options)
            size = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
            before, began = _device(model), time.monotonic()
            result = original(model, *args, **options)
            seconds, after = time.monotonic() - began, _device(model)
            if after is not None and after != before:
                load.device = after
                load.seconds += seconds
                self._recorder.emit(
                    "model-moved",
                    repo=load.repo,
                    bytes=size,
                    seconds=round(seconds, 6),
                    **{"from": self._shown(before), "to": self._shown(after)},
                )
            self.settle(model)
            return result

        Module.to = to

    def _hook_onnx(self) -> None:
        import onnxruntime

        watch, original = self, onnxruntime.InferenceSession

        class InferenceSession(original):  # type: ignore[misc,valid-type]
            """ONNX Runtime's session, its creation reported."""

            def __init__(self, path_or_bytes: Any, *args: Any, **options: Any) -> None:
                if not isinstance(path_or_bytes, (str, os.PathLike)):
                    super().__init__(path_or_bytes, *args, **options)
                    return
                load = watch.loading(os.fspath(path_or_bytes))
                try:
                    super().__init__(path_or_bytes, *args, **options)
                except BaseException:
                    watch.failed()
                    raise
                if "CUDAExecutionProvider" in self.get_providers():
                    load.device = "cuda"
                watch.read(load)

        onnxruntime.InferenceSession = InferenceSession


class _Tensors:
    """Stands in for tqdm while transformers puts tensors into a model: `progress` in tensors."""

    def __init__(self, items: Any, recorder: Recorder, load: Load | None) -> None:
        self._items = items
        self._recorder = recorder
        self._load = load

    def __iter__(self) -> Iterator[Any]:
        total = len(self._items) if hasattr(self._items, "__len__") else None
        began, last = time.monotonic(), 0.0
        for done, item in enumerate(self._items, 1):
            yield item
            now = time.monotonic()
            if now - last >= _TICK or done == total:
                last = now
                self._recorder.emit("progress", phase="load", done=done, total=total, unit="tensors")
        if self._load is not None:
            self._load.reading = (began, time.monotonic())

    def __enter__(self) -> "_Tensors":
        return self

    def __exit__(self, *_: Any) -> None:
        return None

    def __getattr__(self, _: str) -> Callable[..., None]:
        return lambda *args, **options: None


def _local(source: Any, options: dict[str, Any]) -> str | None:
    """The folder from_pretrained will read; for a repo's name, its snapshot in the cache."""
    path = os.fspath(source) if isinstance(source, (str, os.PathLike)) else None
    if not isinstance(path, str) or os.path.isdir(path):
        return path if isinstance(path, str) else None
    try:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(path, "config.json", revision=options.get("revision"))
    except Exception:
        return None
    return os.path.dirname(found) if isinstance(found, str) else None


def _device(model: Any) -> str | None:
    first = next(iter(model.parameters()), None)
    return None if first is None else str(first.device)


def _allocated() -> int | None:
    """Bytes torch holds on all GPUs; None while CUDA is not in use."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    return sum(int(torch.cuda.memory_allocated(gpu)) for gpu in range(torch.cuda.device_count()))
