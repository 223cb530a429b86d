/*
 * shard.c
 *		Which accounts are this node's own (rules B).
 *
 * What shard_bucket says is kept for the session.  It is read as it is committed, whatever
 * the transaction's snapshot, for what counts is who may write now.
 *
 * - Whoever writes to an account shares the lock of its bucket until the transaction
 *   ends, and looks at the table after that.  Whoever disowns a bucket excludes
 *   them: it waits for those who have begun, and those who wait for it find the
 *   bucket disowned.
 *
 * - Whoever changes the table locks the map and tells all sessions at once, by a
 *   trigger, and again with the commit, which tells standbys too.  What is read while it is
 *   locked is not kept.
 *
 * - While a node has no shards, nobody locks anything.  The first change of the
 *   table therefore waits for all transactions that may have begun before they
 *   were told.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xlog.h"
#include "args.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "compat.h"
#include "errors.h"
#include "fmgr.h"
#include "nodes/makefuncs.h"
#include "nodes/supportnodes.h"
#include "ownlock.h"
#include "plan.h"
#include "shard.h"
#include "storage/lmgr.h"
#include "storage/procarray.h"
#include "storage/sinval.h"
#include "utils/array.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/rel.h"

/* The columns of shard_bucket that are read */
enum
{
	BUCKET_BUCKET = 1, BUCKET_IS_OWNED
};

/* The locks; those of buckets have their numbers */
#define ALL_BUCKETS		SHARD_BUCKETS
#define MAP				(SHARD_BUCKETS + 1)

/*
 * Who writes to an account shares the lock of its bucket and, weakly, that of all buckets; where the buckets are
 * many, that of all alone, as locks take shared memory.  Who disowns a bucket keeps out those who write to it, and
 * to many.
 */
#define WRITE			AccessShareLock
#define WRITE_MANY		RowExclusiveLock
#define KEEP_MANY_OUT	ShareLock
#define KEEP_OUT		AccessExclusiveLock

/* A transaction that has locked so many buckets locks all that come after them together */
#define MANY_BUCKETS	32

bool		shard_owns_all = false;

/* What the table says. */
static struct
{
	bool		is_known;		/* it still says so */
	bool		is_sharded;		/* it has rows */
	bool		owned[SHARD_BUCKETS];
} map;

/* The table, and how often we were told of a change */
static Oid	table_oid = InvalidOid;
static uint64 changes = 0;

int32
shard_bucket_of(int64 account_id)
{
	return DatumGetInt32(DirectFunctionCall1(hashint8, Int64GetDatum(account_id))) & (SHARD_BUCKETS - 1);
}

/* kb_shard(account_id) */
PG_FUNCTION_INFO_V1(kb_shard);
Datum
kb_shard(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(shard_bucket_of(PG_GETARG_INT64(0)));
}

/* A table has changed, or any may have */
static void
note_change(Datum arg, Oid relid)
{
	if (relid != InvalidOid && relid != table_oid)
		return;
	changes++;
	map.is_known = shard_owns_all = false;
}

/* Open the table, and be told of its changes from then on */
static Relation
open_table(void)
{
	static bool is_told = false;
	Relation	rel = table_openrv(makeRangeVar("kbilling", "shard_bucket", -1), AccessShareLock);

	if (!is_told)
		CacheRegisterRelcacheCallback(note_change, (Datum) 0);
	is_told = true;
	table_oid = RelationGetRelid(rel);
	return rel;
}

/* Read the table as it is committed now: without a snapshot of its own, a scan takes a new one */
static void
read_rows(Relation rel)
{
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;
	bool		isnull;

	map.is_sharded = false;
	memset(map.owned, false, sizeof(map.owned));
	while ((tuple = systable_getnext(scan)) != NULL)
	{
		int32		bucket = DatumGetInt32(heap_getattr(tuple, BUCKET_BUCKET, RelationGetDescr(rel), &isnull));

		map.is_sharded = true;
		map.owned[bucket & (SHARD_BUCKETS - 1)] =
			DatumGetBool(heap_getattr(tuple, BUCKET_IS_OWNED, RelationGetDescr(rel), &isnull));
	}
	systable_endscan(scan);
}

/* Read the table, and keep what it says unless somebody is changing it; a standby is told when that is committed */
static void
read_map(void)
{
	LOCKTAG		lock = own_lock(OWN_LOCK_BUCKET, MAP);
	Relation	rel = open_table();
	uint64		before = changes;
	bool		is_locked = !RecoveryInProgress() && !kb_lock_is_held(&lock, ExclusiveLock) &&
		LockAcquire(&lock, ShareLock, false, true) != LOCKACQUIRE_NOT_AVAIL;

	read_rows(rel);
	if (is_locked)
		LockRelease(&lock, ShareLock, false);
	table_close(rel, AccessShareLock);
	map.is_known = (is_locked || RecoveryInProgress()) && changes == before;
	shard_owns_all = map.is_known && !map.is_sharded;
}

