/*
 * notice.h
 *		Notices of what has happened to an account that is locked (rules N).
 *
 * Those of an entry are written by the journal, with the entry.
 */
#ifndef KBILLING_NOTICE_H
#define KBILLING_NOTICE_H

#include "postgres.h"
#include "journal.h"

/* The last entry has changed the account's stage, and has no notice of its own that says so. */
extern void notice_stage_changed(const LockedAccount *account, Stage before);

#endif
