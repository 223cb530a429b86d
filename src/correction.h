/*
 * correction.h
 *		Entries that a person asks for, and that may change the account's stage.
 */
#ifndef KBILLING_CORRECTION_H
#define KBILLING_CORRECTION_H

#include "journal.h"

/*
 * Posts n entries, of which the main one, counted from 0, is the one asked for, and tells of the stage if they change it (N5).
 * Its seq.  The key is not known (journal_knows).
 */
extern int64 correction_post(LockedAccount *account, const Posting *postings, int n, int main);

#endif
