/*
 * moveout.h
 *		Buckets of accounts move from this node to another.
 */
#ifndef KBILLING_MOVEOUT_H
#define KBILLING_MOVEOUT_H

#include "move.h"

/* Sends no more; 55006 if the target is still connected after a while, unless that is forced to end. */
extern void moveout_stop_sending(const Move *move, bool forced);

/* Takes a move back; unless that is forced, only if the target is known never to own the buckets: 55000, 55006. */
extern void moveout_cancel(Move *move, bool forced);

#endif
