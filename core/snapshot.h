/* core/snapshot.h - what other threads read without a lock, and when it may be freed: once each of
 * them has been between two turns since it was taken out of their sight (a grace period, by
 * liburcu's QSBR).  A thread that sleeps in the kernel holds nobody up.
 *
 * Thread: a worker's calls join, turn, sleep, wake and leave for itself; anybody begins a grace. */
#ifndef CORE_SNAPSHOT_H
#define CORE_SNAPSHOT_H

#include <urcu-qsbr.h>

#include "core/worker.h"

void snapshot_join(void);  /* this thread reads from now on */
void snapshot_turn(void);  /* it keeps nothing of what it has read */
void snapshot_sleep(void); /* nor reads anything until it wakes */
void snapshot_wake(void);
void snapshot_leave(void);

/* Embedded in what is to be freed; the caller's again in passed(). */
struct grace;
typedef void grace_fn(struct grace *grace);
struct grace {
    struct rcu_head head;
    struct mail mail;
    grace_fn *passed;
    _Atomic(struct worker *) owner;
};
/* passed() is called on the owner's thread, by mail.  Where no other thread reads there is nothing
 * to wait for, and it is called at once; only there the owner may be NULL. */
void grace_begin(struct grace *grace, struct worker *owner, grace_fn *passed);
/* Some passed() of this owner's is still to come: it must go on turning.  On its thread. */
bool grace_pending(const struct worker *owner);

#endif
