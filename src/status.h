/*
 * status.h
 *		Where an account stood (S6).
 */
#ifndef KBILLING_STATUS_H
#define KBILLING_STATUS_H

#include "postgres.h"
#include "journal.h"

/* Label of the stage with entry seq (0: none) as the last one, when entry at_seq was posted. */
extern char *status_stage_then(const LockedAccount *account, int64 seq, int64 at_seq);

#endif
