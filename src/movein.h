/*
 * movein.h
 *		Buckets of accounts move from another node to this one.
 */
#ifndef KBILLING_MOVEIN_H
#define KBILLING_MOVEIN_H

#include "move.h"

/* The connection string of the source, which the subscription of a move has; NULL if that is gone. */
extern char *movein_source(const Move *move);

#endif