/* Have the map as it is now */
static void
look_at_map(void)
{
	AcceptInvalidationMessages();
	if (!map.is_known)
		read_map();
}

bool
shard_is_sharded(void)
{
	look_at_map();
	return map.is_sharded;
}

bool
shard_owns_any(void)
{
	look_at_map();
	return !map.is_sharded || memchr(map.owned, true, sizeof(map.owned)) != NULL;
}

/* Whether this node owns the bucket now */
static bool
owns_bucket(int32 bucket)
{
	look_at_map();
	return !map.is_sharded || map.owned[bucket];
}

bool
shard_owns(int64 account_id)
{
	return owns_bucket(shard_bucket_of(account_id));
}

/* KB014 for an account of a bucket */
pg_noreturn static void
refuse(int64 account_id, int32 bucket)
{
	ereport(ERROR,
			(errcode(ERRCODE_KB_ACCOUNT_ON_ANOTHER_SHARD),
			 errmsg("account %lld is on another shard", (long long) account_id),
			 errdetail("It is in bucket %d, which this node does not own.", bucket),
			 errhint("Repeat the call on the node that owns the bucket, as the router does.")));
}

void
shard_require_shown(int64 account_id)
{
	int32		bucket = shard_bucket_of(account_id);

	if (!owns_bucket(bucket))
		refuse(account_id, bucket);
}

/* Take a lock until the transaction ends; 1 if that is new to it */
static int
take_lock(int64 id, LOCKMODE mode)
{
	LOCKTAG		lock = own_lock(OWN_LOCK_BUCKET, id);

	return LockAcquire(&lock, mode, false, false) != LOCKACQUIRE_ALREADY_HELD;
}

void
shard_lock_many(void)
{
	look_at_map();
	if (!shard_owns_all)
		take_lock(ALL_BUCKETS, WRITE_MANY);
}

/* Share the lock of a bucket, or of all if the transaction has many */
static void
share_bucket(int32 bucket)
{
	static LocalTransactionId transaction = InvalidLocalTransactionId;
	static int	locked = 0;
	LOCKTAG		all = own_lock(OWN_LOCK_BUCKET, ALL_BUCKETS);

	if (kb_lock_is_held(&all, WRITE_MANY))
		return;
	if (transaction != kb_transaction_number())
	{
		transaction = kb_transaction_number();
		locked = 0;
	}
	take_lock(ALL_BUCKETS, locked < MANY_BUCKETS ? WRITE : WRITE_MANY);
	if (locked < MANY_BUCKETS)
		locked += take_lock(bucket, WRITE);
}

/* A node without shards takes no lock: then the map is looked at first, which tells. */
void
shard_lock_owned(int64 account_id)
{
	int32		bucket = shard_bucket_of(account_id);

	look_at_map();
	if (shard_owns_all)
		return;
	share_bucket(bucket);
	if (!owns_bucket(bucket))
		refuse(account_id, bucket);
}

/* The same, but no longer than until the deadline: what lock_timeout says is of one lock, so it is set anew for each */
static void
take_lock_until(int64 id, LOCKMODE mode, TimestampTz deadline)
{
	int			nest = NewGUCNestLevel();
	int64		left = (deadline - GetCurrentTimestamp()) / 1000;

	if (deadline != DT_NOEND)
		(void) set_config_option("lock_timeout", psprintf("%d", (int) Min(Max(left, 1), INT_MAX)), PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	take_lock(id, mode);
	AtEOXact_GUC(true, nest);
}

/* Buckets first: who has locked one may still want the lock of all. */
void
shard_keep_out(const Bitmapset *buckets, TimestampTz deadline)
{
	int			bucket = -1;

	while ((bucket = bms_next_member(buckets, bucket)) >= 0)
		take_lock_until(bucket, KEEP_OUT, deadline);
	take_lock_until(ALL_BUCKETS, KEEP_MANY_OUT, deadline);
}

/* Lock the map and tell all sessions of a change, unless this transaction has done so */
static void
announce_change(Relation rel)
{
	SharedInvalidationMessage message = {.rc = {.id = SHAREDINVALRELCACHE_ID,.dbId = MyDatabaseId}};

	if (!take_lock(MAP, ExclusiveLock))
		return;
	message.rc.relId = RelationGetRelid(rel);
	SendSharedInvalidMessages(&message, 1);
	CacheInvalidateRelcache(rel);
}

/* Trigger: kb_tell_shard_change(), before rows of kbilling.shard_bucket are written */
PG_FUNCTION_INFO_V1(kb_tell_shard_change);
Datum
kb_tell_shard_change(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		elog(ERROR, "kb_tell_shard_change is a trigger function");
	announce_change(trigger->tg_relation);
	if (TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event))
		return PointerGetDatum(NULL);
	return PointerGetDatum(TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple);
}

