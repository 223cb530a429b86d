/*
 * table.c
 *		Rows of the extension's own tables, found, locked and written without a
 *		statement.
 *
 * Rows are inserted by the executor's entry point for logical replication, which
 * writes single rows as well.  That for updates opens all indexes, while nearly all
 * updates here are heap-only: they are made of the steps of which it consists.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relscan.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "compat.h"
#include "executor/executor.h"
#include "executor/nodeModifyTable.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "storage/bufmgr.h"
#include "table.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/typcache.h"
#include "version.h"

#define MAX_LABELS	24

/* A label of an enum, and the value that it stands for. */
typedef struct TableLabel
{
	Oid			type;
	const char *label;			/* a constant of the caller's */
	Oid			value;
} TableLabel;

/* A column whose value is a domain's, or is a default where none is set. */
typedef struct TableColumn
{
	int			att;			/* counted from 0 */
	Oid			domain;			/* InvalidOid: none */
	void	   *domain_check;	/* what domain_check keeps */
	ExprState  *default_value;	/* NULL: none */
} TableColumn;

/* The condition of a partial index, ready to run. */
typedef struct IndexCondition
{
	Oid			index;
	ExprState  *state;
} IndexCondition;

/* What the catalog says of a table; in a memory context of its own. */
typedef struct TableShape
{
	MemoryContext context;
	bool		is_valid;		/* false once the catalog may say something else */
	Oid			relid;
	Oid			key_index;
	RegProcedure key_equal[TABLE_MAX_KEYS];
	Oid			key_collation[TABLE_MAX_KEYS];
	int			natts;
	int			atts[TABLE_MAX_COLUMNS];	/* where the columns of Table are, counted from 0 */
	Oid			types[TABLE_MAX_COLUMNS];	/* theirs */
	int			nspecial;
	TableColumn *special;
	List	   *conditions;		/* IndexCondition */
	int			nlabels;
	TableLabel	labels[MAX_LABELS];
	TransactionId written_by;	/* the transaction that has written a row last, and where it is since */
	ItemPointerData written_at;
	struct TableShape *next;	/* of those that are valid */
} TableShape;

static TableShape *shapes = NULL;

/* A table has changed, or any may have: its shape is made anew at the next use */
static void
forget_shape(Datum arg, Oid relid)
{
	for (TableShape *shape = shapes; shape != NULL; shape = shape->next)
		if (relid == InvalidOid || relid == shape->relid)
			shape->is_valid = false;
}

/* What a subtransaction has written is not there any more when it is undone, and its place may be another's */
static void
forget_written(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		for (TableShape *shape = shapes; shape != NULL; shape = shape->next)
			shape->written_by = InvalidTransactionId;
}

/* Take a shape that is not valid away from its table; a write that is under way may look at it until the transaction ends */
static void
drop_shape(Table *table)
{
	TableShape **link = &shapes;

	if (table->shape == NULL)
		return;
	while (*link != table->shape)
		link = &(*link)->next;
	*link = table->shape->next;
	MemoryContextSetParent(table->shape->context, TopTransactionContext);
	table->shape = NULL;
}

/* Where a column is, counted from 0 */
static int
find_column(Relation rel, const char *name)
{
	TupleDesc	desc = RelationGetDescr(rel);

	for (int i = 0; i < desc->natts; i++)
		if (!TupleDescAttr(desc, i)->attisdropped && strcmp(NameStr(TupleDescAttr(desc, i)->attname), name) == 0)
			return i;
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("column \"%s\" of %s is gone", name, RelationGetRelationName(rel))));
}

/* Whether an index makes the first columns of the table's list unique */
static bool
is_key(Relation index, const TableShape *shape, int nkeys)
{
	Form_pg_index form = index->rd_index;

	if (!form->indisunique || !form->indisvalid || !form->indimmediate || form->indnkeyatts != nkeys ||
		RelationGetIndexPredicate(index) != NIL)
		return false;
	for (int i = 0; i < nkeys; i++)
		if (form->indkey.values[i] != shape->atts[i] + 1)
			return false;
	return true;
}

