/* The devices: handles, names, memory, load, clocks, MIG instances. */
#define _GNU_SOURCE
#include "driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* An entry point that answers with one number of the device. */
#define NUMBER(name, path, Type) \
    ENTRY(name, nvmlDevice_t device, Type *out) { \
        Number value = 0; \
        OF_A_DEVICE; \
        int code = number(&value, at, path); \
        if (!code) \
            *out = (Type)value; \
        ANSWER(code); \
    }
#define TEXT(name, path) \
    ENTRY(name, nvmlDevice_t device, char *out, unsigned int room) { \
        OF_A_DEVICE; \
        ANSWER(text(out, room, scenario("%s." path, at))); \
    }

ENTRY(nvmlSystemGetDriverVersion, char *out, unsigned int room) {
    OF_THE_SYSTEM;
    ANSWER(text(out, room, scenario("driver_version")));
}

ENTRY(nvmlSystemGetNVMLVersion, char *out, unsigned int room) {
    OF_THE_SYSTEM;
    ANSWER(text(out, room, scenario("nvml_version")));
}

static int cuda_version(int *out) {
    const char *value = scenario("cuda_version");
    *out = value ? atoi(value) : 0;
    return value ? 0 : NVML_ERROR_NOT_SUPPORTED;
}

ENTRY(nvmlSystemGetCudaDriverVersion, int *out) {
    OF_THE_SYSTEM;
    ANSWER(cuda_version(out));
}

ENTRY(nvmlSystemGetCudaDriverVersion_v2, int *out) {
    OF_THE_SYSTEM;
    ANSWER(cuda_version(out));
}

static int count(unsigned int *out) {
    *out = scenario_count("devices");
    return error_named(scenario("count_error"));
}

ENTRY(nvmlDeviceGetCount, unsigned int *out) {
    OF_THE_SYSTEM;
    ANSWER(count(out));
}

ENTRY(nvmlDeviceGetCount_v2, unsigned int *out) {
    OF_THE_SYSTEM;
    ANSWER(count(out));
}

static int by_index(unsigned int index, nvmlDevice_t *out) {
    if (index >= scenario_count("devices"))
        return NVML_ERROR_INVALID_ARGUMENT;
    *out = device_at(index);
    return error_named(scenario("devices.%u.errors.nvmlDeviceGetHandleByIndex", index));
}

ENTRY(nvmlDeviceGetHandleByIndex, unsigned int index, nvmlDevice_t *out) {
    OF_THE_SYSTEM;
    ANSWER(by_index(index, out));
}

ENTRY(nvmlDeviceGetHandleByIndex_v2, unsigned int index, nvmlDevice_t *out) {
    OF_THE_SYSTEM;
    ANSWER(by_index(index, out));
}

ENTRY(nvmlDeviceGetHandleByUUID, const char *uuid, nvmlDevice_t *out) {
    OF_THE_SYSTEM;
    for (unsigned i = 0; i < scenario_count("devices"); i++) {
        const char *value = scenario("devices.%u.uuid", i);
        if (value && !strcmp(value, uuid)) {
            *out = device_at(i);
            ANSWER(0);
        }
    }
    ANSWER(NVML_ERROR_NOT_FOUND);
}

ENTRY(nvmlDeviceGetIndex, nvmlDevice_t device, unsigned int *out) {
    OF_A_DEVICE;
    *out = index_of(device);
    ANSWER(0);
}

TEXT(nvmlDeviceGetName, "name")
TEXT(nvmlDeviceGetUUID, "uuid")
TEXT(nvmlDeviceGetSerial, "serial")

/* Every device has a place on the bus: its own, where the scenario names none. */
ENTRY(nvmlDeviceGetPciInfo_v3, nvmlDevice_t device, nvmlPciInfo_t *out) {
    OF_A_DEVICE;
    memset(out, 0, sizeof *out);
    out->bus = 1 + index_of(device);
    snprintf(out->busId, sizeof out->busId, "00000000:%02X:00.0", out->bus & 0xff);
    snprintf(out->busIdLegacy, sizeof out->busIdLegacy, "0000:%02X:00.0", out->bus & 0xff);
    ANSWER(0);
}

