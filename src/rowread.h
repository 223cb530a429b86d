/*
 * rowread.h
 *		Rows of the extension's own tables, found by an index without a
 *		statement: for what is asked at each request, as a statement costs more to
 *		start than its row to find.
 *
 * As a statement of the tables' owner would, it reads what the active snapshot
 * sees, whoever calls: no function that shows what it reads is for everyone.
 */
#ifndef KBILLING_ROWREAD_H
#define KBILLING_ROWREAD_H

#include "postgres.h"
#include "optional_date.h"

#define READ_MAX_COLUMNS	12
#define READ_MAX_KEYS		2

/* A table in the schema kbilling, and columns of it; a static variable of who reads it. */
typedef struct ReadTable
{
	const char *name;
	const char *columns[READ_MAX_COLUMNS];	/* up to the first NULL; counted from 0 */
	int			nkeys;			/* by so many of them it is read: the first columns, and those of the index */
	const char *index;			/* its name; NULL: that of the primary key */
	uint64		changes;		/* how often we were told that something about the table has changed */
	struct ReadShape *shape;	/* what the catalog says of it; set at first use */
} ReadTable;

/* A row; texts are copies. */
typedef struct ReadRow
{
	Datum		values[READ_MAX_COLUMNS];
	bool		nulls[READ_MAX_COLUMNS];
	bool		is_latest;		/* committed, and nobody has written a newer version, committed or not */
} ReadRow;

/* The row with the key, which is unique; false if the snapshot sees none. */
extern bool row_read(ReadTable *table, const Datum *key, ReadRow *row);

/* Of rows with the key, the first for which fits() is true. */
extern bool row_read_first(ReadTable *table, const Datum *key, ReadRow *row,
						   bool (*fits) (const ReadRow *row, const void *arg), const void *arg);

/*
 * Pushes a snapshot that sees what this transaction has done so far and, with READ
 * COMMITTED, what others have committed: as a statement of its own would.
 */
extern void row_look_anew(void);

/* A column, which may be NULL. */
static inline OptionalDate
row_optional_date(const ReadRow *row, int column)
{
	return row->nulls[column] ? no_date() : optional_date(DatumGetDateADT(row->values[column]));
}

#endif
