/*
 * purge.h
 *		The purge of deleted accounts (D6).
 */
#ifndef KBILLING_PURGE_H
#define KBILLING_PURGE_H

#include "postgres.h"

/* Whether a purge is deleting the account's rows from the application's tables just now, which no guard is to refuse. */
extern bool purge_is_emptying(int64 account_id);

#endif
