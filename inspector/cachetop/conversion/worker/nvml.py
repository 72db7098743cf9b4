"""What the driver says this process holds of a GPU: libnvidia-ml by ctypes, for an interpreter that has no bindings.

Names and structures are those of nvml.h. nvmlDeviceGetComputeRunningProcesses_v3 writes entries of 24 or 32
bytes, depending on the driver (pid: u32 at 0, used bytes: u64 at 8); which of the two is seen from how much of
the buffer was written.
"""

import ctypes
import os
import struct
from typing import Any

_STRIDES = (24, 32)
_MOST = 256
_FILL = 0xA5
_UNKNOWN = 2**64 - 1


class Nvml:
    """The library, opened once. Raises OSError where it is missing or does not start."""

    def __init__(self, library: Any = None) -> None:
        self._library = library or ctypes.CDLL("libnvidia-ml.so.1")
        try:
            if self._library.nvmlInit_v2():
                raise OSError("NVML does not start")
        except AttributeError as error:
            raise OSError(str(error)) from None

    def held(self, uuid: str, pid: int | None = None) -> int | None:
        """Bytes the process `pid` (default: this one) holds on the GPU `uuid`; None where the driver does not say.

        In a container the driver may count processes by numbers of the host: then this one is not among them.
        """
        device = ctypes.c_void_p()
        try:
            if self._library.nvmlDeviceGetHandleByUUID(ctypes.c_char_p(uuid.encode()), ctypes.byref(device)):
                return None
            count = ctypes.c_uint(_MOST)
            buffer = ctypes.create_string_buffer(bytes([_FILL]) * (_MOST * max(_STRIDES)), _MOST * max(_STRIDES))
            if self._library.nvmlDeviceGetComputeRunningProcesses_v3(device, ctypes.byref(count), buffer):
                return None
        except AttributeError:
            return None
        return _find(buffer.raw, min(count.value, _MOST), os.getpid() if pid is None else pid)


def _find(raw: bytes, count: int, pid: int) -> int | None:
    stride = next((one for one in _STRIDES if raw[one * count : one * count + 8] == bytes([_FILL]) * 8), None)
    if stride is None:
        return None
    for start in range(0, count * stride, stride):
        found, used = struct.unpack_from("<I4xQ", raw, start)
        if found == pid:
            return None if used == _UNKNOWN else int(used)
    return None
