/* Reads the flat form of a scenario that `nvml_twin.py` writes.
 *
 * A line "@ SECONDS" begins the state that holds from then on; each other line is a path of the JSON, a tab and the
 * value there. A list has its length under the path with ".#" behind it. What is null in the JSON has no line.
 */
#define _GNU_SOURCE
#include "scenario.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LONGEST = 512 };

typedef struct {
    char *path, *value;
} Line;

typedef struct {
    double since;
    size_t count;
    Line *lines;
} State;

static State *states;
static size_t state_count;
static double began;

static double monotonic(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void *grown(void *old, size_t size) {
    void *new = realloc(old, size);
    if (!new)
        abort();
    return new;
}

static int by_path(const void *one, const void *other) {
    return strcmp(((const Line *)one)->path, ((const Line *)other)->path);
}

static void add_line(State *state, char *line) {
    char *tab = strchr(line, '\t');
    if (!tab)
        return;
    *tab = 0;
    state->lines = grown(state->lines, (state->count + 1) * sizeof *state->lines);
    state->lines[state->count++] = (Line){strdup(line), strdup(tab + 1)};
}

static void load(void) {
    const char *name = getenv("FAKE_NVML_FLAT");
    FILE *file = name ? fopen(name, "r") : NULL;
    char *line = NULL;
    size_t room = 0;
    ssize_t length;

    began = monotonic();
    states = grown(NULL, sizeof *states);
    states[state_count++] = (State){0, 0, NULL};
    while (file && (length = getline(&line, &room, file)) > 0) {
        if (line[length - 1] == '\n')
            line[length - 1] = 0;
        if (line[0] == '@') {
            states = grown(states, (state_count + 1) * sizeof *states);
            states[state_count++] = (State){atof(line + 1), 0, NULL};
        } else {
            add_line(&states[state_count - 1], line);
        }
    }
    free(line);
    if (file)
        fclose(file);
    for (size_t i = 0; i < state_count; i++)
        if (states[i].count)
            qsort(states[i].lines, states[i].count, sizeof *states[i].lines, by_path);
}

double scenario_elapsed(void) {
    if (!states)
        load();
    return monotonic() - began;
}

static const char *at(const char *path) {
    double elapsed = scenario_elapsed();
    size_t newest = 0;
    Line wanted = {(char *)path, NULL};

    for (size_t i = 1; i < state_count; i++)
        if (states[i].since <= elapsed)
            newest = i;
    if (!states[newest].count)
        return NULL;
    Line *found = bsearch(&wanted, states[newest].lines, states[newest].count, sizeof wanted, by_path);
    return found ? found->value : NULL;
}

const char *scenario(const char *format, ...) {
    char path[LONGEST];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(path, sizeof path, format, arguments);
    va_end(arguments);
    return at(path);
}

unsigned scenario_count(const char *format, ...) {
    char path[LONGEST];
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(path, sizeof path - 2, format, arguments);
    va_end(arguments);
    if (length < 0 || length >= LONGEST - 3)
        return 0;
    strcpy(path + length, ".#");
    const char *count = at(path);
    return count ? (unsigned)atoi(count) : 0;
}