/* Note how to look into the index of the key */
static void
note_key(Relation index, TableShape *shape, int nkeys)
{
	shape->key_index = RelationGetRelid(index);
	for (int i = 0; i < nkeys; i++)
	{
		Oid			type = index->rd_opcintype[i];

		shape->key_collation[i] = index->rd_indcollation[i];
		shape->key_equal[i] = get_opcode(get_opfamily_member(index->rd_opfamily[i], type, type, BTEqualStrategyNumber));
	}
}

/* Find the index of the table's key */
static void
find_key(Relation rel, const Table *table, TableShape *shape)
{
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		if (is_key(index, shape, table->nkeys))
			note_key(index, shape, table->nkeys);
		index_close(index, AccessShareLock);
		if (OidIsValid(shape->key_index))
			return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("the unique index of %s is gone", table->name)));
}

/* Note the columns that need more than their value */
static void
find_special(Relation rel, TableShape *shape)
{
	TupleDesc	desc = RelationGetDescr(rel);

	shape->special = palloc0(sizeof(TableColumn) * desc->natts);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		TableColumn column = {.att = i};
		Node	   *value;

		if (att->attisdropped || att->attgenerated)
			continue;
		if (get_typtype(att->atttypid) == TYPTYPE_DOMAIN)
			column.domain = att->atttypid;
		value = build_column_default(rel, i + 1);
		if (value != NULL)
			column.default_value = ExecInitExpr(expression_planner((Expr *) value), NULL);
		if (OidIsValid(column.domain) || column.default_value != NULL)
			shape->special[shape->nspecial++] = column;
	}
}

/* Look at the table as it is now */
static void
make_shape(Relation rel, Table *table)
{
	static bool registered = false;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "kbilling table", ALLOCSET_SMALL_SIZES);
	MemoryContext outer = MemoryContextSwitchTo(context);
	TableShape *shape = palloc0(sizeof(TableShape));

	if (!registered)
	{
		CacheRegisterRelcacheCallback(forget_shape, (Datum) 0);
		RegisterSubXactCallback(forget_written, NULL);
	}
	registered = true;
	shape->context = context;
	shape->relid = RelationGetRelid(rel);
	shape->natts = RelationGetDescr(rel)->natts;
	for (int i = 0; i < TABLE_MAX_COLUMNS && table->columns[i] != NULL; i++)
	{
		shape->atts[i] = find_column(rel, table->columns[i]);
		shape->types[i] = TupleDescAttr(RelationGetDescr(rel), shape->atts[i])->atttypid;
	}
	if (table->nkeys > 0)
		find_key(rel, table, shape);
	find_special(rel, shape);
	MemoryContextSwitchTo(outer);
	MemoryContextSetParent(context, CacheMemoryContext);

	shape->is_valid = true;
	shape->next = shapes;
	shapes = shape;
	table->shape = shape;
}

/* Open the table; its shape is then valid until it is closed */
static Relation
open_table(Table *table, LOCKMODE mode)
{
	Relation	rel = NULL;

	version_require();
	if (table->shape != NULL && table->shape->is_valid)
		rel = try_table_open(table->shape->relid, mode);
	if (rel != NULL && table->shape->is_valid)
		return rel;
	if (rel != NULL)
		table_close(rel, NoLock);
	drop_shape(table);
	rel = table_openrv(makeRangeVar("kbilling", pstrdup(table->name), -1), mode);
	make_shape(rel, table);
	return rel;
}

/* Room for a row of the table */
static void
make_row(Table *table, TableRow *row)
{
	int			natts = table->shape->natts;

	row->table = table;
	ItemPointerSetInvalid(&row->tid);
	row->values = palloc(natts * sizeof(Datum));
	row->nulls = palloc(natts * sizeof(bool));
	row->set = NULL;
}

