/*
 * move.h
 *		Buckets of accounts move to another node: what its steps share.
 */
#ifndef KBILLING_MOVE_H
#define KBILLING_MOVE_H

#include "postgres.h"
#include "fmgr.h"
#include "nodes/bitmapset.h"
#include "nodes/pg_list.h"
#include "utils/array.h"
#include "utils/timestamp.h"

/* The states of kb_move_state */
#define BEGUN		"begun"
#define READY		"ready"
#define CUT			"cut"
#define TAKEN		"taken"
#define FORGOTTEN	"forgotten"
#define CANCELLED	"cancelled"

/* A row of shard_move. */
typedef struct Move
{
	char	   *name;
	bool		is_source;
	char	   *state;
	ArrayType  *buckets;
	bool		is_refused;
} Move;

/* All of the following are for a caller that has connected to SPI; the arguments of a function, too, may be read before. */

/* Name of the publication, of the slot and of the subscription of a move, and of the publication of what is only added */
extern char *move_object(const char *move);
extern char *move_log_object(const char *move);

/* The name of a move, which is part of those: 22004, 22023 */
extern char *move_name_arg(FunctionCallInfo fcinfo, int n);

/* Buckets that an argument names, one at least, in their order: 22004, 22023 */
extern ArrayType *move_buckets_arg(FunctionCallInfo fcinfo, int n);

/* The end of an interval that begins now: 22004 */
extern TimestampTz move_deadline_arg(FunctionCallInfo fcinfo, int n);

/* The move of that name, locked until the transaction ends; 42704 if there is none. */
extern Move *move_require(const char *name);
extern bool move_has_state(const Move *move, const char *state);
extern void move_set_state(Move *move, const char *state);

/* 55000 for a step that is not next */
pg_noreturn extern void move_refuse(const Move *move, const char *step);

/* Notes a move that begins here. */
extern void move_insert(const char *name, bool is_source, ArrayType *buckets);

/* Whether the move has begun already; 42710 if it is another one, or if buckets is not NULL, has others. */
extern bool move_has_begun(const char *name, bool is_source, ArrayType *buckets);

/* 55000 if one of the buckets is being moved, by another move than that of the name; nobody begins one until the commit. */
extern void move_require_still(ArrayType *buckets, const char *name);

/* 55000 unless this node owns all of the buckets, or none. */
extern void move_require_all_owned(ArrayType *buckets);
extern void move_require_none_owned(ArrayType *buckets);

/* Owns the buckets from the commit on, or disowns them. */
extern void move_set_owned(ArrayType *buckets, bool is_owned);

/* Owns the buckets of a move that was cut from the commit on; what has been done meanwhile for all accounts is made up for. */
extern void move_own(const Move *move);

extern Bitmapset *move_bucket_set(ArrayType *buckets);

/* Buckets as SQL writes them */
extern char *move_buckets_text(ArrayType *buckets);

/* A table that has rows of accounts. */
typedef struct AccountTable
{
	char	   *name;			/* as SQL writes it, with its schema */
	bool		is_log;			/* it has another key than the account's, so rows are only added */
} AccountTable;

/* The tables that have rows of accounts, those that do not move too if wanted; account comes last. */
extern List *move_tables(bool all);

/* 55000 if "gone", as the source then can send no more */
extern void move_require_slot(const Move *move, const char *slot);

/* Takes back the row by which a source tells that it is cut. */
extern void move_drop_cut(const Move *move);

/* Runs a statement. */
extern void move_run(const char *sql);

/* Waits a moment; false if time is up. */
extern bool move_wait_until(TimestampTz deadline);

/*
 * Procedures, which commit between their steps.  What they call has the search_path that it needs.
 */

/* Begins: 25001 in a transaction block. */
extern void move_begin_procedure(FunctionCallInfo fcinfo, const char *name);

/* Takes a step, a SELECT of one value, and commits it; the value as a string, NULL for SQL NULL. */
extern char *move_step(const char *sql);
extern void move_end_procedure(void);

/* An argument as SQL writes it */
extern char *move_literal(FunctionCallInfo fcinfo, int n, Oid output);

#endif
