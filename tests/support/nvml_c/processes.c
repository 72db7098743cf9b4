/* The processes on a device, in every layout that drivers have written them, and what happened to a device. */
#define _GNU_SOURCE
#include "driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum { MOST_PROCESSES = 4096, NONE32 = ~0u };

typedef struct {
    unsigned pid, gpu_instance, compute_instance;
    Number memory;
} Listed;

static unsigned numbered(const char *value, unsigned otherwise) {
    return value ? (unsigned)strtoul(value, NULL, 10) : otherwise;
}

static unsigned pid_of(const char *value) {
    if (value && !strcmp(value, "$self"))
        return (unsigned)getpid();
    if (value && !strcmp(value, "$parent"))
        return (unsigned)getppid();
    return numbered(value, 0);
}

/* Appends the processes of one kind that stand at a path; returns how many there are then. */
static unsigned collect(const char *at, const char *kind, int silent, Listed *out, unsigned have) {
    unsigned gpu_instance = numbered(scenario("%s.gi", at), NONE32);
    unsigned compute_instance = numbered(scenario("%s.ci", at), NONE32);

    for (unsigned i = 0; i < scenario_count("%s.processes", at) && have < MOST_PROCESSES; i++) {
        const char *theirs = scenario("%s.processes.%u.kind", at, i);
        const char *used = silent ? NULL : scenario("%s.processes.%u.used", at, i);
        if (strcmp(theirs ? theirs : "C", kind))
            continue;
        out[have].pid = pid_of(scenario("%s.processes.%u.pid", at, i));
        out[have].memory = used ? strtoull(used, NULL, 10) : ~0ULL;
        out[have].gpu_instance = numbered(scenario("%s.processes.%u.gi", at, i), gpu_instance);
        out[have].compute_instance = numbered(scenario("%s.processes.%u.ci", at, i), compute_instance);
        have++;
    }
    return have;
}

/* Writes the list as the version of the function has it, or, of the newest one, as wide as the scenario says. */
static int list(const char *at, const char *kind, int version, unsigned *room, void *out) {
    static Listed found[MOST_PROCESSES]; /* the caller holds the lock */
    unsigned count = collect(at, kind, 0, found, 0);
    char instance[PREFIX * 2];

    for (unsigned i = 0; numbered(scenario("%s.mig.mode", at), 0) && i < scenario_count("%s.mig.instances", at); i++) {
        snprintf(instance, sizeof instance, "%s.mig.instances.%u", at, i);
        count = collect(instance, kind, 1, found, count); /* the GPU lists them without their memory */
    }
    unsigned had = *room;
    *room = count;
    if (!count)
        return 0;
    if (had < count || !out)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    size_t stride = version == 1 ? sizeof(nvmlProcessInfo_v1_t) : sizeof(nvmlProcessInfo_v2_t);
    if (version == 3)
        stride = numbered(scenario("process_struct"), (unsigned)stride);
    memset(out, 0, stride * count);
    for (unsigned i = 0; i < count; i++) {
        char *place = (char *)out + stride * i;
        nvmlProcessInfo_v2_t one = {
            .pid = found[i].pid,
            .usedGpuMemory = found[i].memory,
            .gpuInstanceId = found[i].gpu_instance,
            .computeInstanceId = found[i].compute_instance,
        };
        memcpy(place, &one, stride < sizeof one ? stride : sizeof one);
    }
    return 0;
}

#define LISTS(base, kind) \
    ENTRY(base, nvmlDevice_t device, unsigned int *room, nvmlProcessInfo_v1_t *out) { \
        OF_A_DEVICE; \
        ANSWER(list(at, kind, 1, room, out)); \
    } \
    ENTRY(base##_v2, nvmlDevice_t device, unsigned int *room, nvmlProcessInfo_v2_t *out) { \
        OF_A_DEVICE; \
        ANSWER(list(at, kind, 2, room, out)); \
    } \
    ENTRY(base##_v3, nvmlDevice_t device, unsigned int *room, nvmlProcessInfo_t *out) { \
        OF_A_DEVICE; \
        ANSWER(list(at, kind, 3, room, out)); \
    }

LISTS(nvmlDeviceGetComputeRunningProcesses, "C")
LISTS(nvmlDeviceGetGraphicsRunningProcesses, "G")
LISTS(nvmlDeviceGetMPSComputeRunningProcesses, "M")

ENTRY(nvmlSystemGetProcessName, unsigned int pid, char *out, unsigned int room) {
    char link[64], name[256];
    OF_THE_SYSTEM;
    snprintf(link, sizeof link, "/proc/%u/exe", pid);
    ssize_t length = readlink(link, name, sizeof name - 1);
    name[length > 0 ? length : 0] = 0;
    ANSWER(length > 0 ? text(out, room, name) : NVML_ERROR_NOT_FOUND);
}

/* Sets of events: each has the devices and types that it was told of, and how far in the scenario's list it is. */
enum { MOST_SETS = 64 };
static struct {
    int used;
    unsigned next;
    Number types[MOST_INSTANCES];
} sets[MOST_SETS];

ENTRY(nvmlEventSetCreate, nvmlEventSet_t *out) {
    OF_THE_SYSTEM;
    for (size_t i = 0; i < MOST_SETS; i++) {
        if (!sets[i].used) {
            memset(&sets[i], 0, sizeof sets[i]);
            sets[i].used = 1;
            *out = (nvmlEventSet_t)(i + 1);
            ANSWER(0);
        }
    }
    ANSWER(NVML_ERROR_UNKNOWN);
}

ENTRY(nvmlEventSetFree, nvmlEventSet_t set) {
    OF_THE_SYSTEM;
    sets[(size_t)set - 1].used = 0;
    ANSWER(0);
}

ENTRY(nvmlDeviceGetSupportedEventTypes, nvmlDevice_t device, unsigned long long *out) {
    OF_A_DEVICE;
    *out = nvmlEventTypeXidCriticalError;
    ANSWER(0);
}

ENTRY(nvmlDeviceRegisterEvents, nvmlDevice_t device, unsigned long long types, nvmlEventSet_t set) {
    OF_A_DEVICE;
    sets[(size_t)set - 1].types[index_of(device)] |= types;
    ANSWER(0);
}

/* Waits for nothing: what is due comes at once, and where nothing is that is a timeout. */
ENTRY(nvmlEventSetWait_v2, nvmlEventSet_t set, nvmlEventData_t *out, unsigned int milliseconds) {
    OF_THE_SYSTEM;
    unsigned *next = &sets[(size_t)set - 1].next;
    while (*next < scenario_count("events")) {
        unsigned i = *next, device = numbered(scenario("events.%u.device", i), 0);
        Number type = numbered(scenario("events.%u.type", i), nvmlEventTypeXidCriticalError);
        const char *due = scenario("events.%u.t", i);
        if (due && atof(due) > scenario_elapsed())
            break;
        (*next)++;
        if (device < MOST_INSTANCES && sets[(size_t)set - 1].types[device] & type) {
            *out = (nvmlEventData_t){
                .device = device_at(device),
                .eventType = type,
                .eventData = numbered(scenario("events.%u.data", i), 0),
                .gpuInstanceId = numbered(scenario("events.%u.gi", i), NONE32),
                .computeInstanceId = NONE32,
            };
            ANSWER(0);
        }
    }
    ANSWER(NVML_ERROR_TIMEOUT);
}
