/*
 * compat.h
 *		Everything that differs between PostgreSQL 15 and 18, in one place.
 */
#ifndef KBILLING_COMPAT_H
#define KBILLING_COMPAT_H

#include "postgres.h"

#include "access/genam.h"
#include "access/tableam.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#if PG_VERSION_NUM < 170000
#include "storage/backendid.h"
#else
#include "storage/procnumber.h"
#endif
#include "parser/parse_relation.h"
#include "parser/parse_type.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/datetime.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#if PG_VERSION_NUM < 150000
#error "kbilling needs PostgreSQL 15 or later"
#endif

#ifndef USE_FLOAT8_BYVAL
#error "kbilling needs a 64-bit server: kb_money is passed by value in 8 bytes"
#endif

#ifndef HAVE_INT128
#error "kbilling needs a compiler with 128-bit integers: sums are made in them"
#endif

/* Soft errors came with 16; before it an input function just raises. */
#if PG_VERSION_NUM < 160000
#define ereturn(escontext, dummy, ...) \
	do { (void) (escontext); ereport(ERROR, __VA_ARGS__); } while (0)
#define KB_ESCONTEXT(fcinfo) NULL
#else
#define KB_ESCONTEXT(fcinfo) ((fcinfo)->context)
#endif

/* From 18 on it is spelled this way, and comes first. */
#if PG_VERSION_NUM < 180000
#define pg_noreturn pg_attribute_noreturn()
#endif

/* Since 16, what a check hook allocates must come from the server's own allocator. */
static inline void *
kb_guc_malloc(size_t size)
{
#if PG_VERSION_NUM < 160000
	return malloc(size);
#else
	return guc_malloc(LOG, size);
#endif
}

static inline void
kb_guc_free(void *ptr)
{
#if PG_VERSION_NUM < 160000
	free(ptr);
#else
	guc_free(ptr);
#endif
}

/* A small number that no other session has at the same time. */
static inline int
kb_session_number(void)
{
#if PG_VERSION_NUM < 170000
	return MyBackendId;
#else
	return MyProcNumber;
#endif
}

/* The session's number of its transaction, whether that has written anything or not. */
static inline LocalTransactionId
kb_transaction_number(void)
{
#if PG_VERSION_NUM < 170000
	return MyProc->lxid;
#else
	return MyProc->vxid.lxid;
#endif
}

/* Whether this session holds a lock, in this very mode. */
static inline bool
kb_lock_is_held(const LOCKTAG *lock, LOCKMODE mode)
{
#if PG_VERSION_NUM < 170000
	return LockHeldByMe(lock, mode);
#else
	return LockHeldByMe(lock, mode, false);
#endif
}

/* Index entries for a row that has been inserted; the result is those of deferred keys, and is to be freed. */
static inline List *
kb_insert_index_tuples(ResultRelInfo *result, TupleTableSlot *slot, EState *estate)
{
#if PG_VERSION_NUM < 160000
	return ExecInsertIndexTuples(result, slot, estate, false, false, NULL, NIL);
#else
	return ExecInsertIndexTuples(result, slot, estate, false, false, NULL, NIL, false);
#endif
}

/* A type's OID by its SQL name; raises if there is none. */
static inline Oid
kb_type_oid(const char *name)
{
	Oid			type;
	int32		typmod;

#if PG_VERSION_NUM < 160000
	parseTypeString(name, &type, &typmod, false);
#else
	(void) parseTypeString(name, &type, &typmod, NULL);
#endif
	return type;
}

/* Adds a table to those that the executor knows, and the columns that are updated in it. */
static inline void
kb_add_range_table(EState *estate, Relation rel, Bitmapset *updated)
{
	RangeTblEntry *entry = makeNode(RangeTblEntry);
	List	   *tables = lappend(estate->es_range_table, entry);
#if PG_VERSION_NUM >= 160000
	List	   *permissions = estate->es_rteperminfos;
#endif

	entry->rtekind = RTE_RELATION;
	entry->relid = RelationGetRelid(rel);
	entry->relkind = rel->rd_rel->relkind;
	entry->rellockmode = RowExclusiveLock;
#if PG_VERSION_NUM < 160000
	entry->updatedCols = updated;
	ExecInitRangeTable(estate, tables);
#else
	addRTEPermissionInfo(&permissions, entry)->updatedCols = updated;
#if PG_VERSION_NUM < 180000
	ExecInitRangeTable(estate, tables, permissions);
#else
	ExecInitRangeTable(estate, tables, permissions, bms_add_range(NULL, 1, list_length(tables)));
#endif
#endif
}

