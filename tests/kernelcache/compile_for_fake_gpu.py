"""Run as a program: let TorchInductor compile for a GPU that is not there, so that it writes its real cache.

The device's properties are given, nothing is launched: Inductor and Triton only generate and compile code.
"""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace
from typing import Any

os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
SM = int(sys.argv[1])


def main() -> None:
    """Compile one small graph."""
    import torch
    import torch._dynamo.device_interface as interface
    import torch._inductor.compile_fx as compile_fx
    import torch._inductor.runtime.triton_helpers as helpers
    import torch._inductor.runtime.triton_heuristics as heuristics
    import torch._subclasses.fake_tensor as fake
    from torch._guards import TracingContext, tracing
    from torch._inductor.decomposition import select_decomp_table
    from torch._inductor.virtualized import V
    from torch.fx.experimental.proxy_tensor import make_fx
    from torch.fx.experimental.symbolic_shapes import ShapeEnv
    from triton.backends.compiler import GPUTarget
    from triton.runtime import driver

    gpu = SimpleNamespace(
        name="NVIDIA H100 80GB HBM3", major=SM // 10, minor=SM % 10, multi_processor_count=132, total_memory=80 << 30,
        warp_size=32, regs_per_multiprocessor=65536, max_threads_per_multi_processor=2048, max_threads_per_block=1024,
        shared_memory_per_block=49152, shared_memory_per_block_optin=232448, shared_memory_per_multiprocessor=233472,
        L2_cache_size=50 << 20, gcnArchName="",
    )  # fmt: skip

    def always(value: Any) -> Any:
        return lambda *_, **__: value

    cuda = torch.cuda
    for name, value in {
        "is_available": True, "device_count": 1, "current_device": 0, "get_device_properties": gpu, "synchronize": None,
        "get_device_capability": (gpu.major, gpu.minor), "get_device_name": gpu.name, "_lazy_init": None,
        "is_initialized": True, "mem_get_info": (60 << 30, 80 << 30), "_exchange_device": 0,
        "_maybe_exchange_device": 0, "set_device": None, "get_allocator_backend": "native", "set_rng_state": None,
    }.items():  # fmt: skip
        setattr(cuda, name, always(value))
    cuda.get_rng_state = always(torch.get_rng_state())
    for name, value in {
        "_cuda_getCurrentRawStream": 0, "_cuda_getDevice": 0, "_cuda_exchangeDevice": 0, "_cuda_setDevice": None,
        "_cuda_maybeExchangeDevice": 0,
    }.items():  # fmt: skip
        setattr(torch._C, name, always(value))
    fake.init_gpu_context = always(None)
    driver.set_active(
        SimpleNamespace(
            get_current_device=always(0),
            get_current_stream=always(0),
            get_current_target=always(GPUTarget("cuda", SM, 32)),
        )
    )
    for owner in (interface.CudaInterface, interface.CudaInterface.Worker):
        owner.get_device_properties = staticmethod(always(gpu))
        owner.current_device = staticmethod(always(0))
    interface.CudaInterface.device_count = staticmethod(always(1))
    helpers.set_driver_to_gpu = always(None)
    heuristics.CachingAutotuner._make_launchers = always(None)
    heuristics.CachingAutotuner._dynamic_scale_rblock = always(None)

    def graph(x: Any) -> tuple[Any]:
        return (torch.softmax(torch.nn.functional.gelu(x), -1) * 2,)

    mode = fake.FakeTensorMode(allow_non_fake_inputs=True, shape_env=ShapeEnv())
    with mode:
        inputs = [torch.empty(64, 256, device="cuda")]
        module = make_fx(graph, decomposition_table=select_decomp_table())(*inputs)
    with tracing(TracingContext(mode)), V.set_fake_mode(mode), torch.no_grad():
        compile_fx.compile_fx_inner(module, inputs)


if __name__ == "__main__":
    main()
