/*
 * purge.h
 *		The purge of deleted accounts (D6).
 */
#ifndef KBILLING_PURGE_H
#define KBILLING_PURGE_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "utils/array.h"

/* Whether a purge is just deleting the account's rows from the application's tables, which guards must allow. */
extern bool purge_is_emptying(int64 account_id);

/* Purges those accounts whose day has come, and returns how many; the caller has locked them, and connected to SPI. */
extern int64 purge_accounts(ArrayType *account_ids, TimestampTz at);

#endif