static int memory(const char *at, Number *total, Number *reserved, Number *used) {
    *reserved = 0;
    if (number(total, at, "memory.total") || number(used, at, "memory.used"))
        return NVML_ERROR_NOT_SUPPORTED;
    number(reserved, at, "memory.reserved");
    return 0;
}

/* The old call counts reserved memory as used. */
ENTRY(nvmlDeviceGetMemoryInfo, nvmlDevice_t device, nvmlMemory_t *out) {
    Number total, reserved, used;
    OF_A_DEVICE;
    int code = memory(at, &total, &reserved, &used);
    if (!code)
        *out = (nvmlMemory_t){.total = total, .used = used + reserved, .free = total - used - reserved};
    ANSWER(code);
}

ENTRY(nvmlDeviceGetMemoryInfo_v2, nvmlDevice_t device, nvmlMemory_v2_t *out) {
    Number total, reserved, used;
    OF_A_DEVICE;
    if (out->version != nvmlMemory_v2)
        ANSWER(NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
    int code = memory(at, &total, &reserved, &used);
    if (!code) {
        out->total = total;
        out->reserved = reserved;
        out->used = used;
        out->free = total - used - reserved;
    }
    ANSWER(code);
}

ENTRY(nvmlDeviceGetUtilizationRates, nvmlDevice_t device, nvmlUtilization_t *out) {
    Number gpu = 0, of_memory = 0;
    OF_A_DEVICE;
    int code = number(&gpu, at, "util.gpu") ?: number(&of_memory, at, "util.memory");
    if (!code)
        *out = (nvmlUtilization_t){.gpu = (unsigned)gpu, .memory = (unsigned)of_memory};
    ANSWER(code);
}

ENTRY(nvmlDeviceGetTemperature, nvmlDevice_t device, nvmlTemperatureSensors_t sensor, unsigned int *out) {
    Number value = 0;
    (void)sensor;
    OF_A_DEVICE;
    int code = number(&value, at, "temperature");
    if (!code)
        *out = (unsigned)value;
    ANSWER(code);
}

ENTRY(nvmlDeviceGetTemperatureV, nvmlDevice_t device, nvmlTemperature_t *out) {
    Number value = 0;
    OF_A_DEVICE;
    if (out->version != nvmlTemperature_v1)
        ANSWER(NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
    int code = number(&value, at, "temperature");
    if (!code)
        out->temperature = (int)value;
    ANSWER(code);
}

NUMBER(nvmlDeviceGetPowerUsage, "power", unsigned int)
NUMBER(nvmlDeviceGetEnforcedPowerLimit, "power_limit", unsigned int)
NUMBER(nvmlDeviceGetPowerManagementLimit, "power_limit", unsigned int)
NUMBER(nvmlDeviceGetFanSpeed, "fan", unsigned int)
NUMBER(nvmlDeviceGetPerformanceState, "pstate", nvmlPstates_t)
NUMBER(nvmlDeviceGetCurrPcieLinkGeneration, "pcie.generation", unsigned int)
NUMBER(nvmlDeviceGetMaxPcieLinkGeneration, "pcie.generation", unsigned int)
NUMBER(nvmlDeviceGetCurrPcieLinkWidth, "pcie.width", unsigned int)
NUMBER(nvmlDeviceGetMaxPcieLinkWidth, "pcie.width", unsigned int)
NUMBER(nvmlDeviceGetCurrentClocksEventReasons, "throttle", unsigned long long)
NUMBER(nvmlDeviceGetCurrentClocksThrottleReasons, "throttle", unsigned long long)

static int clock_of(const char *at, nvmlClockType_t type, unsigned int *out) {
    static const char *const names[] = {"clocks.graphics", "clocks.sm", "clocks.memory", "clocks.video"};
    Number value = 0;
    if ((unsigned)type >= sizeof names / sizeof *names)
        return NVML_ERROR_INVALID_ARGUMENT;
    int code = number(&value, at, names[type]);
    if (!code)
        *out = (unsigned)value;
    return code;
}

ENTRY(nvmlDeviceGetClockInfo, nvmlDevice_t device, nvmlClockType_t type, unsigned int *out) {
    OF_A_DEVICE;
    ANSWER(clock_of(at, type, out));
}

ENTRY(nvmlDeviceGetMaxClockInfo, nvmlDevice_t device, nvmlClockType_t type, unsigned int *out) {
    OF_A_DEVICE;
    ANSWER(clock_of(at, type, out));
}

/* Measures for 20 ms, as the real one does. */
ENTRY(nvmlDeviceGetPcieThroughput, nvmlDevice_t device, nvmlPcieUtilCounter_t counter, unsigned int *out) {
    Number value = 0;
    usleep(20000);
    OF_A_DEVICE;
    int code = number(&value, at, counter == NVML_PCIE_UTIL_TX_BYTES ? "pcie.tx" : "pcie.rx");
    if (!code)
        *out = (unsigned)value;
    ANSWER(code);
}

ENTRY(nvmlDeviceGetCudaComputeCapability, nvmlDevice_t device, int *major, int *minor) {
    Number one = 0, two = 0;
    OF_A_DEVICE;
    int code = number(&one, at, "cc.0") ?: number(&two, at, "cc.1");
    if (!code) {
        *major = (int)one;
        *minor = (int)two;
    }
    ANSWER(code);
}

ENTRY(nvmlDeviceGetMigMode, nvmlDevice_t device, unsigned int *current, unsigned int *pending) {
    Number mode = 0;
    OF_A_DEVICE;
    int code = number(&mode, at, "mig.mode");
    if (!code)
        *current = *pending = (unsigned)mode;
    ANSWER(code);
}

ENTRY(nvmlDeviceGetMaxMigDeviceCount, nvmlDevice_t device, unsigned int *out) {
    Number most = 0;
    OF_A_DEVICE;
    number(&most, at, "mig.max");
    *out = (unsigned)most;
    ANSWER(0);
}

ENTRY(nvmlDeviceGetMigDeviceHandleByIndex, nvmlDevice_t device, unsigned int slot, nvmlDevice_t *out) {
    Number mode = 0, most = 0;
    OF_A_DEVICE;
    if (number(&mode, at, "mig.mode"))
        ANSWER(NVML_ERROR_NOT_SUPPORTED);
    number(&most, at, "mig.max");
    if (slot >= most)
        ANSWER(NVML_ERROR_INVALID_ARGUMENT);
    for (unsigned i = 0; mode && i < scenario_count("%s.mig.instances", at); i++) {
        const char *taken = scenario("%s.mig.instances.%u.index", at, i);
        if (taken && (unsigned)atoi(taken) == slot) {
            *out = instance_at(device, slot);
            ANSWER(0);
        }
    }
    ANSWER(NVML_ERROR_NOT_FOUND);
}

NUMBER(nvmlDeviceGetGpuInstanceId, "gi", unsigned int)
NUMBER(nvmlDeviceGetComputeInstanceId, "ci", unsigned int)

/* What every driver has and these devices do not report. */
#define NOT_REPORTED(name, ...) \
    ENTRY(name, nvmlDevice_t device, __VA_ARGS__) { \
        OF_A_DEVICE; \
        ANSWER(NVML_ERROR_NOT_SUPPORTED); \
    }
NOT_REPORTED(nvmlDeviceGetTemperatureThreshold, nvmlTemperatureThresholds_t which, unsigned int *out)
NOT_REPORTED(nvmlDeviceGetEncoderUtilization, unsigned int *out, unsigned int *period)
NOT_REPORTED(nvmlDeviceGetDecoderUtilization, unsigned int *out, unsigned int *period)
NOT_REPORTED(nvmlDeviceGetTotalEccErrors, nvmlMemoryErrorType_t type, nvmlEccCounterType_t counter, unsigned long long *out)
NOT_REPORTED(nvmlDeviceGetDriverModel_v2, nvmlDriverModel_t *current, nvmlDriverModel_t *pending)
NOT_REPORTED(nvmlDeviceGetDisplayActive, nvmlEnableState_t *out)
NOT_REPORTED(nvmlDeviceGetDisplayMode, nvmlEnableState_t *out)
NOT_REPORTED(nvmlDeviceGetPersistenceMode, nvmlEnableState_t *out)
NOT_REPORTED(nvmlDeviceGetComputeMode, nvmlComputeMode_t *out)
NOT_REPORTED(nvmlDeviceGetBAR1MemoryInfo, nvmlBAR1Memory_t *out)
NOT_REPORTED(nvmlDeviceGetProcessUtilization, nvmlProcessUtilizationSample_t *out, unsigned int *count,
             unsigned long long since)
