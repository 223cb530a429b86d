/*
 * usage.h
 *		Recording usage events (rules U).
 */
#ifndef KBILLING_USAGE_H
#define KBILLING_USAGE_H

#include "eventset.h"

/* Records them all or raises; the number that count, as their keys were not known. */
extern int64 usage_record(EventSet *set);

#endif
