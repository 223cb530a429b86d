/*
 * row.h
 *		The composite result of an SQL function.
 */
#ifndef KBILLING_ROW_H
#define KBILLING_ROW_H

#include "postgres.h"
#include "access/htup_details.h"
#include "catalog/pg_enum.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#define ROW_MAX_COLUMNS 16

/* A row under construction; columns count from 0, and are NULL until set. */
typedef struct Row
{
	TupleDesc	desc;
	Datum		values[ROW_MAX_COLUMNS];
	bool		nulls[ROW_MAX_COLUMNS];
} Row;

/* A row of the type that the function returns. */
static inline void
row_begin(Row *row, FunctionCallInfo fcinfo)
{
	if (get_call_result_type(fcinfo, NULL, &row->desc) != TYPEFUNC_COMPOSITE ||
		row->desc->natts > ROW_MAX_COLUMNS)
		elog(ERROR, "the function does not return a row");
	memset(row->nulls, true, sizeof(row->nulls));
}

/* A value that is not NULL. */
static inline void
row_set(Row *row, int column, Datum value)
{
	row->values[column] = value;
	row->nulls[column] = false;
}

/* A value of the column's enum type, by its label. */
static inline void
row_set_enum(Row *row, int column, const char *label)
{
	Oid			type = TupleDescAttr(row->desc, column)->atttypid;

	row_set(row, column, GetSysCacheOid2(ENUMTYPOIDNAME, Anum_pg_enum_oid,
										 ObjectIdGetDatum(type), CStringGetDatum(label)));
}

/* The row as the function's result. */
static inline Datum
row_end(Row *row)
{
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row->desc), row->values, row->nulls));
}

#endif
