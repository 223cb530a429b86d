/*
 * sweep.h
 *		The sweep, by one worker or by several that share the accounts (W1).
 */
#ifndef KBILLING_SWEEP_H
#define KBILLING_SWEEP_H

/* The most workers that can share the accounts. */
#define SWEEP_MAX_WORKERS	64

/* 22023 for a number of workers that cannot be. */
extern void sweep_check_workers(int workers);

#endif
