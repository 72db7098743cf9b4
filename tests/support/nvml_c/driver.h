/* What all entry points share: handles, the errors that a scenario asks for, and numbers out of it. */
#ifndef DRIVER_H
#define DRIVER_H

#define NVML_NO_UNVERSIONED_FUNC_DEFS /* the old functions keep their own names */
#include <nvml.h>

#include "scenario.h"

typedef unsigned long long Number;

enum { PREFIX = 64, FIRST_HANDLE = 0x1000, FIRST_INSTANCE = 0x100000, MOST_INSTANCES = 64 };

#define ENTRY(name, ...) __attribute__((visibility("default"))) nvmlReturn_t DECLDIR name(__VA_ARGS__)

/* Begins every call but the initialization: the scenario's delay, then the lock, which is held until `ANSWER` whatever
 * comes back; then the error that the scenario has for it, 0 for none. `at` becomes the path of the device. */
int enter(const char *function, nvmlDevice_t device, int on_device, char at[PREFIX]);
void leave(void);

#define ANSWER(code) \
    do { \
        nvmlReturn_t answer_ = (nvmlReturn_t)(code); \
        leave(); \
        return answer_; \
    } while (0)
#define OF_THE_SYSTEM \
    char at[PREFIX]; \
    int fault = enter(__func__, NULL, 0, at); \
    if (fault) \
    ANSWER(fault)
#define OF_A_DEVICE \
    char at[PREFIX]; \
    int fault = enter(__func__, device, 1, at); \
    if (fault) \
    ANSWER(fault)

/* 0, or NVML_ERROR_NOT_SUPPORTED where the scenario has no such value. */
int number(Number *out, const char *at, const char *path);
int text(char *out, unsigned room, const char *value);

nvmlDevice_t device_at(unsigned index);
nvmlDevice_t instance_at(nvmlDevice_t parent, unsigned slot);
/* The place of a device among all, of a MIG instance among those of its GPU. */
unsigned index_of(nvmlDevice_t device);
int error_named(const char *name);

#endif