/* The state for looking again at a row that a trigger finds changed: without a plan, for one that is locked already. */
static inline void
kb_eval_plan_qual_init(EPQState *state, EState *estate)
{
#if PG_VERSION_NUM < 160000
	EvalPlanQualInit(state, estate, NULL, NIL, -1);
#else
	EvalPlanQualInit(state, estate, NULL, NIL, -1, NIL);
#endif
}

/* Fires the triggers BEFORE UPDATE FOR EACH ROW; false if one keeps the row back. */
static inline bool
kb_before_row_update(EState *estate, EPQState *state, ResultRelInfo *target, ItemPointer tid, TupleTableSlot *slot)
{
#if PG_VERSION_NUM < 160000
	return ExecBRUpdateTriggers(estate, state, target, tid, NULL, slot, NULL);
#elif PG_VERSION_NUM < 180000
	return ExecBRUpdateTriggers(estate, state, target, tid, NULL, slot, NULL, NULL);
#else
	return ExecBRUpdateTriggers(estate, state, target, tid, NULL, slot, NULL, NULL, false);
#endif
}

/* Which indexes the new version of a row needs an entry in; before 16, all or none. */
#if PG_VERSION_NUM < 160000
typedef bool KbUpdateIndexes;
#define KB_UPDATE_NO_INDEX	false
#else
typedef TU_UpdateIndexes KbUpdateIndexes;
#define KB_UPDATE_NO_INDEX	TU_None
#endif

/* Writes those entries; returns the indexes that are to be checked later. */
static inline List *
kb_update_indexes(EState *estate, ResultRelInfo *target, TupleTableSlot *slot, KbUpdateIndexes which)
{
#if PG_VERSION_NUM < 160000
	return ExecInsertIndexTuples(target, slot, estate, true, false, NULL, NIL);
#else
	return ExecInsertIndexTuples(target, slot, estate, true, false, NULL, NIL, which == TU_Summarizing);
#endif
}

/* Connects as a subscription does; NULL and an error if that fails.  A macro, as walreceiver.h brings much along. */
#if PG_VERSION_NUM < 160000
#define kb_walrcv_connect(conninfo, name, error)	walrcv_connect(conninfo, true, name, error)
#elif PG_VERSION_NUM < 170000
#define kb_walrcv_connect(conninfo, name, error)	walrcv_connect(conninfo, true, false, name, error)
#else
#define kb_walrcv_connect(conninfo, name, error)	walrcv_connect(conninfo, true, true, false, name, error)
#endif

/* From 18 on a scan may be counted for EXPLAIN. */
static inline IndexScanDesc
kb_index_beginscan(Relation rel, Relation index, Snapshot snapshot, int nkeys)
{
#if PG_VERSION_NUM < 180000
	return index_beginscan(rel, index, snapshot, nkeys, 0);
#else
	return index_beginscan(rel, index, snapshot, NULL, nkeys, 0);
#endif
}

/*
 * Reads a timestamp with time zone without raising, as a check hook must;
 * false if it is none.
 */
static inline bool
kb_parse_timestamptz(const char *str, TimestampTz *result)
{
	char		work[MAXDATELEN + MAXDATEFIELDS];
	char	   *field[MAXDATEFIELDS];
	int			ftype[MAXDATEFIELDS];
	int			nf;
	int			dtype;
	struct pg_tm tm;
	fsec_t		fsec;
	int			tz;

	if (ParseDateTime(str, work, sizeof(work), field, ftype, MAXDATEFIELDS, &nf) != 0)
		return false;
#if PG_VERSION_NUM < 160000
	if (DecodeDateTime(field, ftype, nf, &dtype, &tm, &fsec, &tz) != 0)
		return false;
#else
	{
		DateTimeErrorExtra extra;

		if (DecodeDateTime(field, ftype, nf, &dtype, &tm, &fsec, &tz, &extra) != 0)
			return false;
	}
#endif
	return dtype == DTK_DATE && tm2timestamp(&tm, fsec, &tz, result) == 0;
}

#endif
