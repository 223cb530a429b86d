/*
 * ownlock.h
 *		kbilling's own advisory locks.
 *
 * Each kind is a class of locks that SQL cannot take (pg_advisory_lock has the
 * classes 1 and 2), so that nobody can hold up the billing with one.
 */
#ifndef KBILLING_OWNLOCK_H
#define KBILLING_OWNLOCK_H

#include "postgres.h"
#include "miscadmin.h"
#include "storage/lock.h"

typedef enum OwnLockClass
{
	OWN_LOCK_SWEEP = 3,			/* the running sweep; the id is the same for all */
	OWN_LOCK_ACTIVITY,			/* noting activity of an account */
	OWN_LOCK_USAGE,				/* recording usage of an account, or of all */
	OWN_LOCK_SLEEP,				/* workers that sleep, and commits that need wake none; the id is the same for all */
	OWN_LOCK_BUCKET				/* owning a bucket of accounts, or all; changing what is owned */
} OwnLockClass;

/* The lock of a class and an id, in this database. */
static inline LOCKTAG
own_lock(OwnLockClass class, int64 id)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) ((uint64) id >> 32), (uint32) id, class);
	return tag;
}

#endif
