/* What the driver that is not there shall answer: a scenario in its flat form, and the clock that moves it on. */
#ifndef SCENARIO_H
#define SCENARIO_H

/* The value at a path of the scenario, made as printf does, in the state that holds now; NULL where it has none.
 * The first call reads the file that FAKE_NVML_FLAT names. Not safe without the caller's lock. */
const char *scenario(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* How many elements the list at a path has; 0 where there is none. */
unsigned scenario_count(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Seconds since the first call. */
double scenario_elapsed(void);

#endif
