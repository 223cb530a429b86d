/*
 * eventload.h
 *		Usage events by the thousand (rules U).
 */
#ifndef KBILLING_EVENTLOAD_H
#define KBILLING_EVENTLOAD_H

#include "eventset.h"

/* Records the events of a set, or raises; the number that count, as their keys were not known. */
extern int64 events_record(EventSet *set);

#endif