/* Wait for the transactions of this database that run now, or are prepared, as CREATE INDEX CONCURRENTLY does */
static void
wait_for_running(void)
{
	int			n;
	VirtualTransactionId *running = GetCurrentVirtualXIDs(InvalidTransactionId, false, false,
														  PROC_IS_AUTOVACUUM | PROC_IN_VACUUM, &n);

	for (int i = 0; i < n; i++)
		(void) VirtualXactLock(running[i], true);
}

/* Have everyone who writes from now on lock buckets, as a node with shards is about to be made of one without */
static void
begin_sharding(void)
{
	Relation	rel = open_table();

	announce_change(rel);
	table_close(rel, NoLock);
	wait_for_running();
}

Bitmapset *
shard_buckets_arg(FunctionCallInfo fcinfo, int n)
{
	Bitmapset  *buckets = NULL;
	Datum	   *values;
	bool	   *nulls;
	int			nvalues;

	arg_required(fcinfo, n, "buckets");
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(n), INT4OID, sizeof(int32), true, TYPALIGN_INT, &values, &nulls, &nvalues);
	for (int i = 0; i < nvalues; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("buckets must not contain nulls")));
		if (DatumGetInt32(values[i]) < 0 || DatumGetInt32(values[i]) >= SHARD_BUCKETS)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("there is no bucket %d", DatumGetInt32(values[i])),
					 errdetail("Buckets have the numbers 0 to %d.", SHARD_BUCKETS - 1),
					 errhint("kb_shard says in which bucket an account is.")));
		buckets = bms_add_member(buckets, DatumGetInt32(values[i]));
	}
	return buckets;
}

/* $1 the buckets that this node owns; it owns no others */
static SavedPlan own_plan = {
	.sql = "INSERT INTO kbilling.shard_bucket AS s (bucket, is_owned)"
	" SELECT b, b = ANY ($1) FROM generate_series(0, 1023) b"
	" ON CONFLICT (bucket) DO UPDATE SET is_owned = excluded.is_owned WHERE s.is_owned <> excluded.is_owned",
	.arg_types = {"integer[]"}
};

void
shard_own_buckets(FunctionCallInfo fcinfo, int n)
{
	Bitmapset  *buckets = shard_buckets_arg(fcinfo, n);
	Datum		value = PG_GETARG_DATUM(n);

	if (!shard_is_sharded())
		begin_sharding();
	shard_keep_out(bms_del_members(bms_add_range(NULL, 0, SHARD_BUCKETS - 1), buckets), DT_NOEND);
	plan_execute(&own_plan, &value, NULL, false);
}

/* kb_is_owned(account_id) */
PG_FUNCTION_INFO_V1(kb_is_owned);
Datum
kb_is_owned(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(shard_is_owned(PG_GETARG_INT64(0)));
}

/* kb_is_owned_support(request): the planner need not expect that few accounts are owned */
PG_FUNCTION_INFO_V1(kb_is_owned_support);
Datum
kb_is_owned_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);

	if (!IsA(request, SupportRequestSelectivity))
		PG_RETURN_POINTER(NULL);
	((SupportRequestSelectivity *) request)->selectivity = 1.0;
	PG_RETURN_POINTER(request);
}

/* kb_require_readable(account_id) */
PG_FUNCTION_INFO_V1(kb_require_readable);
Datum
kb_require_readable(PG_FUNCTION_ARGS)
{
	arg_required(fcinfo, 0, "account_id");
	shard_require_readable(PG_GETARG_INT64(0));
	PG_RETURN_VOID();
}

/* kb_keep_buckets() */
PG_FUNCTION_INFO_V1(kb_keep_buckets);
Datum
kb_keep_buckets(PG_FUNCTION_ARGS)
{
	shard_lock_many();
	PG_RETURN_VOID();
}

/* kb_require_owned(account_id) */
PG_FUNCTION_INFO_V1(kb_require_owned);
Datum
kb_require_owned(PG_FUNCTION_ARGS)
{
	arg_required(fcinfo, 0, "account_id");
	shard_require_owned(PG_GETARG_INT64(0));
	PG_RETURN_VOID();
}
