/*
 * rowread.c
 *		Rows of the extension's own tables, found by an index without a
 *		statement.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relscan.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "executor/tuptable.h"
#include "nodes/makefuncs.h"
#include "rowread.h"
#include "utils/datum.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "version.h"

/* A column of a table as it is stored. */
typedef struct ReadColumn
{
	AttrNumber	attnum;
	int16		length;
	bool		by_value;
} ReadColumn;

/* What the catalog says of a table. */
typedef struct ReadShape
{
	bool		is_valid;		/* false once the catalog may say something else */
	Oid			relid;
	Oid			index;
	ScanKeyData keys[READ_MAX_KEYS];	/* but for the values */
	int			ncolumns;
	ReadColumn	columns[READ_MAX_COLUMNS];
	AttrNumber	last;			/* the last of the columns */
	ReadTable  *table;
	struct ReadShape *next;
} ReadShape;

static ReadShape *shapes = NULL;

/* A table has changed, or any may have */
static void
note_change(Datum arg, Oid relid)
{
	for (ReadShape *shape = shapes; shape != NULL; shape = shape->next)
	{
		if (relid != InvalidOid && relid != shape->relid)
			continue;
		shape->is_valid = false;
		shape->table->changes++;
	}
}

/* The shape of a table, to be filled in; it is kept for the session */
static ReadShape *
shape_of(ReadTable *table)
{
	if (table->shape != NULL)
		return table->shape;
	if (shapes == NULL)
		CacheRegisterRelcacheCallback(note_change, (Datum) 0);
	table->shape = MemoryContextAllocZero(TopMemoryContext, sizeof(ReadShape));
	table->shape->table = table;
	table->shape->next = shapes;
	shapes = table->shape;
	return table->shape;
}

/* How to look for a value of a column of the index */
static void
fill_key(ScanKey key, const FormData_pg_attribute *att, Relation index, int n)
{
	Oid			type = index->rd_opcintype[n];
	Oid			equals = get_opfamily_member(index->rd_opfamily[n], type, type, BTEqualStrategyNumber);

	ScanKeyEntryInitialize(key, 0, att->attnum, BTEqualStrategyNumber, InvalidOid, index->rd_indcollation[n],
						   get_opcode(equals), (Datum) 0);
}

/* The index by which a table is read */
static Oid
index_of(const ReadTable *table, Relation rel)
{
	Oid			index;

	if (table->index == NULL)
	{
		list_free(RelationGetIndexList(rel));
		return rel->rd_pkindex;
	}
	index = get_relname_relid(table->index, RelationGetNamespace(rel));
	if (!OidIsValid(index))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("index kbilling.%s is gone", table->index)));
	return index;
}

/* Look at the table as it is now */
static void
fill_shape(ReadShape *shape, Relation rel)
{
	Relation	index;

	shape->is_valid = true;
	shape->relid = RelationGetRelid(rel);
	shape->index = index_of(shape->table, rel);
	index = index_open(shape->index, AccessShareLock);
	shape->last = 0;
	for (shape->ncolumns = 0; shape->ncolumns < READ_MAX_COLUMNS; shape->ncolumns++)
	{
		int			n = shape->ncolumns;
		const char *name = shape->table->columns[n];
		AttrNumber	attnum = name ? get_attnum(shape->relid, name) : InvalidAttrNumber;
		const FormData_pg_attribute *att;

		if (name == NULL)
			break;
		if (attnum == InvalidAttrNumber)
			elog(ERROR, "column \"%s\" of %s is gone", name, shape->table->name);
		att = TupleDescAttr(RelationGetDescr(rel), attnum - 1);
		shape->columns[n] = (ReadColumn) {attnum, att->attlen, att->attbyval};
		shape->last = Max(shape->last, attnum);
		if (n < shape->table->nkeys)
			fill_key(&shape->keys[n], att, index, n);
	}
	index_close(index, NoLock);
}

/* Open the table; its shape is then valid until it is closed */
static Relation
open_table(ReadTable *table)
{
	ReadShape  *shape = shape_of(table);
	Relation	rel;

	version_require();
	rel = shape->is_valid ? try_table_open(shape->relid, AccessShareLock) : NULL;
	if (rel != NULL && shape->is_valid)
		return rel;
	if (rel != NULL)
		table_close(rel, NoLock);
	rel = table_openrv(makeRangeVar("kbilling", pstrdup(table->name), -1), AccessShareLock);
	fill_shape(shape, rel);
	return rel;
}

/* Whether a version that a snapshot sees is committed, and the last that anybody has written */
static bool
is_latest(HeapTupleHeader header)
{
	if (TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(header)))
		return false;
	if ((header->t_infomask & HEAP_XMAX_INVALID) || HEAP_XMAX_IS_LOCKED_ONLY(header->t_infomask))
		return true;
	return TransactionIdDidAbort(HeapTupleHeaderGetUpdateXid(header));
}

/* Copy the columns out of the page */
static void
copy_columns(const ReadShape *shape, TupleTableSlot *slot, ReadRow *row)
{
	slot_getsomeattrs(slot, shape->last);
	for (int i = 0; i < shape->ncolumns; i++)
	{
		const ReadColumn *column = &shape->columns[i];
		Datum		value = slot->tts_values[column->attnum - 1];

		row->nulls[i] = slot->tts_isnull[column->attnum - 1];
		row->values[i] = row->nulls[i] || column->by_value ? value : datumCopy(value, false, column->length);
	}
}

bool
row_read_first(ReadTable *table, const Datum *key, ReadRow *row,
			   bool (*fits) (const ReadRow *row, const void *arg), const void *arg)
{
	Relation	rel = open_table(table);
	ReadShape  *shape = table->shape;
	ScanKeyData keys[READ_MAX_KEYS];
	SysScanDesc scan;
	HeapTuple	tuple;

	for (int i = 0; i < table->nkeys; i++)
	{
		keys[i] = shape->keys[i];
		keys[i].sk_argument = key[i];
	}
	scan = systable_beginscan(rel, shape->index, true, GetActiveSnapshot(), table->nkeys, keys);
	while ((tuple = systable_getnext(scan)) != NULL)
	{
		copy_columns(shape, scan->slot, row);
		row->is_latest = is_latest(tuple->t_data);
		if (fits == NULL || fits(row, arg))
			break;
	}
	systable_endscan(scan);
	table_close(rel, NoLock);
	return tuple != NULL;
}

bool
row_read(ReadTable *table, const Datum *key, ReadRow *row)
{
	return row_read_first(table, key, row, NULL, NULL);
}

void
row_look_anew(void)
{
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
}