/* Copy a row out of its page */
static void
copy_row(Table *table, TupleTableSlot *slot, TableRow *row)
{
	HeapTuple	tuple = ExecCopySlotHeapTuple(slot);

	make_row(table, row);
	row->tid = slot->tts_tid;
	heap_deform_tuple(tuple, slot->tts_tupleDescriptor, row->values, row->nulls);
}

/* Find the row with the key that the snapshot sees */
static bool
find_row(Relation rel, const TableShape *shape, const Datum *key, int nkeys, Snapshot snapshot, TupleTableSlot *slot)
{
	Relation	index = index_open(shape->key_index, RowExclusiveLock);
	IndexScanDesc scan = kb_index_beginscan(rel, index, snapshot, nkeys);
	ScanKeyData scankeys[TABLE_MAX_KEYS];
	bool		found;

	for (int i = 0; i < nkeys; i++)
		ScanKeyEntryInitialize(&scankeys[i], 0, i + 1, BTEqualStrategyNumber, InvalidOid,
							   shape->key_collation[i], shape->key_equal[i], key[i]);
	index_rescan(scan, scankeys, nkeys, NULL, 0);
	found = index_getnext_slot(scan, ForwardScanDirection, slot);
	index_endscan(scan);
	index_close(index, NoLock);
	return found;
}

/*
 * The same, if it is the row that this transaction has written last.  The index would lead through all the versions that it
 * has left of it, which stay until it ends.
 */
static bool
find_written(Relation rel, const TableShape *shape, const Datum *key, int nkeys, Snapshot snapshot, TupleTableSlot *slot)
{
	ItemPointerData tid = shape->written_at;

	if (!TransactionIdIsValid(shape->written_by) || shape->written_by != GetTopTransactionIdIfAny() ||
		!table_tuple_fetch_row_version(rel, &tid, snapshot, slot))
		return false;
	for (int i = 0; i < nkeys; i++)
	{
		bool		isnull;
		Datum		value = slot_getattr(slot, shape->atts[i] + 1, &isnull);

		if (isnull || !DatumGetBool(OidFunctionCall2Coll(shape->key_equal[i], shape->key_collation[i], value, key[i])))
			return false;
	}
	return true;
}

/*
 * Lock a row that the snapshot sees; false if it has been deleted since.  With READ
 * COMMITTED, the slot then has its newest version, else that of the snapshot.
 */
static bool
lock_row(Relation rel, Snapshot snapshot, TupleTableSlot *slot)
{
	ItemPointerData tid = slot->tts_tid;
	uint8		flags = TUPLE_LOCK_FLAG_LOCK_UPDATE_IN_PROGRESS;
	TM_FailureData failure;
	TM_Result	result;

	if (!IsolationUsesXactSnapshot())
		flags |= TUPLE_LOCK_FLAG_FIND_LAST_VERSION;
	result = table_tuple_lock(rel, &tid, snapshot, slot, snapshot->curcid, LockTupleNoKeyExclusive, LockWaitBlock,
							  flags, &failure);
	if (result == TM_Ok)
		return true;
	if (result != TM_Updated && result != TM_Deleted)
		elog(ERROR, "could not lock a row of %s", RelationGetRelationName(rel));
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent update")));
	return false;
}

/* Find a row, and lock it if that is wanted */
static bool
find(Table *table, const Datum *key, bool lock, TableRow *row)
{
	Relation	rel;
	Snapshot	snapshot;
	TupleTableSlot *slot;
	bool		found;

	/* what this transaction has done so far is seen, and what others have committed if it is READ COMMITTED */
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	snapshot = GetActiveSnapshot();
	rel = open_table(table, RowExclusiveLock);
	slot = table_slot_create(rel, NULL);

	found = (find_written(rel, table->shape, key, table->nkeys, snapshot, slot) ||
			 find_row(rel, table->shape, key, table->nkeys, snapshot, slot)) &&
		(!lock || lock_row(rel, snapshot, slot));
	if (found)
		copy_row(table, slot, row);

	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
	PopActiveSnapshot();
	return found;
}

