/*
 * recording.h
 *		Recording usage events (rules U).
 */
#ifndef KBILLING_RECORDING_H
#define KBILLING_RECORDING_H

#include "eventset.h"

/* Records the events of a set, or raises; the number that count, as their keys were not known. */
extern int64 events_record(EventSet *set);

#endif
