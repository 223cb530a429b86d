/*
 * usage.h
 *		Usage events and their totals (rules U).
 */
#ifndef KBILLING_USAGE_H
#define KBILLING_USAGE_H

#include "eventset.h"

/*
 * What comes before events are recorded: first, that they are of this node's own accounts (B3); then, that
 * none is of a removed month (U6), and that their terms are locked (C3).
 */
extern void usage_require_owned(EventSet *set);
extern void usage_prepare(EventSet *set);

/* The slot of totals that this session writes. */
extern int16 usage_slot(void);

/* Records them all or raises; the number that count, as their keys were not known.  They are prepared, and not none. */
extern int64 usage_record(EventSet *set, TimestampTz recorded_at);

#endif
