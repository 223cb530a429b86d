/*
 * eventload.h
 *		Plain usage events into the tables (rules U).
 */
#ifndef KBILLING_EVENTLOAD_H
#define KBILLING_EVENTLOAD_H

#include "eventset.h"

/*
 * Records the events of a set, which are prepared, and not none: as usage_record does, with its result.  False if that
 * is to do it, as one of them is not plain, or for another reason; then nothing has happened.
 */
extern bool events_load(const EventSet *set, TimestampTz recorded_at, int64 *counted);

#endif
