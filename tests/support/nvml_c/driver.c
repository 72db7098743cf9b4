/* Initialization, handles and scripted errors. */
#define _GNU_SOURCE
#include "driver.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int references;

static const struct {
    const char *name;
    nvmlReturn_t code;
} errors[] = {
    {"UNINITIALIZED", NVML_ERROR_UNINITIALIZED},
    {"INVALID_ARGUMENT", NVML_ERROR_INVALID_ARGUMENT},
    {"NOT_SUPPORTED", NVML_ERROR_NOT_SUPPORTED},
    {"NO_PERMISSION", NVML_ERROR_NO_PERMISSION},
    {"NOT_FOUND", NVML_ERROR_NOT_FOUND},
    {"INSUFFICIENT_SIZE", NVML_ERROR_INSUFFICIENT_SIZE},
    {"INSUFFICIENT_POWER", NVML_ERROR_INSUFFICIENT_POWER},
    {"DRIVER_NOT_LOADED", NVML_ERROR_DRIVER_NOT_LOADED},
    {"TIMEOUT", NVML_ERROR_TIMEOUT},
    {"IRQ_ISSUE", NVML_ERROR_IRQ_ISSUE},
    {"LIBRARY_NOT_FOUND", NVML_ERROR_LIBRARY_NOT_FOUND},
    {"FUNCTION_NOT_FOUND", NVML_ERROR_FUNCTION_NOT_FOUND},
    {"GPU_IS_LOST", NVML_ERROR_GPU_IS_LOST},
    {"RESET_REQUIRED", NVML_ERROR_RESET_REQUIRED},
    {"OPERATING_SYSTEM", NVML_ERROR_OPERATING_SYSTEM},
    {"LIB_RM_VERSION_MISMATCH", NVML_ERROR_LIB_RM_VERSION_MISMATCH},
    {"ARGUMENT_VERSION_MISMATCH", NVML_ERROR_ARGUMENT_VERSION_MISMATCH},
    {"UNKNOWN", NVML_ERROR_UNKNOWN},
};

int error_named(const char *name) {
    for (size_t i = 0; name && i < sizeof errors / sizeof *errors; i++)
        if (!strcmp(errors[i].name, name))
            return errors[i].code;
    return name ? NVML_ERROR_UNKNOWN : 0;
}

__attribute__((visibility("default"))) const DECLDIR char *nvmlErrorString(nvmlReturn_t code) {
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (errors[i].code == code)
            return errors[i].name;
    return code ? "an error without a name" : "success";
}

nvmlDevice_t device_at(unsigned index) { return (nvmlDevice_t)(uintptr_t)(FIRST_HANDLE + index); }

nvmlDevice_t instance_at(nvmlDevice_t parent, unsigned slot) {
    return (nvmlDevice_t)(uintptr_t)(FIRST_INSTANCE + index_of(parent) * MOST_INSTANCES + slot);
}

unsigned index_of(nvmlDevice_t device) {
    uintptr_t handle = (uintptr_t)device;
    return (unsigned)(handle >= FIRST_INSTANCE ? (handle - FIRST_INSTANCE) % MOST_INSTANCES : handle - FIRST_HANDLE);
}

/* The path of the device or MIG instance behind a handle. */
static int locate(nvmlDevice_t device, char at[PREFIX]) {
    uintptr_t handle = (uintptr_t)device;

    if (handle < FIRST_INSTANCE) {
        snprintf(at, PREFIX, "devices.%u", index_of(device));
        return handle >= FIRST_HANDLE && index_of(device) < scenario_count("devices") ? 0 : NVML_ERROR_INVALID_ARGUMENT;
    }
    unsigned parent = (unsigned)((handle - FIRST_INSTANCE) / MOST_INSTANCES);
    unsigned count = scenario_count("devices.%u.mig.instances", parent);
    for (unsigned i = 0; i < count; i++) {
        const char *slot = scenario("devices.%u.mig.instances.%u.index", parent, i);
        if (slot && (unsigned)atoi(slot) == index_of(device)) {
            snprintf(at, PREFIX, "devices.%u.mig.instances.%u", parent, i);
            return 0;
        }
    }
    return NVML_ERROR_INVALID_ARGUMENT;
}

static void delay(const char *function) {
    pthread_mutex_lock(&lock);
    const char *seconds = scenario("delay.%s", function);
    if (!seconds)
        seconds = scenario("delay.*");
    double length = seconds ? atof(seconds) : 0;
    pthread_mutex_unlock(&lock);
    while (length < 0)
        pause();
    if (length > 0)
        usleep((useconds_t)(length * 1e6));
}

int enter(const char *function, nvmlDevice_t device, int on_device, char at[PREFIX]) {
    delay(function);
    pthread_mutex_lock(&lock);
    at[0] = 0;
    if (!references)
        return NVML_ERROR_UNINITIALIZED;
    if (!on_device)
        return 0;
    int code = locate(device, at);
    if (code)
        return code;
    const char *fault = scenario("%s.errors.%s", at, function);
    return error_named(fault ? fault : scenario("%s.errors.*", at));
}

void leave(void) { pthread_mutex_unlock(&lock); }

int number(Number *out, const char *at, const char *path) {
    const char *value = scenario("%s.%s", at, path);
    if (value)
        *out = strtoull(value, NULL, 10);
    return value ? 0 : NVML_ERROR_NOT_SUPPORTED;
}

int text(char *out, unsigned room, const char *value) {
    if (!value)
        return NVML_ERROR_NOT_SUPPORTED;
    if (strlen(value) + 1 > room)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    strcpy(out, value);
    return 0;
}

static nvmlReturn_t initialize(const char *function) {
    delay(function);
    pthread_mutex_lock(&lock);
    int fault = error_named(scenario("init"));
    if (!fault)
        references++;
    ANSWER(fault);
}

ENTRY(nvmlInit, void) { return initialize(__func__); }
ENTRY(nvmlInit_v2, void) { return initialize(__func__); }
ENTRY(nvmlInitWithFlags, unsigned int flags) {
    (void)flags;
    return initialize(__func__);
}

ENTRY(nvmlShutdown, void) {
    OF_THE_SYSTEM;
    references--;
    ANSWER(0);
}
