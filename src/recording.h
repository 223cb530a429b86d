/*
 * recording.h
 *		Recording usage events (rules U).
 */
#ifndef KBILLING_RECORDING_H
#define KBILLING_RECORDING_H

#include "eventset.h"
#include "limit.h"

/* Records the events of a set, or raises; the number that count, as their keys were not known. */
extern int64 events_record(EventSet *set);

/*
 * The same in parts, whose limits are judged together: begin, with the sets whose accounts it is about (the other may be
 * NULL), add as many sets of these accounts as there are, each in turn prepared (usage.h), and end.
 */
typedef struct Recording
{
	Limits		limits;
} Recording;

extern void recording_begin(Recording *recording, EventSet *set, EventSet *other);
extern int64 recording_add(EventSet *set);
extern void recording_end(const Recording *recording);

#endif
