/*
 * bulk.c
 *		Rows that are inserted by the thousand, past the parser and the planner.
 *
 * This is what COPY does with rows that it has read: pages are filled before their rows get into the indexes.
 * Logical decoding, standbys and the table's indexes see ordinary rows.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "bulk.h"
#include "compat.h"
#include "executor/executor.h"
#include "utils/lsyscache.h"

bool
bulk_is_possible(Oid table)
{
	Relation	relation = table_open(table, RowExclusiveLock);
	bool		is_possible = relation->trigdesc == NULL && !XactReadOnly;

	table_close(relation, NoLock);
	return is_possible;
}

Bulk *
bulk_begin(Oid table, const char *const *columns, int n)
{
	Bulk	   *bulk = palloc0(sizeof(Bulk));

	Assert(n <= BULK_MAX_COLUMNS);
	bulk->relation = table_open(table, RowExclusiveLock);
	bulk->estate = CreateExecutorState();
	bulk->result = makeNode(ResultRelInfo);
	InitResultRelInfo(bulk->result, bulk->relation, 0, NULL, 0);
	ExecOpenIndices(bulk->result, false);
	bulk->columns = n;
	for (int i = 0; i < n; i++)
		bulk->attnums[i] = get_attnum(table, columns[i]);
	return bulk;
}

/* Write the rows in the slots, and then their index entries */
static void
flush(Bulk *bulk)
{
	if (bulk->rows == 0)
		return;
	table_multi_insert(bulk->relation, bulk->slots, bulk->rows, GetCurrentCommandId(true), 0, NULL);
	for (int i = 0; i < bulk->rows; i++)
	{
		ResetPerTupleExprContext(bulk->estate);
		list_free(kb_insert_index_tuples(bulk->result, bulk->slots[i], bulk->estate));
		ExecClearTuple(bulk->slots[i]);
	}
	bulk->rows = 0;
}

void
bulk_add(Bulk *bulk, const Datum *values, const bool *nulls)
{
	TupleTableSlot *slot = bulk->slots[bulk->rows];

	if (slot == NULL)
		slot = bulk->slots[bulk->rows] = table_slot_create(bulk->relation, NULL);
	memset(slot->tts_isnull, true, slot->tts_tupleDescriptor->natts * sizeof(bool));
	for (int i = 0; i < bulk->columns; i++)
	{
		slot->tts_values[bulk->attnums[i] - 1] = values[i];
		slot->tts_isnull[bulk->attnums[i] - 1] = nulls[i];
	}
	ExecStoreVirtualTuple(slot);
	if (++bulk->rows < BULK_ROWS)
		return;
	CHECK_FOR_INTERRUPTS();
	flush(bulk);
}

void
bulk_end(Bulk *bulk)
{
	flush(bulk);
	for (int i = 0; i < BULK_ROWS && bulk->slots[i] != NULL; i++)
		ExecDropSingleTupleTableSlot(bulk->slots[i]);
	ExecCloseIndices(bulk->result);
	FreeExecutorState(bulk->estate);
	table_close(bulk->relation, NoLock);
}
