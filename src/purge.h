/*
 * purge.h
 *		The purge of deleted accounts (D6).
 */
#ifndef KBILLING_PURGE_H
#define KBILLING_PURGE_H

#include "postgres.h"

/* Whether a purge is just deleting the account's rows from the application's tables, which guards must allow. */
extern bool purge_is_emptying(int64 account_id);

#endif