bool
table_find(Table *table, const Datum *key, TableRow *row)
{
	return find(table, key, false, row);
}

bool
table_lock(Table *table, const Datum *key, TableRow *row)
{
	PreventCommandIfReadOnly("SELECT FOR NO KEY UPDATE");
	PreventCommandIfParallelMode("SELECT FOR NO KEY UPDATE");
	return find(table, key, true, row);
}

bool
table_is_empty(Table *table)
{
	Relation	rel = open_table(table, AccessShareLock);
	bool		is_empty = RelationGetNumberOfBlocks(rel) == 0;

	table_close(rel, NoLock);
	return is_empty;
}

void
table_begin_write(TableWrite *write)
{
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	write->estate = CreateExecutorState();
	write->estate->es_snapshot = GetActiveSnapshot();
	write->estate->es_output_cid = GetCurrentCommandId(true);
	AfterTriggerBeginQuery();
}

/* Have the executor ready to write to the table, which it may have been for a row before */
static ResultRelInfo *
open_target(TableWrite *write, Table *table, Bitmapset *updated)
{
	EState	   *estate = write->estate;
	ResultRelInfo *target;
	MemoryContext outer;
	Relation	rel;
	ListCell   *lc;

	foreach(lc, table->shape ? estate->es_opened_result_relations : NIL)
	{
		target = lfirst(lc);
		if (RelationGetRelid(target->ri_RelationDesc) == table->shape->relid)
			return target;
	}
	outer = MemoryContextSwitchTo(estate->es_query_cxt);
	rel = open_table(table, RowExclusiveLock);
	kb_add_range_table(estate, rel, updated);
	target = makeNode(ResultRelInfo);
	InitResultRelInfo(target, rel, estate->es_range_table_size, NULL, 0);
	target->ri_newTupleSlot = ExecInitExtraTupleSlot(estate, RelationGetDescr(rel), &TTSOpsVirtual);
	estate->es_opened_result_relations = lappend(estate->es_opened_result_relations, target);
	MemoryContextSwitchTo(outer);
	return target;
}

/* The condition of a partial index; to make it ready costs as much as to insert into the index */
static ExprState *
index_condition(TableShape *shape, Relation index, List *condition)
{
	MemoryContext outer;
	IndexCondition *known;
	ListCell   *lc;

	foreach(lc, shape->conditions)
	{
		known = lfirst(lc);
		if (known->index == RelationGetRelid(index))
			return known->state;
	}
	outer = MemoryContextSwitchTo(shape->context);
	known = palloc(sizeof(IndexCondition));
	known->index = RelationGetRelid(index);
	known->state = ExecInitQual((List *) expression_planner((Expr *) copyObject(condition)), NULL);
	shape->conditions = lappend(shape->conditions, known);
	MemoryContextSwitchTo(outer);
	return known->state;
}

/* Open the indexes of the table for the executor */
static void
open_indexes(ResultRelInfo *target, TableShape *shape)
{
	ExecOpenIndices(target, false);
	for (int i = 0; i < target->ri_NumIndices; i++)
	{
		IndexInfo  *info = target->ri_IndexRelationInfo[i];

		if (info->ii_Predicate != NIL)
			info->ii_PredicateState = index_condition(shape, target->ri_IndexRelationDescs[i], info->ii_Predicate);
	}
}

void
table_new_row(TableWrite *write, Table *table, TableRow *row)
{
	ResultRelInfo *target = open_target(write, table, NULL);

	if (target->ri_IndexRelationDescs == NULL)
		open_indexes(target, table->shape);
	make_row(table, row);
	memset(row->nulls, true, table->shape->natts * sizeof(bool));
}

/* Whether a column was set */
static bool
is_set(const TableRow *row, int att)
{
	return bms_is_member(att + 1 - FirstLowInvalidHeapAttributeNumber, row->set);
}

