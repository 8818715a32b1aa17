/* cli/limits.h - descriptors and memory: what the system allows, and what we take of it.
 * Thread: the main one, before workers start. */
#ifndef CLI_LIMITS_H
#define CLI_LIMITS_H

#include <stdbool.h>
#include <stdio.h>

#include "core/buf.h"
#include "relay/settings.h"

/* Whether the descriptors the settings need can be had; writes an error when not. */
bool limits_check(const struct settings *settings, const char *file, FILE *errors) MUST_CHECK;
/* Raises the soft limit to `nofile`, or as far as it goes for auto.  0 or -errno. */
int limits_raise(const struct settings *settings) MUST_CHECK;
/* One per core that the process may run on, by affinity and the cgroup's quota. */
uint32_t limits_workers(void);
/* Buffers of one worker: its share of half of the memory that the machine or the cgroup has. */
void limits_of_pools(uint32_t workers, struct pool_limits *limits);

#endif
