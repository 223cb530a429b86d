/*
 * eventload.h
 *		Usage events by the thousand (rules U).
 */
#ifndef KBILLING_EVENTLOAD_H
#define KBILLING_EVENTLOAD_H

#include "eventset.h"

/*
 * Records the events of a set and counts them in a slot of their totals, if each is new and has nothing about it that needs
 * a closer look.  Else nothing happens, and the result is false: then the statement of usage.c records them, or says what
 * is wrong.  The caller has locked their terms.
 */
extern bool events_load(const EventSet *set, int16 slot, TimestampTz recorded_at);

#endif