/* Give the columns that are not set their defaults */
static void
add_defaults(TableWrite *write, TableRow *row)
{
	TableShape *shape = row->table->shape;

	for (int i = 0; i < shape->nspecial; i++)
	{
		const TableColumn *column = &shape->special[i];

		if (column->default_value != NULL && !is_set(row, column->att))
			row->values[column->att] = ExecEvalExpr(column->default_value, GetPerTupleExprContext(write->estate),
													&row->nulls[column->att]);
	}
}

/* Check what is new against the constraints of its domain */
static void
check_domains(const TableRow *row, bool is_new)
{
	TableShape *shape = row->table->shape;

	for (int i = 0; i < shape->nspecial; i++)
	{
		TableColumn *column = &shape->special[i];

		if (OidIsValid(column->domain) && (is_new || is_set(row, column->att)))
			domain_check(row->values[column->att], row->nulls[column->att], column->domain, &column->domain_check,
						 shape->context);
	}
}

/* The row as the executor takes it */
static TupleTableSlot *
fill_slot(ResultRelInfo *target, const TableRow *row)
{
	TupleTableSlot *slot = target->ri_newTupleSlot;
	int			natts = slot->tts_tupleDescriptor->natts;

	ExecClearTuple(slot);
	memcpy(slot->tts_values, row->values, natts * sizeof(Datum));
	memcpy(slot->tts_isnull, row->nulls, natts * sizeof(bool));
	return ExecStoreVirtualTuple(slot);
}

void
table_refuse_kept_back(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
			 errmsg("a trigger has kept back a row of kbilling.%s", name),
			 errhint("Raise an error in the trigger to refuse the whole.")));
}

/* A row has been written, unless a trigger has kept it back: then there is none, or only a part of a posting */
static void
note_written(const TupleTableSlot *slot, TableRow *row)
{
	if (!ItemPointerIsValid(&slot->tts_tid))
		table_refuse_kept_back(row->table->name);
	row->table->shape->written_by = GetTopTransactionIdIfAny();
	row->table->shape->written_at = slot->tts_tid;
	row->tid = slot->tts_tid;
	row->set = NULL;
}

void
table_insert(TableWrite *write, TableRow *row)
{
	ResultRelInfo *target = open_target(write, row->table, NULL);
	TupleTableSlot *slot;

	add_defaults(write, row);
	check_domains(row, true);
	slot = fill_slot(target, row);
	ExecSimpleRelationInsert(target, write->estate, slot);
	note_written(slot, row);
}

/* Fire the triggers that may change the new version of a row, or keep it back */
static bool
fire_before_update(TableWrite *write, ResultRelInfo *target, ItemPointer tid, TupleTableSlot *slot)
{
	EPQState	state;
	bool		result;

	if (target->ri_TrigDesc == NULL || !target->ri_TrigDesc->trig_update_before_row)
		return true;
	kb_eval_plan_qual_init(&state, write->estate);
	result = kb_before_row_update(write->estate, &state, target, tid, slot);
	EvalPlanQualEnd(&state);
	return result;
}

/* Store the new version of a row, and what follows from it; its indexes are opened if they need an entry */
static void
store_update(EState *estate, ResultRelInfo *target, TableShape *shape, ItemPointer tid, TupleTableSlot *slot)
{
	Relation	rel = target->ri_RelationDesc;
	const TupleConstr *constraints = RelationGetDescr(rel)->constr;
	KbUpdateIndexes which;
	List	   *recheck = NIL;

	if (constraints != NULL && constraints->has_generated_stored)
		ExecComputeStoredGenerated(target, estate, slot, CMD_UPDATE);
	if (constraints != NULL)
		ExecConstraints(target, slot, estate);
	simple_table_tuple_update(rel, tid, slot, estate->es_snapshot, &which);
	if (which != KB_UPDATE_NO_INDEX)
	{
		open_indexes(target, shape);
		recheck = kb_update_indexes(estate, target, slot, which);
	}
	ExecARUpdateTriggers(estate, target, NULL, NULL, tid, NULL, slot, recheck, NULL, false);
}

