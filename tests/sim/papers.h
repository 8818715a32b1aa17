/* tests/sim/papers.h - certificates for simulated tunnels: made once a process, the same in every
 * process, removed at its end. */
#ifndef TESTS_SIM_PAPERS_H
#define TESTS_SIM_PAPERS_H

/* A folder with ca.crt and NAME.crt, NAME.key of server (qmux-server), pod-1 and pod-2 (.example),
 * and stranger (of another CA).  Resets the library's hooks: call it before sim_open. */
const char *papers(void);

#endif
