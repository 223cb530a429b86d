/*
 * shard.h
 *		Which accounts are this node's own, where accounts are spread over several (rules B).
 *
 * An account is in one of SHARD_BUCKETS buckets; the table shard_bucket says which of
 * them this node owns.  Without rows it owns all.
 */
#ifndef KBILLING_SHARD_H
#define KBILLING_SHARD_H

#include "postgres.h"
#include "nodes/bitmapset.h"
#include "utils/timestamp.h"

/* Fixed for good, as what routes and what replicates computes with it; a power of two. */
#define SHARD_BUCKETS	1024

/* This node is known to own all accounts: it has no shards.  Each transaction sees to it that this is still so. */
extern bool shard_owns_all;

/* The account's bucket, from 0 on. */
extern int32 shard_bucket_of(int64 account_id);

/* For the inline functions below. */
extern bool shard_owns(int64 account_id);
extern void shard_lock_owned(int64 account_id);
extern void shard_require_shown(int64 account_id);

/* Whether the account is this node's own at the moment. */
static inline bool
shard_is_owned(int64 account_id)
{
	return shard_owns_all || shard_owns(account_id);
}

/* KB014 unless the account is this node's own, which it stays until the transaction ends: for whoever writes. */
static inline void
shard_require_owned(int64 account_id)
{
	if (!shard_owns_all)
		shard_lock_owned(account_id);
}

/* KB014 unless the account is this node's own at the moment: for whoever reads. */
static inline void
shard_require_readable(int64 account_id)
{
	if (!shard_owns_all)
		shard_require_shown(account_id);
}

/*
 * For whoever writes to many accounts: those that are this node's own stay so until the
 * transaction ends.  Each is still to be asked for, after that.
 */
extern void shard_lock_many(void);

/* Whether this node owns any bucket. */
extern bool shard_owns_any(void);

/* Whether this node has shards: rows in shard_bucket. */
extern bool shard_is_sharded(void);

/*
 * Waits for those who write to accounts of the buckets, and keeps others out until the transaction ends; 55P03 if that
 * takes longer than until the deadline, DT_NOEND for none.
 */
extern void shard_keep_out(const Bitmapset *buckets, TimestampTz deadline);

/* The elements of an integer[] argument that must not be NULL; 22023 for what is no bucket. */
extern Bitmapset *shard_buckets_arg(FunctionCallInfo fcinfo, int n);

/* Owns the buckets that an argument names, and no others, from the commit on; the caller has connected to SPI: as above. */
extern void shard_own_buckets(FunctionCallInfo fcinfo, int n);

#endif
