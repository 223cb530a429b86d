/*
 * billterm.h
 *		Discounts and minimums: what they add to the lines of a bill (rules C9, C10).
 */
#ifndef KBILLING_BILLTERM_H
#define KBILLING_BILLTERM_H

#include "postgres.h"
#include "nodes/pg_list.h"
#include "utils/date.h"
#include "utils/numeric.h"

#include "lines.h"
#include "money.h"

typedef enum BillTermKind
{
	TERM_BILLED,				/* of late usage: what its month has been billed before */
	TERM_PERCENT,
	TERM_AMOUNT,
	TERM_MINIMUM
} BillTermKind;

/* What has been agreed for days of one month. */
typedef struct BillTerm
{
	BillTermKind kind;
	const char *service;		/* whose lines are discounted, NULL: all; or that was billed */
	DateADT		from;			/* first day */
	DateADT		to;				/* last day */
	Numeric		number;			/* percent, or an amount in major units */
	int32		number_of;		/* of the discount: it has a term for each of its services */
} BillTerm;

/* What the lines of a service come to, in minor units, in a month. */
typedef struct ServiceSum
{
	DateADT		month;
	const char *service;
	int64		before;			/* billed before */
	int64		after;			/* with what is on this bill */
} ServiceSum;

/* The terms of a bill, and the sums that they apply to. */
typedef struct BillTerms
{
	uint16		currency;
	DateADT		month;			/* that is billed; earlier ones are late */
	List	   *terms;			/* of BillTerm */
	List	   *sums;			/* of ServiceSum */
} BillTerms;

/* The kind of a term, by its name in SQL. */
extern BillTermKind term_kind(const char *name);

/* Add a term; of what was billed before, a sum. */
extern void terms_add(BillTerms *terms, const BillTerm *term);

/* Count a line in its service's sum. */
extern void terms_count(BillTerms *terms, const char *service, DateADT day, Money amount);

/*
 * Adds the lines of the terms to those of a bill, and their amounts to its total: discounts first, then minimums, each
 * for the month of the bill first, and then for late months.
 */
extern Lines *terms_apply(BillTerms *terms, const Lines *lines, Money *total);

#endif
