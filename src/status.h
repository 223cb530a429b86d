/*
 * status.h
 *		Where an account stood (S6).
 */
#ifndef KBILLING_STATUS_H
#define KBILLING_STATUS_H

#include "postgres.h"
#include "journal.h"

/* Label of the stage that the account had after entry seq (0: before the first), at the posting of entry at_seq. */
extern char *status_stage_then(const LockedAccount *account, int64 seq, int64 at_seq);

#endif
