/*
 * bulk.h
 *		Rows that are inserted by the thousand, past the parser and the planner.
 */
#ifndef KBILLING_BULK_H
#define KBILLING_BULK_H

#include "postgres.h"
#include "executor/tuptable.h"
#include "nodes/execnodes.h"
#include "utils/rel.h"

#define BULK_MAX_COLUMNS	32

/* Rows that are written together */
#define BULK_ROWS			1000

/* A table that is being written. */
typedef struct Bulk
{
	Relation	relation;
	EState	   *estate;
	ResultRelInfo *result;
	AttrNumber	attnums[BULK_MAX_COLUMNS];	/* of the caller's columns */
	int			columns;
	TupleTableSlot *slots[BULK_ROWS];
	int			rows;			/* in the slots */
} Bulk;

/* Whether rows may be written so: the table has no triggers, and the transaction may write. */
extern bool bulk_is_possible(Oid table);

/* Begins to write the table's columns of these names; all others become NULL. */
extern Bulk *bulk_begin(Oid table, const char *const *columns, int n);

/*
 * Adds a row.  The values must fit the columns' types, domains and NOT NULL, which nobody checks, and live until
 * bulk_end.  A unique key that is there already raises, not before the row is written.
 */
extern void bulk_add(Bulk *bulk, const Datum *values, const bool *nulls);

/* Writes what is left. */
extern void bulk_end(Bulk *bulk);

#endif
