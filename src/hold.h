/*
 * hold.h
 *		Holds: units of a service that are reserved before they are used (L4).
 */
#ifndef KBILLING_HOLD_H
#define KBILLING_HOLD_H

#include "eventset.h"

/* Whether anything is held, or may be; quick to tell. */
extern bool holds_exist(void);

/* After events were recorded: what was held under their keys is held no more.  The caller has connected to SPI. */
extern void holds_settle(EventSet *set);

#endif