void
table_update(TableWrite *write, TableRow *row)
{
	ResultRelInfo *target = open_target(write, row->table, row->set);
	TupleTableSlot *slot;

	CheckCmdReplicaIdentity(target->ri_RelationDesc, CMD_UPDATE);
	check_domains(row, false);
	slot = fill_slot(target, row);
	if (fire_before_update(write, target, &row->tid, slot))
		store_update(write->estate, target, row->table->shape, &row->tid, slot);
	note_written(slot, row);
}

void
table_end_write(TableWrite *write)
{
	EState	   *estate = write->estate;
	ListCell   *lc;

	AfterTriggerEndQuery(estate);
	ExecResetTupleTable(estate->es_tupleTable, false);
	ExecCloseResultRelations(estate);
	foreach(lc, estate->es_opened_result_relations)
		table_close(((ResultRelInfo *) lfirst(lc))->ri_RelationDesc, NoLock);
	FreeExecutorState(estate);
	PopActiveSnapshot();
	CommandCounterIncrement();
}

/* Where a column is, counted from 0 */
static inline int
att_of(const TableRow *row, int column)
{
	return row->table->shape->atts[column];
}

bool
table_is_null(const TableRow *row, int column)
{
	return row->nulls[att_of(row, column)];
}

Oid
table_type(const TableRow *row, int column)
{
	return row->table->shape->types[column];
}

Datum
table_value(const TableRow *row, int column)
{
	if (table_is_null(row, column))
		elog(ERROR, "column \"%s\" of %s is null", row->table->columns[column], row->table->name);
	return row->values[att_of(row, column)];
}

OptionalDate
table_optional_date(const TableRow *row, int column)
{
	return table_is_null(row, column) ? no_date() : optional_date(DatumGetDateADT(table_value(row, column)));
}

/* The value of an enum by its label */
static Oid
label_value(TableShape *shape, Oid type, const char *label)
{
	Oid			value;

	for (int i = 0; i < shape->nlabels; i++)
		if (shape->labels[i].type == type && strcmp(shape->labels[i].label, label) == 0)
			return shape->labels[i].value;
	value = GetSysCacheOid2(ENUMTYPOIDNAME, Anum_pg_enum_oid, ObjectIdGetDatum(type), CStringGetDatum(label));
	if (!OidIsValid(value))
		elog(ERROR, "an enum has no label \"%s\"", label);
	if (shape->nlabels < MAX_LABELS)
	{
		TableLabel	known = {type, MemoryContextStrdup(shape->context, label), value};

		shape->labels[shape->nlabels++] = known;
	}
	return value;
}

bool
table_has_label(const TableRow *row, int column, const char *label)
{
	TableShape *shape = row->table->shape;

	return DatumGetObjectId(table_value(row, column)) == label_value(shape, shape->types[column], label);
}

void
table_set(TableRow *row, int column, Datum value)
{
	int			att = att_of(row, column);

	row->values[att] = value;
	row->nulls[att] = false;
	row->set = bms_add_member(row->set, att + 1 - FirstLowInvalidHeapAttributeNumber);
}

void
table_set_null(TableRow *row, int column)
{
	table_set(row, column, (Datum) 0);
	row->nulls[att_of(row, column)] = true;
}

void
table_set_text(TableRow *row, int column, const char *value)
{
	if (value != NULL)
		table_set(row, column, CStringGetTextDatum(value));
	else
		table_set_null(row, column);
}

void
table_set_label(TableRow *row, int column, const char *label)
{
	TableShape *shape = row->table->shape;

	table_set(row, column, ObjectIdGetDatum(label_value(shape, shape->types[column], label)));
}

void
table_set_date(TableRow *row, int column, OptionalDate value)
{
	if (value.exists)
		table_set(row, column, DateADTGetDatum(value.date));
	else
		table_set_null(row, column);
}
