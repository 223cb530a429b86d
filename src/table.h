/*
 * table.h
 *		Rows of the extension's own tables, found, locked and written without a
 *		statement: for the few that every posting writes, as a statement costs
 *		more to start than its rows to write.
 *
 * Done as a statement does it: defaults, domains, generated columns, NOT NULL,
 * CHECK, indexes, foreign keys, triggers FOR EACH ROW, what a snapshot sees, and
 * what replication is told.  Not done: triggers FOR EACH STATEMENT, rules, and
 * the checks of privileges and row security, as for the tables' owner.
 */
#ifndef KBILLING_TABLE_H
#define KBILLING_TABLE_H

#include "postgres.h"
#include "compat.h"
#include "nodes/bitmapset.h"
#include "optional_date.h"
#include "storage/itemptr.h"

#define TABLE_MAX_COLUMNS	24
#define TABLE_MAX_KEYS		5

/* A table in the schema kbilling; a static variable of the file that uses it. */
typedef struct Table
{
	const char *name;
	const char *columns[TABLE_MAX_COLUMNS]; /* those that the file uses, up to the first NULL; counted from 0 */
	int			nkeys;			/* so many of them, from the first on, are a unique key that never changes */
	struct TableShape *shape;	/* what the catalog says of it; set at first use */
} Table;

/* A row; read it and set it by the functions below. */
typedef struct TableRow
{
	Table	   *table;
	ItemPointerData tid;		/* where it is stored */
	Datum	   *values;			/* of all columns that the table has */
	bool	   *nulls;
	Bitmapset  *set;			/* which of them were set since */
} TableRow;

/*
 * Finds the row with the key as of now: what was committed before, or done by this transaction; false if there is none.
 * The table's lock is that of a command that writes, as one is to follow.
 */
extern bool table_find(Table *table, const Datum *key, TableRow *row);

/*
 * The same, and locks it FOR NO KEY UPDATE: waits for whoever has it locked, and then
 * finds what that has left; 40001 if that is newer than the transaction's snapshot.
 */
extern bool table_lock(Table *table, const Datum *key, TableRow *row);

/* Whether the table has never had a row, or none since it was truncated or vacuumed: read without a snapshot. */
extern bool table_is_empty(Table *table);

/*
 * Writes rows as one command does: begin, then insert and update, then end, when triggers fire
 * that wait for the end.  What follows sees the rows.
 */
typedef struct TableWrite
{
	struct EState *estate;
} TableWrite;

extern void table_begin_write(TableWrite *write);

/* A new row, which has defaults in the columns that are not set. */
extern void table_new_row(TableWrite *write, Table *table, TableRow *row);
extern void table_insert(TableWrite *write, TableRow *row);

/* A row that was locked, with what has been set since. */
extern void table_update(TableWrite *write, TableRow *row);
extern void table_end_write(TableWrite *write);

/* The error for a row of a table of kbilling that a trigger of somebody else's has kept back, as a part would be missing. */
pg_noreturn extern void table_refuse_kept_back(const char *name);

/* The value of a column, which is not NULL; else an internal error. */
extern Datum table_value(const TableRow *row, int column);
extern OptionalDate table_optional_date(const TableRow *row, int column);
extern bool table_is_null(const TableRow *row, int column);

/* The type of a column. */
extern Oid	table_type(const TableRow *row, int column);

/* Whether the value of an enum has that label. */
extern bool table_has_label(const TableRow *row, int column, const char *label);

extern void table_set(TableRow *row, int column, Datum value);
extern void table_set_null(TableRow *row, int column);

/* These take NULL, or no date, for SQL NULL. */
extern void table_set_text(TableRow *row, int column, const char *value);
extern void table_set_label(TableRow *row, int column, const char *label);
extern void table_set_date(TableRow *row, int column, OptionalDate value);

#endif
