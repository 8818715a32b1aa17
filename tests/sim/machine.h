/* tests/sim/machine.h - a worker of the program on a simulated host, with its ring and pools. */
#ifndef TESTS_SIM_MACHINE_H
#define TESTS_SIM_MACHINE_H

#include "tests/sim/kernel.h"

uint64_t machine_wakes_at(const struct sim_machine *machine); /* 0: runnable now */
void machine_turn(struct sim_machine *machine);
void machine_free(struct sim_machine **machine); /* reports what is still busy */

#endif
